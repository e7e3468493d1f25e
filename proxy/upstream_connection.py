"""One connection to a model API, and the pool that opens and keeps them; aiohttp's parser reads what comes.

Laws:
- A connection with more on it than the answer that was read is not used again: it would pass for the next one's.
- Nothing waits for ever: whoever waits for bytes has a deadline, and the owner's sweep calls `expire`.
- An answer that nobody reads is not read from the socket either, beyond `READ_BYTES` twice.

aiohttp's session and request classes take twice as long for a call as all the rest of it; so of its client only the
protocol class is used, and this is the one place that touches its internals.
"""

from __future__ import annotations

import asyncio
import socket
import ssl

import aiohttp
from aiohappyeyeballs import start_connection
from aiohttp.client_proto import ResponseHandler
from yarl import URL

# Larger heads than any model API sends are refused while they are read.
_MAX_LINE_BYTES = 16_384
# One read gives at most about twice this much, which bounds what one stream keeps in memory.
READ_BYTES = 65_536
# Model APIs close idle connections after a minute or more; a call on one that is just being closed would fail.
_IDLE_S = 15.0
# How long another address of the same host is not tried yet (RFC 8305, section 8).
_NEXT_ADDRESS_S = 0.25
_NEVER = float("inf")


class UpstreamConnection(ResponseHandler):
    """aiohttp's connection, with three gaps closed that hostile bytes get through (measured with 3.14)."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.deadline = _NEVER  # loop time; until when the next bytes must be there
        self.idle_since = 0.0

    @property
    def usable(self) -> bool:
        """Whether another call may use it."""
        transport = self.transport
        return (
            transport is not None
            and not transport.is_closing()
            and not self.should_close
            and not transport.get_write_buffer_size()
        )

    def send(self, head: bytes, body: bytes) -> None:
        """Send a call. Raises ConnectionError if the connection was lost."""
        if self.transport is None:
            raise ConnectionResetError("lost before it was used")
        self.set_response_params(
            auto_decompress=False,
            read_until_eof=True,
            read_bufsize=READ_BYTES,
            max_line_size=_MAX_LINE_BYTES,
            max_field_size=_MAX_LINE_BYTES,
        )
        self.transport.write(head + body)

    def expect_within(self, seconds: float) -> None:
        """Start to wait for the next bytes."""
        self.deadline = self._loop.time() + seconds

    def expect_nothing(self) -> None:
        """Stop waiting: what we hold back ourselves does not count."""
        self.deadline = _NEVER

    def expire(self) -> None:
        """Fail whoever waits."""
        self.deadline = _NEVER
        self._on_read_timeout()

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """Fail the body as well: whoever reads it would wait for ever for what follows a malformed chunk."""
        body = self._payload
        super().set_exception(exc, *(() if exc_cause is None else (exc_cause,)))
        if body is not None and not body.is_eof() and body.exception() is None:
            known = isinstance(exc, (aiohttp.ClientError, TimeoutError))
            body.set_exception(exc if known else aiohttp.ClientPayloadError("malformed"))


class Pool:
    """The connections to one origin, `most` at once; the last one used is used first, so that the others can rest."""

    def __init__(self, url: URL, most: int, connect_seconds: float) -> None:
        self._url = url
        self._connect_seconds = connect_seconds
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Semaphore(most)
        self._idle: list[UpstreamConnection] = []
        self._busy: set[UpstreamConnection] = set()

    async def take(self, deadline: float) -> UpstreamConnection:
        """Return a connection, to be given back. Raises OSError or TimeoutError if none can be had by `deadline`."""
        if self._room.locked():
            async with asyncio.timeout_at(deadline):
                await self._room.acquire()
        else:
            await self._room.acquire()
        try:
            connection = self._rested()
            if connection is None:
                connection = await self._open()
        except BaseException:
            self._room.release()
            raise
        connection.deadline = deadline
        self._busy.add(connection)
        return connection

    def give(self, connection: UpstreamConnection, *, keep: bool) -> None:
        """Take a connection back; it is used again if its answer was read to the end and all is well with it."""
        self._busy.discard(connection)
        self._room.release()
        connection.expect_nothing()
        if keep and connection.usable:
            connection.idle_since = self._loop.time()
            self._idle.append(connection)
        else:
            connection.abort()

    def sweep(self) -> None:
        """Expire what is overdue and close what has rested too long."""
        now = self._loop.time()
        for connection in self._busy:
            if now > connection.deadline:
                connection.expire()
        kept = []
        for connection in self._idle:
            if connection.usable and now - connection.idle_since < _IDLE_S:
                kept.append(connection)
            else:
                connection.abort()
        self._idle = kept

    def close(self) -> None:
        """Close every connection."""
        for connection in [*self._idle, *self._busy]:
            connection.abort()
        self._idle.clear()

    def _rested(self) -> UpstreamConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.abort()
        return None

    async def _open(self) -> UpstreamConnection:
        host, port = self._url.raw_host or "", self._url.port or 0
        async with asyncio.timeout(self._connect_seconds):
            infos = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            sock = await start_connection(infos, happy_eyeballs_delay=_NEXT_ADDRESS_S, loop=self._loop)
            _, connection = await self._loop.create_connection(
                lambda: UpstreamConnection(self._loop),
                sock=sock,
                ssl=self._tls,
                server_hostname=host if self._tls is not None else None,
            )
        return connection
