"""The feed of changed rows, read from a stream (see lua/write.lua for how it is written)."""

from __future__ import annotations

import asyncio
import re

from proxy.store.base import Changes
from proxy.store.lane import Lane
from proxy.store.resp import entries, nonsense, packed, table_key

FEED = table_key("feed")

# The cursor of a reader that has seen nothing: the entry that opens every feed.
_OPENED = "0-1"

_ENTRY_ID = re.compile(r"\d+-\d+", re.ASCII)

# Rows in one answer; it keeps a server busy for well under a millisecond.
_PAGE = 1000


async def feed_end(lane: Lane, deadline: float) -> str:
    """Return a cursor at the present end of the feed."""
    expires = asyncio.get_running_loop().time() + deadline
    (last,) = await lane.ask([packed("XREVRANGE", FEED, "+", "-", "COUNT", 1)], expires)
    return entries(last)[-1][0] if last else _OPENED


async def feed_after(lane: Lane, cursor: str, wait_ms: int, deadline: float) -> Changes:
    """Return what follows the cursor, waiting for it up to `wait_ms`; the lane is busy meanwhile.

    It first looks without waiting, so that a reader whose cursor is lost hears of it at once.
    """
    found = await _look(lane, cursor, 0, deadline)
    if wait_ms > 0 and not found.rows and not found.lost:
        found = await _look(lane, cursor, wait_ms, deadline)
    return found


async def _look(lane: Lane, cursor: str, wait_ms: int, deadline: float) -> Changes:
    """Read the feed, then look whether the entry at the cursor is still there.

    In this order, what was read is known to follow the cursor without a gap: if the feed was trimmed past the cursor,
    flushed, or fell back to an older state, that entry is gone. The opening cursor is also good while there is no feed.
    """
    if not _ENTRY_ID.fullmatch(cursor):
        return Changes(await feed_end(lane, deadline), (), lost=True)
    block = ("BLOCK", wait_ms) if wait_ms > 0 else ()
    expires = asyncio.get_running_loop().time() + deadline + wait_ms / 1000
    read, kept = await lane.ask(
        [packed("XREAD", "COUNT", _PAGE, *block, "STREAMS", FEED, cursor), packed("XRANGE", FEED, cursor, cursor)],
        expires,
    )
    try:
        found = entries(read[0][1]) if read else []
    except (TypeError, IndexError) as error:
        raise nonsense() from error
    if not kept and (found or cursor != _OPENED):
        return Changes(await feed_end(lane, deadline), (), lost=True)
    # The opening entry itself is never read: no cursor lies before it.
    return Changes(found[-1][0] if found else cursor, tuple(row for _, row in found), lost=False)
