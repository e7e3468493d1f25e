"""Decides about exchanges, whichever pack is in force, and follows each from there to its end."""
