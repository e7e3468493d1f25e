"""Keeps the campaigns of one process in step with the store.

Laws:
- A campaign changes here as a whole, from one published state to a later one; unreadable rows leave it as it is.
- While the store is away, known campaigns stay known until they end by themselves.
- A campaign that was dropped because the clock was ahead comes back when the clock is right again: at once if it was
  ahead by less than an hour, otherwise when the store is next read.
- Memory is bounded by the book's bounds: nothing is kept of campaigns that the book evicted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from proxy.clock import Clock
from proxy.rules.campaigns.book import CampaignBook
from proxy.rules.campaigns.known import KnownCampaign
from proxy.rules.campaigns.rows import CAMPAIGNS_TABLE, PARTS_TABLE, Part, composed, read_head, read_part
from proxy.store.base import Store
from proxy.store.feed_follower import follow_feed

_TURN_S = 1.0
_KEPT_S = 3600.0


class CampaignSync:
    """Follows the store for a book. Call `begin` before anything is served, and `run` from then on."""

    def __init__(self, book: CampaignBook, store: Store, clock: Clock) -> None:
        self._book = book
        self._store = store
        self._clock = clock
        self._parts: dict[str, dict[str, Part]] = {}  # of each campaign, by name
        self._ended: dict[str, KnownCampaign] = {}

    async def run(self) -> None:
        """Follow the feed, and drop campaigns that end, until cancelled; survives a store that is away."""
        async with asyncio.TaskGroup() as both:
            both.create_task(follow_feed(self._store, self._clock, self, by_wall=True))
            both.create_task(self._tend())

    async def begin(self) -> None:
        """Read all campaigns. Raises StoreUnavailable; what was read by then stays known."""
        await self.recall(self._store)

    async def recall(self, store: Store) -> None:
        """Read all campaigns from `store`, which may be a remembered copy of our own."""
        heads = {campaign: value async for campaign, value in store.scan(CAMPAIGNS_TABLE)}
        for campaign, value in heads.items():
            await self._load(campaign, value, store)
        for campaign in self._parts.keys() - heads.keys():
            self._forget(campaign)

    async def hear(self, rows: Sequence[tuple[str, str]]) -> None:
        """Read the campaigns that changed. Raises StoreUnavailable."""
        for campaign in dict.fromkeys(name for table, name in rows if table == CAMPAIGNS_TABLE):
            value = await self._store.read(CAMPAIGNS_TABLE, campaign)
            if value is None:
                self._forget(campaign)
            else:
                await self._load(campaign, value, self._store)

    def caught_up(self, at: float) -> None:
        """Do nothing: known campaigns stay known, however old that knowledge is."""

    def tend(self) -> None:
        """Drop campaigns that have ended, and take back those that turn out not to have."""
        now = self._clock.wall()
        for known in [known for known in self._ended.values() if known.until > now]:
            self._book.hear(self._ended.pop(known.id))
        self._ended.update((known.id, known) for known in self._book.end(now))
        for known in [known for known in self._ended.values() if known.until < now - _KEPT_S]:
            del self._ended[known.id]
        for campaign in [each for each in self._parts if each not in self._book and each not in self._ended]:
            del self._parts[campaign]

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(_TURN_S)
            self.tend()

    async def _load(self, campaign: str, value: bytes, store: Store) -> None:
        """Take a campaign as its head says, if all its parts are there.

        A missing part was replaced meanwhile: then the feed tells of the new head soon.
        """
        before = self._parts.get(campaign, {})
        try:
            head = read_head(campaign, value)
            parts: dict[str, Part] = {}
            for name in head.parts:  # one at a time: exchanges queue behind these reads
                if (part := before.get(name)) is None:
                    if (found := await store.read(PARTS_TABLE, name)) is None:
                        return
                    part = read_part(found)
                parts[name] = part
        except ValueError:
            return  # no row of ours
        self._parts[campaign] = parts
        self._ended.pop(campaign, None)
        self._book.hear(composed(head, parts.values()))
        self.tend()

    def _forget(self, campaign: str) -> None:
        self._parts.pop(campaign, None)
        self._ended.pop(campaign, None)
        self._book.forget(campaign)
