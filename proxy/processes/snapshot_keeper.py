"""Keeps the snapshot from which the proxy can start while the store is away; the parent process runs it.

Law: it writes only what was read while none of it changed; otherwise it reads again.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from proxy.clock import Clock
from proxy.deciding.snapshot import TABLES, Unusable, digest_of, encoded, write_as_of, write_rows
from proxy.errors import StoreUnavailable
from proxy.log import get
from proxy.rules.campaigns.rows import CAMPAIGNS_TABLE, PARTS_TABLE, read_head
from proxy.store.base import Row, Store
from proxy.telemetry.snapshot import Sample, Snapshot

_TURN_S = 10.0
_ATTEMPTS = 3  # to read: a campaign may be published meanwhile


class SnapshotKeeper:
    """Keeps one deployment's snapshot; `folder` holds nothing else."""

    def __init__(self, store: Store, folder: Path, clock: Clock) -> None:
        self._store = store
        self._folder = folder
        self._clock = clock
        self._cursor: str | None = None
        self._written = ""  # the digest of what is in the file
        self._failing = False

    async def run(self) -> None:
        """Keep it until cancelled; survives a store that is away and a disk that is full."""
        while True:
            try:
                await self.keep()
                self._failing = False
            except StoreUnavailable:
                pass  # the old snapshot stays
            except (OSError, Unusable) as error:
                if not self._failing:
                    get("parent").error("the snapshot for a start without the store cannot be kept", error=str(error))
                self._failing = True
            await asyncio.sleep(_TURN_S)

    def snapshot(self) -> Snapshot:
        """Return its numbers, by the names of the metrics."""
        return {"stillgate_snapshot_failing": [Sample((), float(self._failing))]}

    async def keep(self) -> None:
        """Bring the snapshot up to date. Raises StoreUnavailable, OSError, Unusable."""
        at = self._clock.wall()
        cursor, changed = await self._news()
        if changed or not self._written:
            data = await asyncio.to_thread(encoded, await self._read_all())
            digest = digest_of(data)
            if digest != self._written:
                await asyncio.to_thread(write_rows, self._folder, data)
                self._written = digest
        await asyncio.to_thread(write_as_of, self._folder, self._written, at)
        self._cursor = cursor

    async def _news(self) -> tuple[str, bool]:
        """Return the feed's end, and whether anything changed that belongs in a snapshot."""
        changed, cursor = self._cursor is None, self._cursor
        while True:
            changes = await self._store.changes(cursor, 0)
            cursor = changes.cursor
            changed = changed or changes.lost or any(table in TABLES for table, _ in changes.rows)
            if not changes.rows:
                return cursor, changed

    async def _read_all(self) -> list[Row]:
        for _ in range(_ATTEMPTS):
            rows = [Row(table, name, value) for table in TABLES async for name, value in self._store.scan(table)]
            if _campaigns_are_whole(rows):
                return rows
        raise StoreUnavailable("campaigns change faster than they can be read")


def _campaigns_are_whole(rows: list[Row]) -> bool:
    """Tell whether all parts of each campaign are there; one that cannot be read is ignored."""
    parts = {row.name for row in rows if row.table == PARTS_TABLE}
    for row in rows:
        if row.table == CAMPAIGNS_TABLE:
            try:
                head = read_head(row.name, row.value or b"")
            except ValueError:
                continue
            if not parts.issuperset(head.parts):
                return False
    return True
