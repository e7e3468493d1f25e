"""An issuer's keys, read from its JWK set (RFC 7517) or from the file of a shared secret. Pure, no I/O.

Laws: each key is bound to the algorithms that its type, its own `alg` and the settings allow, and verifies no other; a
key that is too weak, too large, private, or not for signatures is left out; no exception's text holds a key.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import jwt
import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

MAX_BYTES = 262_144
_MAX_KEYS = 64
_KID_CHARS = 512
_NUMBER_CHARS = 1_400  # of one number of a key, in base 64; 8192 bits take 1366
_RSA_BITS = range(2048, 8193)
_EXPONENT_BITS = 32  # nobody uses larger ones, with which verifying takes milliseconds
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "k")
_KINDS: Mapping[str, tuple[str, str | None]] = {  # by the first letters of an algorithm: kty and crv
    "RS": ("RSA", None),
    "PS": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
_SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}  # no shorter than the hash (RFC 7518, section 3.2)


class Unusable(Exception):
    """A document without a usable key, or that is no set of keys."""


class KeySet:
    """The keys of an issuer by algorithm and name (kid), None for a key without one."""

    def __init__(self, keys: Mapping[str, Mapping[str | None, jwt.PyJWK]]) -> None:
        self._keys = keys

    def __len__(self) -> int:
        return len(self.names)

    @property
    def names(self) -> frozenset[str | None]:
        """The names of all keys."""
        return frozenset(name for named in self._keys.values() for name in named)

    def find(self, algorithm: str, kid: str | None) -> jwt.PyJWK | None:
        """Return the key for a token, None if there is none or, for a token without a kid, several.

        A single key without a name, such as a shared secret, fits whatever name a token gives.
        """
        fitting = self._keys.get(algorithm, {})
        if len(fitting) == 1 and (kid is None or None in fitting):
            return next(iter(fitting.values()))
        return fitting.get(kid) if kid is not None else None


def read_jwks(document: bytes, algorithms: Sequence[str]) -> KeySet:
    """Return the usable keys of a JWK set. Raises Unusable."""
    if len(document) > MAX_BYTES:
        raise Unusable(f"larger than {MAX_BYTES} bytes")
    try:
        found = orjson.loads(document)
    except orjson.JSONDecodeError:
        raise Unusable("no valid JSON") from None
    entries = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(entries, list):
        raise Unusable("not a JWK set: it has no list of keys")
    if len(entries) > _MAX_KEYS:
        raise Unusable(f"more than {_MAX_KEYS} keys")
    keys: dict[str, dict[str | None, jwt.PyJWK]] = {}
    nameless = 0
    for entry in entries:
        if not isinstance(entry, dict) or not _for_signatures(entry):
            continue
        bound = {name: key for name in algorithms if (key := _bound(entry, name)) is not None}
        kid = entry.get("kid")
        nameless += kid is None and bool(bound)
        for name, key in bound.items():
            keys.setdefault(name, {}).setdefault(kid, key)  # of two keys with one name the first counts
    if nameless > 1:  # a token could not say which of them
        keys = {name: {kid: key for kid, key in named.items() if kid is not None} for name, named in keys.items()}
    if not any(keys.values()):
        raise Unusable("no key in it that the algorithms allow")
    return KeySet(keys)


def read_secret(document: bytes, algorithms: Sequence[str]) -> KeySet:
    """Return the one key of a file that holds a shared secret. Raises Unusable."""
    secret = document.removesuffix(b"\n").removesuffix(b"\r")
    least = max(_SECRET_BYTES[name] for name in algorithms)
    if len(secret) < least:
        raise Unusable(f"the secret has {len(secret)} bytes, {max(algorithms)} needs {least}")
    value = base64.urlsafe_b64encode(secret).rstrip(b"=").decode()
    try:
        keys = {name: jwt.PyJWK({"kty": "oct", "k": value}, name) for name in algorithms}
        for key in keys.values():
            key.Algorithm.prepare_key(key.key)  # refuses a public key or a JWK given by mistake
    except jwt.PyJWTError:
        raise Unusable("a public key or a JWK, not a secret") from None
    return KeySet({name: {None: key} for name, key in keys.items()})


def _for_signatures(entry: Mapping[str, Any]) -> bool:
    kid, operations = entry.get("kid", ""), entry.get("key_ops", ["verify"])
    return (
        entry.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and isinstance(kid, str)
        and len(kid) <= _KID_CHARS
        and not any(name in entry for name in _PRIVATE)
        and all(
            isinstance(value, str) and len(value) <= _NUMBER_CHARS
            for name, value in entry.items()
            if name in ("n", "e", "x", "y")
        )
    )


def _bound(entry: Mapping[str, Any], algorithm: str) -> jwt.PyJWK | None:
    """Return the key for one algorithm, None if it does not fit that."""
    kind, curve = _KINDS.get(algorithm) or _KINDS.get(algorithm[:2], ("", None))
    if entry.get("kty") != kind or entry.get("crv") != curve or entry.get("alg", algorithm) != algorithm:
        return None
    try:
        key = jwt.PyJWK(dict(entry), algorithm)
        key.Algorithm.prepare_key(key.key)  # refuses a key of another algorithm
    except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError):
        return None
    public = key.key
    if isinstance(public, RSAPublicKey) and (
        public.key_size not in _RSA_BITS or public.public_numbers().e.bit_length() > _EXPONENT_BITS
    ):
        return None
    return key
