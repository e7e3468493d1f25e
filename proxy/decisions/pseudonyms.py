"""Keyed pseudonyms: a caller has one name within a month, which nobody can compute once the month's key is destroyed.

Laws: without the key a pseudonym says nothing about its value; the same text under two kinds gives unrelated names.
"""

from __future__ import annotations

import hmac
from functools import lru_cache, partial
from typing import Final, Literal, NamedTuple

from proxy.exchange import Principal

Kind = Literal["key", "account", "tenant", "peer", "user_agent", "attribute"]

_NAME_BYTES: Final = 16  # 128 bits: no two of a billion names are equal by chance
_CACHED_CALLERS: Final = 4_096  # about 4 MB when full
_USER_AGENT_CHARS: Final = 256  # the rest of a longer one is ignored, so that what is remembered stays small
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
    """Names callers under one epoch's key; the names of recent callers are cached.

    Nothing here refers back to the object, so that the key leaves memory once nobody holds the object any more.
    """

    def __init__(self, epoch: str, key: bytes) -> None:
        self.epoch = epoch
        self._key = key
        self._caller = lru_cache(_CACHED_CALLERS)(partial(_name_caller, key))

    def name(self, kind: Kind, value: str) -> str:
        """Return the name of a value, such as `a_` and 32 hexadecimal digits; an empty value has an empty name."""
        return _name(self._key, kind, value)

    def names(self, principal: Principal, peer: str, user_agent: str) -> Names:
        """Return all names that a decision record holds."""
        return self._caller(principal.key_id, principal.account, principal.tenant, peer, user_agent[:_USER_AGENT_CHARS])


def _name(secret: bytes, kind: Kind, value: str) -> str:
    if not value:
        return ""
    # Header values may carry lone surrogates in place of bytes that were no UTF-8.
    message = kind.encode() + b"\0" + value.encode("utf-8", "surrogatepass")
    return _PREFIXES[kind] + hmac.digest(secret, message, "sha256")[:_NAME_BYTES].hex()


def _name_caller(secret: bytes, key_id: str, account: str, tenant: str, peer: str, user_agent: str) -> Names:
    return Names(
        _name(secret, "key", key_id),
        _name(secret, "account", account),
        _name(secret, "tenant", tenant),
        _name(secret, "peer", peer),
        _name(secret, "user_agent", user_agent),
    )
