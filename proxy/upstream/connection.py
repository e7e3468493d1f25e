"""One connection to a model API: a call goes out, its answer comes in, parsed by httptools.

Laws:
- A connection on which more came than the answer is not used again: the rest would pass for the next answer.
- Nothing waits for ever: whoever waits for bytes has a deadline, and the pool's sweep calls `expire`.
- What nobody takes is not read from the socket either, beyond `READ_BYTES`; nor is more read while that is passed on.
- Bytes that are no HTTP, or framing that another parser could read differently, fail an answer whose head was not taken
  yet, or else what is missing of its body.

aiohttp's client builds some hundred objects for a call and its reader three for each piece of a body, which together
cost more than all other work of an exchange; httptools parses with the same llhttp.
"""

from __future__ import annotations

import asyncio
import re
import select
from typing import Any, NamedTuple, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from proxy.clients.unsent import unsent

# Most bytes without one of a body: every model API's heads, trailers and chunk extensions are smaller.
_MAX_BARE_BYTES = 65_536
# How much of a body may wait to be taken before nothing more is read from the socket.
READ_BYTES = 16_384
_LONG_CALL_BYTES = 65_536  # more than a loop buffers for a full socket before it pauses writers
_READ_MORE_BYTES = 32_768  # of one read at most; left to itself, a loop reads 256 kB at once
_SWITCHING_PROTOCOLS = 101
_INTERIM, _FINAL, _ERRORS = 100, 200, 400  # codes between the first two announce another head
_WITHOUT_BODY = (204, 304)
_NEVER = float("inf")
# How servers tell how long they keep an idle connection (RFC 2068, section 19.7.1.1).
_KEPT_S = re.compile(rb"(?:^|[,;])[ \t]*timeout[ \t]*=[ \t]*([0-9]{1,9})", re.IGNORECASE)


class BrokenAnswer(Exception):
    """What came is no valid answer, or the connection was lost before the answer was whole."""


class AnswerHead(NamedTuple):
    """What is read of an answer's head; texts are empty if their header is missing."""

    status: int
    content_type: str
    content_encoding: str
    retry_after: str = ""
    retry_after_ms: str = ""


