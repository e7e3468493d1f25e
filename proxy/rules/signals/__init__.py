"""Counters over fields and time: counted in one process, shared with all others through the store."""
