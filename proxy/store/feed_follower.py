"""Follows a store's change feed for an object that keeps copies of some rows in the process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from proxy.clock import Clock
from proxy.errors import StoreUnavailable
from proxy.store.base import Store

_WAIT_MS = 1000
_PAUSE_S = 0.5
# If the wall clock went back by more than this against the monotonic one, it was set.
_SET_BACK_S = 60.0


class Follower(Protocol):
    """An object that is told of changed rows. If it raises StoreUnavailable, it is told again from the same place."""

    async def begin(self) -> None:
        """Start anew: the feed has just been found, or has lost its place, so that any row may have changed."""
        ...

    async def hear(self, rows: Sequence[tuple[str, str]]) -> None:
        """Note changed rows as (table, name), oldest first; a row may be told again."""
        ...

    def caught_up(self, at: float) -> None:
        """Note that every change before `at`, in the clock's monotonic seconds, has been told."""
        ...


async def follow_feed(store: Store, clock: Clock, follower: Follower, *, by_wall: bool = False) -> None:
    """Follow the feed until cancelled; survives a store that is away.

    `by_wall` says that what the follower knows ends by the wall clock. If that is set back, the follower begins anew:
    rows that it dropped or ignored because they seemed to have ended may be in force.
    """
    cursor: str | None = None
    ahead = float("-inf")
    while True:
        asked = clock.monotonic()
        try:
            changes = await store.changes(cursor, _WAIT_MS)
            now_ahead = clock.wall() - clock.monotonic()
            set_back = by_wall and ahead - now_ahead > _SET_BACK_S
            if changes.lost or cursor is None or set_back:
                await follower.begin()
                ahead = now_ahead
            if changes.rows:
                await follower.hear(changes.rows)
        except StoreUnavailable:
            await asyncio.sleep(_PAUSE_S)
            continue
        cursor, ahead = changes.cursor, max(ahead, now_ahead)
        follower.caught_up(asked)
