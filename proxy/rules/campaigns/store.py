"""Publishes campaigns to all processes, and takes them back; the one hunter that is active uses it.

Laws:
- New parts are written before the head that names them, and old ones are deleted together with writing the head:
  readers meanwhile see the campaign as it was before.
- Nothing is remembered here: changes are found by comparing with the store, so another hunter can take over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from proxy.rules.campaigns.known import KnownCampaign
from proxy.rules.campaigns.rows import CAMPAIGNS_TABLE, PARTS_TABLE, Head, campaign_rows, composed, read_head, read_part
from proxy.store.base import Row, Store

# In one script: exchanges queue behind it, so the server must not be busy for more than a few hundred microseconds.
_WRITTEN_BYTES = 65_536
_DELETED_ROWS = 100
# How long after its end a campaign is deleted: longer than clocks of processes may differ.
_KEPT_S = 3600.0


class CampaignStore:
    """The known campaigns of all processes, as they stand in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def publish(self, known: KnownCampaign) -> None:
        """Let all processes know a campaign as it stands now.

        Raises StoreUnavailable: then publish it again; and ValueError if it is too large.
        """
        *parts, head = campaign_rows(known)
        old = await self._parts_of(known.id)
        new = {row.name for row in parts}
        await self._write([row for row in parts if row.name not in old])
        gone = [Row(PARTS_TABLE, name, None) for name in old if name not in new]
        await self._store.write([head, *gone[:_DELETED_ROWS]])
        await self._delete(gone[_DELETED_ROWS:])

    async def retract(self, campaign: str) -> None:
        """Let all processes forget a campaign; one that is not there is no error. Raises StoreUnavailable."""
        gone = [Row(PARTS_TABLE, name, None) for name in await self._parts_of(campaign)]
        await self._store.write([Row(CAMPAIGNS_TABLE, campaign, None), *gone[:_DELETED_ROWS]])
        await self._delete(gone[_DELETED_ROWS:])

    async def list(self) -> AsyncIterator[KnownCampaign]:
        """Yield the published campaigns that are complete, in no order. Raises StoreUnavailable."""
        async for campaign, value in self._store.scan(CAMPAIGNS_TABLE):
            head = read_head(campaign, value)
            found = [await self._store.read(PARTS_TABLE, name) for name in head.parts]
            parts = [read_part(part) for part in found if part is not None]
            if len(parts) == len(head.parts):
                yield composed(head, parts)

    async def sweep(self, now: float) -> None:
        """Delete campaigns that ended long ago, and parts left by a hunter that died while publishing.

        Call it once an hour or so, while nobody publishes. Raises StoreUnavailable.
        """
        kept: set[str] = set()
        ended: list[str] = []
        async for campaign, value in self._store.scan(CAMPAIGNS_TABLE):
            head = _head(campaign, value)
            if head is None or head.known.until < now - _KEPT_S:
                ended.append(campaign)
            else:
                kept.update(head.parts)
        await self._delete([Row(CAMPAIGNS_TABLE, campaign, None) for campaign in ended])
        gone = [Row(PARTS_TABLE, name, None) async for name, _ in self._store.scan(PARTS_TABLE) if name not in kept]
        await self._delete(gone)

    async def _parts_of(self, campaign: str) -> Sequence[str]:
        value = await self._store.read(CAMPAIGNS_TABLE, campaign)
        head = None if value is None else _head(campaign, value)
        return () if head is None else head.parts

    async def _write(self, rows: Sequence[Row]) -> None:
        batch: list[Row] = []
        size = 0
        for row in rows:
            length = len(row.value or b"")
            if batch and size + length > _WRITTEN_BYTES:
                await self._store.write(batch)
                batch, size = [], 0
            batch.append(row)
            size += length
        if batch:
            await self._store.write(batch)

    async def _delete(self, rows: Sequence[Row]) -> None:
        for first in range(0, len(rows), _DELETED_ROWS):
            await self._store.write(rows[first : first + _DELETED_ROWS])


def _head(campaign: str, value: bytes) -> Head | None:
    """Return a head, None if it cannot be read: then it counts as missing."""
    try:
        return read_head(campaign, value)
    except ValueError:
        return None
