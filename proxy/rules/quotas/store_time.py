"""The store's time as a process knows it, so that counting by the store's clock can go on while the store is away."""

from __future__ import annotations

from proxy.clock import Clock
from proxy.store.base import SLOTS, Grant


class StoreTime:
    """A clock that reads the store's time, corrected by each of its grants; before the first one, our own wall time."""

    def __init__(self, clock: Clock) -> None:
        self._now = clock.monotonic
        self._ahead = clock.wall() - clock.monotonic()

    def hear(self, grant: Grant, window_ms: int, asked: float) -> None:
        """Take the time from a grant, whose lease ends with its slot; `asked` is when it was asked for (monotonic)."""
        if grant.lease_ms > 0:
            slot_ends_ms = (grant.slot + 1) * window_ms / SLOTS
            self._ahead = (slot_ends_ms - grant.lease_ms - 1) / 1000 - asked

    def wall(self) -> float:
        """Return the store's time in Unix seconds."""
        return self._now() + self._ahead

    def monotonic(self) -> float:
        """Return the same as `wall`: windows here are counted by the store's time."""
        return self.wall()

    def has_left(self, slot: int, window_ms: int) -> bool:
        """Tell whether a slot has left its window, so that it no longer counts."""
        return slot < int(self.wall() * 1000) * SLOTS // window_ms - SLOTS
