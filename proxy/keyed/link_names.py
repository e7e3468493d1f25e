"""Keyed names of what may link accounts: addresses, their networks, user agents, payment and sign-up attributes.

Laws: the same value has the same name on every replica while the deployment's secret is the same, so that a campaign
can be followed over weeks; without the key a name says nothing about its value.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

PEER: Final = "peer"  # an address
PEER_PREFIX: Final = "peer_prefix"  # its network
_NAME_BYTES: Final = 8
_CACHED: Final = 65_536  # values; about 10 MB when full
_VALUE_CHARS: Final = 256
# The network of one subscriber or small site; a larger one would join strangers.
_IPV4_PREFIX: Final = 24
_IPV6_PREFIX: Final = 48
# What follows a product's name (RFC 9110, 10.1.5): its version, and a comment on the system that it runs on.
_VERSION: Final = re.compile(r"(?:[/\s_]v?|-v?(?=\d+\.))\d[^\s/;()]*")
_COMMENT: Final = re.compile(r"\([^()]*\)")
_ANY_BROWSER: Final = "Mozilla"  # many programs call themselves so and say in the comment what they are


def attribute_name(name: str) -> str:
    """Return the name of an attribute. Raises ValueError for a name under which its values would pass for addresses."""
    if name in (PEER, PEER_PREFIX):
        raise ValueError(f"{name} is what callers' own addresses are known by: name the attribute otherwise")
    return name


class LinkNames:
    """Names values under one key; the latest are cached."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.peer = lru_cache(_CACHED)(self._peer)
        self._short = lru_cache(_CACHED)(self._name)
        self._client = lru_cache(_CACHED)(self._client_of)

    def name(self, kind: str, value: str) -> str:
        """Return the name of a value, cut to `_VALUE_CHARS`; empty for an empty value."""
        return self._short(kind, value[:_VALUE_CHARS])

    def client(self, user_agent: str) -> str:
        """Return the name of the program that calls, whatever its version and the system it runs on.

        A tool is in use in several versions at once: with versions, its users would seem to have no client in common.
        """
        return self._client(user_agent[:_VALUE_CHARS])

    def links(self, attributes: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """Return the names of an account's attribute values, by attribute, sorted; empty values link nothing."""
        if not attributes:
            return ()
        short = self._short
        return tuple(sorted([(kind, short(kind, value[:_VALUE_CHARS])) for kind, value in attributes.items() if value]))

    def _peer(self, address: str) -> tuple[str, str]:
        """Return the names of an address and of its network, both empty if it is no address."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return "", ""
        bits = _IPV4_PREFIX if parsed.version == 4 else _IPV6_PREFIX
        network = ipaddress.ip_network((parsed, bits), strict=False)
        return self.name(PEER, str(parsed)), self.name(PEER_PREFIX, str(network))

    def _client_of(self, user_agent: str) -> str:
        plain = _VERSION.sub("", user_agent)
        products = " ".join(_COMMENT.sub(" ", plain).split())
        told = products if products not in ("", _ANY_BROWSER) else plain
        return self._name("agent", told.strip() or user_agent)

    def _name(self, kind: str, value: str) -> str:
        if not value:
            return ""
        message = kind.encode() + b"\0" + value.encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, message, "sha256")[:_NAME_BYTES].hex()
