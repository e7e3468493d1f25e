"""Tells the writers on one store where each other's chains stand, so that their checkpoints vouch for logs of other
machines, too: a small table of heads, with a row for each writer.

Laws: a row counts only if it could stand in a note; the table and what is handed on are bounded; no exchange and no
writing thread waits for this.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

import orjson

from proxy.clock import Clock
from proxy.decisions.chain import Head
from proxy.errors import StoreUnavailable
from proxy.store.base import Row, Store

TABLE: Final = "log_heads"
_SHARE_S: Final = 10.0
_REFRESH_S: Final = 86_400.0  # after so long an unchanged head is written again, so that it is not cleared as old
_KEPT_S: Final = 30 * 86_400.0
_MOST: Final = 1_000  # rows, the newest ones


class Chained(Protocol):
    """Vouches for a writer's own chain."""

    @property
    def head(self) -> Head:
        """Where its written lines end."""
        ...

    def hear(self, heads: tuple[Head, ...]) -> None:
        """Take the heads of writers elsewhere, in place of those heard before."""
        ...


class _Shared(NamedTuple):
    at: float
    head: Head


class SharedHeads:
    """What one writer tells the others, and hears of them."""

    def __init__(self, own: Chained, store: Store, clock: Clock) -> None:
        self._own = own
        self._store = store
        self._clock = clock
        self._told: _Shared | None = None

    async def run(self) -> None:
        """Tell and hear again and again, until cancelled."""
        while True:
            with suppress(StoreUnavailable):
                await self.exchange()
            await asyncio.sleep(_SHARE_S)

    async def exchange(self) -> None:
        """Tell where our chain stands if that is news, read the others' heads, and clear old ones."""
        now, head = self._clock.wall(), self._own.head
        told = self._told
        if head.seq and (told is None or told.head != head or abs(now - told.at) >= _REFRESH_S):
            value = orjson.dumps({"seq": head.seq, "digest": head.digest, "at": now})
            await self._store.write([Row(TABLE, head.writer, value)])
            self._told = _Shared(now, head)
        found = [(name, _read(name, value)) async for name, value in self._store.scan(TABLE)]
        fresh = [shared for _, shared in found if shared is not None and shared.at > now - _KEPT_S]
        fresh = sorted(fresh, key=lambda shared: shared.at, reverse=True)[:_MOST]
        kept = {shared.head.writer for shared in fresh}
        self._own.hear(tuple(shared.head for shared in fresh if shared.head.writer != head.writer))
        if old := [Row(TABLE, name, None) for name, _ in found if name not in kept and name != head.writer]:
            await self._store.write(old[:_MOST])


def _read(name: str, value: bytes) -> _Shared | None:
    try:
        found = orjson.loads(value)
        return _Shared(float(found["at"]), Head.read({**found, "writer": name}))
    except (ValueError, KeyError, TypeError):
        return None
