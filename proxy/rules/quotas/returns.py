"""Write-behind: units returned to the store, or charged afterwards, are gathered and sent in few round trips.

Laws: a charge is not dropped while it counts, and is sent at once: until the store knows of it, others are granted what
is used up. A return is dropped when too many wait, or when it can no longer be known whether it arrived: that refuses
too early but never admits too much. A batch whose answer was lost is sent again under the same operation id, so it
counts once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from proxy.clock import Clock
from proxy.errors import StoreAway, StoreRefused, StoreUnavailable
from proxy.rules.quotas.store_time import StoreTime
from proxy.store.base import REMEMBERED_MS, Credit, Store

_PAUSE_S = 0.05
_PAUSE_AFTER_FAILURE_S = 0.5
_BATCH = 256
_QUEUE_LIMIT = 100_000
# Waiting charges, of some 200 bytes each: beyond the first number, those whose slot has left its window are dropped;
# beyond the second, nothing more is admitted that would have to be charged.
_MANY_CHARGES, _CHARGES_LIMIT = 10_000, 300_000
# Well within the time for which the store recognises an operation.
_RESEND_S = REMEMBERED_MS / 1000 * 0.8

_Slot = tuple[str, int]  # a bucket, and a slot of its window


class _Batch(NamedTuple):
    op: str
    amounts: list[Credit]
    since: float  # when it was first sent


class Returns:
    """The queue of one process; keep `run` running while it is used; `flush` empties it at the end."""

    def __init__(self, store: Store, clock: Clock, op: Callable[[], str], time: StoreTime) -> None:
        self._now = clock.monotonic
        self._time = time
        self._store = store
        self._op = op
        # By the window's length: slots, those waiting longest first -> units, as negative numbers.
        self._charges: dict[int, OrderedDict[_Slot, int]] = {}
        self._charged = 0  # how many there are
        self._returns: dict[tuple[str, int, int], int] = {}  # (bucket, window_ms, slot) -> units
        self._unsent: _Batch | None = None  # whose outcome is unknown
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._sending = asyncio.Lock()

    @property
    def full(self) -> bool:
        """Whether so many charges wait that nothing may be admitted that would have to be charged."""
        return self._charged >= _CHARGES_LIMIT

    def add(self, bucket: str, window_ms: int, slot: int, units: int) -> None:
        """Queue units to return to a slot, or to charge there (negative); units for the same slot add up."""
        if units < 0:
            self._charge(bucket, window_ms, slot, units)
            self._hurry.set()
        else:
            self._give_back(bucket, window_ms, slot, self._set_off(bucket, window_ms, slot, units))
        self._wake.set()

    async def run(self) -> None:
        """Send the queue until cancelled; waits while the store is away."""
        while True:
            await self._wake.wait()
            # Exchanges that end within a few milliseconds of each other share a round trip.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PAUSE_S):
                    await self._hurry.wait()
            self._wake.clear()
            self._hurry.clear()
            try:
                await self.flush()
            except StoreUnavailable:
                self._wake.set()
                await asyncio.sleep(_PAUSE_AFTER_FAILURE_S)

    async def flush(self) -> None:
        """Send everything now. Raises StoreUnavailable; what was not sent stays queued."""
        async with self._sending:
            while self._unsent is not None or self._charges or self._returns:
                fresh = self._unsent is None
                batch = self._unsent = self._next_batch() if self._unsent is None else self._unsent
                if self._now() - batch.since > _RESEND_S:
                    self._unsent = None
                    self._queue_again(batch, arrived_perhaps=True)
                    continue
                try:
                    await self._store.credit(batch.amounts, batch.op)
                except (StoreAway, StoreRefused) as error:
                    if fresh and self._unsent is batch:
                        self._unsent = None
                        self._queue_again(_not_done(batch, error), arrived_perhaps=False)
                    raise
                if self._unsent is batch:  # otherwise `forget` was called meanwhile
                    self._unsent = None

    def forget(self) -> None:
        """Drop all that waits: the store has lost the counts that it belongs to."""
        self._charges.clear()
        self._charged = 0
        self._returns.clear()
        self._unsent = None

    def _charge(self, bucket: str, window_ms: int, slot: int, units: int) -> None:
        charges = self._charges.setdefault(window_ms, OrderedDict())
        if self._charged >= _MANY_CHARGES:
            for old in [key for key, _ in zip(charges, range(2), strict=False)]:
                if self._time.has_left(old[1], window_ms):
                    del charges[old]
                    self._charged -= 1
        key = (bucket, slot)
        if key not in charges:
            self._charged += 1
        charges[key] = charges.get(key, 0) + units

    def _set_off(self, bucket: str, window_ms: int, slot: int, units: int) -> int:
        """Set returned units off against a waiting charge for their slot; return the units that are left."""
        charges = self._charges.get(window_ms)
        owed = 0 if charges is None else -charges.get((bucket, slot), 0)
        if charges is None or not owed:
            return units
        if units < owed:
            charges[bucket, slot] += units
            return 0
        del charges[bucket, slot]
        self._charged -= 1
        if not charges:
            del self._charges[window_ms]
        return units - owed

    def _give_back(self, bucket: str, window_ms: int, slot: int, units: int) -> None:
        key = (bucket, window_ms, slot)
        if units and (key in self._returns or len(self._returns) < _QUEUE_LIMIT):
            self._returns[key] = self._returns.get(key, 0) + units

    def _next_batch(self) -> _Batch:
        amounts: list[Credit] = []
        for window_ms in list(self._charges):
            charges = self._charges[window_ms]
            while charges and len(amounts) < _BATCH:
                (bucket, slot), units = charges.popitem(last=False)
                self._charged -= 1
                amounts.append(Credit(bucket, window_ms, slot, units))
            if not charges:
                del self._charges[window_ms]
        while self._returns and len(amounts) < _BATCH:
            (bucket, window_ms, slot), units = self._returns.popitem()
            amounts.append(Credit(bucket, window_ms, slot, units))
        return _Batch(self._op(), amounts, self._now())

    def _queue_again(self, batch: _Batch, *, arrived_perhaps: bool) -> None:
        """Put a batch that did not arrive back at the head of the queue.

        If it may have arrived, only its charges, which may then be counted twice.
        """
        for bucket, window_ms, slot, units in reversed(batch.amounts):
            if units < 0:
                self._charge(bucket, window_ms, slot, units)
                self._charges[window_ms].move_to_end((bucket, slot), last=False)
            elif not arrived_perhaps:
                self._give_back(bucket, window_ms, slot, units)


def _not_done(batch: _Batch, error: StoreUnavailable) -> _Batch:
    """Return the part of a batch, sent for the first time, that the store did not do."""
    if not isinstance(error, StoreRefused):
        return batch
    return batch._replace(amounts=[amount for part, amount in enumerate(batch.amounts) if part in error.parts])
