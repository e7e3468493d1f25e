"""Sliding windows of one process, each with what other processes counted in it, as last told by the store.

Laws:
- A window is counted in `SLOTS` slots; what was counted in a slot leaves when the whole slot is older than the window.
- When the clock is set back, time stands still, for a second at most, and then goes on from there: nothing is counted
  twice, turns negative or stays longer than its window.
- What others counted is one number, without slots. It is taken to leave evenly until the store is asked again.
"""

from __future__ import annotations

from collections.abc import Iterable

from proxy.store.base import SLOTS
from proxy.store.distinct import DistinctWindow

# Readings of one process come a little out of order; one further back means that the clock was set.
_SET_BACK_S = 1.0


class SlotClock:
    """Turns wall time into the slots of one window, never going back."""

    __slots__ = ("_ahead", "_latest", "_slot_s")

    def __init__(self, window_ms: int) -> None:
        self._slot_s = window_ms / 1000 / SLOTS
        self._latest = float("-inf")
        self._ahead = 0.0  # seconds by which the clock was set back in all

    def slot(self, now: float) -> int:
        """Return the slot of a moment in Unix seconds."""
        now += self._ahead
        if now < self._latest:
            if self._latest - now > _SET_BACK_S:
                self._ahead += self._latest - now
            now = self._latest
        else:
            self._latest = now
        return int(now // self._slot_s)


class RequestWindow:
    """The exchanges of one key: those counted here, and those that others counted."""

    __slots__ = ("_learned_in", "_others", "_runs", "count", "own", "slot", "unsent")

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.count = 0
        self.own = 0  # exchanges counted here
        self.unsent = 0  # those of them that the store was not told of yet
        self._runs: list[int] = []  # slot, exchanges, slot, exchanges, ..., the oldest first
        self._others = 0
        self._learned_in = slot

    def add(self) -> None:
        """Count one exchange in the present slot."""
        runs = self._runs
        if runs and runs[-2] == self.slot:
            runs[-1] += 1
        else:
            runs += (self.slot, 1)
        self.own += 1
        self.unsent += 1
        self.count += 1

    def advance(self, slot: int) -> None:
        """Go on to a later slot."""
        self.slot = slot
        runs, first = self._runs, slot - SLOTS
        left = 0
        while left < len(runs) and runs[left] < first:
            self.own -= runs[left + 1]
            left += 2
        del runs[:left]
        self._sum()

    def learn(self, total: int) -> None:
        """Take the count of all processes, which includes what was counted here except the `unsent` ones."""
        self._others = max(total - max(self.own - self.unsent, 0), 0)
        self._learned_in = self.slot
        self._sum()

    def _sum(self) -> None:
        self.count = self.own + _left(self._others, self.slot - self._learned_in)


class MemberWindow(DistinctWindow):
    """The different members that one key showed.

    `count` is the larger of what was seen here and what the store has seen: only the store's answer tells whether a
    member new here is new to the others, too, and until then it must not count twice.
    """

    __slots__ = ("_learned", "_learned_in", "count")

    def __init__(self, slot: int) -> None:
        super().__init__(slot)
        self.count = 0
        self._learned = 0
        self._learned_in = slot

    def advance(self, slot: int) -> None:
        """Go on to a later slot."""
        super().advance(slot)
        self._larger()

    def see(self, members: list[int]) -> list[int]:
        """Note members in the present slot and return those that the store should hear of."""
        fresh = self.note(members)
        self.count = max(self.count, self.total)
        return fresh

    def still(self, members: Iterable[int]) -> tuple[int, ...]:
        """Return those of the members that are still in the window."""
        return tuple(filter(self._members.__contains__, members))

    def learn(self, total: int) -> None:
        """Take the count of all processes."""
        self._learned, self._learned_in = total, self.slot
        self._larger()

    def _larger(self) -> None:
        self.count = max(self.total, _left(self._learned, self.slot - self._learned_in))


def _left(count: int, slots: int) -> int:
    """Return what is left of a count after `slots` slots, if it leaves evenly."""
    return count * max(SLOTS - slots, 0) // SLOTS if count else 0
