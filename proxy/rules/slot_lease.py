"""Concurrency slots: how many exchanges at once, held in the store for as long as this process renews them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from proxy.errors import StoreUnavailable
from proxy.rules.leases import NO_SLOT, Lease, Refusal
from proxy.store.base import Hold, Store

TTL_S = 15.0  # after a crash, the slots that were in use fall free this much later
_RENEW_S = TTL_S / 3
_IDLE_S = 1.0
_RETRY_AFTER_S = 1.0  # nobody knows when an exchange of somebody else ends
_MAX_SPARE = 16
_SHARE_OF_REST = 8


class SlotLease(Lease):
    """The slots of one limit that this process holds, in use and spare."""

    __slots__ = ("_exact", "_holder", "_in_use", "_limit", "_mine", "_name", "_renewed", "_rest", "_store", "_touched")

    def __init__(
        self, name: str, limit: int, *, exact: bool, store: Store, now: Callable[[], float], holder: str
    ) -> None:
        super().__init__(now)
        self._name = name
        self._limit = limit
        self._exact = exact
        self._store = store
        self._holder = holder
        self._mine = 0
        self._in_use = 0
        self._rest = 0
        self._renewed = float("-inf")
        self._touched = 0.0

    def take(self, units: int, now: float) -> int | None:
        """Use `units` spare slots. None: not enough are held, ask with `want`."""
        if self._waiting or self._task is not None:
            return None
        return self._serve(units, now)

    def give(self, units: int, slot: int, now: float) -> None:
        """Return slots that are in use."""
        del slot
        self._in_use -= units
        self._touched = now
        self._refused = None

    def settle_down(self, now: float, *, closing: bool = False) -> bool:
        """Give back idle slots and renew the rest in good time; True if nothing is held any more."""
        idle = self._mine > self._in_use and (closing or now - self._touched >= _IDLE_S)
        due = self._mine > 0 and now - self._renewed >= _RENEW_S
        if self._task is None and (idle or due):
            self._task = asyncio.get_running_loop().create_task(self._renew(self._in_use if idle else self._mine))
        return self._mine == 0 and self._in_use == 0 and self._task is None

    def _serve(self, units: int, now: float) -> int | None:
        if self._mine - self._in_use < units or now - self._renewed >= TTL_S:
            return None
        self._in_use += units
        self._touched = now
        return NO_SLOT

    async def _ask(self, least_units: int, all_units: int) -> Refusal | None:
        spare = 0 if self._exact else min(_MAX_SPARE, self._rest // _SHARE_OF_REST)
        least = self._in_use + least_units
        if not await self._hold(least, max(least, self._in_use + all_units + spare)):
            return Refusal(max(0, self._mine - self._in_use), _RETRY_AFTER_S, _RETRY_AFTER_S)
        return None

    async def _hold(self, least: int, most: int) -> bool:
        asked = self._now()
        hold = Hold(self._name, self._limit, self._holder, least, most, int(TTL_S * 1000))
        held = (await self._store.hold([hold]))[0]
        self._mine = held.mine
        self._rest = max(0, self._limit - held.total)
        self._renewed = asked
        return held.mine >= least

    async def _renew(self, total: int) -> None:
        # While this runs nothing is taken (see `take`), so the total cannot be out of date when it arrives.
        # If it fails the slots grow old, and `_serve` gives none that are too old.
        with contextlib.suppress(StoreUnavailable):
            await self._hold(0, total)
        self._task = asyncio.get_running_loop().create_task(self._ask_until_served()) if self._waiting else None