class UpstreamConnection(asyncio.BufferedProtocol):
    """One connection; between `send` and the end of the answer it belongs to one exchange."""

    def __init__(self, loop: asyncio.AbstractEventLoop, room: bytearray) -> None:
        """Make one that reads into `room`, which all of a loop can share: what was read is parsed at once."""
        self._room = memoryview(room)
        self.deadline = _NEVER  # loop time by which the next bytes must be there
        self.idle_since = 0.0
        self.kept_seconds = _NEVER  # how long the other side keeps it idle, if it says so
        self.lent_to = ""  # the tenant whose exchange it belongs to
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._arriving = select.poll()
        self._parser = HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        self._error: Exception | None = None
        self._surplus = self._long = False  # more came than one answer; the last call was long
        self._complete = True
        self._begin()

    def _begin(self) -> None:
        self._head: AnswerHead | None = None
        self._head_taken = False
        self._bare_bytes = 0
        self._headers: dict[bytes, bytes] = {}
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0
        self._keep = True

    @property
    def usable(self) -> bool:
        """Whether another call may use it."""
        transport = self._transport
        return (
            self._complete
            and self._keep
            and not self._surplus
            and self._error is None
            and transport is not None
            and not transport.is_closing()
            # The rest of a call that was answered early may never be taken; a short call fits into any kernel's buffer.
            and not (unsent(transport) if self._long else transport.get_write_buffer_size())
        )

    @property
    def untouched(self) -> bool:
        """Whether nothing has arrived that the loop has not read yet: a close, or an answer that nobody asked for."""
        transport: Any = self._transport
        tls = transport.get_extra_info("ssl_object")  # keeps what did not fit `room`, or came while reading was paused
        return not (self._arriving.poll(0) or (tls is not None and (tls.pending() or transport.get_read_buffer_size())))

    @property
    def read_to_end(self) -> bool:
        """Whether all of the answer was taken."""
        return self._complete and not self._pieces

    def send(self, call: bytes) -> None:
        """Send a call. Raises BrokenAnswer if the connection was lost meanwhile, or something came unasked."""
        # Not `usable`: the last bytes of a TLS handshake may be on their way still.
        if self._transport is None or self._surplus or self._error is not None or not self._keep:
            raise BrokenAnswer("lost before it was used")
        self._begin()
        self._complete = False
        self._long = len(call) > _LONG_CALL_BYTES
        if self._long:
            self._transport.write(memoryview(call)[:-1])
            call = call[-1:]  # TLS buffers only behind a full socket: this byte shows it
        self._transport.write(call)

    async def head(self) -> AnswerHead:
        """Return the answer's head once it is there. Raises BrokenAnswer, or TimeoutError after `deadline`."""
        while self._head is None:
            await self._more()
        if self._error is not None:
            raise _again(self._error)
        self._head_taken = True
        self.deadline = _NEVER  # time that we hold the answer back does not count
        return self._head

    async def read(self, within: float = _NEVER) -> bytes:
        """Return what came of the body since the last read, b"" at its end. Raises as `head`, after `within`."""
        if not self._pieces:
            await self._body(within)
        data, self._pieces, self._waiting_bytes = b"".join(self._pieces), [], 0
        if self._complete and self._paused:
            self._read_on()  # surplus bytes must be seen before the next call
        return data

    async def _body(self, within: float) -> None:
        """Wait for a piece of the body, or for its end."""
        if self._paused:
            self._read_on()
        self.deadline = self._loop.time() + within
        try:
            while not self._pieces and not self._complete:
                await self._more()
        finally:
            self.deadline = _NEVER

    def _read_on(self) -> None:
        if self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    async def _more(self) -> None:
        if self._error is not None:
            raise _again(self._error)
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def expire(self) -> None:
        """Fail whoever waits."""
        self.deadline = _NEVER
        self._fail(TimeoutError("nothing came in time"))

    def abort(self) -> None:
        """Close at once, whatever is still on its way."""
        if self._transport is not None:
            self._transport.abort()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own do not inherit from it
        self._arriving.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        if (limit := getattr(transport, "set_read_buffer_limits", None)) is not None:
            # Under TLS uvloop drops what it holds for us once the socket ends, so it must leave that in the socket.
            limit(high=1, low=0)

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Return where to read to."""
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """Parse what came, and wake who waits."""
        self._bare_bytes += nbytes  # `on_body` and the end set this back
        try:
            self._parser.feed_data(self._room[:nbytes])
        except HttpParserUpgrade:
            self._keep = False
        except HttpParserError:
            self._keep = False
            if not (self._complete and self._head_taken):
                self._fail(BrokenAnswer("no valid HTTP"))
            self._wake()  # the last of a body may have come before it
            return
        if self._bare_bytes > _MAX_BARE_BYTES:
            self._fail(BrokenAnswer("too much that is no body"))
            return
        if self._waiting_bytes > READ_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """Close at once: nothing more can come, and a call that is stuck on its way would keep us waiting."""
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the answer: it is whole only if nothing but the end of the connection could end it."""
        self._transport = None
        del self._parser  # nothing comes any more, and the two refer to each other
        if not self._complete:
            endless = b"content-length" not in self._headers and b"transfer-encoding" not in self._headers
            if exc is None and self._head is not None and endless:
                self._complete = True
                self._wake()
            else:
                self._fail(BrokenAnswer("lost before the answer was whole"))

    def _fail(self, error: Exception) -> None:
        if self._error is None:
            self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Note that more comes after a complete answer."""
        self._surplus = self._surplus or self._complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the first of each name; after the head they are trailers, which nobody needs."""
        name = name.lower()
        if self._head is None and self._headers.setdefault(name, value) is not value and name == b"transfer-encoding":
            raise BrokenAnswer("two codings")

    def on_headers_complete(self) -> None:
        """Make the head, unless it is an interim one that announces another."""
        status = self._parser.get_status_code()
        if self._surplus or (_INTERIM <= status < _FINAL and status != _SWITCHING_PROTOCOLS):
            return
        version, get = self._parser.get_http_version(), self._headers.get
        coding = get(b"transfer-encoding")
        if status < _INTERIM or version not in ("1.0", "1.1"):
            raise BrokenAnswer("another version of HTTP, or no status of it")
        if coding is not None and (coding.lower() != b"chunked" or version == "1.0"):
            raise BrokenAnswer("another coding than chunked, or one that the version does not know")
        texts = get(b"content-type", b"").decode("latin-1"), get(b"content-encoding", b"").decode("latin-1")
        waits = ("", "")
        if status >= _ERRORS:
            waits = get(b"retry-after", b"").decode("latin-1"), get(b"retry-after-ms", b"").decode("latin-1")
        self._head = AnswerHead(status, *texts, *waits)

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body until it is taken."""
        if not self._surplus:
            self._bare_bytes = 0
            self._pieces.append(body)
            self._waiting_bytes += len(body)

    def on_message_complete(self) -> None:
        """Note the end of the answer, or forget the headers of an interim head."""
        if self._surplus:
            return
        self._bare_bytes = 0
        if self._head is None:
            if self._pieces:  # only 100 to 103 have none by llhttp
                raise BrokenAnswer("an interim answer with a body")
            self._headers.clear()
            return
        self._complete = True
        # An upstream that announces a body where there is none may send it too, into the next answer.
        announced = self._head.status in _WITHOUT_BODY and (
            b"transfer-encoding" in self._headers or self._headers.get(b"content-length", b"0") != b"0"
        )
        self._keep = self._parser.should_keep_alive() and not announced
        kept = _KEPT_S.search(self._headers.get(b"keep-alive", b""))
        self.kept_seconds = _NEVER if kept is None else float(kept[1])


def read_room() -> bytearray:
    """Return the buffer that connections read into."""
    return bytearray(_READ_MORE_BYTES)


def _again(error: Exception) -> Exception:
    """Return an error to raise in place of a kept one, which would hold on to every frame that it goes through."""
    return type(error)(*error.args)
