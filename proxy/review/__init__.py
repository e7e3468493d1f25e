"""Asks decision logs of any length: what was degraded and denied, why, and whether rightly."""
