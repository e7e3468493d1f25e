"""Finds the patterns of all sets in a folded text: one pass over all of it, a closer look only where that found parts.

Laws: linear time, and a constant number of passes whatever the text; nothing depends on where a text is cut, but
for parts of one pattern that stand about as far apart as they may.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from proxy.errors import ConfigurationError
from proxy.linear_match import compile_group
from proxy.pattern_sets import Pattern, PatternSet, Within

# A text is looked at in pieces of so many characters, each with the beginning of the next, so that no part is cut:
# parts are words and short phrases. Short pieces also bound the time: what one holds was mostly met before.
PIECE_CHARS = 64
OVERLAP_CHARS = 48
# How many pieces in a row belong together: some fifteen words, a verb and its object; or two or three sentences, which
# is as far apart as one request to the model stands, and what merely occurs in one long document seldom does.
PIECES = {Within.PHRASE: 2, Within.PASSAGE: 5, Within.PROMPT: 0}


class Hit(NamedTuple):
    """One pattern that was found, with the field that it feeds."""

    field: str
    pattern: Pattern


class _Wanted(NamedTuple):
    hit: Hit
    all: int
    none: int
    pieces: int  # within how many in a row the parts have to be; 0: anywhere


class Phrases:
    """The patterns of some sets, compiled; `marks` are further expressions to look for in the same pass.

    Raises ConfigurationError for patterns that together take too much memory.
    """

    def __init__(self, sets: Iterable[PatternSet], marks: Sequence[str] = ()) -> None:
        places: dict[str, int] = {mark: place for place, mark in enumerate(marks)}
        self._marks = (1 << len(marks)) - 1
        # By the part that comes first in the file: a pattern is looked at only where that part was found.
        self._by_part: defaultdict[int, list[_Wanted]] = defaultdict(list)
        for entry in sets:
            for pattern in entry.patterns:
                every = [places.setdefault(part, len(places)) for part in pattern.all]
                never = [places.setdefault(part, len(places)) for part in pattern.none]
                pieces = PIECES[pattern.within] if len(every) + len(never) > 1 else 0
                wanted = _Wanted(Hit(entry.field, pattern), _bits(every), _bits(never), pieces)
                self._by_part[every[0]].append(wanted)
        try:
            self._group = compile_group(list(places))
        except ValueError as error:
            raise ConfigurationError(f"the pattern sets cannot be used: {error}") from None

    def find(self, folded: str) -> tuple[list[Hit], int]:
        """Return the patterns found in a folded text, and which of the marks, as bits."""
        parts = self._group(folded)
        if not parts:
            return [], 0
        seen = _bits(parts)
        hits: list[Hit] = []
        near: defaultdict[int, list[_Wanted]] = defaultdict(list)
        for part in parts:
            for wanted in self._by_part.get(part, ()):
                if wanted.all & seen == wanted.all:
                    if len(folded) > wanted.pieces * PIECE_CHARS > 0:
                        near[wanted.pieces].append(wanted)
                    elif not wanted.none & seen:
                        hits.append(wanted.hit)
        if near:
            pieces = [
                _bits(self._group(folded[start : start + PIECE_CHARS + OVERLAP_CHARS]))
                for start in range(0, len(folded), PIECE_CHARS)
            ]
            for count, candidates in near.items():
                hits += _together(pieces, count, candidates)
        return hits, seen & self._marks


def _together(pieces: list[int], count: int, candidates: list[_Wanted]) -> list[Hit]:
    """Return the patterns whose parts stand in `count` pieces in a row."""
    hits = []
    tried: set[int] = set()
    for place in range(max(1, len(pieces) - count + 1)):
        seen = 0
        for piece in pieces[place : place + count]:
            seen |= piece
        if seen in tried:
            continue
        tried.add(seen)
        found = [wanted for wanted in candidates if wanted.all & seen == wanted.all and not wanted.none & seen]
        if found:
            hits += [wanted.hit for wanted in found]
            candidates = [wanted for wanted in candidates if wanted not in found]
            if not candidates:
                break
    return hits


def _bits(places: Iterable[int]) -> int:
    bits = 0
    for place in places:
        bits |= 1 << place
    return bits
