"""Makes sure that only one of the hunters on a store is active, and that another takes over when it falls silent.

Law: a hunter that cannot renew its lease stops acting before anybody else can have it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

from proxy.clock import Clock
from proxy.errors import StoreUnavailable
from proxy.store.base import Hold, Store

# After so long without a renewal another hunter takes over: within TTL and one turn, well under ten seconds.
TTL_S = 6.0
TURN_S = 1.0
# How far the store's clock and ours may drift apart during one lease.
_MARGIN_S = 1.0

_BUCKET = hashlib.sha256(b"stillgate hunter").hexdigest()[:32]


class Lease:
    """One hunter's claim to be the active one; `holder` is the hunter's name."""

    def __init__(self, store: Store, holder: str, clock: Clock) -> None:
        self._store = store
        self._holder = holder
        self._clock = clock
        self._until = 0.0

    @property
    def held(self) -> bool:
        """Whether this hunter is the active one now."""
        return self._clock.monotonic() < self._until

    async def take(self) -> bool:
        """Take or renew the lease and return whether it is held. Raises StoreUnavailable; a held one then runs out."""
        asked = self._clock.monotonic()
        (found,) = await self._store.hold([Hold(_BUCKET, 1, self._holder, 1, 1, int(TTL_S * 1000))])
        self._until = asked + TTL_S - _MARGIN_S if found.mine else 0.0
        return bool(found.mine)

    async def keep(self, answers: Callable[[], bool]) -> None:
        """Renew the lease until it is lost, `answers` returns False (the lease then runs out), or cancelled."""
        while self.held:
            await asyncio.sleep(TURN_S)
            if not answers():
                return
            try:
                await self.take()
            except StoreUnavailable:
                continue

    async def give_back(self) -> None:
        """Free the lease for another hunter at once. Raises StoreUnavailable."""
        self._until = 0.0
        await self._store.hold([Hold(_BUCKET, 1, self._holder, 0, 0, int(TTL_S * 1000))])
