"""The listener's deadlines on real sockets: what a client does not take ends its connection, however little it is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop
from aiohttp import web

from proxy.answers import AnswerWriter, Reply
from proxy.clock import SystemClock
from proxy.listener import Caps, Deadlines, Listener, Refused
from tests.rig.raw_client import RawClient, get

DEADLINES = Deadlines(header=60, body=60, body_bytes_per_second=1024, idle=0.1, write_stall=0.1)
Handler = Callable[[web.BaseRequest], Awaitable[Reply]]


@asynccontextmanager
async def listening(handler: Handler) -> AsyncIterator[tuple[Listener, int, list[Refused]]]:
    refused: list[Refused] = []
    writer = AnswerWriter(SystemClock())
    listener = Listener(
        handler,
        on_error=lambda _connection, status, _error: writer.whole(None, status, "text/plain", b"", {}),
        on_refused=refused.append,
        deadlines=DEADLINES,
        caps=Caps(10, 10),
    )
    server = await asyncio.get_running_loop().create_server(listener, "127.0.0.1", 0)
    sweep = asyncio.create_task(listener.sweep())
    try:
        yield listener, server.sockets[0].getsockname()[1], refused
    finally:
        sweep.cancel()
        listener.abort_all()
        server.close()


async def _hold_back(*, close: bool) -> list[str]:
    """Ask for 40 kB and read none of them; return why the connection was ended."""
    writer = AnswerWriter(SystemClock())

    async def handler(request: web.BaseRequest) -> Reply:
        assert request.transport is not None
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return writer.whole(request, 200, "text/plain", bytes(40_000), {}, close=close)

    async with listening(handler) as (listener, port, refused):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        async with RawClient(sock, 5.0) as client, asyncio.timeout(6):
            await client.send(get("/"))
            await client.until(b"HTTP/1.1 200")
            assert len(listener) == 1
            while len(listener):
                await asyncio.sleep(0.05)
    return [why.reason for why in refused]


@pytest.mark.parametrize("close", [True, False])
def test_a_rest_too_small_to_pause_for_does_not_hold_a_connection_open(*, close: bool) -> None:
    """40 kB fit into the transport's buffer, but not into the kernel's, which an idle client keeps full."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(_hold_back(close=close)) == ["slow_write_stall"]
