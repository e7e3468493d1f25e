"""One sliding window of units in slots, as every store counts it (see `base`); nothing here reads a clock or awaits."""

from __future__ import annotations

from proxy.store.base import MAX_UNITS, SLOTS, Grant

_FEW = 5  # slots: a dictionary of more takes more memory


class UnitWindow:
    """The charged slots of one window, and the `total` of their units; after `advance`, all of them are live."""

    __slots__ = ("_newest", "_oldest", "slots", "total", "window_ms")

    def __init__(self, window_ms: int) -> None:
        self.window_ms = window_ms
        self.slots: dict[int, int] = {}
        self.total = 0
        self._oldest = self._newest = 0  # no charged slot is older, and none newer

    def begins(self, slot: int) -> int:
        """Return the first whole millisecond in which a slot has begun."""
        return -(-slot * self.window_ms // SLOTS)

    def advance(self, now: int) -> int:
        """Drop the slots that are wholly older than the window, and return the present slot; `now` is in ms."""
        present = now * SLOTS // self.window_ms
        first = present - SLOTS
        if self._oldest < first and self.slots:
            if self._newest < first:  # all have left, as for nearly every caller who comes back to a short window
                self.slots.clear()
                self.total = 0
            else:
                for slot in [slot for slot in self.slots if slot < first]:
                    self.total -= self.slots.pop(slot)
            self._oldest = min(self.slots, default=present)
        return present

    def charge(self, slot: int, units: int) -> None:
        """Count units in a slot, up to the maximum, or take out (negative) at most those that are there."""
        slots, total = self.slots, self.total
        held = slots.get(slot)
        if held is None:
            held = 0
            if not slots or slot < self._oldest:
                self._oldest = slot
            self._newest = max(self._newest, slot)
        if not 0 <= units <= MAX_UNITS - total:
            units = min(max(units, -held), MAX_UNITS - total)
        slots[slot] = held + units
        self.total = total + units

    def add(self, now: int, units: int) -> None:
        """Count units in the present slot. Until `advance` is called, `total` may include units that are too old."""
        if len(self.slots) >= _FEW or units > MAX_UNITS - self.total:
            self.charge(self.advance(now), units)
        else:
            self.charge(now * SLOTS // self.window_ms, units)

    def refusal(self, least: int, limit: int, present: int, now: int) -> Grant:
        """Return the refusal of `least` units: what is left, and when there will be enough."""
        charged = sorted((slot, units) for slot, units in self.slots.items() if units)
        free = limit - self.total
        remaining = max(free, 0)
        retry_after = -1
        if least <= limit:
            for slot, units in charged:
                free += units
                if free >= least:
                    retry_after = self.begins(slot + SLOTS + 1) - now
                    break
        reset = self.begins(charged[-1][0] + SLOTS + 1) - now if charged else 0
        return Grant(0, present, remaining, 0, retry_after, reset)
