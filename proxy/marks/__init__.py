"""Marks in prose: which of equivalent wordings a text has tells, with the key, for whom it was written."""
