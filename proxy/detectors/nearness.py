"""Decides whether the parts of a pattern stand close together in a text, whatever else stands there.

Laws: the answer does not depend on where a text is cut or begins; every place of a part counts, not only some.
Time is linear. Each part is searched for from left to right, so all its searches together read the text once. For `k`
parts there are at most `k * k * (n / reach + 1)` searches in a text of `n` characters, since a part that was left
behind is next found more than a whole reach further on. Every place of an excluded part may cost `k` searches more,
once.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.patterns.linear_match import Search

_UTF8_MOST_BYTES = 4  # of one character


class Stretch:
    """A text in UTF-8 where distances are in characters and places in bytes."""

    __slots__ = ("data", "narrow")

    def __init__(self, data: bytes, *, narrow: bool) -> None:
        self.data = data
        self.narrow = narrow  # each character is one byte

    def before(self, place: int, chars: int) -> int:
        """Return the place `chars` characters before another, or the beginning."""
        if place <= chars:
            return 0
        if self.narrow:
            return place - chars
        near = self.data[max(0, place - _UTF8_MOST_BYTES * chars) : place].decode(errors="ignore")
        return place - len(near[-chars:].encode())

    def after(self, place: int, chars: int) -> int:
        """Return the place `chars` characters after another, or the end."""
        if place + chars >= len(self.data):
            return len(self.data)
        if self.narrow:
            return place + chars
        near = self.data[place : place + _UTF8_MOST_BYTES * chars].decode(errors="ignore")
        return place + len(near[:chars].encode())


def stand_together(text: Stretch, every: Sequence[Search], never: Sequence[Search], reach: int) -> bool:
    """Tell whether each of `every` begins within `reach` characters of the others, and none of `never` as near to them.

    The rarest part should come first: where it is missing, nothing else is looked for.
    """
    data = text.data
    excluded = [_Excluded(search) for search in never]
    begins = [-1] * len(every)
    # In a match every part begins at `least` or later, as its last part begins at `last` or later.
    least, last = 0, -1
    turn, settled = 0, 0
    while True:
        if begins[turn] < least:
            place = begins[turn] = every[turn](data, least)
            if place < 0:
                return False
            if place > last:
                last = place
                if (left_behind := text.before(last, reach)) > least:
                    least, settled = left_behind, 0
        settled += 1
        if settled == len(every):
            if not excluded:
                return True
            end = text.after(last, reach)
            against = max(each.last_until(data, end) for each in excluded)
            if against < text.before(min(begins), reach):
                return True
            # A match that begins later may be far enough from the excluded part; none that begins earlier is.
            least, settled = text.after(against, reach) + 1, 0
        turn = (turn + 1) % len(every)


class _Excluded:
    """The places of an excluded part, asked for from left to right."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._last, self._next = -1, 0  # the next place, or where to look for it

    def last_until(self, data: bytes, end: int) -> int:
        """Return the last place up to `end`, -1 if there is none; `end` may not decrease from call to call."""
        while 0 <= self._next <= end:
            self._next = self._search(data, self._next)
            if not 0 <= self._next <= end:
                break
            self._last = self._next
            self._next += 1
        return self._last
