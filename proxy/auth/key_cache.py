"""From a secret to a principal without asking the store each time, and never with an identity that is too old.

Laws:
- The cache is as fresh as the store's change feed: every change drops its row, a feed that lost its place drops
  everything, and after a feed's silence of more than `stale_max_s` nobody is let in: 503, not 401.
- A store that lost everything (`proxy.store.mark`) has no key, and so its silence about one means nothing: 503, not
  401.
- Unknown keys are cached apart from known ones, so that a flood of guesses evicts no customer.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from proxy.auth.api_key import KeyRecord, digest, well_formed
from proxy.clock import Clock
from proxy.errors import StoreUnavailable, Unauthenticated, Unavailable
from proxy.exchange import Principal
from proxy.store.base import Store
from proxy.store.feed_follower import follow_feed
from proxy.store.mark import MARK, read_mark

KEYS_TABLE = "keys"  # digest of the secret -> record
KEY_IDS_TABLE = "key_ids"  # key id -> digest
_KNOWN_LIMIT = 100_000
_UNKNOWN_LIMIT = 10_000


class KeyCache:
    """The keys that this process has seen; `follow` must run as long as it is used."""

    def __init__(self, store: Store, digest_key: bytes, clock: Clock, stale_max_s: float) -> None:
        self._store = store
        self._digest_key = digest_key
        self._clock = clock
        self._stale_max_s = stale_max_s
        self._known: OrderedDict[str, tuple[KeyRecord, Principal]] = OrderedDict()
        self._unknown: OrderedDict[str, None] = OrderedDict()
        self._fresh_at = float("-inf")  # monotonic time when the feed was last known to be complete
        self._since = clock.monotonic()
        self._followed = asyncio.Event()  # set once the feed was known to be complete
        self._lost = False  # the store has no mark, and so has lost its keys
        self._generation = 0  # counts drops, so that a read that overlapped one is not kept

    def __len__(self) -> int:
        return len(self._known)

    @property
    def age(self) -> float:
        """How many seconds ago it was last known that no key had changed."""
        return self._clock.monotonic() - (self._fresh_at if self._fresh_at > float("-inf") else self._since)

    async def authenticate(self, secret: str) -> Principal:
        """Return whom the secret stands for.

        Raises Unauthenticated for anything that opens nothing (unknown, expired, revoked: the same words), Unavailable
        when the store is needed and away.
        """
        name = digest(secret, self._digest_key)
        stale = self._clock.monotonic() - self._fresh_at > self._stale_max_s
        entry = None if stale else self._known.get(name)
        if entry is None:
            if not well_formed(secret) or (name in self._unknown and not stale):
                raise Unauthenticated("The API key is not valid.")
            entry = await self._look_up(name)
        record, principal = entry
        if not record.usable_at(self._clock.wall()):
            raise Unauthenticated("The API key is not valid.")
        return principal

    def recall(self, records: Iterable[tuple[str, bytes]], age: float) -> None:
        """Take in keys that were known `age` seconds ago; they count as if they had been read then.

        Raises ValueError for what is no record.
        """
        for name, value in records:
            record = KeyRecord.from_bytes(value)
            remember(self._known, name, (record, record.principal()), _KNOWN_LIMIT)
        self._fresh_at = self._clock.monotonic() - age

    async def _look_up(self, name: str) -> tuple[KeyRecord, Principal]:
        generation = self._generation
        try:
            value, lost = await asyncio.gather(self._store.read(KEYS_TABLE, name), self._has_lost_everything())
        except StoreUnavailable:
            raise _unavailable() from None
        if value is None and lost:
            raise _unavailable()
        if value is None:
            if generation == self._generation:
                remember(self._unknown, name, None, _UNKNOWN_LIMIT)
            raise Unauthenticated("The API key is not valid.")
        record = KeyRecord.from_bytes(value)
        entry = (record, record.principal())
        if generation == self._generation:
            remember(self._known, name, entry, _KNOWN_LIMIT)
        return entry

    async def follow(self) -> None:
        """Follow the store's change feed until cancelled; survives a store that is away."""
        await follow_feed(self._store, self._clock, self)

    async def followed(self, within: float) -> None:
        """Wait until keys that are looked up stay known while the store is away, at most `within` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._followed.wait()

    async def begin(self) -> None:
        """Drop everything: it is not known what has changed before.

        A store that lost everything tells nothing; then what is cached is kept, as while the store is away.
        """
        self._lost = await self._has_lost_everything()
        if not self._lost:
            self._drop()

    async def hear(self, rows: Sequence[tuple[str, str]]) -> None:
        """Drop the keys that changed."""
        if self._lost and MARK in rows:
            self._lost = await self._has_lost_everything()
            self._drop()
        for table, name in rows:
            if table == KEYS_TABLE:
                self._generation += 1
                self._known.pop(name, None)
                self._unknown.pop(name, None)

    def caught_up(self, at: float) -> None:
        """Note that nothing is cached that had changed before `at`."""
        if not self._lost:
            self._fresh_at = at
            self._followed.set()

    def _drop(self) -> None:
        self._generation += 1
        self._known.clear()
        self._unknown.clear()

    async def _has_lost_everything(self) -> bool:
        return await read_mark(self._store) is None


def _unavailable() -> Unavailable:
    return Unavailable("Keys cannot be checked right now.", code="keys_unavailable", retry_after=2)


def remember(cache: OrderedDict[str, Any], name: str, value: object, limit: int) -> None:
    """Keep a value as the newest; beyond the limit the oldest goes."""
    cache[name] = value
    if len(cache) > limit:
        cache.popitem(last=False)
