"""Lets a table of names be written as a paragraph."""

from __future__ import annotations


def names(paragraph: str) -> frozenset[str]:
    """Return the words of a paragraph."""
    return frozenset(paragraph.split())
