"""Reads the JSON that upstreams send, and writes it back, with half of a surrogate pair in it or without.

A model that is cut off in the middle of an emoji leaves such a half behind. It is no Unicode text, so orjson refuses
it, but JSON can spell it and every client reads it.

Laws: what was read is written with every character that was in it; what cannot be is UpstreamFailed, and nothing else.
What orjson refuses for anything but such a half is refused.
What was changed is written as what came was, with its spaces and spellings, so that its form tells nobody that it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from math import isinf
from typing import Any, Final, NamedTuple, NoReturn

import orjson

from proxy.errors import UpstreamFailed

_MAYBE_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
# As many digits as 2**64 has, where each is a zero and all else a space: a pattern would take eight times as long.
_LONG: Final = b"0" * 20
_DIGITS: Final = bytes(ord("0" if ord("0") <= byte <= ord("9") else " ") for byte in range(256))
_STEP_BYTES: Final = 4 << 20  # which takes four milliseconds to look for them; then other threads may run
# How an object begins: its first name, and what stands before and behind the colon.
_BEGINNING = re.compile(rb'\{(\s*)"[^"\\]*"\s*:(\s*)')
_BEGINNING_BYTES = 4_096
_MOST_LIKE_BYTES = 1 << 20  # a larger document is written in the way that takes the least time
# What no ASCII is, escaped; here and below also backslashes that are escaped, since what follows them is no escape.
_ESCAPED = re.compile(rb"\\(?:\\(?:\\\\)*+|u(?!00[0-7])[0-9a-fA-F]{4})")
# What orjson writes, by how far in lines are and whether there are spaces.
_QUICK: Final = {(None, False): None, ("  ", True): orjson.OPT_INDENT_2}
# How some servers spell signs that JSON may have as they are, as Go's, .NET's and PHP's do for the sake of HTML.
_SPELLED = re.compile(rb"\\(?:\\(?:\\\\)*+|/|u00[23][0-9a-fA-F])")
_SPELLINGS = {rb"\u003c": b"<", rb"\u003e": b">", rb"\u0026": b"&", rb"\u0027": b"'", rb"\/": b"/"}


def load(data: bytes, *, exact: bool = False) -> dict[str, Any] | None:
    """Return the JSON object that an upstream sent, None if it is none; its faults are relayed, so this is lenient.

    With `exact`, since it may be written again, also numbers that no machine word holds stay as they are.

    The second reading takes at most twice as long as orjson's would, and most of what is no JSON does not get to it.
    """
    document = value(data, exact=exact)
    return document if type(document) is dict else None


def value(data: bytes, *, exact: bool = False) -> object:
    """Return whatever JSON an upstream sent, as above, None also if it is none."""
    try:
        return _load_halves(data) if exact and _has_long(data) else orjson.loads(data)
    except orjson.JSONDecodeError:
        return _load_halves(data) if _MAYBE_HALF.search(data) else None


def dump(document: dict[str, Any], like: bytes = b"") -> bytes:
    """Return the document as JSON: compact, or in the manner of `like`. Raises UpstreamFailed if nested too deep."""
    manner = _manner(like)
    written = _written(document, manner)
    for spelling, char in manner.spelled:  # signs that stand in strings only
        written = written.replace(char, spelling)
    return written


def dump_texts(texts: Sequence[str]) -> list[bytes]:
    """Return texts, at least one, each as a JSON string."""
    if len(texts) == 1:
        return [_text(texts[0])]
    try:
        items = orjson.dumps(texts, option=orjson.OPT_INDENT_2)[len(b"[\n  ") : -len(b"\n]")]
    except orjson.JSONEncodeError:
        return [_text(text) for text in texts]
    return items.split(b",\n  ")  # between two of them only: a string has no line feed in it as it is


def _text(text: str) -> bytes:
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


class _Manner(NamedTuple):
    """How JSON is written: how far in its first line is, None if all is on one; with spaces between its tokens or not.

    Also whether all but ASCII is escaped, and what is spelled otherwise than need be, with what that stands for.
    """

    indent: str | None = None
    spaced: bool = False
    escaped: bool = False
    spelled: tuple[tuple[bytes, bytes], ...] = ()


_COMPACT = _Manner()


def _written(document: dict[str, Any], manner: _Manner) -> bytes:
    indent, spaced, escaped, _ = manner
    if not escaped and (indent, spaced) in _QUICK:
        try:
            return orjson.dumps(document, option=_QUICK[indent, spaced])
        except orjson.JSONEncodeError:
            escaped = True  # all but ASCII, as the halves have to be
    try:
        try:
            return _dumped(document, indent, spaced=spaced, escaped=escaped)
        except UnicodeEncodeError:
            return _dumped(document, indent, spaced=spaced, escaped=True)
    except (ValueError, RecursionError):
        raise UpstreamFailed("The model API sent an answer that cannot be passed on.") from None


def _dumped(document: dict[str, Any], indent: str | None, *, spaced: bool, escaped: bool) -> bytes:
    separators = (", " if spaced and indent is None else ",", ": " if spaced else ":")
    return json.dumps(document, separators=separators, indent=indent, allow_nan=False, ensure_ascii=escaped).encode()


def _manner(like: bytes) -> _Manner:
    beginning = _BEGINNING.search(like, 0, _BEGINNING_BYTES) if len(like) <= _MOST_LIKE_BYTES else None
    if beginning is None or (not (beginning[1] or beginning[2]) and b"\\" not in like):
        return _COMPACT
    indent = beginning[1].rpartition(b"\n")[2].decode() if b"\n" in beginning[1] else None
    if b"\\" not in like:
        return _Manner(indent, bool(beginning[2]))
    spelled = tuple((each, char) for each in {*_SPELLED.findall(like)} if (char := _SPELLINGS.get(each.lower())))
    escaped = like.isascii() and any(b"u" in each[0] for each in _ESCAPED.finditer(like))
    return _Manner(indent, bool(beginning[2]), escaped, spelled)


def _has_long(data: bytes) -> bool:
    if len(data) <= _STEP_BYTES:
        return _LONG in data.translate(_DIGITS)
    beyond = len(_LONG) - 1  # of a step, for what begins in it
    steps = range(0, len(data), _STEP_BYTES)
    return any(_LONG in data[start : start + _STEP_BYTES + beyond].translate(_DIGITS) for start in steps)


def _load_halves(data: bytes) -> object:
    try:
        return _DECODER.decode(data.decode())
    except (ValueError, RecursionError):
        return None


def _constant(_: str) -> NoReturn:
    raise ValueError("JSON knows no NaN and no Infinity")


_SURELY_FINITE_DIGITS: Final = 308


def _float(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise ValueError("orjson takes none beyond a double")
    return number


def _int(text: str) -> int:
    if len(text) > _SURELY_FINITE_DIGITS:
        _float(text)
    return int(text)


_DECODER = json.JSONDecoder(parse_float=_float, parse_int=_int, parse_constant=_constant)
