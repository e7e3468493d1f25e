"""Reads from a text where wordings stand that a key may have chosen; needs no key.

Laws: the result holds only wordings and the words before them. A row counts once in each context: whoever repeats a
phrase repeats its wording, which is one observation and not many (Fernandez et al., "Three Bricks to Consolidate
Watermarks for Large Language Models", 2023, show what counting it again does to the error rate).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from proxy.marks.keys import CampaignKey
from proxy.marks.marking import MOST_CHARS
from proxy.marks.place import Place
from proxy.marks.scanner import Scanner
from proxy.marks.table import english

_BITS = {2: 1, 4: 2}  # bits of a choice, each a fair coin, by the number of wordings


class Seen(NamedTuple):
    """How many fair coins agree with a key, out of how many."""

    agree: int
    places: int

    def __add__(self, other: object) -> Seen:
        """Return both together."""
        if not isinstance(other, Seen):
            return NotImplemented
        return Seen(self.agree + other.agree, self.places + other.places)


def read(text: str, most_chars: int = MOST_CHARS) -> list[Place]:
    """Return the places of a text, each context once, of as much of the text as would have been marked."""
    found: list[Place] = []

    def note(place: Place) -> int:
        found.append(place)
        return place.stands

    scanner = Scanner(english(), note)
    scanner.feed(text[:most_chars])
    scanner.end()
    return one_each(found)


def one_each(places: Iterable[Place]) -> list[Place]:
    """Return each context once, with the wording that stands there most often, or the first of several such."""
    seen: dict[tuple[str, str, int], Counter[int]] = {}
    for place in places:
        seen.setdefault((place.row, place.context, place.sides), Counter())[place.stands] += 1
    return [Place(row, context, stands.most_common(1)[0][0], sides) for (row, context, sides), stands in seen.items()]


def agreement(places: Iterable[Place], key: CampaignKey) -> Seen:
    """Count how many bits of the wordings that stand there a key would have chosen, each bit by itself."""
    agree = bits = 0
    for place in places:
        width = _BITS[place.sides]
        agree += width - (key.prefers(place) ^ place.stands).bit_count()
        bits += width
    return Seen(agree, bits)
