"""Write-behind: what goes back to the store, or is charged afterwards, gathered and sent in few round trips.

Laws: a charge is never dropped, and waits for no company: until the store knows of it, others are granted what is used
up; a return is dropped when too many wait or when it is not known any more whether it arrived, which refuses too early
but never admits too much; a batch whose answer was lost is sent again under the same operation id and so counts once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import NamedTuple

from proxy.clock import Clock
from proxy.errors import StoreUnavailable
from proxy.store.base import REMEMBERED_MS, Credit, Store

_PAUSE_S = 0.05
_PAUSE_AFTER_FAILURE_S = 0.5
_BATCH = 256
_QUEUE_LIMIT = 100_000
# Well within the time for which the store knows an operation again.
_RESEND_S = REMEMBERED_MS / 1000 * 0.8


class _Batch(NamedTuple):
    op: str
    amounts: list[Credit]
    since: float  # when it was first sent


class Returns:
    """The queue of one process; `run` must run as long as it is used, `flush` empties it at the end."""

    def __init__(self, store: Store, clock: Clock, op: Callable[[], str]) -> None:
        self._now = clock.monotonic
        self._store = store
        self._op = op
        self._charges: dict[tuple[str, int, int], int] = {}  # (bucket, window_ms, slot) -> units, here below zero
        self._returns: dict[tuple[str, int, int], int] = {}
        self._unsent: _Batch | None = None  # whose outcome is unknown
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._sending = asyncio.Lock()
        self.dropped = 0

    def add(self, bucket: str, window_ms: int, slot: int, units: int) -> None:
        """Queue units for one slot; units for the same slot add up."""
        key = (bucket, window_ms, slot)
        if units < 0:
            self._charges[key] = self._charges.get(key, 0) + units
            self._hurry.set()
        elif key in self._returns or len(self._returns) < _QUEUE_LIMIT:
            self._returns[key] = self._returns.get(key, 0) + units
        else:
            self.dropped += units
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled; a store that is away only makes it wait."""
        while True:
            await self._wake.wait()
            # Gather: what ends within a few milliseconds of each other shares a round trip.
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
                if self._unsent is None:
                    self._unsent = self._next_batch()
                elif self._now() - self._unsent.since > _RESEND_S:
                    self._give_up(self._unsent)
                    self._unsent = None
                    continue
                await self._store.credit(self._unsent.amounts, self._unsent.op)
                self._unsent = None

    def _next_batch(self) -> _Batch:
        amounts: list[Credit] = []
        for waiting in (self._charges, self._returns):
            while waiting and len(amounts) < _BATCH:
                (bucket, window_ms, slot), units = waiting.popitem()
                amounts.append(Credit(bucket, window_ms, slot, units))
        return _Batch(self._op(), amounts, self._now())

    def _give_up(self, batch: _Batch) -> None:
        """Queue the charges of a batch that may have arrived anew: counted twice at worst; its returns are lost."""
        for bucket, window_ms, slot, units in batch.amounts:
            if units < 0:
                self.add(bucket, window_ms, slot, units)
            else:
                self.dropped += units
