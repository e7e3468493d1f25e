"""Counters over fields and time: counted in one process, and exchanged with all others through the store."""
