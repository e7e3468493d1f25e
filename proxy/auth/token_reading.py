"""Reads a JWT (RFC 7519) into its header and claims, strictly, before anything in it is trusted. Pure, no I/O.

Laws: what two readers could read in two ways is refused; a refusal has one of a few reasons, which are counted and
never told; no exception here repeats a byte of a token.
"""

from __future__ import annotations

import base64
import json
import re
from enum import StrEnum
from typing import Any, NamedTuple

# A compact JWS: three parts. The header is a JSON object, whose brace makes its first letter an `e`.
_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")
_NUMBER_CHARS = 20  # enough for 64 bits


class Fault(StrEnum):
    """Why a token is refused."""

    MALFORMED = "malformed"
    HEADER = "header"  # it has something that we would have to understand, or that changes what is signed
    ISSUER = "issuer"  # not one that the settings name
    ALGORITHM = "algorithm"
    AUDIENCE = "audience"
    EXPIRED = "expired"  # or it has no end
    NOT_YET = "not_yet"
    LIFETIME = "lifetime"  # longer than allowed
    CLAIM = "claim"  # a needed one is missing, or not what it has to be
    REQUIRED = "required"  # a claim has another value than the settings ask for
    UNKNOWN_KEY = "unknown_key"
    SIGNATURE = "signature"


class Refused(Exception):
    """A token that opens nothing; `trusted` is the issuer's name in the settings, empty if it is not known."""

    def __init__(self, fault: Fault, trusted: str = "") -> None:
        super().__init__(fault)
        self.fault = fault
        self.trusted = trusted


class Token(NamedTuple):
    """A token's parts, and the bytes that its signature is of; nothing in it is trusted yet."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signed: bytes
    signature: bytes


def looks_like_token(secret: str) -> bool:
    """Say whether a credential looks like a JWT, which none of our keys does."""
    return secret.startswith("ey") and "." in secret


def read_token(token: str) -> Token:
    """Return a token's parts. Raises Refused if it is no JSON web signature in compact form."""
    segments = token.split(".")
    if len(segments) != 3 or not all(map(_SEGMENT.fullmatch, segments)):
        raise Refused(Fault.MALFORMED)
    header, claims = _object(segments[0]), _object(segments[1])
    # `crit` names extensions that we would have to know, and without `b64` another text is signed (RFC 7797).
    if "crit" in header or "b64" in header or not isinstance(header.get("kid", ""), str):
        raise Refused(Fault.HEADER)
    return Token(header, claims, token.rpartition(".")[0].encode(), _bytes(segments[2]))


def _bytes(segment: str) -> bytes:
    """Decode base 64; of several texts for the same bytes only the canonical one is accepted."""
    try:
        data = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError:
        raise Refused(Fault.MALFORMED) from None
    if base64.urlsafe_b64encode(data).rstrip(b"=") != segment.encode():
        raise Refused(Fault.MALFORMED)
    return data


def _object(segment: str) -> dict[str, Any]:
    try:
        found = _DECODER.decode(_bytes(segment).decode())
    except (ValueError, RecursionError):  # invalid UTF-8 or JSON
        raise Refused(Fault.MALFORMED) from None
    if not isinstance(found, dict):
        raise Refused(Fault.MALFORMED)
    return found


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refused(Fault.MALFORMED)
    return found


def _integer(text: str) -> int:
    if len(text) > _NUMBER_CHARS:
        raise Refused(Fault.MALFORMED)
    return int(text)


def _constant(_: str) -> None:
    raise Refused(Fault.MALFORMED)


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_int=_integer, parse_constant=_constant)
