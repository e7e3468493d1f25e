"""Ends connections to the admin side that hold it up, since aiohttp has no deadlines for what it receives.

Law: a connection that for `_PATIENCE_S` has no whole request on it, or takes nothing of its answer, is cut, whether it
sends a byte now and then or none; so is the one that waited longest while there are more than `_MOST_WAITING`, or, at
once, more than `MOST_OPEN` of all; and at the server's end every one that waits.
"""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

_PATIENCE_S = 30.0
_MOST_WAITING = 128
# Between two looks thousands may come, and what keeps the proxy running needs open files too.
MOST_OPEN = 256
_SWEEP_S = 1.0


async def cut_the_slow(server: web.Server | None, patience_s: float = _PATIENCE_S, most: int = _MOST_WAITING) -> None:
    """Look at the connections once a second, until cancelled."""
    if server is None:
        raise RuntimeError("a runner has a server once it is set up")
    clock = asyncio.get_running_loop().time
    waiting: dict[RequestHandler, float] = {}  # since when; the longest first
    while True:
        await asyncio.sleep(min(_SWEEP_S, patience_s))
        now = clock()
        still = {connection: now for connection in server.connections if _waits(connection)}
        waiting = {connection: since for connection, since in waiting.items() if connection in still}
        waiting |= {connection: now for connection in still if connection not in waiting}
        too_many = len(waiting) - most
        for number, (connection, since) in enumerate(waiting.items()):
            if (number < too_many or now - since >= patience_s) and connection.transport is not None:
                connection.transport.abort()


def make_room(server: web.Server) -> None:
    """Cut the first that waits, else the last, where one connection too many was just opened."""
    open_ = [connection for connection in server.connections if _is_open(connection)]  # as they came
    if len(open_) > MOST_OPEN:
        chosen = next(filter(_waits, open_), open_[-1])
        if chosen.transport is not None:
            chosen.transport.abort()


def cut_waiting(server: web.Server) -> None:
    """Cut every connection on which it is the other side's turn: at an end nobody waits for that."""
    for connection in server.connections:
        if _waits(connection) and connection.transport is not None:
            connection.transport.abort()


def _is_open(connection: RequestHandler) -> bool:
    return connection.transport is not None and not connection.transport.is_closing()


def _waits(connection: RequestHandler) -> bool:
    """Tell whether it is the other side's turn: to send the rest of a request, or to take an answer."""
    request, stuck = connection._current_request, connection._paused  # noqa: SLF001 - aiohttp tells of it nowhere else
    return request is None or not request.content.is_eof() or stuck
