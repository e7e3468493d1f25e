"""Tests suspected texts against keys: for which campaign they were written, and how sure that is.

Laws:
- All tests of one run count together: every text with every key, and all texts together with every key, so that the
  rate bounds the chance of any finding in texts that nobody marked (Bonferroni).
- In all texts together a context counts once, as most of them have it.
- Habits of style are tested in all texts together, and only if the texts show enough habits for a finding: so they cost
  the other tests nothing where they can tell nothing.
- With a reference, a habit counts as the texts have it more often than the reference would let one expect; without the
  key it is a fair coin as before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

from proxy.exchange import BYTES_PER_TOKEN
from proxy.marks import habits
from proxy.marks.chance import corrected, needed, tail
from proxy.marks.place import Place
from proxy.marks.reading import Seen, one_each, read

# The share of places that agree after a fifth of the words were replaced, as measured; see policies/README.md.
_AFTER_DAMAGE = 0.85
_HALF = 0.5
# A student who keeps `part` of its teacher's habits shows a habit in `usual + (1 - usual) * part` of its texts, or in
# `usual * (1 - part)` of them. The middle between the two also separates students who keep more, and leaves a habit
# that was usual already room on both sides.
_TAUGHT = 0.3


class Suspect(NamedTuple):
    """What one text is tested by, and an estimate of how many of its tokens were read."""

    tokens: int
    places: list[Place]
    habits: list[Place]


class Match(NamedTuple):
    """The key that agrees best with a text, and how likely that is by chance, after all tests of the run."""

    key: str
    seen: Seen
    chance: float


@dataclass(slots=True)
class Trace:
    """The result of a run.

    `tests` counts every text, all texts together, and their style if that was tested, each with every key. `tokens` are
    those of all texts; `tokens_needed` are as many as texts like these take to have `needed` places, 0 if they have
    none.
    """

    keys: int
    rate: float
    together: Match | None = None
    style: Match | None = None
    texts: list[Match] = field(default_factory=list)
    tests: int = 0
    habits: int = 0
    tokens: int = 0
    needed: int = 0  # places, if all of them agree
    needed_damaged: int = 0  # places, after a fifth of the words were replaced
    tokens_needed: int = 0
    tokens_needed_damaged: int = 0

    @property
    def found(self) -> bool:
        """Whether a mark was found at all."""
        matches = (self.together, self.style, *self.texts)
        return any(match.chance <= self.rate for match in matches if match is not None)


def suspected(text: str, most_chars: int) -> Suspect:
    """Read a text: its words as far as they would have been marked, its habits to the end."""
    read_to = text[:most_chars]
    tokens = -(-len(read_to.encode("utf-8", "replace")) // BYTES_PER_TOKEN)
    return Suspect(tokens, read(read_to, most_chars), habits.read(text))


def gathered(suspects: Sequence[Suspect], reference: Sequence[Suspect] = ()) -> list[list[Place]]:
    """Return the places of each text, then those of all together if there are several texts, and last their habits.

    `reference` are texts of somebody who was not taught by the model.
    """
    each = [list(suspect.places) for suspect in suspects]
    together = [one_each(chain.from_iterable(each))] if len(each) > 1 else []
    return [*each, *together, _style(suspects, reference)]


def judged(figures: Mapping[str, Sequence[Seen]], suspects: Sequence[Suspect], rate: float) -> Trace:
    """Return what the counts of every key come to; each key's are for the lists that `gathered` returned."""
    trace = Trace(len(figures), rate, tokens=sum(suspect.tokens for suspect in suspects))
    if not figures or not suspects:
        return trace
    words = len(suspects) + (len(suspects) > 1)
    trace.habits = next(iter(figures.values()))[words].places
    with_style = len(figures) * (words + 1)
    could_tell = corrected(tail(trace.habits, trace.habits), with_style) <= rate
    trace.tests = with_style if could_tell else len(figures) * words
    matches = [_best({key: seen[at] for key, seen in figures.items()}, trace.tests) for at in range(words + could_tell)]
    trace.style = matches.pop() if could_tell else None
    trace.together, trace.texts = matches[-1], matches[: len(suspects)]
    trace.needed = needed(trace.tests, rate)
    trace.needed_damaged = needed(trace.tests, rate, agreeing=_AFTER_DAMAGE)
    places = sum(match.seen.places for match in trace.texts)
    if places:
        trace.tokens_needed = round(trace.needed * trace.tokens / places)
        trace.tokens_needed_damaged = round(trace.needed_damaged * trace.tokens / places)
    return trace


def read_places(document: Any) -> list[Place]:  # noqa: ANN401 - JSON from elsewhere
    """Read places that were written as lists. Raises ValueError for what is no place."""
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


def _style(suspects: Sequence[Suspect], reference: Sequence[Suspect]) -> list[Place]:
    """Return each habit as most texts have it, or as more of them have it than the reference lets one expect."""
    usual = _shares(reference)
    found = []
    for row, share in _shares(suspects).items():
        expected = usual.get(row, _HALF)
        between = expected + _TAUGHT * (_HALF - expected)
        if share != between:
            found.append(Place(row, "", int(share > between), 2))
    return found


def _shares(texts: Sequence[Suspect]) -> dict[str, float]:
    """Return for each habit the share of the texts showing it that have the second of its two ways."""
    ways: dict[str, list[int]] = {}
    for text in texts:
        for habit in text.habits:
            ways.setdefault(habit.row, []).append(habit.stands)
    return {row: sum(seen) / len(seen) for row, seen in ways.items()}


def _best(found: Mapping[str, Seen], tests: int) -> Match:
    """Return the match of the key that agrees best."""
    key = max(found, key=lambda name: (found[name].agree, name))
    return Match(key, found[key], corrected(tail(*found[key]), tests))
