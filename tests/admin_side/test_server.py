"""Bytes that are no HTTP on the admin side: a plain answer at once, and not a word of them in the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import orjson
import pytest
from aiohttp import web

from proxy.admin_side import patience
from proxy.admin_side.documents import answer, any_members, problems
from proxy.admin_side.server import Runner
from tests.rig.raw_client import BrokenError, RawClient, request

HOST = ("Host", "localhost")
SECRET = b"a-secret-of-somebody"
CHUNKED = ("Transfer-Encoding", "chunked")
NO_HTTP = {
    "a control character": request("GET", "/echo", [HOST, ("Authorization", SECRET.decode() + "\x01")]),
    "no colon": request("GET", "/echo", [HOST]).replace(b"\r\n\r\n", b"\r\nX-Api-Key " + SECRET + b"\r\n\r\n"),
    "too long a line": request("GET", "/echo?token=" + SECRET.decode() + "a" * 9000, [HOST]),
    "too long a header": request("GET", "/echo", [HOST, ("X-Api-Key", SECRET.decode() + "a" * 9000)]),
    "another protocol": b"GET /echo?token=" + SECRET + b" HTTP/9.9\r\n\r\n",
    "no method": SECRET + b": /\r\n\r\n",
    "two lengths": request("POST", "/echo", [HOST, ("Content-Length", "9"), ("Content-Length", "8")], SECRET),
    "a chunk that is none": request("POST", "/echo", [HOST, CHUNKED], SECRET + b"\r\n"),
}


@asynccontextmanager
async def served(begun: asyncio.Event | None = None) -> AsyncIterator[int]:
    async def echo(asked: web.Request) -> web.Response:
        if begun is not None:
            begun.set()
        return answer(await any_members(asked))

    app = web.Application(middlewares=[problems])
    app.router.add_route("*", "/echo", echo)
    runner = Runner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("what", NO_HTTP)
async def test_what_cannot_be_read_is_answered_and_not_repeated(what: str, caplog: pytest.LogCaptureFixture) -> None:
    async with served() as port, await RawClient.connect(port) as client:
        await client.send(NO_HTTP[what])
        received = await client.to_end()
    head, _, body = received.partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    assert orjson.loads(body)["status"] == 400
    assert SECRET not in received
    assert SECRET.decode() not in caplog.text


async def test_a_body_that_turns_out_to_be_badly_framed_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    begun = asyncio.Event()
    async with served(begun) as port, await RawClient.connect(port) as client:
        await client.send(request("POST", "/echo", [HOST, CHUNKED], b"2\r\n{}\r\n"))
        await begun.wait()
        await client.send(SECRET + b"\r\n")
        received = await client.to_end()
    assert b" 400 " in received.splitlines()[0]
    assert SECRET not in received
    assert SECRET.decode() not in caplog.text


async def test_who_leaves_within_a_body_is_no_failure_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    begun = asyncio.Event()
    async with served(begun) as port:
        async with await RawClient.connect(port) as client:
            await client.send(request("POST", "/echo", [HOST, ("Content-Length", "9")], b"abc"))
            await begun.wait()
    assert "an admin request failed" not in caplog.text


async def test_an_ordinary_request_is_served() -> None:
    async with served() as port, await RawClient.connect(port) as client:
        found = await client.ask(request("POST", "/echo", [HOST, ("Content-Length", "7")], b'{"a":1}'))
    assert (found.status, found.body) == (200, b'{"a":1}')


async def test_half_a_request_does_not_hold_up_the_end() -> None:
    begun = asyncio.Event()
    async with AsyncExitStack() as clients, asyncio.timeout(10):
        async with served(begun) as port:
            for part in (
                b"",
                b"GET / HTTP/1.1\r\nHo",
                request("POST", "/echo", [HOST, ("Content-Length", "9")], b"abc"),
            ):
                await (await clients.enter_async_context(await RawClient.connect(port))).send(part)
            await begun.wait()


@pytest.mark.parametrize("what", ["nothing", "a whole request"])
async def test_of_more_connections_than_there_is_room_for_the_first_that_wait_are_cut(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """D-05: a flood of probes leaves open files for the workers, and the one who comes behind it is answered."""
    monkeypatch.setattr(patience, "MOST_OPEN", 8)
    async with served() as port, AsyncExitStack() as stack:
        clients = []
        for _ in range(30):
            client = await stack.enter_async_context(await RawClient.connect(port))
            if what == "a whole request":
                assert (await client.ask(request("GET", "/echo", [HOST]))).status == 200
            clients.append(client)
        assert (await clients[-1].ask(request("GET", "/echo", [HOST]))).status == 200
        for client in clients[:22]:
            with suppress(BrokenError):
                assert await client.to_end() == b""
        for client in clients[22:]:
            assert (await client.ask(request("GET", "/echo", [HOST]))).status == 200
