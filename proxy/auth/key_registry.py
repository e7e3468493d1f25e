"""Makes, lists, revokes and rotates keys in the store; only the admin side uses it.

Laws:
- A key is changed only if it still is as it was read, so that a change made elsewhere meanwhile, above all a
  revocation, is not undone.
- What was revoked here stays so while this process lives, even if a failover, a crash of the store's machine or an
  older backup takes the store back to a time before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from proxy.auth.api_key import KeyRecord, KeyRequest, Random, digest, mint, new_key_id
from proxy.auth.first_seen import first_seen
from proxy.auth.key_cache import KEY_IDS_TABLE, KEYS_TABLE
from proxy.clock import Clock
from proxy.errors import ConfigurationError
from proxy.log import get
from proxy.store.base import Row, Store
from proxy.store.feed_follower import follow_feed

_BATCH = 500
_REVOKED_MAX = 10_000  # revocations that can be told again: the latest, at some 500 bytes each


@dataclass(frozen=True, slots=True)
class Minted:
    """A new key with its secret, which is nowhere else and will not be shown again."""

    record: KeyRecord
    secret: str = field(repr=False)


class KeyRegistry:
    """All changes to keys go through here; the store's change feed announces them to all replicas."""

    def __init__(self, store: Store, digest_key: bytes, clock: Clock, random_bytes: Random) -> None:
        self._store = store
        self._digest_key = digest_key
        self._clock = clock
        self._random_bytes = random_bytes
        self._revoked: OrderedDict[str, KeyRecord] = OrderedDict()  # by name, the latest last

    async def create(self, request: KeyRequest) -> Minted:
        """Make one key. Raises ConfigurationError for a secret that is in use, or as `check` does."""
        return (await self.create_all([request]))[0]

    def check(self, request: KeyRequest) -> None:
        """Raise ConfigurationError for an account that is opened in the future."""
        request.check_opened(self._clock.wall())

    async def create_all(self, requests: Sequence[KeyRequest]) -> list[Minted]:
        """Make many keys, batch by batch.

        Raises ConfigurationError as `check` does, before any is made, or at the first batch with a secret in use.
        """
        for request in requests:
            self.check(request)
        made: list[Minted] = []
        for start in range(0, len(requests), _BATCH):
            batch = [await self._prepare(request) for request in requests[start : start + _BATCH]]
            await self._write_new(batch)
            made += batch
        return made

    async def records(self) -> AsyncIterator[KeyRecord]:
        """Yield every key, in no order."""
        async for _, value in self._store.scan(KEYS_TABLE):
            yield KeyRecord.from_bytes(value)

    async def opens(self, secret: str) -> bool:
        """Say whether a secret opens anything now."""
        value = await self._store.read(KEYS_TABLE, digest(secret, self._digest_key))
        return value is not None and KeyRecord.from_bytes(value).usable_at(self._clock.wall())

    async def show(self, key_id: str) -> KeyRecord:
        """Return one key. Raises KeyError if there is none."""
        return (await self._find(key_id))[1]

    async def revoke(self, key_id: str) -> KeyRecord:
        """Disable a key everywhere, for good. Raises KeyError if there is none."""
        while True:
            found, record = await self._find(key_id)
            revoked = record.revoked()
            if await self._store.write([found._replace(value=revoked.to_bytes())], given=found):
                break
        self._revoked[found.name] = revoked
        if len(self._revoked) > _REVOKED_MAX:
            self._revoked.popitem(last=False)
        return revoked

    async def rotate(self, key_id: str, grace_s: float) -> Minted:
        """Make a second key for the same principal; the first one dies `grace_s` seconds from now.

        Raises KeyError if there is no such key, ConfigurationError if it opens nothing any more.
        """
        while True:
            found, old = await self._find(key_id)
            now = self._clock.wall()
            if not old.usable_at(now):
                raise ConfigurationError(f"{key_id} is revoked or expired; create a new key instead")
            if old.replaced_by:  # its end is no longer the end of the account's access
                raise ConfigurationError(f"{key_id} was rotated already; rotate {old.replaced_by} instead")
            dies_at = now + grace_s if old.expires_at is None else min(now + grace_s, old.expires_at)
            minted = self._mint_for(
                replace(old, id=new_key_id(self._random_bytes), issued_at=now, hint=""), mint(self._random_bytes)
            )
            replaced = replace(old, expires_at=dies_at, replaced_by=minted.record.id)
            rows = [*self._rows(minted), found._replace(value=replaced.to_bytes())]
            if await self._store.write(rows, given=found):
                return minted

    async def follow(self) -> None:
        """Repeat revocations that the store has lost, until cancelled; survives a store that is away."""
        await follow_feed(self._store, self._clock, self)

    async def begin(self) -> None:
        """See `Follower.begin`. Raises StoreUnavailable."""
        for name, revoked in list(self._revoked.items()):
            value = await self._store.read(KEYS_TABLE, name)
            if value not in (None, revoked.to_bytes()):
                await self._store.write([Row(KEYS_TABLE, name, revoked.to_bytes())])
                get("keys").warning("the store had lost that a key was revoked; it is revoked again", key=revoked.id)

    async def hear(self, rows: Sequence[tuple[str, str]]) -> None:
        """Do nothing: no change takes a revocation back."""

    def caught_up(self, at: float) -> None:
        """Do nothing: see `hear`."""

    async def _prepare(self, request: KeyRequest) -> Minted:
        created_at, now = request.created_at, self._clock.wall()
        if created_at is None:
            created_at = await first_seen(self._store, request.account, now)
        record = KeyRecord(
            id=new_key_id(self._random_bytes),
            account=request.account,
            tenant=request.tenant,
            plan=request.plan,
            created_at=created_at,
            issued_at=now,
            hint="",
            expires_at=request.expires_at,
            attributes=request.attributes,
        )
        return self._mint_for(record, request.secret or mint(self._random_bytes))

    @staticmethod
    def _mint_for(record: KeyRecord, secret: str) -> Minted:
        return Minted(replace(record, hint=secret[-4:]), secret)

    async def _find(self, key_id: str) -> tuple[Row, KeyRecord]:
        """Return a key's row as it is now, and its record; the row is the condition for changing it."""
        name = await self._store.read(KEY_IDS_TABLE, key_id)
        value = None if name is None else await self._store.read(KEYS_TABLE, name.decode())
        if name is None or value is None:
            raise KeyError(key_id)
        return Row(KEYS_TABLE, name.decode(), value), KeyRecord.from_bytes(value)

    def _rows(self, new: Minted) -> tuple[Row, Row]:
        name = digest(new.secret, self._digest_key)
        return Row(KEYS_TABLE, name, new.record.to_bytes()), Row(KEY_IDS_TABLE, new.record.id, name.encode())

    async def _write_new(self, minted: Sequence[Minted]) -> None:
        """Write keys that must not exist yet."""
        rows = [row for new in minted for row in self._rows(new)]
        distinct = len({row.name for row in rows}) == len(rows)
        if not distinct or not await self._store.write(rows, only_new=True):
            raise ConfigurationError("a secret is in use already or given twice; nothing of this batch was written")
