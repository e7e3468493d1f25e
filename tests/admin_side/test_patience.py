"""Connections that never finish a request, or never take an answer, are cut; those at work are left alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
from aiohttp import web

from proxy.admin_side.patience import cut_the_slow
from tests.rig.raw_client import BrokenError, RawClient, request

HOST = ("Host", "localhost")
PATIENCE_S = 0.2


@asynccontextmanager
async def served(release: asyncio.Event, most: int = 100, patience_s: float = PATIENCE_S) -> AsyncIterator[int]:
    async def slow(asked: web.Request) -> web.Response:
        await asked.read()
        await release.wait()
        return web.Response(text="done")

    async def large(_: web.Request) -> web.Response:
        return web.Response(body=bytes(64 << 20))

    app = web.Application()
    app.router.add_post("/slow", slow)
    app.router.add_get("/large", large)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    cutting = asyncio.create_task(cut_the_slow(runner.server, patience_s, most))
    try:
        yield runner.addresses[0][1]
    finally:
        cutting.cancel()
        await runner.cleanup()


SLOW = {
    "not a byte": b"",
    "half a head": b"GET / HTTP/1.1\r\nHo",
    "half a body": request("POST", "/slow", [HOST, ("Content-Length", "9")], b"abc"),
    "chunks without an end": request("POST", "/slow", [HOST, ("Transfer-Encoding", "chunked")], b"1\r\na\r\n"),
    "an answer that is not taken": request("GET", "/large", [HOST]),
}


@pytest.mark.parametrize("what", SLOW)
async def test_what_holds_a_connection_up_is_cut(what: str) -> None:
    """D-03, D-04, for the admin side."""
    async with served(asyncio.Event()) as port, await RawClient.connect(port) as client:
        await client.send(SLOW[what])
        if what == "an answer that is not taken":
            await asyncio.sleep(5 * PATIENCE_S)  # it is not taken, and nothing else shows that time has passed
        with suppress(BrokenError):
            received = await client.to_end()
            assert len(received) < 64 << 20


async def test_a_request_that_takes_long_is_answered() -> None:
    release = asyncio.Event()
    async with served(release) as port, await RawClient.connect(port) as client:
        await client.send(request("POST", "/slow", [HOST, ("Content-Length", "3")], b"abc"))
        asyncio.get_running_loop().call_later(5 * PATIENCE_S, release.set)
        assert (await client.response()).body == b"done"


async def test_of_too_many_that_wait_the_first_are_cut() -> None:
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(served(asyncio.Event(), most=3, patience_s=60))
        clients = [await stack.enter_async_context(await RawClient.connect(port)) for _ in range(9)]
        for client in clients[:6]:
            with suppress(BrokenError):
                assert await client.to_end() == b""
