"""The keys of the pseudonyms, one for each calendar month: made by the first replica to need it, destroyed on request.

Laws: a key is random and kept in the store only, so that once destroyed there it cannot be computed from anything; a
destroyed key is marked as such, and never made anew.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from typing import Final

from proxy.clock import Clock
from proxy.decisions.pseudonyms import Pseudonyms
from proxy.errors import ConfigurationError, StillgateError, StoreUnavailable
from proxy.store.base import Row, Store

TABLE: Final = "epochs"
KEY_BYTES: Final = 32
CHECK_S: Final = 20.0  # how often a writer looks whether its month is over
_FORGOTTEN: Final = b""
_LET_GO_S: Final = 3 * CHECK_S  # after which no writer holds the key of a month that is over
_EPOCH: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


class EpochForgotten(StillgateError):
    """The key of this epoch was destroyed, and there will never be another."""


class Epochs:
    """Names accounts and destroys keys; `erase` also removes overwritten data from the store's own files."""

    def __init__(self, store: Store, clock: Clock, erase: Callable[[], Awaitable[None]] | None) -> None:
        self._store = store
        self._clock = clock
        self._erase = erase

    def check(self, epoch: str) -> None:
        """Raise ConfigurationError if this is not a month, or not over yet for all writers."""
        if not _EPOCH.fullmatch(epoch):
            raise ConfigurationError(f"{epoch!r} is not an epoch, which is a month such as 2026-11")
        if epoch >= epoch_of(self._clock.wall() - _LET_GO_S):
            raise ConfigurationError(f"the epoch {epoch} is not over: its key is in use")

    async def names(self, account: str) -> dict[str, str | None]:
        """Return an account's name in each epoch that had a key, None where the key is destroyed.

        Raises StoreUnavailable.
        """
        keys = {epoch: key async for epoch, key in self._store.scan(TABLE)}
        return {
            epoch: None if key == _FORGOTTEN else Pseudonyms(epoch, key).name("account", account)
            for epoch, key in sorted(keys.items())
        }

    async def forget(self, epoch: str) -> None:
        """Destroy the key of an epoch that is over; doing so again is no error.

        Raises ConfigurationError as `check` does, KeyError if the epoch never had a key, and StoreUnavailable: then it
        may have been done, and can be tried again.
        """
        self.check(epoch)
        if await self._store.read(TABLE, epoch) is None:
            raise KeyError(epoch)
        await self._store.write([Row(TABLE, epoch, _FORGOTTEN)])
        if self._erase is not None:
            await self._erase()


def epoch_of(wall_seconds: float) -> str:
    """Return the epoch of a time in Unix seconds: its calendar month in UTC, such as `2026-11`."""
    return time.strftime("%Y-%m", time.gmtime(wall_seconds))


async def is_forgotten(store: Store, epoch: str) -> bool:
    """Tell whether an epoch's key was destroyed. Raises StoreUnavailable."""
    return await store.read(TABLE, epoch) == _FORGOTTEN


async def ensure_epoch(store: Store, epoch: str, random_bytes: Callable[[int], bytes]) -> bytes:
    """Return the epoch's key, making it if no replica has done so yet.

    Raises EpochForgotten if it was destroyed, and StoreUnavailable if the store is away or holds no proper key.
    """
    key = await store.read(TABLE, epoch)
    if key is None:
        await store.write([Row(TABLE, epoch, random_bytes(KEY_BYTES))], only_new=True)
        # Another replica may have been first: all use the key that the store holds.
        key = await store.read(TABLE, epoch)
    if key == _FORGOTTEN:
        raise EpochForgotten(f"the key of epoch {epoch} was destroyed")
    if key is None or len(key) != KEY_BYTES:
        raise StoreUnavailable(f"the key of epoch {epoch} is missing or malformed")
    return key
