"""A byte client for HTTP/1.1 that sends what it is told and reads what is there.

Laws: nothing is repaired or normalised; every wait has a deadline; bytes that came before a reset are not lost with it.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Concatenate, NamedTuple, ParamSpec, Self, TypeVar

PIECE = 65536
Headers = list[tuple[str, str]]
P = ParamSpec("P")
T = TypeVar("T")
W = TypeVar("W", bound="Wire")


class BrokenError(EOFError):
    """The other side ended before what was asked for was there; `reset` tells an RST from an orderly end."""

    def __init__(self, what: str, received: bytes, *, reset: bool) -> None:
        super().__init__(f"{what}, after {received!r}")
        self.received = received
        self.reset = reset


class MalformedError(ValueError):
    """What came is no HTTP/1.1 message with one clear length."""


class Head(NamedTuple):
    """A start line and header pairs; `raw` are their exact bytes, the empty line included."""

    raw: bytes
    start: str
    headers: Headers

    @property
    def status(self) -> int:
        return int(self.start.split(" ", 2)[1])

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """Return the only value of a header; two of them are MalformedError."""
        values = self.all(name)
        if len(values) > 1:
            raise MalformedError(f"{len(values)} values of {name}: {values}")
        return values[0] if values else None


class Response(NamedTuple):
    """One whole answer; `raw` are all its bytes, `chunks` its body as framed (one piece if it was not chunked)."""

    head: Head
    chunks: list[bytes]
    raw: bytes

    @property
    def status(self) -> int:
        return self.head.status

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    def header(self, name: str) -> str | None:
        return self.head.header(name)

    def json(self) -> Any:
        return json.loads(self.body)


def _bounded(
    step: Callable[Concatenate[W, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[W, P], Coroutine[Any, Any, T]]:
    async def bounded(wire: W, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            async with asyncio.timeout(wire.within):
                return await step(wire, *args, **kwargs)
        except TimeoutError:
            unread = bytes(wire.received[wire.taken :])
            raise TimeoutError(f"{step.__name__} is not done after {wire.within} s, with {unread!r}") from None

    return bounded


class Wire:
    """One connected socket: the bytes as they are, each call bounded by `within` seconds (None: not at all).

    `received` keeps every byte that came, `taken` says how many of them were read by somebody.
    """

    def __init__(self, sock: socket.socket, within: float | None) -> None:
        self.sock = sock
        self.within = within
        self.received = bytearray()
        self.taken = 0
        self._ended = False

    @_bounded
    async def send(self, data: bytes, *, pieces_of: int | None = None, rest_s: float = 0.0) -> None:
        """Send everything, in TCP segments of `pieces_of` bytes if that is given, with a rest behind each."""
        loop = asyncio.get_running_loop()
        for start in range(0, len(data), pieces_of or max(len(data), 1)):
            await loop.sock_sendall(self.sock, data[start : start + (pieces_of or len(data))])
            if pieces_of is not None:
                await asyncio.sleep(rest_s)  # lets a peer, in this loop at least, read the piece on its own

    @_bounded
    async def exactly(self, count: int) -> bytes:
        while len(self.received) - self.taken < count:
            await self._more(f"the end came before {count} bytes")
        return self._take(self.taken + count)

    @_bounded
    async def until(self, mark: bytes) -> bytes:
        """Read up to the first `mark`, which is part of what is returned."""
        seen = 0  # of what nobody took yet; the rest may be forgotten meanwhile
        while (found := self.received.find(mark, self.taken + seen)) < 0:
            seen = max(0, len(self.received) - self.taken - len(mark) + 1)
            await self._more(f"the end came before {mark!r}")
        return self._take(found + len(mark))

    @_bounded
    async def to_end(self) -> bytes:
        """Read until the other side ends in order; a reset is BrokenError, with the bytes before it in `received`."""
        while await self._receive():
            pass
        return self._take(len(self.received))

    @_bounded
    async def head(self) -> Head:
        raw = await self.until(b"\r\n\r\n")
        start, *lines = raw[:-4].decode("latin-1").split("\r\n")
        headers: Headers = []
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or name != name.strip():
                raise MalformedError(f"no header line: {line!r}")
            headers.append((name, value.strip(" \t")))
        return Head(raw, start, headers)

    @_bounded
    async def chunk(self) -> bytes:
        """Read one chunk of a chunked body; the last one is empty, and its trailer lines are read over."""
        size = (await self.until(b"\r\n"))[:-2]
        if not size or not set(size) <= set(b"0123456789abcdefABCDEF"):
            raise MalformedError(f"no chunk size: {size!r}")
        if count := int(size, 16):
            data = await self.exactly(count)
            if await self.exactly(2) != b"\r\n":
                raise MalformedError("a chunk is longer than its size")
            return data
        while await self.until(b"\r\n") != b"\r\n":
            pass
        return b""

    @_bounded
    async def body(self, head: Head, *, to_end: bool) -> list[bytes]:
        """Read the body that `head` announces; `to_end` says what it means if it announces none."""
        coding, length = head.header("transfer-encoding"), head.header("content-length")
        if coding is not None:
            if coding.lower() != "chunked" or length is not None:
                raise MalformedError(f"unclear length: {head.headers}")
            chunks = []
            while data := await self.chunk():
                chunks.append(data)
            return chunks
        if length is not None:
            if not (length.isascii() and length.isdigit()):
                raise MalformedError(f"no length: {length!r}")
            return [await self.exactly(int(length))]
        return [await self.to_end()] if to_end else []

    def forget(self) -> None:
        """Let go of the bytes that somebody read."""
        del self.received[: self.taken]
        self.taken = 0

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End with an RST; a Unix socket knows none and simply closes."""
        with suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()

    def _take(self, end: int) -> bytes:
        data = bytes(self.received[self.taken : end])
        self.taken = end
        return data

    async def _more(self, complaint: str) -> None:
        if not await self._receive():
            raise BrokenError(complaint, bytes(self.received[self.taken :]), reset=False)

    async def _receive(self) -> bool:
        if self._ended:
            return False
        try:
            data = await asyncio.get_running_loop().sock_recv(self.sock, PIECE)
        except ConnectionError as error:
            self._ended = True
            raise BrokenError("a reset came", bytes(self.received[self.taken :]), reset=True) from error
        self.received += data
        self._ended = not data
        return not self._ended


