"""Keys of issuers, the sets they publish, and tokens signed with them, good and crafted."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Json = dict[str, Any]

ISS = "https://login.example.com/"
AUDIENCE = "stillgate"
_CURVES: Mapping[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


@cache
def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return one of several RSA keys, made once in a run."""
    del number
    return rsa.generate_private_key(65537, bits)


@cache
def key_for(algorithm: str) -> PrivateKey:
    """Return a key that an algorithm signs with."""
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(_CURVES[algorithm]) if algorithm in _CURVES else rsa_key()


def jwk(key: PrivateKey, kid: str | None = "k1", **members: Any) -> Json:
    """Return the public half of a key as a set of keys has it."""
    name = "EdDSA" if isinstance(key, ed25519.Ed25519PrivateKey) else "RS256"
    name = "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else name
    made: Json = jwt.get_algorithm_by_name(name).to_jwk(key.public_key(), as_dict=True)
    named = {} if kid is None else {"kid": kid}
    return {name: value for name, value in {**made, "use": "sig", **named, **members}.items() if value is not None}


def jwks(*keys: Json) -> bytes:
    """Return a set of keys as an issuer publishes it."""
    return json.dumps({"keys": list(keys)}).encode()


def claims(now: float, **members: Any) -> Json:
    """Return the claims of a good token, with `members` on top; None takes one out."""
    good = {"iss": ISS, "aud": AUDIENCE, "sub": "alice", "iat": int(now), "exp": int(now) + 600}
    return {name: value for name, value in {**good, **members}.items() if value is not None}


def sign(said: Json | bytes, key: PrivateKey | bytes, algorithm: str = "RS256", **header: Any) -> str:
    """Sign claims, or bytes that stand in for them, under a header with `header` on top; None takes a member out."""
    head = {"typ": "JWT", "alg": algorithm, "kid": "k1", **header}
    return craft({name: value for name, value in head.items() if value is not None}, said, key, algorithm)


def craft(header: Json | bytes, said: Json | bytes, key: PrivateKey | bytes | None, algorithm: str = "RS256") -> str:
    """Put a token together whatever it says; without a key its signature is empty."""
    text = f"{_segment(header)}.{_segment(said)}"
    if key is None:
        return f"{text}."
    signer = jwt.get_algorithm_by_name(algorithm)
    return f"{text}.{_segment(signer.sign(text.encode(), key))}"


def _segment(part: Json | bytes) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
