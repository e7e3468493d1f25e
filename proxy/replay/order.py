"""Puts exchanges into the order of their moments, with a look-ahead of an hour, and notes where that was not enough.

Laws: what comes up to an hour late takes its place, so nothing that follows depends on the order of the lines; the
clock of the replay never goes back. What comes later still, and a line that leaps ahead of all others by more than a
day, stands where the clock then is, and is reported.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final, Generic, NamedTuple, TypeVar

LATE_S: Final = 3_600.0
_LEAP_S: Final = 86_400.0
_SHOWN: Final = 10
_FIRST: Final = 3

Item = TypeVar("Item")


class Jump(NamedTuple):
    """A line whose moment is so many seconds ahead of where the clock was, or behind it (negative)."""

    line: int
    seconds: float


class InOrder(Generic[Item]):
    """What waits for its moment; `jumps` are the first lines whose moment was not believed, `jumped` counts all."""

    def __init__(self) -> None:
        self.jumps: list[Jump] = []
        self.jumped = 0
        self.late = 0  # that came after a later one, and took their place
        self._first: list[tuple[int, float, Item]] = []  # until there are enough to tell whose clock is right
        self._waiting: list[tuple[float, int, Item]] = []
        self._newest: float | None = None
        self._reached = 0.0
        self._leapt = False  # whether the line before leapt ahead

    def add(self, line: int, at: float, item: Item) -> Iterator[tuple[float, int, Item]]:
        """Take a line and yield (moment, line, item) of those whose turn it is."""
        if self._newest is None:
            self._first.append((line, at, item))
            if len(self._first) == _FIRST:
                yield from self._begin()
            return
        newest = self._newest
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
        self._newest = newest = max(newest, at)
        heapq.heappush(self._waiting, (at, line, item))
        yield from self._until(newest - LATE_S)

    def rest(self) -> Iterator[tuple[float, int, Item]]:
        """Yield what still waits."""
        if self._newest is None and self._first:
            yield from self._begin()
        yield from self._until(float("inf"))

    def _begin(self) -> Iterator[tuple[float, int, Item]]:
        """Begin with the earliest of the first lines that is near the middle one: any one of them may have leapt."""
        first, self._first = self._first, []
        moments = sorted(at for _, at, _ in first)
        middle = moments[(len(first) - 1) // 2]
        self._newest = next(at for at in moments if at >= middle - _LEAP_S)
        for entry in first:
            yield from self.add(*entry)

    def _until(self, moment: float) -> Iterator[tuple[float, int, Item]]:
        waiting = self._waiting
        while waiting and waiting[0][0] < moment:
            entry = heapq.heappop(waiting)
            self._reached = entry[0]
            yield entry

    def _report(self, line: int, seconds: float) -> None:
        self.jumped += 1
        if len(self.jumps) < _SHOWN:
            self.jumps.append(Jump(line, seconds))
