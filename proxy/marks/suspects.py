"""Tests suspected texts against keys: which campaign were they written for, and how sure is that.

Laws:
- All tests of one run count together: every text with every key, and all texts together with every key, so that the
  rate bounds the chance of any finding in texts that nobody marked (Bonferroni).
- All texts together count a context once, as most of them have it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

from proxy.marks.chance import corrected, needed, tail
from proxy.marks.reading import Seen, one_each
from proxy.marks.scanner import Place

# The share of places that agree after a fifth of the words were replaced, as measured; see policies/README.md.
_AFTER_DAMAGE = 0.85


class Match(NamedTuple):
    """The key that some text agrees with best, and how likely that is by chance, after all tests of the run."""

    key: str
    seen: Seen
    chance: float


@dataclass(slots=True)
class Trace:
    """What came of a run; `tests` counts every text, and all together, with every key."""

    keys: int
    rate: float
    together: Match | None = None
    texts: list[Match] = field(default_factory=list)
    tests: int = 0
    needed: int = 0  # places, if all of them agree
    needed_damaged: int = 0  # places, after a fifth of the words were replaced

    @property
    def found(self) -> bool:
        """Whether a mark was found at all."""
        return any(match.chance <= self.rate for match in (self.together, *self.texts) if match is not None)


def gathered(texts: Sequence[Sequence[Place]]) -> list[list[Place]]:
    """Return the places of each text and, of more than one, behind them those of all together."""
    each = [list(places) for places in texts]
    return each if len(each) <= 1 else [*each, one_each(chain.from_iterable(each))]


def judged(figures: Mapping[str, Sequence[Seen]], rate: float) -> Trace:
    """Return what the figures of every key come to, each for what `gathered` returned."""
    count = len(next(iter(figures.values()), ()))
    trace = Trace(len(figures), rate, tests=len(figures) * count)
    matches = [_best({key: seen[at] for key, seen in figures.items()}, trace.tests) for at in range(count)]
    trace.together = matches[-1] if matches else None
    trace.texts = matches[:-1] if count > 1 else matches
    if trace.tests:
        trace.needed = needed(trace.tests, rate)
        trace.needed_damaged = needed(trace.tests, rate, agreeing=_AFTER_DAMAGE)
    return trace


def read_places(document: Any) -> list[Place]:  # noqa: ANN401 - JSON from elsewhere
    """Read places that were written as lists. Raises ValueError for what can be none."""
    if not isinstance(document, list) or not all(isinstance(entry, list) for entry in document):
        raise ValueError("places should be lists")
    return list(map(_place, document))


def _place(entry: list[Any]) -> Place:
    if len(entry) != len(Place._fields) or [type(value) for value in entry] != [str, str, int, int]:
        raise ValueError("a place should have a row, a context, what stands and sides")
    place = Place(*entry)
    if place.sides not in (2, 4) or not 0 <= place.stands < place.sides:
        raise ValueError("a place should have two or four wordings")
    return place


def _best(found: Mapping[str, Seen], tests: int) -> Match:
    """Return the key that agrees best."""
    key = max(found, key=lambda name: (found[name].agree, name))
    return Match(key, found[key], corrected(tail(*found[key]), tests))
