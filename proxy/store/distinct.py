"""How many different members a sliding window saw: exact up to `SAMPLE` of them, estimated from a sample beyond.

Laws:
- A member counts until the slot in which it was last seen has left the window.
- A member is 64 bits of a keyed digest. Those that end in `level` zero bits are kept, and each stands for 2 ** level
  (P. Gibbons and S. Tirthapura, Distributed Streams Algorithms for Sliding Windows, SPAA 2002). A sample lets single
  members leave; of a HyperLogLog's registers, a window would need a set for every slot.
- The order in which members are noted, and in how many calls, makes no difference up to `SAMPLE` members.
- lua/note.lua does the same on a server, step by step.
"""

from __future__ import annotations

from collections.abc import Iterable

from proxy.store.base import SLOTS

# The most members kept. Each takes about 100 bytes, in the process and on a server: 200 kB for a full window.
SAMPLE = 2048

# The standard error of a count above SAMPLE, relative to it: a full sample is thinned to half. While a crowd leaves,
# its rest is as coarse as the crowd was: then the error is relative to the geometric mean of both counts.
DISTINCT_ERROR = (SAMPLE / 2) ** -0.5

# Counts reach up to 2 ** 31 * SAMPLE; the scripts on a server have 32 bits to look at.
_DEEPEST = 31


class DistinctWindow:
    """The members of one window.

    After a flood there may be two layers: members last seen before the slot `since` stand for 2 ** old_level each,
    later ones for 2 ** level. So a window that has become quiet is exact again as soon as the flood has left it.
    """

    __slots__ = ("_level", "_members", "_old", "_old_level", "_oldest", "_since", "slot", "total")

    def __init__(self, slot: int) -> None:
        self.slot = slot  # the present one, never an earlier one than before
        self.total = 0  # how many different members the window saw
        self._members: dict[int, int] = {}  # -> the slot it was last seen in
        self._oldest = slot  # no member was last seen before it
        self._level = 0
        self._since = 0
        self._old_level = 0
        self._old = 0  # number of members in the older layer

    def __len__(self) -> int:
        """Return how many members are kept."""
        return len(self._members)

    def advance(self, slot: int) -> None:
        """Drop the members that have left the window; a slot before the present one changes nothing."""
        if slot <= self.slot:
            return
        self.slot = slot
        first = slot - SLOTS
        if self._oldest < first:
            self._keep({member: seen for member, seen in self._members.items() if seen >= first})
            self._oldest = min(self._members.values(), default=slot)
        if not self._members:
            self._level = self._since = 0
        elif self._level and not self._old and len(self._members) <= SAMPLE // 2:
            self._old_level, self._level = self._level, 0
            self._since, self._old = slot, len(self._members)
        self._count()

    def note(self, members: Iterable[int]) -> list[int]:
        """Note members as seen in the present slot; return those of them in the sample that are new in this slot."""
        known, slot, rest = self._members, self.slot, (1 << self._level) - 1
        fresh: list[int] = []
        for member in members:
            if member & rest:
                continue
            seen = known.get(member, slot + 1)
            if seen != slot:
                known[member] = slot
                fresh.append(member)
                if seen < self._since:
                    self._old -= 1
        if not fresh:
            return fresh
        while len(self._members) > SAMPLE and self._level < _DEEPEST:
            self._thin()
        self._count()
        return fresh

    def _thin(self) -> None:
        """Drop every other member of the newer layer; once both are equally thin, they are one."""
        if not self._old or self._level == self._old_level:
            self._since = 0
        self._level += 1
        rest, since = (1 << self._level) - 1, self._since
        kept = {member: seen for member, seen in self._members.items() if seen < since or not member & rest}
        if self._level == self._old_level:
            self._since = 0
        self._keep(kept)

    def _keep(self, members: dict[int, int]) -> None:
        self._members = members
        self._old = sum(seen < self._since for seen in members.values()) if self._since else 0

    def _count(self) -> None:
        self.total = ((len(self._members) - self._old) << self._level) + (self._old << self._old_level)
