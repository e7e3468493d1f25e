"""Lets sets of words be written as text."""

from __future__ import annotations


def words(*texts: str) -> frozenset[str]:
    """Return the words of texts, which are separated by white space."""
    return frozenset(word for text in texts for word in text.split())


def phrases(text: str) -> frozenset[str]:
    """Return the phrases of a text, which are separated by semicolons."""
    return frozenset(phrase.strip() for phrase in text.split(";"))
