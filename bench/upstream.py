"""A model API made of canned bytes, much cheaper than any proxy in front of it.

Laws: it parses nothing but lengths; every chunk of a stream goes out in a turn of the loop of its own, since a model
writes its tokens one by one and the loop would join what is written in one turn. With a `pause` each has its moment,
which one that went out late does not put off.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

from bench.traffic import ASKS_FOR_STREAM, ASKS_FOR_USAGE, answer_body, stream_events
from bench.wire import LAST_CHUNK, body_of, chunk


class CannedUpstream:
    """What goes out, framed once: a whole answer, and the pieces of a stream with and without usage.

    `url` is the origin's. `pause` is the time between two pieces of a stream that begins from now on, in seconds.
    """

    def __init__(self) -> None:
        self.url = ""
        self.pause = 0.0
        body = answer_body()
        self.whole = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self.whole += body
        self.plain = _pieces(stream_events(usage=False))
        self.counted = _pieces(stream_events(usage=True))
        # All wait equally long, so whoever was served last is served last again: no timer for each.
        self._paced: deque[tuple[float, Callable[[], bool]]] = deque()

    def pace(self, step: Callable[[], bool]) -> None:
        """Call `step` now and after each pause, until it returns False."""
        loop = asyncio.get_running_loop()
        if not self._paced:
            loop.call_soon(self._go_on)
        self._paced.append((loop.time(), step))

    def _go_on(self) -> None:
        loop, paced = asyncio.get_running_loop(), self._paced
        now = loop.time()
        while paced and paced[0][0] <= now:
            moment, step = paced.popleft()
            if step():
                paced.append((moment + self.pause, step))
        if paced:
            loop.call_at(paced[0][0], self._go_on)


class _Conversation(asyncio.Protocol):
    def __init__(self, canned: CannedUpstream) -> None:
        self._canned = canned
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own do not inherit from it

    def connection_lost(self, exc: BaseException | None) -> None:
        del exc
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._received += data
        body = body_of(self._received)
        if body is None or self._transport is None:
            return
        self._received = b""
        if ASKS_FOR_STREAM not in body:
            self._transport.write(self._canned.whole)
            return
        pieces = iter(self._canned.counted if ASKS_FOR_USAGE in body else self._canned.plain)
        if self._canned.pause:
            self._canned.pace(partial(self._write, pieces))
        else:
            self._stream(pieces)

    def _stream(self, pieces: Iterator[bytes]) -> None:
        if self._write(pieces):
            self._loop.call_soon(self._stream, pieces)

    def _write(self, pieces: Iterator[bytes]) -> bool:
        """Write the next piece, and tell whether there was one."""
        piece = next(pieces, None)
        if piece is None or self._transport is None:
            return False
        self._transport.write(piece)
        return True


@asynccontextmanager
async def canned_upstream() -> AsyncIterator[CannedUpstream]:
    """Serve on a free port of the loopback."""
    canned = CannedUpstream()
    server = await asyncio.get_running_loop().create_server(lambda: _Conversation(canned), "127.0.0.1", 0)
    canned.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield canned


def _pieces(events: list[bytes]) -> tuple[bytes, ...]:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
    *chunks, end = map(chunk, events)
    return (head, *chunks, end + LAST_CHUNK)
