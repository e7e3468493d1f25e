"""Reads the JSON that upstreams send, and writes it back, with half of a surrogate pair in it or without.

A model that is cut off in the middle of an emoji leaves such a half behind. It is no Unicode text, so orjson refuses
it, but JSON can spell it and every client reads it.

Law: what was read is written with every character that was in it; what cannot be is UpstreamFailed, and nothing else.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import orjson

from proxy.errors import UpstreamFailed

_MAYBE_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


def load(data: bytes) -> dict[str, Any] | None:
    """Return the JSON object that an upstream sent, None if it is none; its faults are relayed, so this is lenient.

    The second reading takes at most twice as long as orjson's would, and most of what is no JSON does not get to it.
    """
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        document = _load_halves(data) if _MAYBE_HALF.search(data) else None
    return document if type(document) is dict else None


def dump(document: dict[str, Any]) -> bytes:
    """Return the document as compact JSON. Raises UpstreamFailed if it is nested too deep."""
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError:
        pass
    try:
        # All but ASCII is escaped, as the halves have to be.
        return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise UpstreamFailed("The model API sent an answer that cannot be passed on.") from None


def _load_halves(data: bytes) -> object:
    try:
        return _DECODER.decode(data.decode())
    except (ValueError, RecursionError):
        return None


def _constant(_: str) -> NoReturn:
    raise ValueError("JSON knows no NaN and no Infinity")


_DECODER = json.JSONDecoder(parse_constant=_constant)
