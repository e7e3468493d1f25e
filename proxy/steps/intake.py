"""The way in: a request's body, read once and strictly, into what is judged and what will be sent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from aiohttp.web_protocol import RequestPayloadError
from aiohttp.web_request import BaseRequest

from proxy.clients.connection import Connection, Deadlines
from proxy.clients.framing import check_body_headers
from proxy.deciding.decider import Decider
from proxy.dialects.base import Dialect
from proxy.errors import BadRequest, TooLarge, Unavailable
from proxy.exchange import BYTES_PER_TOKEN, Call, Exchange, Text, text_bytes
from proxy.keyed.issued_ids import taken
from proxy.keyed.sealed_reasoning import PREFIX
from proxy.steps.turns import Turns

_TOO_LARGE = "The request body is too large."
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# Larger bodies are read in a thread: text takes about 4 microseconds a kilobyte, and each value up to one more.
_OFF_LOOP_BYTES = 131_072
_OFF_LOOP_VALUES = 1_000
# The limit if detectors read the text: one made of trigger words takes them 4 microseconds a character.
_OFF_LOOP_READ_BYTES = 8_192
# Few enough bytes that counting their values is not worth it.
_FEW_BYTES = 4_096
# How many bytes may be held of all bodies that arrive, wait for the thread or are being answered, and of one account's:
# beyond that, more are refused before they take all memory. A body takes up to five times its length.
_HELD_BYTES = 512 << 20
_HELD_OF_ACCOUNT_BYTES = 128 << 20
# Each chunk of a body costs the parser a microsecond, however small it is, and five bytes around it; beyond `_CRUMBS`
# chunks they have to be `_CRUMB_BYTES` long on average.
_CRUMBS = 131_072
_CRUMB_BYTES = 16
_LEAST_AROUND_CHUNK = 5
# What reading costs, in units of copying a byte: detectors read about so much of a text, each byte at such a cost.
_SCANNED_BYTES = 40_000
_SCANNED_COST = 100
_VALUE_COST = 100
# Prints of longer texts are made where they are read, off the loop; others later, several at a time.
_PRINTED_LATER_BYTES = _OFF_LOOP_READ_BYTES
# In smaller bodies nearly everything is text; larger ones may have images, whose bytes do not tell their tokens.
TEXT_ONLY_BYTES = 16_384
# A body without one of these has no handle: JSON has no other way to write the handle's characters.
_HANDLE, _ESCAPED = PREFIX.encode(), rb"\u00"


class Intake(NamedTuple):
    """A call, the bytes to send for it if nothing changes it, and the sizes that are known of it.

    `flaw` is why the call is refused after it was judged: it returns something that this tenant was never given.
    """

    call: Call
    received: int  # bytes
    sent: bytes
    text_bytes: int
    flaw: BadRequest | None = None


class Reader:
    """Reads bodies of up to `body_bytes`, each within its deadline."""

    def __init__(self, deadlines: Deadlines, body_bytes: int) -> None:
        self._deadlines = deadlines
        self._body_bytes = body_bytes
        self._held = 0
        self._held_by: dict[str, int] = {}  # account
        self._turns = Turns("read")

    async def read(self, request: BaseRequest, dialect: Dialect, exchange: Exchange, decider: Decider) -> Intake:
        """Return what the client asks for, and put its call and fields into the exchange.

        The returned body counts as held until `release`. Raises BadRequest and its like, RequestTimeout, TooLarge.
        """
        check_body_headers(request)
        account, content = exchange.principal.account, request.content
        if (request.content_length or 0) > self._body_bytes:
            raise TooLarge(_TOO_LARGE)
        if "Expect" in request.headers and request.version >= (1, 1) and request.transport is not None:
            request.transport.write(_CONTINUE)
        try:
            if content.is_eof():
                body = content.read_nowait()
            else:
                body = await self.read_body(request, account, dialect.overloaded_status)
        except RequestPayloadError:
            raise BadRequest("The request body ended early or was badly framed.") from None
        if len(body) > self._body_bytes:
            raise TooLarge(_TOO_LARGE)
        self._hold(account, len(body))
        try:
            if len(body) < _FEW_BYTES:
                return understand(dialect, body, exchange, decider)
            return await self._understood(body, dialect, exchange, decider)
        except BaseException:
            self.release(account, len(body))
            raise

    async def _understood(self, body: bytes, dialect: Dialect, exchange: Exchange, decider: Decider) -> Intake:
        """Understand a body, in the thread if it may take too long for the event loop."""
        most = _OFF_LOOP_READ_BYTES if decider.reads_texts else _OFF_LOOP_BYTES
        if len(body) < most and body.count(b",") < _OFF_LOOP_VALUES:
            return understand(dialect, body, exchange, decider)
        cost = len(body) + _SCANNED_COST * min(len(body), _SCANNED_BYTES) + _VALUE_COST * body.count(b",")
        return await self._turns.run(exchange.principal.account, cost, understand, dialect, body, exchange, decider)

    async def read_body(self, request: BaseRequest, account: str, overloaded_status: int) -> bytes:
        """Return the request's body, whose end is yet to come. Raises TooLarge, or BadRequest for too many tiny chunks.

        Raises RequestTimeout when the client is slower than the body deadline, which the listener's sweep watches, and
        Unavailable when too many bytes are on their way already.
        """
        content = request.content
        connection = request.protocol
        if not isinstance(connection, Connection):
            return await content.read()
        clock = asyncio.get_running_loop().time
        most = self._deadlines.body
        connection.body_deadline = clock() + most
        parts: list[bytes] = []
        size = 0
        began = connection.bytes_received
        try:
            while part := await content.readany():
                size += len(part)
                self._hold(account, len(part))
                crumbs = (connection.bytes_received - began - size) // _LEAST_AROUND_CHUNK
                if crumbs > _CRUMBS and size < _CRUMB_BYTES * crumbs:
                    raise BadRequest("The request body comes in too many small chunks.")
                if size > self._body_bytes:
                    raise TooLarge(_TOO_LARGE)
                if self._held > _HELD_BYTES or self._held_by[account] > _HELD_OF_ACCOUNT_BYTES:
                    message = "Too many large requests are arriving."
                    raise Unavailable(message, code="overloaded", status=overloaded_status, retry_after=1)
                parts.append(part)
                # Bytes buy time, but none is saved up: who sent ten megabytes at once may not rest for hours.
                bought = len(part) / self._deadlines.body_bytes_per_second
                connection.body_deadline = min(connection.body_deadline + bought, clock() + most)
            return b"".join(parts)
        finally:
            self.release(account, size)
            connection.body_deadline = None

    def release(self, account: str, size: int) -> None:
        """Count an account's body out: nothing of it is kept any more."""
        self._held -= size
        if left := self._held_by.get(account, 0) - size:
            self._held_by[account] = left
        else:
            self._held_by.pop(account, None)

    def close(self) -> None:
        """End the reading thread."""
        self._turns.close()

    def _hold(self, account: str, size: int) -> None:
        self._held += size
        self._held_by[account] = self._held_by.get(account, 0) + size


