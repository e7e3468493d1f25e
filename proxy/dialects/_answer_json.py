"""Reads the JSON that upstreams send, and writes it back, with half of a surrogate pair in it or without.

A model that is cut off in the middle of an emoji leaves such a half behind. It is no Unicode text, so orjson refuses
it, but JSON can spell it and every client reads it.

Laws: what was read is written with every character that was in it; what cannot be is UpstreamFailed, and nothing else.
What was changed is written as what came was, with its spaces, so that its form tells nobody that it was.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import orjson

from proxy.errors import UpstreamFailed

_MAYBE_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_LONG = re.compile(rb"[0-9]{20}")  # as many digits as 2**64 has
# How an object begins: its first name, and what stands before and behind the colon.
_BEGINNING = re.compile(rb'\{(\s*)"[^"\\]*"\s*:(\s*)')
_BEGINNING_BYTES = 4_096
_MOST_LIKE_BYTES = 1 << 20  # a larger document is written in the way that takes the least time
_ESCAPED = re.compile(rb"\\u[0-9a-fA-F]{4}")


def load(data: bytes, *, exact: bool = False) -> dict[str, Any] | None:
    """Return the JSON object that an upstream sent, None if it is none; its faults are relayed, so this is lenient.

    With `exact`, since it may be written again, also numbers that no machine word holds stay as they are.

    The second reading takes at most twice as long as orjson's would, and most of what is no JSON does not get to it.
    """
    try:
        document = _load_halves(data) if exact and _LONG.search(data) else orjson.loads(data)
    except orjson.JSONDecodeError:
        document = _load_halves(data) if _MAYBE_HALF.search(data) else None
    return document if type(document) is dict else None


def dump(document: dict[str, Any], like: bytes = b"") -> bytes:
    """Return the document as JSON: compact, or in the manner of `like`. Raises UpstreamFailed if nested too deep."""
    lines, spaced, escaped = _manner(like)
    if not spaced and not escaped:
        try:
            return orjson.dumps(document, option=orjson.OPT_INDENT_2 if lines else None)
        except orjson.JSONEncodeError:
            escaped = True  # all but ASCII, as the halves have to be
    try:
        try:
            return _dumped(document, spaced=spaced, escaped=escaped)
        except UnicodeEncodeError:
            return _dumped(document, spaced=spaced, escaped=True)
    except (ValueError, RecursionError):
        raise UpstreamFailed("The model API sent an answer that cannot be passed on.") from None


def dump_text(text: str) -> bytes:
    """Return a text as a JSON string."""
    try:
        return orjson.dumps(text)
    except orjson.JSONEncodeError:
        return json.dumps(text).encode()


def is_unicode(value: object) -> bool:
    """Tell whether a value has no half of a surrogate pair, which no request may have."""
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return False
    return True


def _dumped(document: dict[str, Any], *, spaced: bool, escaped: bool) -> bytes:
    separators = (", ", ": ") if spaced else (",", ":")
    return json.dumps(document, separators=separators, allow_nan=False, ensure_ascii=escaped).encode()


def _manner(like: bytes) -> tuple[bool, bool, bool]:
    """Tell whether JSON is on lines of its own, has spaces between its tokens, and has all but ASCII escaped."""
    beginning = _BEGINNING.search(like, 0, _BEGINNING_BYTES) if len(like) <= _MOST_LIKE_BYTES else None
    if beginning is None:
        return False, False, False
    if b"\n" in beginning[1]:
        return True, False, False
    return False, bool(beginning[2]), like.isascii() and _ESCAPED.search(like) is not None


def _load_halves(data: bytes) -> object:
    try:
        return _DECODER.decode(data.decode())
    except (ValueError, RecursionError):
        return None


def _constant(_: str) -> NoReturn:
    raise ValueError("JSON knows no NaN and no Infinity")


_DECODER = json.JSONDecoder(parse_constant=_constant)
