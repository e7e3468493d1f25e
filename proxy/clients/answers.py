"""What goes back to a client, as bytes: a whole answer in one write, or a stream of pieces.

Laws: the version is always HTTP/1.1; only headers that are named here or passed in are sent; a header value with
anything but visible characters and spaces is never sent.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Protocol

from aiohttp.helpers import RequestKey
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

from proxy.clock import Clock

VIA = "1.1 stillgate"
_SAFE_VALUE = re.compile(r"[\x20-\x7e]*")
_REASONS = {status.value: status.phrase for status in HTTPStatus} | {529: "Overloaded"}


class Reply(Protocol):
    """What a handler returns: bytes to be written, in part perhaps already."""

    keep_alive: bool  # whether the connection may serve another request

    def finish(self, connection: RequestHandler) -> Awaitable[None]:
        """Write what is left. Raises ConnectionResetError if the client has left."""
        ...


class Answer:
    """A whole answer, head and body."""

    __slots__ = ("_bytes", "keep_alive")

    def __init__(self, content: bytes, *, keep: bool) -> None:
        self._bytes = content
        self.keep_alive = keep

    def __bytes__(self) -> bytes:
        return self._bytes

    def finish(self, connection: RequestHandler) -> Awaitable[None]:
        """Write everything at once."""
        return _write(connection, self._bytes)


class Stream:
    """An answer whose length nobody knows yet; to an HTTP/1.0 client it ends with the connection."""

    __slots__ = ("_chunked", "_connection", "_head", "begun", "keep_alive")

    def __init__(self, request: BaseRequest, head: bytes, *, keep: bool) -> None:
        request[STREAM] = self
        self._connection = request.protocol
        self._head = head
        self._chunked = request.version >= (1, 1)
        self.keep_alive = keep
        self.begun = False

    async def send(self, data: bytes) -> None:
        """Write one piece, the head before the first, and wait while the client is behind."""
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        if not self.begun:
            self.begun = True
            data = self._head + data
        if data:
            await _write(self._connection, data)

    def finish(self, connection: RequestHandler) -> Awaitable[None]:
        """Write the end of the body."""
        end = b"0\r\n\r\n" if self._chunked else b""
        if not self.begun:
            self.begun = True
            end = self._head + end
        return _write(connection, end)


STREAM = RequestKey("stream", Stream)  # of a request: the answer that may have begun already


class AnswerWriter:
    """Makes answers; one per process, since it keeps the lines with the date for a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = -1
        self._date = ""  # the lines that change once a second or never

    def whole(
        self,
        request: BaseRequest | None,
        status: int,
        content_type: str,
        body: bytes,
        headers: Mapping[str, str],
        lines: str = "",
        *,
        close: bool = False,
    ) -> Answer:
        """Return an answer with a known body; with `close`, or without a readable request, the connection ends.

        `lines` are further headers as they stand on the wire, of our own words and numbers alone.
        An answer to HEAD says how long the body would be and leaves it out.
        """
        keep = request is not None and not close and _may_keep(request)
        head = self._head(status, content_type, headers, f"content-length: {len(body)}", lines, keep=keep)
        bodiless = request is not None and request.method == "HEAD"
        return Answer(head if bodiless else head + body, keep=keep)

    def stream(
        self, request: BaseRequest, status: int, content_type: str, headers: Mapping[str, str], lines: str = ""
    ) -> Stream:
        """Return an answer to be sent piece by piece; `lines` as above."""
        chunked = request.version >= (1, 1)
        keep = _may_keep(request)
        framing = "transfer-encoding: chunked" if chunked else "x-accel-buffering: no"
        return Stream(request, self._head(status, content_type, headers, framing, lines, keep=keep), keep=keep)

    def _head(
        self, status: int, content_type: str, headers: Mapping[str, str], framing: str, lines: str, *, keep: bool
    ) -> bytes:
        second = int(self._clock.wall())
        if second != self._second:
            self._second = second
            self._date = f"via: {VIA}\r\ndate: {formatdate(second, usegmt=True)}\r\n"
        more = ""
        if headers:
            more = "".join([f"{name}: {value}\r\n" for name, value in headers.items() if _SAFE_VALUE.fullmatch(value)])
        end = "\r\n" if keep else "connection: close\r\n\r\n"
        reason = _REASONS.get(status, "")
        head = (
            f"HTTP/1.1 {status} {reason}\r\ncontent-type: {content_type}\r\n{framing}\r\n{more}{lines}{self._date}{end}"
        )
        return head.encode("ascii")


def _may_keep(request: BaseRequest) -> bool:
    """Tell whether a connection may serve another request.

    Not behind an `Upgrade`, where aiohttp's parser loses bytes; not for HTTP/1.0, whose clients would have to be told
    that the connection stays; and not at a stop, which would lose the next request.
    """
    if not request.protocol._keepalive:  # noqa: SLF001 - aiohttp's only word for it
        return False
    return request.keep_alive and request.version >= (1, 1) and "Upgrade" not in request.headers


async def hold(connection: RequestHandler, size: int, seconds: float) -> None:
    """Wait before an answer is written; meanwhile its `size` in bytes counts as waiting for the client to take it."""
    loop = asyncio.get_running_loop()
    connection.held_bytes, connection.held_since = size, loop.time()  # type: ignore[attr-defined]  # they are our own
    try:
        await asyncio.sleep(seconds)
    finally:
        connection.held_bytes = 0  # type: ignore[attr-defined]  # as above


async def _write(connection: RequestHandler, data: bytes) -> None:
    """Give bytes to the transport and wait while its buffer is full. Raises ConnectionResetError if it is gone."""
    transport = connection.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client has left")
    transport.write(data)
    if connection.writing_paused:
        connection.held_bytes += len(data)  # type: ignore[attr-defined]  # it is our own
        await connection._drain_helper()  # noqa: SLF001 - aiohttp's only way to wait for its write buffer
