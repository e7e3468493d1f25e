"""A slice of a sliding window, held for the rest of the slot it was granted in.

In the store a unit counts as used in its slot; used later than that, it would leave the window too early. So units
still unused at the slot's end go back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from proxy.rules.quotas.leases import IDLE_S, SHARE_OF_REST, Lease, Refusal
from proxy.store.base import Ask, Grant

# A lease that holds more than its share of what is left counts as idle so soon: others may be refused because of it.
_NEAR_LIMIT_IDLE_S = 0.5

# Whenever a lease runs dry within a slot, it asks for so many times as much in advance.
_GROWTH = 4

# (bucket, window_ms, slot, units): units go back (positive) or are charged afterwards (negative); must not await.
OnReturn = Callable[[str, int, int, int], None]


class Known(NamedTuple):
    """What the store last said of a window: units left, the slot, and when it was asked (monotonic seconds)."""

    remaining: int
    slot: int
    at: float


class WindowLease(Lease[Ask, Grant]):
    """The part of one sliding window that this process holds; with `exact` it holds nothing in advance."""

    __slots__ = (
        "_behind_asked",
        "_behind_granted",
        "_first",
        "_granted",
        "_on_return",
        "_overdrafts",
        "_stride",
        "known",
        "name",
        "window_ms",
    )

    def __init__(
        self,
        name: str,
        limit: int,
        window_ms: int,
        *,
        exact: bool,
        ask: Callable[[WindowLease], None],
        on_return: OnReturn,
    ) -> None:
        super().__init__(limit, ask, exact=exact)
        self.name = name
        self.window_ms = window_ms
        self._on_return = on_return
        self.known: Known | None = None
        self._overdrafts = 0  # how often more was charged than was held
        self._behind_asked = 0  # `_overdrafts` at the last question
        self._behind_granted = 0  # `_overdrafts` at the question of the last grant
        self._stride = 0  # units asked for beyond those needed
        self._granted = 0  # units granted in this slot, less those that went back idle
        self._first = 0  # units needed at the first question of this slot

    def give(self, units: int, slot: int, now: float) -> None:
        """Return unused units of a slot, or charge more than was taken (negative).

        A charge is first paid from units held here, so that they are gone before the store knows. If they are too few,
        the window may be over its limit: then returned units are not kept here until the store grants again.
        """
        self._refused = None
        alive = now < self.until and not self._exact
        if units > 0 and alive and slot == self.slot and self._behind_granted == self._overdrafts:
            self.spare += units
            return
        if units < 0:
            paid = min(self.spare, -units) if alive else 0
            self.spare -= paid
            if paid < -units:
                self._overdrafts += 1
                self.left = max(0, self.left + units + paid)
            if slot == self.slot:
                units += paid
            elif paid:
                self._on_return(self.name, self.window_ms, self.slot, paid)
        if units:
            self._on_return(self.name, self.window_ms, slot, units)

    def settle_down(self, now: float, *, closing: bool = False) -> bool:
        """Give back idle or expired units; return True if nothing is held any more."""
        if self.spare:
            patience = IDLE_S if self.spare <= self.left // SHARE_OF_REST else _NEAR_LIMIT_IDLE_S
            if now >= self.until:
                self._end_slot()
            elif closing or now - self.touched >= patience:
                self._stride //= 2
                self._give_back_spare()
        return self.spare == 0 and not self.busy

    def question(self, now: float) -> Ask | None:
        """Ask for the units that waiters need and, if the lease ran dry in its slot before, for more."""
        self._serve_waiting(now)
        if not self._waiting:
            return None
        if now >= self.until:
            self._end_slot()
        self._behind_asked = self._overdrafts
        least = max(1, self._waiting[0][0] - self.spare)
        wanted = sum([units for units, _ in self._waiting]) - self.spare
        if not self._granted:
            self._first = wanted
        extra = 0 if self._exact else min(self._stride, self.left // SHARE_OF_REST)
        return Ask(self.name, self._limit, self.window_ms, least, max(least, wanted + extra))

    def hear(self, reply: Grant, asked: float, now: float) -> None:
        """Take the grant and serve those who wait, or refuse them."""
        self.left = reply.remaining
        self.all_back = now + reply.reset_ms / 1000
        if not reply.granted:
            refusal = Refusal(reply.remaining + self.spare, reply.retry_after_ms / 1000, reply.reset_ms / 1000)
            self._refuse_waiting(refusal, now)
            return
        if reply.slot != self.slot:
            self._give_back_spare()
            self.slot = reply.slot
            self._granted = 0
        else:
            # The lease ran dry within its slot: take several times as much next time.
            self._stride = max(reply.granted, min(self._stride * _GROWTH, self._limit))
        self.spare += reply.granted
        self._granted += reply.granted
        self._behind_granted = self._behind_asked
        # The store counted these units for the waiters, so they get them even if the slot has ended since. The lease of
        # the rest counts from the question, so that the store's slot cannot end earlier than we think.
        self.until = float("inf")
        self._serve_waiting(now)
        self.until = asked + reply.lease_ms / 1000
        if self._exact:
            self._give_back_spare()

    def _end_slot(self) -> None:
        """Give back what is left of a slot that has ended; plan for one and a half times its use in the next."""
        if self._stride and self._granted:
            used = self._granted - self.spare
            self._stride = max(0, used + used // 2 - self._first)
        self._granted = 0
        self._give_back_spare()

    def _give_back_spare(self) -> None:
        if self.spare:
            self._on_return(self.name, self.window_ms, self.slot, self.spare)
            self._granted = max(0, self._granted - self.spare)
            self.spare = 0