class RawClient(Wire):
    """The client's end; an asynchronous context manager that closes it."""

    @classmethod
    async def connect(cls, where: int | Path, *, within: float = 5.0) -> Self:
        """Connect to a port of 127.0.0.1, or to a Unix socket."""
        unix = isinstance(where, Path)
        sock = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        try:
            sock.setblocking(False)
            address = str(where) if unix else ("127.0.0.1", where)
            async with asyncio.timeout(within):
                await asyncio.get_running_loop().sock_connect(sock, address)
            if not unix:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            sock.close()
            raise
        return cls(sock, within)

    @_bounded
    async def response(self, *, to_head_request: bool = False) -> Response:
        """Read one answer, an interim one (1xx) too; those have no body, as 204, 304 and answers to HEAD."""
        start = self.taken
        head = await self.head()
        bodiless = to_head_request or head.status < 200 or head.status in {204, 304}
        chunks = [] if bodiless else await self.body(head, to_end=True)
        return Response(head, chunks, bytes(self.received[start : self.taken]))

    async def ask(self, request: bytes) -> Response:
        await self.send(request)
        return await self.response()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


def request(method: str, target: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b"") -> bytes:
    """Write a request with these header lines and no other; nothing is checked or added."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body


def post(path: str, document: Any, headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """Write an ordinary JSON POST: Host, Content-Type and Content-Length, then `headers`."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    usual = [("Host", "127.0.0.1"), ("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    return request("POST", path, [*usual, *headers], body)


def get(path: str, headers: Sequence[tuple[str, str]] = ()) -> bytes:
    return request("GET", path, [("Host", "127.0.0.1"), *headers])


def chunk(data: bytes) -> bytes:
    """Frame one chunk of a chunked body; an empty one ends it."""
    return b"%x\r\n%b\r\n" % (len(data), data)
