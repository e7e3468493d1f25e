"""Reads a request body as JSON once and strictly, and writes documents back.

JSON parsers disagree about malformed input: a body could say one thing to its judge and another to a more lenient
reader. So what two parsers could read in two ways is refused here, and what is sent on is the document that was read.
Laws:
- What `read` returns, `write` can write, and reading that again gives an equal document.
- Whatever the bytes are, the only exceptions are BadRequest and TooLarge, and no message repeats a byte of the body.
- The cost is linear in the size of the body; a body of many small values is refused before anything is built of it.
"""

from __future__ import annotations

import json
import math
import re
from itertools import accumulate
from typing import Any

import orjson

from proxy.errors import BadRequest, TooLarge

MAX_DEPTH = 64
MAX_VALUES = 200_000  # values and member names: about 100 ms at worst, in which nothing else runs
_MAX_FLOAT_CHARS = 100  # no printer of 64-bit floats needs more than 25
_FIRST_NAME_BYTES = 64
# Every integer of 18 digits fits into 64 bits; a float that is out of range has an exponent or hundreds of digits.
_LONG_NUMBER = re.compile(rb"[0-9](?:[0-9]{18}|[eE])")
_MAX_PLAIN_QUOTES = 20_000  # with more of them it takes longer to cut strings out than to read them
_INT64 = 1 << 63
_LEVELS = bytes.maketrans(b"[{]}", b"\2\2\0\0")  # 2 opens a level, 0 closes one: 1 is subtracted later
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


def read(body: bytes) -> dict[str, Any]:
    """Return the JSON object that `body` is. Raises BadRequest, or TooLarge if it has too many values."""
    if len(body) > MAX_VALUES:  # a value takes a byte and a separator, so a shorter body cannot have too many
        _check_count(body)
    document = _read_plain(body)
    return _read_any(body) if document is None else document


def write(document: dict[str, Any]) -> bytes:
    """Return the document as compact JSON in UTF-8."""
    return orjson.dumps(document)


def _read_plain(body: bytes) -> dict[str, Any] | None:
    """Return the document if orjson shows that no two parsers can read `body` in two ways; None if that needs more.

    orjson is strict but for two things: it takes the last of a key that comes twice, and makes a float of an integer
    that is too large, or 0 of a number that is too small. So members and colons are counted, and bodies with numbers
    that long are left to the other parser. What `write` makes again byte for byte has neither.
    """
    colon = body.find(b":", 0, _FIRST_NAME_BYTES)
    spaced = colon > 0 and body[colon + 1 : colon + 2] == b" "  # not as we write it, so comparing would be in vain
    if spaced and body.count(b'"') > _MAX_PLAIN_QUOTES:
        return None
    try:
        document = orjson.loads(body)
        if type(document) is not dict:
            return None
        written = not spaced and orjson.dumps(document) == body
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):  # EncodeError: too many levels
        return None
    if not written:
        signs = _without_strings(body)
        if _LONG_NUMBER.search(signs) or signs.count(b":") != _count_members(document):
            return None
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH:
        _check_depth(document)
    return document


def _without_strings(body: bytes) -> bytes:
    """Return what stands outside the strings of valid JSON."""
    if b'\\"' in body:
        # Every pair of backslashes first, so that what is left before a quote escapes it.
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(body.split(b'"')[::2])


def _count_members(document: dict[str, Any]) -> int:
    count = 0
    containers: list[Any] = [document]
    for container in containers:
        values = container
        if type(container) is dict:
            count += len(container)
            values = container.values()
        for value in values:
            if type(value) is dict or type(value) is list:
                containers.append(value)  # noqa: PERF401 - a comprehension takes half as long again
    return count


def _read_any(body: bytes) -> dict[str, Any]:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not valid UTF-8 at byte {error.start}.") from None
    try:
        document = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        # Otherwise it would depend on the depth of our own stack whether the body is called too deep or wrong.
        if _depth(text[: error.pos].encode()) > MAX_DEPTH:
            raise _too_deep() from None
        place = f"line {error.lineno}, column {error.colno}"
        raise BadRequest(f"The body is not valid JSON at {place}.") from None
    except RecursionError:
        raise _too_deep() from None
    if type(document) is not dict:
        raise BadRequest("The body must be a JSON object.")
    _check_depth(document)
    if b"\\ud" in body or b"\\uD" in body:  # perhaps half of a surrogate pair
        _check_surrogates(document)
    return document


def _check_count(body: bytes) -> None:
    """Refuse too many values, judged by the bytes that must stand between them.

    A count over the whole body, strings included, is never too low. Only if it is too high are the strings cut out and
    the rest counted again.
    """
    if _separators(body) < MAX_VALUES:
        return
    # Every pair of backslashes first, so that what is left before a quote escapes it.
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    quotes_per_string = 2
    if unescaped.count(b'"') > quotes_per_string * MAX_VALUES or (
        _separators(b"".join(unescaped.split(b'"')[::2])) >= MAX_VALUES
    ):
        raise TooLarge(f"The body has more than {MAX_VALUES:,} values.")


def _separators(text: bytes) -> int:
    # A value is the document, comes first in its container or follows a comma; a name is followed by a colon.
    return text.count(b"[") + text.count(b"{") + text.count(b",") + text.count(b":")


def _depth(text: bytes) -> int:
    """Return how many levels deep the beginning of a JSON document goes."""
    brackets = _without_strings(text).translate(_LEVELS, _NO_BRACKETS)
    return max(accumulate(level - 1 for level in brackets), default=0)


def _check_depth(document: dict[str, Any]) -> None:
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        deeper = []
        for container in level:
            for value in container.values() if type(container) is dict else container:
                if isinstance(value, (dict, list)):
                    deeper.append(value)  # noqa: PERF401 - a comprehension takes half as long again
        if not deeper:
            return
        level = deeper
    raise _too_deep()


def _check_surrogates(document: dict[str, Any]) -> None:
    try:
        orjson.dumps(document)
    except orjson.JSONEncodeError:
        raise BadRequest("A string in the body has half of a surrogate pair.") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise BadRequest("An object in the body has the same key twice.")
    return document


def _integer(text: str) -> int:
    # 20 characters hold every 64-bit integer, signed or not; longer ones are refused unread, as reading takes quadratic
    # time.
    if len(text) <= 20 and -_INT64 <= (number := int(text)) < 2 * _INT64:
        return number
    raise BadRequest("An integer in the body does not fit into 64 bits.")


def _float(text: str) -> float:
    if len(text) <= _MAX_FLOAT_CHARS:
        number = float(text)
        vanished = not number and text.lower().partition("e")[0].strip("-0.")
        if math.isfinite(number) and not vanished:
            return number
    raise BadRequest("A number in the body is out of range.")


def _constant(_: str) -> None:
    raise BadRequest("The body has NaN or Infinity, which JSON does not know.")


def _too_deep() -> BadRequest:
    return BadRequest(f"The body is nested deeper than {MAX_DEPTH} levels.")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant)
