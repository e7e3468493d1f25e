"""Marks in prose: which of equivalent wordings stands where tells whoever has the key for whom a text was written."""
