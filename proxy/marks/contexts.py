"""Says in which context a place stands: so that a row's choice is one coin in each, and not one everywhere.

Laws: what a place hangs on are words that belong to none. A place behind the same word as one of its row before it
hangs on two, and is a coin of its own; one behind the same two words is not, as who repeats a phrase repeats its
wording.
"""

from __future__ import annotations

from collections import deque


class Contexts:
    """The content words before a place, and the places that stood behind the nearest one already."""

    __slots__ = ("_met", "nearest")

    def __init__(self) -> None:
        self.nearest: deque[str] = deque(("", ""), maxlen=2)  # the nearest last
        self._met: set[tuple[str, str]] = set()

    def of(self, row: str) -> str:
        """Return the context of a row's next place: the nearest word, and if that is taken the one before it too."""
        earlier, nearest = self.nearest
        place = (row, nearest)
        if place in self._met and earlier not in ("", nearest):
            return f"{earlier} {nearest}"
        self._met.add(place)
        return nearest
