"""Keyed pseudonyms: the same caller has the same name within a month, and no name once the month's key is destroyed.

Laws: a pseudonym says nothing about its value without the key; the same text under two kinds gives two unrelated names.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from proxy.errors import StoreUnavailable
from proxy.exchange import Principal
from proxy.store.base import Row, Store

Kind = Literal["key", "account", "tenant", "peer", "user_agent", "attribute"]

TABLE: Final = "epochs"
KEY_BYTES: Final = 32
_NAME_BYTES: Final = 16  # 128 bits: no two of a billion names meet by chance
_CACHED_CALLERS: Final = 4_096  # about 4 MB when full
_USER_AGENT_CHARS: Final = 256  # the rest of a longer one does not count: what is remembered stays small
_PREFIXES: Final[dict[Kind, str]] = {
    "key": "k_",
    "account": "a_",
    "tenant": "t_",
    "peer": "p_",
    "user_agent": "u_",
    "attribute": "x_",
}


class Names(NamedTuple):
    """The pseudonyms of one exchange's caller."""

    key: str
    account: str
    tenant: str
    peer: str
    user_agent: str


class Pseudonyms:
    """Names callers under one epoch's key; recent callers are remembered, those not seen for longest forgotten."""

    def __init__(self, epoch: str, key: bytes) -> None:
        self.epoch = epoch
        self._key = key
        self._caller = lru_cache(_CACHED_CALLERS)(self._name_caller)

    def name(self, kind: Kind, value: str) -> str:
        """Return the name of a value, such as `a_` and 32 hexadecimal digits; an empty value has an empty name."""
        if not value:
            return ""
        # Header values may carry lone surrogates in place of bytes that were no UTF-8.
        message = kind.encode() + b"\0" + value.encode("utf-8", "surrogatepass")
        return _PREFIXES[kind] + hmac.digest(self._key, message, "sha256")[:_NAME_BYTES].hex()

    def names(self, principal: Principal, peer: str, user_agent: str) -> Names:
        """Return all names that a decision record holds."""
        return self._caller(principal.key_id, principal.account, principal.tenant, peer, user_agent[:_USER_AGENT_CHARS])

    def _name_caller(self, key_id: str, account: str, tenant: str, peer: str, user_agent: str) -> Names:
        return Names(
            self.name("key", key_id),
            self.name("account", account),
            self.name("tenant", tenant),
            self.name("peer", peer),
            self.name("user_agent", user_agent),
        )


def epoch_of(wall_seconds: float) -> str:
    """Return the epoch that a moment belongs to: its calendar month in UTC, such as `2026-11`."""
    return time.strftime("%Y-%m", time.gmtime(wall_seconds))


async def ensure_epoch(store: Store, epoch: str, random_bytes: Callable[[int], bytes]) -> bytes:
    """Return the epoch's key, making it if no replica has done so yet.

    Raises StoreUnavailable if the store is away or holds something that is no key.
    """
    key = await store.read(TABLE, epoch)
    if key is None:
        await store.write([Row(TABLE, epoch, random_bytes(KEY_BYTES))], only_new=True)
        # Another replica may have been first: what the store holds is the key of all.
        key = await store.read(TABLE, epoch)
    if key is None or len(key) != KEY_BYTES:
        raise StoreUnavailable(f"the key of epoch {epoch} is missing or malformed")
    return key
