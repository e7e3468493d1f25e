"""Processes that share flags through a store, moved by hand; and clocks, lines and stores that tests can disturb."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from proxy.clock import VirtualClock
from proxy.errors import StoreUnavailable
from proxy.rules.flags.book import FlagBook
from proxy.rules.flags.flag import Flag, FlagKey, World
from proxy.rules.flags.sync import FlagSync
from proxy.rules.pack.words import Subject
from proxy.store.base import Row, Store
from tests.store.cuttable import Cuttable

KEY = FlagKey(World.ENFORCED, Subject.ACCOUNT, "acme", "probe")


class Counted(Cuttable):
    """One that counts what is written."""

    writes = 0

    async def write(self, rows: Sequence[Row], *, only_new: bool = False, given: Row | None = None) -> bool:
        self.writes += not self.away
        return await super().write(rows, only_new=only_new, given=given)


class Line:
    """One process's line to a store that others have as well, which can be cut."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.away = False

    def __getattr__(self, name: str) -> Any:
        if self.away:
            raise StoreUnavailable("away")
        return getattr(self._store, name)


class Replica:
    """One process: its flags, what shares them, and where it stands in the feed; moved by hand."""

    def __init__(self, store: Store, clock: VirtualClock) -> None:
        self.clock = clock
        self.store = store
        self.book = FlagBook(shared=True)
        self.sync = FlagSync(self.book, store, clock)
        self.cursor: str | None = None

    async def turn(self) -> None:
        await self.sync.flush()
        await self.hear()

    async def hear(self) -> None:
        changes = await self.store.changes(self.cursor, 0)
        if changes.lost or self.cursor is None:
            await self.sync.begin()
        await self.sync.hear(changes.rows)
        self.cursor = changes.cursor
        self.sync.caught_up(self.clock.monotonic())

    def put(self, key: FlagKey = KEY, score: int = 40, ttl: float = 1000.0) -> None:
        now = self.clock.wall()
        self.book.put(key.world, key.subject, key.name, Flag(key.flag, score, now, now + ttl, "rule", "why"))

    def get(self, key: FlagKey = KEY) -> Flag | None:
        return self.book.on(key.world, key.subject, key.name, self.clock.wall()).get(key.flag)


async def settle(*replicas: Replica) -> None:
    for replica in [*replicas, *replicas, *replicas]:
        await replica.turn()
