"""A slice of a sliding window, held for the rest of the slot it was granted in.

A unit counts in the store from its slot on, so using it later than that slot would let it leave the window early: what
is unused at the slot's end goes back.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.rules.leases import Lease, Refusal
from proxy.store.base import Ask, Store

_IDLE_S = 0.5
# A lease takes at most this part of what is left, so that near the limit every unit is asked for one by one.
_SHARE_OF_REST = 8

# (bucket, window_ms, slot, units): units go back (positive) or are charged afterwards (negative); must not await.
OnReturn = Callable[[str, int, int, int], None]


class WindowLease(Lease):
    """The part of one sliding window that this process holds; with `exact` nothing beyond what is asked for."""

    __slots__ = (
        "_balance",
        "_exact",
        "_expires",
        "_limit",
        "_on_return",
        "_op",
        "_remaining",
        "_slot",
        "_store",
        "_stride",
        "_touched",
        "_window_ms",
        "name",
    )

    def __init__(
        self,
        name: str,
        limit: int,
        window_ms: int,
        *,
        exact: bool,
        store: Store,
        now: Callable[[], float],
        op: Callable[[], str],
        on_return: OnReturn,
    ) -> None:
        super().__init__(now)
        self.name = name
        self._limit = limit
        self._window_ms = window_ms
        self._exact = exact
        self._store = store
        self._op = op
        self._on_return = on_return
        self._balance = 0
        self._slot = -1
        self._expires = 0.0
        self._touched = 0.0
        self._remaining = 0
        self._stride = 0

    def take(self, units: int, now: float) -> int | None:
        """Use `units` of what is held and return their slot. None: not enough is held, ask with `want`."""
        if self._balance < units or now >= self._expires or self._waiting:
            return None
        self._balance -= units
        self._touched = now
        return self._slot

    def give(self, units: int, slot: int, now: float) -> None:
        """Return unused units of a slot, or charge more than was taken (negative)."""
        if slot == self._slot and now < self._expires and not self._exact and self._balance + units >= 0:
            self._balance += units
        else:
            self._on_return(self.name, self._window_ms, slot, units)
        self._refused = None

    def settle_down(self, now: float, *, closing: bool = False) -> bool:
        """Give back what is idle or expired; True if nothing is held any more."""
        if self._balance and (closing or now >= self._expires or now - self._touched >= _IDLE_S):
            self._stride //= 2
            self._return_balance()
        return self._balance == 0 and self._task is None

    def _serve(self, units: int, now: float) -> int | None:
        if self._balance < units or now >= self._expires:
            return None
        self._balance -= units
        self._touched = now
        return self._slot

    async def _ask(self, least_units: int, all_units: int) -> Refusal | None:
        asked = self._now()
        if asked >= self._expires:
            self._return_balance()
        least = max(1, least_units - self._balance)
        extra = 0 if self._exact else min(self._stride, self._remaining // _SHARE_OF_REST)
        ask = Ask(self.name, self._limit, self._window_ms, least, max(least, all_units - self._balance + extra))
        grant = (await self._store.reserve([ask], self._op()))[0]
        self._remaining = grant.remaining
        if not grant.granted:
            return Refusal(grant.remaining + self._balance, grant.retry_after_ms / 1000, grant.reset_ms / 1000)
        if grant.slot != self._slot:
            self._return_balance()
            self._slot = grant.slot
        else:
            # The lease ran dry within its slot: take twice as much next time.
            self._stride = max(grant.granted, min(self._stride * 2, self._limit))
        self._balance += grant.granted
        # The store counted these units just now, so those who wait may have them even if the answer came late; what
        # is left over lives from the question on, so that the store's slot cannot end earlier than we think.
        self._expires = asked + grant.lease_ms / 1000
        self._serve_waiting(asked)
        if self._exact:
            self._return_balance()
        return None

    def _return_balance(self) -> None:
        if self._balance:
            self._on_return(self.name, self._window_ms, self._slot, self._balance)
            self._balance = 0
