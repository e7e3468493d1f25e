"""Streams on a server: their keys, and replies read strictly (see lua/append.lua for how they are kept)."""

from __future__ import annotations

import re
from typing import Any

from proxy.store.base import Tail
from proxy.store.resp import nonsense

# Entries that one step of a trim drops; it keeps a server busy for a millisecond or two.
TRIM_PAGE = 8

_ENTRY_ID = re.compile(r"(\d{1,20})-(\d{1,20})", re.ASCII)


def stream_keys(stream: str) -> tuple[str, str]:
    """Return the keys of a stream and of its account; they share a hash tag, so that one script can use both."""
    return f"sg:{{stream:{stream}}}:e", f"sg:{{stream:{stream}}}:a"


def is_position(text: str) -> bool:
    """Tell whether a stream on a server can have given this position."""
    return _ENTRY_ID.fullmatch(text) is not None


def tail(reply: Any, after: str) -> Tail:  # noqa: ANN401 - whatever it is, it is looked at
    """Return what the script `follow` answered for a position."""
    try:
        cut, found, beyond = reply
        entries = [(position.decode(), fields[1]) for position, fields in found]
        dropped = cut.decode()
        anew = beyond == 1
        lost = anew or (bool(after and dropped) and _number(dropped) > _number(after))
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        raise nonsense() from error
    if not all(isinstance(data, bytes) and is_position(position) for position, data in entries):
        raise nonsense()
    return Tail(entries[-1][0] if entries else after, tuple(data for _, data in entries), lost, anew)


def _number(position: str) -> tuple[int, int]:
    milliseconds, _, step = position.partition("-")
    return int(milliseconds), int(step)
