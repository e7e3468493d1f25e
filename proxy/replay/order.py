"""Puts exchanges into the order of their times, with a look-ahead of an hour, and notes where that was not enough.

Laws: a line up to an hour late takes its place, so what follows does not depend on the order of such lines; the clock
of the replay never goes back. A line that is later still, or leaps ahead of all others by more than a day, counts at
the clock's present time, and is reported.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from typing import Final, Generic, NamedTuple, TypeVar

LATE_S: Final = 3_600.0
_LEAP_S: Final = 86_400.0
_SHOWN: Final = 10
_FIRST: Final = 3

Item = TypeVar("Item")
_Turn = tuple[float, int, Item]


class Jump(NamedTuple):
    """A line whose time is so many seconds ahead of the clock, or behind it (negative)."""

    line: int
    seconds: float


class InOrder(Generic[Item]):
    """Exchanges that wait for their time; `jumps` are the first lines with a time not believed, `jumped` counts all."""

    def __init__(self) -> None:
        self.jumps: list[Jump] = []
        self.jumped = 0
        self.late = 0  # exchanges that came after a later one, and took their place
        self._first: list[tuple[int, float, Item]] = []  # the first lines, until they tell whose clock is right
        self._waiting: deque[_Turn[Item]] = deque()  # those that came before any later one, and so are in order
        self._late: list[_Turn[Item]] = []  # a heap of the others
        self._newest: float | None = None
        self._reached = 0.0
        self._leapt = False  # whether the line before leapt ahead

    def add(self, line: int, at: float, item: Item) -> Sequence[_Turn[Item]]:
        """Take a line and return (time, line, item) of those whose turn has come."""
        newest = self._newest
        if newest is None:
            self._first.append((line, at, item))
            return self._begin() if len(self._first) == _FIRST else ()
        leaps = at > newest + _LEAP_S
        if at < self._reached:
            self._report(line, at - self._reached)
            at = self._reached
        elif leaps and not self._leapt:
            self._report(line, at - newest)
            at = newest
        elif at < newest:
            self.late += 1
        self._leapt = leaps
        if at < newest:
            heapq.heappush(self._late, (at, line, item))
        else:
            self._waiting.append((at, line, item))
            self._newest = newest = at
        return self._until(newest - LATE_S)

    def rest(self) -> Sequence[_Turn[Item]]:
        """Return what still waits."""
        begun = self._begin() if self._newest is None and self._first else ()
        return [*begun, *self._until(float("inf"))]

    def _begin(self) -> Sequence[_Turn[Item]]:
        """Start the clock at the earliest of the first lines that is near the median: any of them may have leapt."""
        first, self._first = self._first, []
        moments = sorted(at for _, at, _ in first)
        middle = moments[(len(first) - 1) // 2]
        self._newest = next(at for at in moments if at >= middle - _LEAP_S)
        return [turn for entry in first for turn in self.add(*entry)]

    def _until(self, moment: float) -> Sequence[_Turn[Item]]:
        waiting, late = self._waiting, self._late
        turns: list[_Turn[Item]] = []
        while waiting and waiting[0][0] < moment:
            while late and late[0] < waiting[0]:
                turns.append(heapq.heappop(late))
            turns.append(waiting.popleft())
        while late and late[0][0] < moment:
            turns.append(heapq.heappop(late))
        if turns:
            self._reached = turns[-1][0]
        return turns

    def _report(self, line: int, seconds: float) -> None:
        self.jumped += 1
        if len(self.jumps) < _SHOWN:
            self.jumps.append(Jump(line, seconds))
