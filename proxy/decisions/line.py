"""Makes one line of a row, whatever its values hold.

Laws:
- The result is one line of valid UTF-8 JSON, under `LINE_BYTES` with its newline: JSON escapes ASCII's control
  characters; any other character that does not print (line separators, direction marks, lone surrogates) becomes
  U+FFFD.
- Unless a line is short and plain ASCII, its texts are cut to `TEXT_CHARS`; if it is too long, its lists are cut to
  `LIST_ITEMS`. If it is still too long, it loses the columns of `DROPPED_FIRST`, one by one in that order. A line that
  lost items or columns says `truncated`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from proxy.decisions.columns import DROPPED_FIRST

LINE_BYTES: Final = 3_980  # a write to a pipe is whole up to 4,096 bytes (PIPE_BUF), and the link is still to come
TEXT_CHARS: Final = 256
LIST_ITEMS: Final = 128  # few enough that a line of many long lists is cleaned in a millisecond
_INT_MAX: Final = 2**63 - 1


def to_line(row: dict[str, Any]) -> bytes:
    """Return a row as a line that keeps this file's laws."""
    try:
        line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # a lone surrogate, or a number that does not fit into 64 bits
        line = b""
    # ASCII has no line separator, and JSON escapes every control character but DEL.
    if line and len(line) < LINE_BYTES and line.isascii() and b"\x7f" not in line:
        return line
    most = LIST_ITEMS if len(line) >= LINE_BYTES or not line else len(line)
    cleaned = {name: _cleaned(value, most) for name, value in row.items()}
    if "truncated" in row and any(_is_longer(value, most) for value in row.values()):
        cleaned["truncated"] = True
    return _shortened(cleaned)


def _is_longer(value: object, most: int) -> bool:
    match value:
        case Mapping():
            return any(_is_longer(item, most) for item in value.values())
        case list() | tuple():
            return len(value) > most
        case _:
            return False


def _shortened(row: dict[str, Any]) -> bytes:
    line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    for column in DROPPED_FIRST:
        if len(line) < LINE_BYTES:
            break
        row[column] = type(row[column])()
        row["truncated"] = True
        line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    return line


def _cleaned(value: object, most: int) -> object:
    match value:
        case None | bool() | float():
            return value
        case int():
            return max(-_INT_MAX, min(value, _INT_MAX))
        case Mapping():
            return {printable(str(name)): _cleaned(item, most) for name, item in value.items()}
        case list() | tuple():
            return [_cleaned(item, most) for item in value[:most]]
        case _:
            return printable(str(value))


def printable(text: str) -> str:
    """Return a text as a cleaned line holds it: cut, and with U+FFFD for what does not print."""
    return "".join(c if c.isprintable() or c < " " else "\ufffd" for c in text[:TEXT_CHARS])
