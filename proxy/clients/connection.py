"""One client's connection: aiohttp's parser with deadlines and answers of our own.

Laws:
- Every answer is HTTP/1.1, carries our own headers only, and head and body go to the transport in one write.
- A connection whose framing was doubtful, or whose body was not read to its end, is closed after the answer.
- No close takes an answer back: our side ends first, and what the client still sends is read over for a while.

aiohttp gives a server no receive deadlines, answers parse errors as plain-text HTTP/1.0 and builds a response in some
25 microseconds; so its protocol class is subclassed here, on top of `http_handler`, with its internals in view.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol, cast

from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestPayloadError, _ErrInfo
from aiohttp.web_request import BaseRequest

from proxy.clients.answers import STREAM, Answer, Reply
from proxy.clients.http_handler import Framed
from proxy.clients.peer import place_of, plain_address
from proxy.errors import RequestTimeout

_MAX_LINE_BYTES = 8190
_MAX_HEADERS = 128
# The longest incomplete head: the parser's own limits would let each connection keep a megabyte.
MAX_HEAD_BYTES = 65_536
# How long the rest of a body that nobody wanted is awaited, so that the connection can serve another request.
_READ_OVER_S = 1.0
# Bounds on what is read over while a client goes on sending after its last answer: a time, the longest rest, and bytes.
# One that was too slow before gets only the time of one rest.
_LINGER_S = 30.0
_LINGER_REST_S = 2.0
_LINGER_BYTES = 128 << 20
# How much a slow client may leave untaken before writing to it pauses: a part of what a stream may hold.
_WAITING_BYTES = 16_384


class Deadlines(NamedTuple):
    """Seconds a client may take: for a request's head, for its body (plus one for every `body_bytes_per_second` of
    it), between requests, and to take what was written to it.
    """

    header: float
    body: float
    body_bytes_per_second: int
    idle: float
    write_stall: float


class Owner(Protocol):
    """Handles the requests of its connections, and counts the connections."""

    handler: Callable[[BaseRequest], Awaitable[Reply]]
    on_error: Callable[[Connection, int, BaseException | None], Answer]

    def admit(self, connection: Connection) -> bool:
        """Count a connection in, unless there is no room for it."""
        ...

    def forget(self, connection: Connection) -> None:
        """Count a connection out."""
        ...


class Connection(Framed):
    """One client connection."""

    __slots__ = (
        "_head_bytes",
        "_linger_end",
        "_lingering",
        "_owner",
        "_read_over_bytes",
        "_slow",
        "body_deadline",
        "bytes_received",
        "header_since",
        "held_bytes",
        "held_since",
        "peer",
        "place",
        "stalled_since",
        "tenant",
        "unsent",
        "wire",
    )

    def __init__(self, owner: Owner, keepalive_timeout: float) -> None:
        super().__init__(
            owner,  # every one is a Server of aiohttp
            loop=asyncio.get_running_loop(),
            auto_decompress=False,
            access_log=None,  # turns it off, as aiohttp's own runner does
            keepalive_timeout=keepalive_timeout,
            max_line_size=_MAX_LINE_BYTES,
            max_field_size=_MAX_LINE_BYTES,
            max_headers=_MAX_HEADERS,
        )
        self._owner = owner
        self.wire: asyncio.Transport | None = None  # aiohttp forgets the transport once it has asked for its end
        self.peer = self.place = ""
        self.tenant = ""  # of the last exchange that was accepted here
        self._head_bytes = 0  # of the head that is not complete yet
        self._lingering: asyncio.Timeout | None = None  # ends when the client has rested for too long
        self._linger_end = 0.0
        self._read_over_bytes = 0
        self._slow = False  # its body was overdue
        self.bytes_received = 0
        self.header_since: float | None = None  # when the first byte of a head was awaited
        self.body_deadline: float | None = None  # when the body that is being read must be complete
        self.stalled_since: float | None = None  # since when the client takes nothing; a partial take moves it on
        self.unsent = 0  # how many bytes it had not taken at the last look
        self.held_bytes = 0  # bytes that were not taken at once; all count until the last of them is taken
        self.held_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take or refuse a new connection."""
        address = transport.get_extra_info("peername")
        self.peer = plain_address(address[0]) if isinstance(address, tuple) else "local"
        self.place = place_of(self.peer)
        if not self._owner.admit(self):
            transport.abort()  # type: ignore[attr-defined]  # every transport of a stream server has it
            return
        super().connection_made(transport)
        self.wire = cast(asyncio.Transport, transport)
        self.wire.set_write_buffer_limits(high=_WAITING_BYTES)
        self.header_since = self._loop.time()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection; aiohttp cancels its handler."""
        self._owner.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; a head that is not complete has a deadline from its first byte on, and a largest size."""
        if self._lingering is not None:
            self._read_past(len(data), self._lingering)
            return
        self.bytes_received += len(data)
        super().data_received(data)
        if not self.idle:
            self._head_bytes = 0
            return
        self._head_bytes += len(data)
        if self.header_since is None:
            self.header_since = self._loop.time()
        if self._head_bytes > MAX_HEAD_BYTES and self._waiter is not None and not self._waiter.done():
            self._messages.append((_ErrInfo(431, LineTooLong(b"", MAX_HEAD_BYTES), ""), EMPTY_PAYLOAD))
            self._waiter.set_result(None)

    def pause_writing(self) -> None:
        """Start the write-stall deadline."""
        super().pause_writing()
        self.stalled_since = self.held_since = self._loop.time()

    def resume_writing(self) -> None:
        """Stop the write-stall deadline."""
        self.stalled_since, self.held_bytes = None, 0
        super().resume_writing()

    async def start(self) -> None:
        """Answer one request after the other, all in this task, until either side ends the connection.

        aiohttp's own loop makes a task, a writer and a response for each request; its contracts are kept: `_waiter` is
        there while the next request is awaited, `_current_request` while one is answered.
        """
        try:
            while self._keepalive and not self._force_close:
                if not self._messages:
                    await self._next_message()
                await self._answer_one(*self._messages.popleft())
            await self._linger()
        except ConnectionError:
            pass  # the client has left: there is nobody to answer, and nothing of ours went wrong
        except asyncio.CancelledError:
            self.force_close()  # not raised again: the task would keep the error, its frames, and so this connection
        finally:
            self._task_handler = None
            if self.transport is not None:
                self.transport.close()

    async def _next_message(self) -> None:
        self._waiter = self._loop.create_future()
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _process_keepalive(self) -> None:
        """Close a connection that has idled too long, unless the next head has begun: that has its own deadline."""
        if self.header_since is not None and self.bytes_received:
            self._keepalive_handle = None
        else:
            super()._process_keepalive()

    async def _answer_one(self, message: RawRequestMessage | _ErrInfo, body: StreamReader) -> None:
        """Answer a request; answer in our own words what aiohttp's parser refused or a handler failed at."""
        self._message_taken()
        reply: Reply
        if isinstance(message, _ErrInfo):
            reply = self._owner.on_error(self, message.status, message.exc)
        else:
            task = self._task_handler or asyncio.current_task()
            request = BaseRequest(message, body, self, None, task, self._loop)  # type: ignore[arg-type]  # no writer
            self._current_request = request
            try:
                reply = await self._owner.handler(request)
            except ConnectionError:
                raise
            except Exception as error:  # whatever it is, the client gets an answer
                reply = self._owner.on_error(self, 500, error)
                if STREAM in request and request[STREAM].begun:
                    raise ConnectionAbortedError("a second head would be read as more of the stream") from error
            finally:
                self._current_request = None
        await reply.finish(self)
        if not reply.keep_alive:
            self._keepalive = False
        elif not body.is_eof():
            await self._read_over(body)

    def _message_taken(self) -> None:
        self.header_since = None
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()

    async def _read_over(self, body: StreamReader) -> None:
        """Take the rest of a body that nobody wanted, for a moment: behind it there may be another request."""
        with contextlib.suppress(TimeoutError, RequestTimeout, RequestPayloadError):
            async with asyncio.timeout(_READ_OVER_S):
                while await body.readany():
                    pass
        if not body.is_eof():
            self._keepalive = False

    async def _linger(self) -> None:
        """End our side, and read over what the client still sends until it ends its own (RFC 9112, section 9.6).

        If a socket is closed with something unread, the kernel sends a reset, and the client loses what it has not read
        yet.
        """
        if self.wire is None or self.wire.is_closing():
            return
        self._messages.clear()
        self._linger_end = self._loop.time() + (_LINGER_REST_S if self._slow else _LINGER_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_REST_S) as self._lingering:
                self.wire.write_eof()
                self.wire.resume_reading()
                await self._loop.create_future()  # the client's end cancels this task

    def _read_past(self, size: int, lingering: asyncio.Timeout) -> None:
        self._read_over_bytes += size
        if self._read_over_bytes > _LINGER_BYTES:
            self.abort()
        elif not lingering.expired():
            lingering.reschedule(min(self._linger_end, self._loop.time() + _LINGER_REST_S))

    def close(self) -> None:
        """End the connection after the answer that is due; aiohttp's `close` would drop the rest of that request."""
        self._keepalive = False
        if self._waiter is not None:
            self._waiter.cancel()

    def cut(self) -> None:
        """End what is overdue: who awaits a body gets an error to answer with; anything else ends without a word."""
        if self.body_deadline is not None and self._current_request is not None:
            self.body_deadline, self._slow = None, True
            self._current_request.content.set_exception(RequestTimeout("The request body took too long."))
        else:
            self.abort()

    def abort(self) -> None:
        """End the connection, whatever is still to be written."""
        self.held_bytes = 0
        if self.wire is not None:
            self.wire.abort()

    @property
    def idle(self) -> bool:
        """Whether the next request is awaited: none is being answered, waits for its turn or has its body read over."""
        return self._waiter is not None and not self._messages
