"""Finds the patterns of all sets in a folded text: two passes over all of it, and a closer look where they found parts.

One pass looks for marks, one for the first part of every pattern. If authors put a pattern's rarest part first, most
prompts have none; in those that do, the pattern's other parts are looked for around it.
Laws: linear time, and a constant number of passes whatever the text; nothing depends on where a text is cut.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from proxy.detectors.nearness import Stretch, stand_together
from proxy.errors import ConfigurationError
from proxy.patterns.linear_match import Finder, Group, Search, as_bytes
from proxy.patterns.pattern_set import Pattern, PatternSet, Within

# The most characters between the beginnings of a pattern's first and last part: some 25 words, a verb and its object;
# or two or three sentences, within which one request to the model stands, but seldom what merely occurs in one long
# document.
REACH_CHARS = {Within.PHRASE: 144, Within.PASSAGE: 336}


class Hit(NamedTuple):
    """One pattern that was found, with the field that it feeds."""

    field: str
    pattern: Pattern


class _Wanted(NamedTuple):
    hit: Hit
    all: Sequence[Search]
    none: Sequence[Search]
    reach: int | None  # in characters; None: anywhere


class Phrases:
    """The patterns of some sets, which were checked before; `marks` are further expressions to look for.

    Raises ConfigurationError for patterns that together take too much memory.
    """

    def __init__(self, sets: Iterable[PatternSet], marks: Sequence[str] = ()) -> None:
        searches: dict[str, Search] = {}
        # A pattern is looked at only where the first of its parts was found.
        by_first: defaultdict[str, list[_Wanted]] = defaultdict(list)
        try:
            for entry in sets:
                for pattern in entry.patterns:
                    for part in (*pattern.all, *pattern.none):
                        if part not in searches:
                            searches[part] = Finder(part)
                    every, never = ([searches[part] for part in parts] for parts in (pattern.all, pattern.none))
                    wanted = _Wanted(Hit(entry.field, pattern), every, never, REACH_CHARS.get(pattern.within))
                    by_first[pattern.all[0]].append(wanted)
            # Two automata, since one for both would have as many states as theirs multiplied.
            self._marks = Group(marks)
            self._firsts = Group(list(by_first))
        except ValueError as error:
            raise ConfigurationError(f"the pattern sets cannot be used: {error}") from None
        self._wanted = list(by_first.values())

    def find(self, folded: str) -> tuple[list[Hit], int]:
        """Return the patterns found in a folded text, and the marks that were found, as bits."""
        data = as_bytes(folded)
        marks = 0
        for place in self._marks.find(data):
            marks |= 1 << place
        firsts = self._firsts.find(data)
        return self._hits(data, len(data) == len(folded), firsts) if firsts else [], marks

    def _hits(self, data: bytes, narrow: bool, firsts: Sequence[int]) -> list[Hit]:
        """Return the patterns found among those whose first part is there."""
        text = Stretch(data, narrow=narrow)
        hits: list[Hit] = []
        for first in firsts:
            for hit, every, never, reach in self._wanted[first]:
                alone = len(every) == 1 and not never
                if alone or stand_together(text, every, never, len(data) if reach is None else reach):
                    hits.append(hit)
        return hits
