"""Conditions of rules: their shape, how packs write them, and the functions that they are compiled to."""