def understand(dialect: Dialect, body: bytes, exchange: Exchange, decider: Decider) -> Intake:
    """Read a body, put back what its handles and ids stand for, serialise it, and let the detectors see it.

    Prints are made here if the decision needs them, or if that takes long. Needs no event loop.
    """
    call, flaw = dialect.read(body), None
    given = call
    if _HANDLE in body or _ESCAPED in body:
        sealed = decider.sealed(exchange)
        try:
            call = dialect.put_back(call, sealed)
        except BadRequest as error:
            flaw, exchange.foreign_handle = error, sealed.foreign
    longer = call is not given  # what the model reads is longer than its handle
    if call.kept and flaw is None:
        try:
            call = taken(call, decider.ids(exchange, call.model))
        except BadRequest as error:
            flaw = error
    sent = dialect.write(call)
    size = len(sent if longer else body)
    exchange.call = call
    if size > TEXT_ONLY_BYTES or decider.reads_texts or call.token_ids:
        exchange.texts = list(dialect.texts(call))
    exchange.text_bytes = size = read_bytes(call, size, exchange.texts)
    if (size > _PRINTED_LATER_BYTES or decider.matches_prints) and decider.wants_prints(exchange):
        decider.print_each([exchange])
    decider.inspect(exchange)
    return Intake(call, len(body), sent, size, flaw)


def read_bytes(call: Call, size: int, texts: Sequence[Text]) -> int:
    """Return about how many bytes of text the model reads of a body of `size` bytes with these texts."""
    if size <= TEXT_ONLY_BYTES and not call.token_ids:
        return size
    return sum([text_bytes(text) for _, _, text in texts]) + BYTES_PER_TOKEN * call.token_ids
