"""Puts a campaign's mark into the prose of one answer, as it comes.

Law: at most `MOST_CHARS` of an answer are worked on, which bounds what a long one costs.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from proxy.marks.keys import CampaignKey
from proxy.marks.pieces import Cutter
from proxy.marks.runs import Piece
from proxy.marks.scanner import Scanner
from proxy.marks.table import english

# About 2,000 words, with 90 to 150 places: more than a mark needs, and ten milliseconds of one core in all.
MOST_CHARS: Final = 12_000


class Marking:
    """A text filter: what comes out, joined, is the marked text."""

    def __init__(self, key: CampaignKey, most_chars: int = MOST_CHARS, stops: Collection[str] = ()) -> None:
        self._scanner = Scanner(english(), key.prefers, stops)
        self.left = most_chars  # how many more characters are worked on
        self._ended = most_chars <= 0

    @property
    def changes(self) -> list[tuple[int, int, int]]:
        """Changes of length: at which character, how many characters became how many."""
        return self._scanner.changes

    @property
    def held(self) -> int:
        """How many characters of what came are held back."""
        return self._scanner.held

    def feed(self, text: str) -> str:
        """Return what may go out now."""
        if self._ended:
            return text
        if len(text) < self.left:
            self.left -= len(text)
            return self._scanner.feed(text)
        mine, rest = text[: self.left], text[self.left :]
        self.left = 0
        return self._scanner.feed(mine) + self.end() + rest

    def pause(self) -> str:
        """Return what was held back; more text may follow."""
        return "" if self._ended else self._scanner.end()

    def end(self) -> str:
        """Return what was held back."""
        if self._ended:
            return ""
        self._ended = True
        return self._scanner.end()


def is_prose_behind(paragraph: str) -> bool:
    """Tell whether a word right after a paragraph would be prose: whether no quotation, code or the like is open."""
    cutter = Cutter()
    text = f".\n\n{paragraph}{'' if paragraph[-1:].isspace() else ' '}It"
    *_, last = (*cutter.feed(text), *cutter.end())
    return isinstance(last, Piece) and bool(last.word)
