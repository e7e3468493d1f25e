"""API keys: what they look like, what is stored of them, whom they stand for. Pure, no I/O.

Laws: only a keyed digest of a secret is ever stored or compared; a secret is shown once, when it is made; every cache
of identities is keyed on the digest of the whole secret.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import orjson

from proxy.errors import ConfigurationError
from proxy.exchange import Principal
from proxy.keyed.link_names import attribute_name

PREFIX = "sgk_"
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_BYTES = 20  # 160 bits
_RANDOM_DIGITS = 27  # 62 ** 27 > 2 ** 160
_CHECK_DIGITS = 6  # 62 ** 6 > 2 ** 32
_BODY_DIGITS = _RANDOM_DIGITS + _CHECK_DIGITS
# A secret that another system made (see `stillgate keys import`) must be as long as 128 random bits in base 64.
_FOREIGN = re.compile(r"[!-~]{22,512}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}")
_ATTRIBUTE_LIMIT = 16
CLOCKS_APART_S = 3600.0  # how far our clock may be from that of a system where an account was just opened

Random = Callable[[int], bytes]


def mint(random_bytes: Random, prefix: str = PREFIX) -> str:
    """Make a secret: prefix, 160 random bits and a CRC-32 in base 62, so that scanners can recognise a leaked key."""
    body = _base62(int.from_bytes(random_bytes(_RANDOM_BYTES), "big"), _RANDOM_DIGITS)
    return prefix + body + _check_digits(body)


def well_formed(secret: str) -> bool:
    """Say whether `secret` could be a key: ours with a right checksum, or another system's of decent length."""
    return minted_here(secret) if secret.startswith(PREFIX) else _FOREIGN.fullmatch(secret) is not None


def minted_here(secret: str, prefix: str = PREFIX) -> bool:
    """Say whether `secret` looks like one that `mint` makes under this prefix, with a right checksum."""
    if not secret.startswith(prefix) or len(secret) != len(prefix) + _BODY_DIGITS or not secret.isascii():
        return False
    return _check_digits(secret[len(prefix) : -_CHECK_DIGITS]) == secret[-_CHECK_DIGITS:]


def digest(secret: str, digest_key: bytes) -> str:
    """Return the keyed BLAKE2b (RFC 7693) of the whole secret, in hexadecimal: the name its record is stored under.

    A key of 32 bytes makes it a message authentication code, at a third of the time that HMAC-SHA256 takes here.
    """
    return blake2b(secret.encode("utf-8", "surrogatepass"), key=digest_key, digest_size=32).hexdigest()


def new_key_id(random_bytes: Random) -> str:
    """Return a key's public name, unrelated to its secret."""
    return "key_" + _base62(int.from_bytes(random_bytes(10), "big"), 14)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What the store holds of one key. Times are Unix seconds; `created_at` is the account's, `issued_at` the key's.

    `hint` is the secret's last four characters, so that a person can tell two keys apart. `replaced_by` is the id of
    the key that a rotation made in its place.
    """

    id: str
    account: str
    tenant: str
    plan: str
    created_at: float
    issued_at: float
    hint: str
    expires_at: float | None = None
    disabled: bool = False
    attributes: tuple[tuple[str, str], ...] = ()
    replaced_by: str = ""

    def principal(self) -> Principal:
        """Return whom this key stands for."""
        return Principal(self.id, self.account, self.tenant, self.plan, self.created_at, dict(self.attributes))

    def usable_at(self, now: float) -> bool:
        """Say whether the key opens anything at `now`, in Unix seconds."""
        return not self.disabled and (self.expires_at is None or now < self.expires_at)

    def revoked(self) -> KeyRecord:
        """Return the same key, disabled for good."""
        return replace(self, disabled=True)

    def view(self) -> dict[str, Any]:
        """Return what an operator may see."""
        return {
            "id": self.id,
            "account": self.account,
            "tenant": self.tenant,
            "plan": self.plan,
            "created_at": self.created_at,
            "issued_at": self.issued_at,
            "expires_at": self.expires_at,
            "disabled": self.disabled,
            "attributes": dict(self.attributes),
            "hint": f"…{self.hint}",
            "replaced_by": self.replaced_by,
        }

    def to_bytes(self) -> bytes:
        """Serialise for the store."""
        return orjson.dumps({**self.view(), "hint": self.hint})

    @classmethod
    def from_bytes(cls, value: bytes) -> KeyRecord:
        """Read what `to_bytes` wrote."""
        data = orjson.loads(value)
        data["attributes"] = tuple(data["attributes"].items())
        return cls(**data)


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """What an operator says about a key to be made; `secret` is set when another system's key is taken over."""

    account: str
    tenant: str
    plan: str = "default"
    created_at: float | None = None
    expires_at: float | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    secret: str | None = field(default=None, repr=False)

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> KeyRequest:
        """Read strictly from a JSON object. Raises ConfigurationError that names the field at fault."""
        unknown = set(data) - set(cls.__slots__)
        if unknown:
            raise ConfigurationError(f"unknown field {min(unknown)!r}; known are {', '.join(cls.__slots__)}")
        secret = data.get("secret")
        if secret is not None and (
            not isinstance(secret, str) or secret.startswith(PREFIX) or not _FOREIGN.fullmatch(secret)
        ):
            raise ConfigurationError(
                f"secret: must be 22 to 512 visible ASCII characters and not begin with {PREFIX!r}"
            )
        account = _identifier(data, "account", None)
        return cls(
            account=account,
            tenant=_identifier(data, "tenant", account),
            plan=_identifier(data, "plan", "default"),
            created_at=_moment(data, "created_at"),
            expires_at=_moment(data, "expires_at"),
            attributes=_attributes(data.get("attributes")),
            secret=secret,
        )

    def check_opened(self, now: float) -> None:
        """Raise ConfigurationError for an account opened in the future: it would count as new until long after that."""
        if self.created_at is not None and self.created_at > now + CLOCKS_APART_S:
            raise ConfigurationError("created_at: is in the future; say when the account was opened, or leave it out")


def _identifier(data: Mapping[str, Any], name: str, default: str | None) -> str:
    value = data.get(name, default)
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise ConfigurationError(f"{name}: must be 1 to 128 letters, digits or ._:@/- and begin with a letter or digit")
    return value


def _moment(data: Mapping[str, Any], name: str) -> float | None:
    value = data.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise ConfigurationError(f"{name}: must be a time in Unix seconds")
    return float(value)


def _attributes(value: object) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    if not isinstance(value, dict) or len(value) > _ATTRIBUTE_LIMIT:
        raise ConfigurationError(f"attributes: must be an object with at most {_ATTRIBUTE_LIMIT} entries")
    for name, text in value.items():
        if not isinstance(name, str) or not _ID.fullmatch(name) or not isinstance(text, str) or len(text) > 256:
            raise ConfigurationError("attributes: names as for accounts, values text of at most 256 characters")
        try:
            attribute_name(name)
        except ValueError as error:
            raise ConfigurationError(f"attributes: {error}") from None
    return tuple(sorted(value.items()))


def _base62(number: int, digits: int) -> str:
    out = []
    for _ in range(digits):
        number, rest = divmod(number, 62)
        out.append(_ALPHABET[rest])
    return "".join(reversed(out))


def _check_digits(body: str) -> str:
    return _base62(zlib.crc32(body.encode("ascii")), _CHECK_DIGITS)
