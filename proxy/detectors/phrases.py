"""Finds the patterns of all sets in a folded text: one pass over all of it, a closer look only where that found parts.

The one pass looks for marks and for any pattern's first part. Few prompts hold one, if authors write the rarest part
of a pattern first; in those that do, every part is looked for.

Laws: linear time, and a constant number of passes whatever the text; nothing depends on where a text is cut, but
for parts of one pattern that stand about as far apart as they may.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from proxy.errors import ConfigurationError
from proxy.linear_match import Group
from proxy.pattern_sets import Pattern, PatternSet, Within

# A text is looked at in pieces of so many characters, each with the beginning of the next, so that no part is cut:
# parts are words and short phrases. Short pieces also bound the time: what one holds was mostly met before.
PIECE_CHARS = 64
OVERLAP_CHARS = 48
# How many pieces in a row belong together: some fifteen words, a verb and its object; or two or three sentences, which
# is as far apart as one request to the model stands, and what merely occurs in one long document seldom does.
PIECES = {Within.PHRASE: 2, Within.PASSAGE: 5, Within.PROMPT: 0}


# How many pieces are looked at together before each by itself.
_STRETCH_PIECES = 8


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
        places: dict[str, int] = {}
        # By the part that comes first in the file: a pattern is looked at only where that part was found.
        self._by_part: defaultdict[int, list[_Wanted]] = defaultdict(list)
        for entry in sets:
            for pattern in entry.patterns:
                every = [places.setdefault(part, len(places)) for part in pattern.all]
                never = [places.setdefault(part, len(places)) for part in pattern.none]
                pieces = PIECES[pattern.within] if len(every) + len(never) > 1 else 0
                wanted = _Wanted(Hit(entry.field, pattern), _bits(every), _bits(never), pieces)
                self._by_part[every[0]].append(wanted)
        firsts = [part for part, place in places.items() if place in self._by_part]
        any_first = "|".join([f"(?:{part})" for part in firsts])
        self._any_first = len(marks)  # its place among what the one pass looks for
        try:
            self._sieve = Group([*marks, any_first] if firsts else marks)
            self._group = Group(list(places))
        except ValueError as error:
            raise ConfigurationError(f"the pattern sets cannot be used: {error}") from None

    def find(self, folded: str) -> tuple[list[Hit], int]:
        """Return the patterns found in a folded text, and which of the marks, as bits."""
        sieved = self._sieve.find(folded)
        if not sieved:
            return [], 0
        marks = _bits([place for place in sieved if place != self._any_first])
        return self._hits(folded) if self._any_first in sieved else [], marks

    def _hits(self, folded: str) -> list[Hit]:
        """Return the patterns found, by a look for every part."""
        parts = self._group.find(folded)
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
            # Most parts are far from being looked for: only those passes are made that can find one of these.
            pieces = _Pieces(folded, self._group.finder(_parts_of(near.values())))
            for count, candidates in near.items():
                hits += _together(pieces, count, candidates)
        return hits


class _Pieces:
    """The pieces of a text, each looked at once it is needed; what is found is told as bits."""

    def __init__(self, text: str, find: Callable[[str], Sequence[int]]) -> None:
        self._text = text
        self._find = find
        self._seen: dict[int, int] = {}
        self.count = -(-len(text) // PIECE_CHARS)

    def stretch(self, first: int, count: int) -> int:
        """Return what is found anywhere in some pieces in a row."""
        start = first * PIECE_CHARS
        return _bits(self._find(self._text[start : start + count * PIECE_CHARS + OVERLAP_CHARS]))

    def each(self, first: int, count: int) -> int:
        """Return what is found in one or another of some pieces in a row."""
        seen = 0
        for place in range(first, min(first + count, self.count)):
            piece = self._seen.get(place)
            if piece is None:
                piece = self._seen[place] = self.stretch(place, 1)
            seen |= piece
        return seen


def _together(pieces: _Pieces, count: int, candidates: list[_Wanted]) -> list[Hit]:
    """Return the patterns whose parts stand in `count` pieces in a row.

    Most stretches of a text hold no candidate's parts: of those no piece is looked at.
    """
    hits: list[Hit] = []
    tried: set[int] = set()
    places = max(1, pieces.count - count + 1)
    for first in range(0, places, _STRETCH_PIECES):
        held = pieces.stretch(first, _STRETCH_PIECES + count - 1)
        if not any(wanted.all & held == wanted.all for wanted in candidates):
            continue
        for place in range(first, min(first + _STRETCH_PIECES, places)):
            seen = pieces.each(place, count)
            if seen in tried:
                continue
            tried.add(seen)
            found = [wanted for wanted in candidates if wanted.all & seen == wanted.all and not wanted.none & seen]
            if found:
                hits += [wanted.hit for wanted in found]
                candidates = [wanted for wanted in candidates if wanted not in found]
                if not candidates:
                    return hits
    return hits


def _parts_of(candidates: Iterable[Sequence[_Wanted]]) -> int:
    bits = 0
    for several in candidates:
        for wanted in several:
            bits |= wanted.all | wanted.none
    return bits


def _bits(places: Iterable[int]) -> int:
    bits = 0
    for place in places:
        bits |= 1 << place
    return bits
