"""Tokens of the admin side: who may use it, and for what.

Laws: of a token's secret only a keyed digest is stored; it is shown once, when it is made. The row under a person's
name decides: any other digest opens nothing. Nothing is cached, so a revocation takes effect at once.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from proxy.auth.api_key import Random, digest, mint, minted_here
from proxy.clock import Clock
from proxy.errors import ConfigurationError, StillgateError
from proxy.store.base import Row, Store

PREFIX = "sga_"
TOKENS_TABLE = "admin_tokens"  # name of the person -> token
DIGESTS_TABLE = "admin_token_digests"  # digest of the secret -> name
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class Forbidden(StillgateError):
    """The role does not suffice."""


class Role(StrEnum):
    """What a person may do; each role includes the ones before it."""

    REVIEWER = "reviewer"  # reads all; lifts and confirms flags
    AUTHOR = "author"  # changes the policy that runs
    OPERATOR = "operator"  # everything, keys and tokens included

    def covers(self, other: Role) -> bool:
        """Say whether this role may do what `other` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


class Caller(NamedTuple):
    """Who asks; `by_token` is false for a user of the operating system, on the socket."""

    name: str
    role: Role
    by_token: bool


@dataclass(frozen=True, slots=True)
class AdminToken:
    """What the store holds of one token. Times are Unix seconds."""

    name: str
    role: Role
    created_at: float
    digest: str
    expires_at: float | None = None
    disabled: bool = False

    def usable_at(self, now: float) -> bool:
        """Tell whether the token opens anything at `now`, in Unix seconds."""
        return not self.disabled and (self.expires_at is None or now < self.expires_at)

    def view(self) -> dict[str, Any]:
        """Return what may be shown."""
        return {name: value for name, value in asdict(self).items() if name != "digest"}

    def to_bytes(self) -> bytes:
        """Serialise for the store."""
        return orjson.dumps(asdict(self))

    @classmethod
    def from_bytes(cls, value: bytes) -> AdminToken:
        """Read what `to_bytes` wrote."""
        data = orjson.loads(value)
        return cls(**{**data, "role": Role(data["role"])})


class TokenRequest(NamedTuple):
    """What is asked for when a token is made."""

    name: str
    role: Role
    expires_at: float | None = None

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> TokenRequest:
        """Read strictly from a JSON object. Raises ConfigurationError that names the field at fault."""
        if unknown := set(data) - set(cls._fields):
            raise ConfigurationError(f"unknown field {min(unknown)!r}; known are {', '.join(cls._fields)}")
        name, role, expires_at = data.get("name"), data.get("role"), data.get("expires_at")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigurationError("name: must be 1 to 64 letters, digits or ._@- and begin with a letter or digit")
        if role not in list(Role):
            raise ConfigurationError(f"role: must be one of {', '.join(Role)}")
        if expires_at is None:
            return cls(name, Role(role))
        if isinstance(expires_at, bool) or not isinstance(expires_at, int | float) or not 0 <= expires_at < 1e11:
            raise ConfigurationError("expires_at: must be a time in Unix seconds")
        return cls(name, Role(role), float(expires_at))


@dataclass(frozen=True, slots=True)
class MintedToken:
    """A new token with its secret, which is nowhere else and will not be shown again."""

    token: AdminToken
    secret: str = field(repr=False)


class TokenRegistry:
    """Makes, checks, lists and revokes tokens; only the admin side uses it."""

    def __init__(self, store: Store, digest_key: bytes, clock: Clock, random_bytes: Random) -> None:
        self._store = store
        self._digest_key = digest_key
        self._clock = clock
        self._random_bytes = random_bytes

    async def create(self, request: TokenRequest, by: Caller) -> MintedToken:
        """Make a token; it replaces one of the same name that was revoked or has expired.

        Raises Forbidden if its role is wider than the caller's, ConfigurationError if the name already has a usable
        token, or if the new one would not be usable.
        """
        if not by.role.covers(request.role):
            raise Forbidden(f"the role {by.role} cannot make a token with the role {request.role}")
        now = self._clock.wall()
        secret = mint(self._random_bytes, PREFIX)
        name = digest(secret, self._digest_key)
        token = AdminToken(request.name, request.role, now, name, request.expires_at)
        if not token.usable_at(now):
            raise ConfigurationError("expires_at: is past")
        rows = [Row(TOKENS_TABLE, token.name, token.to_bytes()), Row(DIGESTS_TABLE, name, token.name.encode())]
        if await self._store.write(rows, only_new=True):
            return MintedToken(token, secret)
        old = await self.show(token.name)
        if old.usable_at(now):
            raise ConfigurationError(f"{token.name} has a token already; revoke it first")
        await self._store.write([*rows, Row(DIGESTS_TABLE, old.digest, None)])
        return MintedToken(token, secret)

    async def authenticate(self, secret: str) -> Caller | None:
        """Return whom the secret stands for, None if it opens nothing. Raises StoreUnavailable."""
        if not minted_here(secret, PREFIX):
            return None
        found = digest(secret, self._digest_key)
        name = await self._store.read(DIGESTS_TABLE, found)
        value = None if name is None else await self._store.read(TOKENS_TABLE, name.decode())
        if value is None:
            return None
        token = AdminToken.from_bytes(value)
        if token.digest != found or not token.usable_at(self._clock.wall()):
            return None
        return Caller(token.name, token.role, by_token=True)

    async def tokens(self) -> AsyncIterator[AdminToken]:
        """Yield every token, in no order."""
        async for _, value in self._store.scan(TOKENS_TABLE):
            yield AdminToken.from_bytes(value)

    async def show(self, name: str) -> AdminToken:
        """Return a person's token. Raises KeyError if there is none."""
        value = await self._store.read(TOKENS_TABLE, name)
        if value is None:
            raise KeyError(name)
        return AdminToken.from_bytes(value)

    async def revoke(self, name: str) -> AdminToken:
        """End a person's token for good. Raises KeyError if there is none."""
        revoked = replace(await self.show(name), disabled=True)
        await self._store.write([Row(TOKENS_TABLE, name, revoked.to_bytes())])
        return revoked
