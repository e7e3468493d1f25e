"""Ends TLS before a server that speaks none, with whatever certificate it has now.

Servers that watch over each other speak no TLS here: where they meet clients at one port, both are let in.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import Self
from urllib.parse import urlsplit

_PIECE = 65536
_HANDSHAKE = b"\x16"  # how TLS begins, and no command


class TlsFront:
    """Forwards what comes behind TLS on `port` to a host and port, named by a URL; also plain bytes if it `is_open`."""

    def __init__(self, target: str, port: int = 0, *, is_open: bool = False) -> None:
        where = urlsplit(target)
        self._target = (where.hostname, where.port)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.port = port
        self.tried = 0
        self.accepted = 0  # behind TLS
        self._is_open = is_open
        self._links: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._accepting = asyncio.create_task(self._accept())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._accepting.cancel()
        await asyncio.wait([self._accepting])
        self._listener.close()
        for link in self._links:
            link.cancel()
        if self._links:
            await asyncio.wait(self._links)

    async def _accept(self) -> None:
        while True:
            accepted, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            self.tried += 1
            link = asyncio.create_task(self._link(accepted))
            self._links.add(link)
            link.add_done_callback(self._links.discard)

    async def _link(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        context = None if self._is_open and await _first_byte(accepted) != _HANDSHAKE else self.context
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        with contextlib.suppress(OSError):  # a handshake that fails
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, accepted, ssl=context)
            self.accepted += context is not None
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            await self._forward(reader, writer)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = None
        try:
            back, there = await asyncio.open_connection(*self._target)
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, there))
                both.create_task(_pump(back, writer))
        finally:
            for one in (writer, there):
                if one is not None:
                    with contextlib.suppress(OSError):
                        one.transport.abort()


async def _first_byte(accepted: socket.socket) -> bytes:
    """Return the first byte that comes, which stays to be read; empty if none does."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(accepted, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(accepted)
    with contextlib.suppress(OSError):
        return accepted.recv(1, socket.MSG_PEEK)
    return b""


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Forward until the source ends; the sink is then ended too."""
    with contextlib.suppress(OSError):
        while data := await source.read(_PIECE):
            sink.write(data)
            await sink.drain()
    sink.transport.abort()
