"""The way in: a request's body, read once and strictly, into what is judged and what will be sent."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from aiohttp import web

from proxy.dialects.base import Dialect
from proxy.errors import BadRequest, TooLarge, Unavailable
from proxy.exchange import Call, text_bytes
from proxy.fields import Value
from proxy.framing import check_body_headers
from proxy.listener import Connection, Deadlines

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# Larger bodies are read in a thread: text takes about 4 microseconds a kilobyte, and each value up to one of its own.
_OFF_LOOP_BYTES = 131_072
_OFF_LOOP_VALUES = 1_000
# Few enough bytes that counting their values is not worth it.
_FEW_BYTES = 4_096
# Of all bodies that are still on their way: beyond it, more of them are refused before they take all memory.
_ARRIVING_BYTES = 256 << 20
# In smaller bodies nearly everything is text; in larger ones there may be images, which are no tokens by the byte.
_TEXT_ONLY_BYTES = 16_384


class Intake(NamedTuple):
    """A call, the bytes to send for it, and the facts about it."""

    call: Call
    received: int  # bytes
    sent: bytes
    text_bytes: int
    fields: dict[str, Value]


class Reader:
    """Reads bodies of up to `body_bytes`, each within its deadline."""

    def __init__(self, deadlines: Deadlines, body_bytes: int) -> None:
        self._deadlines = deadlines
        self._body_bytes = body_bytes
        self._arriving = 0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="read")

    async def read(self, request: web.BaseRequest, dialect: Dialect) -> Intake:
        """Return what the client asks for. Raises BadRequest and its like, RequestTimeout, TooLarge."""
        check_body_headers(request)
        if (request.content_length or 0) > self._body_bytes:
            raise TooLarge("The request body is too large.")
        if "Expect" in request.headers and request.version >= (1, 1) and request.transport is not None:
            request.transport.write(_CONTINUE)
        try:
            body = await self.read_body(request)
        except web.RequestPayloadError:
            raise BadRequest("The request body ended early or was badly framed.") from None
        if body is None:
            raise TooLarge("The request body is too large.")
        if len(body) < _FEW_BYTES or (len(body) < _OFF_LOOP_BYTES and body.count(b",") < _OFF_LOOP_VALUES):
            return understand(dialect, body)
        return await asyncio.get_running_loop().run_in_executor(self._thread, understand, dialect, body)

    async def read_body(self, request: web.BaseRequest) -> bytes | None:
        """Return the request's body, or None if it is too long.

        Raises RequestTimeout when the client is slower than the body deadline, which the listener's sweep watches, and
        Unavailable when too much is on its way already.
        """
        content = request.content
        connection = request.protocol
        if content.is_eof() or not isinstance(connection, Connection):
            body = content.read_nowait() if content.is_eof() else await content.read()
            return body if len(body) <= self._body_bytes else None
        clock = asyncio.get_running_loop().time
        most = self._deadlines.body
        connection.body_deadline = clock() + most
        parts: list[bytes] = []
        size = 0
        try:
            while part := await content.readany():
                size += len(part)
                self._arriving += len(part)
                if size > self._body_bytes:
                    return None
                if self._arriving > _ARRIVING_BYTES:
                    raise Unavailable("Too many large requests are arriving.", code="overloaded", retry_after=1)
                parts.append(part)
                # A byte buys time, but none is saved up: who sent ten megabytes at once may not rest for hours.
                bought = len(part) / self._deadlines.body_bytes_per_second
                connection.body_deadline = min(connection.body_deadline + bought, clock() + most)
            return b"".join(parts)
        finally:
            self._arriving -= size
            connection.body_deadline = None

    def close(self) -> None:
        """End the reading thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def understand(dialect: Dialect, body: bytes) -> Intake:
    """Read a body, serialise it again and note its facts; needs no event loop."""
    call = dialect.read(body)
    size = len(body)
    if size > _TEXT_ONLY_BYTES:
        size = sum(text_bytes(text) for _, _, text in dialect.texts(call))
    messages, tools = call.body.get("messages"), call.body.get("tools")
    fields: dict[str, Value] = {
        "request.model": call.model,
        "request.stream": call.stream,
        "request.choices": call.choices,
        "request.max_output_tokens": call.max_output_tokens or 0,
        "request.text_bytes": size,
        "request.tools": len(tools) if isinstance(tools, list) else 0,
        "request.turns": len(messages) if isinstance(messages, list) else 0,
    }
    return Intake(call, len(body), dialect.write(call), size, fields)
