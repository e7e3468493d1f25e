"""Reads the JSON that upstreams send and writes it back, also with half of a surrogate pair in it.

A model that is cut off in the middle of an emoji leaves such a half behind. It is no Unicode text, so orjson refuses
it, but JSON can spell it and every client reads it.
Laws: what was read is written with every character that was in it; what cannot be written raises UpstreamFailed, and
nothing else. What orjson refuses for any other reason than such a half is refused.
A changed document is written in the manner of the original, with its spaces and spellings, so that its form does not
tell that it was changed.
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
# As many digits as 2**64 has. Digits are made zeros and all else spaces first: a pattern would take eight times as
# long.
_LONG: Final = b"0" * 20
_DIGITS: Final = bytes(ord("0" if ord("0") <= byte <= ord("9") else " ") for byte in range(256))
_STEP_BYTES: Final = 4 << 20  # searched in four milliseconds; between steps other threads may run
# How an object begins: its first name, and the spaces before it and behind the colon.
_BEGINNING = re.compile(rb'\{(\s*)"[^"\\]*"\s*:(\s*)')
_BEGINNING_BYTES = 4_096
_MOST_LIKE_BYTES = 1 << 20  # what is like a larger document is written compactly, which is fastest
# Escapes of what is no ASCII. Here and below an escaped backslash matches first, since what follows it is no escape.
_ESCAPED = re.compile(rb"\\(?:\\(?:\\\\)*+|u(?!00[0-7])[0-9a-fA-F]{4})")
# What orjson can write, by indent and whether there are spaces, with its option.
_QUICK: Final = {(None, False): None, ("  ", True): orjson.OPT_INDENT_2}
# Signs that JSON allows as they are, but Go's, .NET's and PHP's servers escape for the sake of HTML.
_SPELLED = re.compile(rb"\\(?:\\(?:\\\\)*+|/|u00[23][0-9a-fA-F])")
_SPELLINGS = {rb"\u003c": b"<", rb"\u003e": b">", rb"\u0026": b"&", rb"\u0027": b"'", rb"\/": b"/"}


def load(data: bytes, *, exact: bool = False) -> dict[str, Any] | None:
    """Return the JSON object that an upstream sent, None if it is none; its faults are relayed, so this is lenient.

    With `exact`, numbers that no machine word holds stay as they are too, since the document may be written again.

    If orjson refuses the bytes, reading them again takes at most twice as long; most of what is no JSON is not read
    again.
    """
    document = value(data, exact=exact)
    return document if type(document) is dict else None


def value(data: bytes, *, exact: bool = False) -> object:
    """Return whatever JSON value an upstream sent, read as by `load`; None also if it is no JSON."""
    try:
        return _load_halves(data) if exact and _has_long(data) else orjson.loads(data)
    except orjson.JSONDecodeError:
        return _load_halves(data) if _MAYBE_HALF.search(data) else None


def dump(document: dict[str, Any], like: bytes = b"") -> bytes:
    """Return the document as JSON: compact, or in the manner of `like`. Raises UpstreamFailed if that cannot be."""
    manner = _manner(like)
    written = _written(document, manner)
    for spelling, char in manner.spelled:  # these signs stand in strings only
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
    return items.split(b",\n  ")  # stands between items only: in a string a line feed is escaped


def _text(text: str) -> bytes:
    try:
        return orjson.dumps(text)
    except orjson.JSONEncodeError:
        return json.dumps(text).encode()


def is_unicode(value: object) -> bool:
    """Tell whether no string in a value has half of a surrogate pair, which no request may have."""
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return False
    return True


class _Manner(NamedTuple):
    """How JSON is written: the indent of its first level, None if all is on one line; whether with spaces.

    Also whether all but ASCII is escaped, and which escapes are used without need, each with the sign it stands for.
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
            escaped = True  # halves have to be escaped
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
    beyond = len(_LONG) - 1  # bytes behind a step, for a number that begins in it
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
