"""Samples for review: what some exchanges said, sealed to a key that no proxy holds; off unless settings name one."""
