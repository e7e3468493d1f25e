"""Writes sets of words as one writes words."""

from __future__ import annotations


def words(*texts: str) -> frozenset[str]:
    """Return the words of texts, in which white space parts them."""
    return frozenset(word for text in texts for word in text.split())


def phrases(text: str) -> frozenset[str]:
    """Return the phrases of a text, in which semicolons part them."""
    return frozenset(phrase.strip() for phrase in text.split(";"))
