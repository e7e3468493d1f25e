"""Names the context of a place, so that a row's choice is one coin in each context and not one everywhere.

Laws: contexts are made of words that belong to no place. If the nearest word is the context of an earlier place of the
same row, the place has two words as its context, and is a coin of its own; one after the same two words is not, as
whoever repeats a phrase repeats its wording.
"""

from __future__ import annotations

from collections import deque


class Contexts:
    """The content words before a place, and which contexts were used already."""

    __slots__ = ("_met", "nearest")

    def __init__(self) -> None:
        self.nearest: deque[str] = deque(("", ""), maxlen=2)  # the nearest last
        self._met: set[tuple[str, str]] = set()

    def of(self, row: str) -> str:
        """Return the context of a row's next place: the nearest word, and if that was used, the one before it too."""
        earlier, nearest = self.nearest
        place = (row, nearest)
        if place in self._met and earlier not in ("", nearest):
            return f"{earlier} {nearest}"
        self._met.add(place)
        return nearest
