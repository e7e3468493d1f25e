"""The listener on real sockets: its deadlines, the order of its answers, and how a connection ends."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
import uvloop
from aiohttp import web

from proxy.clients.answers import AnswerWriter, Reply
from proxy.clients.connection import Connection, Deadlines
from proxy.clients.listener import Caps, Listener
from proxy.clock import SystemClock
from proxy.errors import RequestTimeout
from tests.rig.raw_client import BrokenError, RawClient, chunk, get, post, request
from tests.rig.waiting import until

DEADLINES = Deadlines(header=60, body=60, body_bytes_per_second=1024, idle=0.1, write_stall=0.1)
CAPS = Caps(10, 10)
PATIENT = DEADLINES._replace(idle=60, write_stall=60)
Handler = Callable[[web.BaseRequest], Awaitable[Reply]]


@asynccontextmanager
async def listening(
    handler: Handler, deadlines: Deadlines = DEADLINES, caps: Caps = CAPS
) -> AsyncIterator[tuple[Listener, int, list[str]]]:
    refused: list[str] = []
    writer = AnswerWriter(SystemClock())
    listener = Listener(
        handler,
        on_error=lambda _connection, status, _error: writer.whole(None, status, "text/plain", b"", {}),
        on_refused=refused.append,
        deadlines=deadlines,
        caps=caps,
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
    return refused


@pytest.mark.parametrize("close", [True, False])
def test_a_rest_too_small_to_pause_for_does_not_hold_a_connection_open(*, close: bool) -> None:
    """40 kB fit into the transport's buffer, but not into the kernel's, which an idle client keeps full."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(_hold_back(close=close)) == ["slow_write_stall"]


async def _take_slowly(bytes_per_second: int, kernel_bytes: int) -> tuple[int, list[str]]:
    """Ask for 4 MB and take them at a pace, for three seconds; return how much came and why the connection was ended."""
    writer = AnswerWriter(SystemClock())

    async def handler(request: web.BaseRequest) -> Reply:
        assert request.transport is not None
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, kernel_bytes)
        return writer.whole(request, 200, "text/plain", bytes(4_000_000), {})

    async with listening(handler, PATIENT._replace(write_stall=2)) as (_, port, refused):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        async with RawClient(sock, 5.0) as client:
            await client.send(get("/"))
            came = 0
            for _ in range(60):
                with suppress(ConnectionError):
                    came += len(await asyncio.get_running_loop().sock_recv(sock, bytes_per_second // 20))
                await asyncio.sleep(0.05)
    return came, refused


@pytest.mark.parametrize(
    ("bytes_per_second", "kernel_bytes", "ended"),
    [
        (400_000, 4096, []),
        pytest.param(60_000, 1 << 20, [], id="the kernel takes more of it now and then only"),
        (4_000, 4096, ["slow_write_stall"]),
        (4_000, 1 << 20, ["slow_write_stall"]),
    ],
)
def test_a_client_that_takes_an_answer_steadily_has_the_time_for_it(
    bytes_per_second: int, kernel_bytes: int, ended: list[str]
) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        came, refused = runner.run(_take_slowly(bytes_per_second, kernel_bytes))
    assert (refused, came < 4_000_000) == (ended, True)


def on_uvloop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test on the loop that the product runs on; what it tells of by itself fails the test."""

    @functools.wraps(test)
    def run(**given: Any) -> None:
        told: list[dict[str, Any]] = []
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.get_loop().set_exception_handler(lambda _, context: told.append(context))
            runner.run(test(**given))
            gc.collect()
        assert told == []

    del run.__wrapped__  # pytest must not take it for a coroutine
    run.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    return run


@pytest.mark.parametrize("in_need", [False, True])
@on_uvloop
async def test_answers_that_nobody_takes_do_not_fill_memory(monkeypatch: pytest.MonkeyPatch, *, in_need: bool) -> None:
    """Who keeps most waiting for longest is cut; a client of a small answer, however long it waits, is not."""
    bound = "_HELD_BYTES_IN_NEED" if in_need else "_HELD_BYTES"
    monkeypatch.setattr(f"proxy.clients.listener.{bound}", 30_000_000)

    async def handler(request: web.BaseRequest) -> Reply:
        return said(request, bytes(int(request.raw_path[1:])))

    async with listening(handler, PATIENT) as (listener, port, refused), AsyncExitStack() as stack:
        listener.memory_full = in_need
        clients = []
        for size in (6_000_000, 20_000_000, 20_000_000):
            clients.append(await stack.enter_async_context(await RawClient.connect(port)))
            await clients[-1].send(get(f"/{size}"))
            await until(lambda: all(each.held_bytes for each in listener._open) and len(listener) == len(clients))
        await until(lambda: len(listener) == 2)
        assert refused == ["slow_answer"]
        assert [len((await clients[at].response()).body) for at in (0, 2)] == [6_000_000, 20_000_000]
        with pytest.raises(BrokenError):
            await clients[1].response()
        assert not any(each.held_bytes for each in listener._open)


@on_uvloop
async def test_who_has_many_answers_wait_has_none_of_another_tenant_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a larger one that waits as long as any of these, nor many that have just begun to be taken."""

    async def handler(request: web.BaseRequest) -> Reply:
        _, request.protocol.tenant, size = request.raw_path.split("/")  # type: ignore[attr-defined]  # it is our own
        return said(request, bytes(int(size)))

    async with listening(handler, PATIENT) as (listener, port, refused), AsyncExitStack() as stack:
        clients = []
        for path in (*["/greedy/12000000"] * 4, "/honest/20000000", "/quick/90000000"):
            clients.append(await stack.enter_async_context(await RawClient.connect(port)))
            await clients[-1].send(get(path))
        await until(lambda: len([each for each in listener._open if each.held_bytes]) == len(clients))
        now = asyncio.get_running_loop().time()
        for each in listener._open:
            each.held_since = now if each.tenant == "quick" else now - 10
        monkeypatch.setattr("proxy.clients.listener._HELD_BYTES", 140_000_000)
        listener._make_room(now + 0.1)
        assert refused == ["slow_answer"] * 2
        assert [len((await client.response()).body) for client in clients[4:]] == [20_000_000, 90_000_000]


@asynccontextmanager
async def keeping_one_waiting() -> AsyncIterator[tuple[Listener, list[str], Connection, RawClient]]:
    """A listener, whom it refused, and a connection whose client does not take an answer of 15 MB yet."""

    async def handler(request: web.BaseRequest) -> Reply:
        return said(request, bytes(15_000_000))

    async with listening(handler, PATIENT) as (listener, port, refused), await RawClient.connect(port) as client:
        await client.send(get("/"))
        await until(lambda: any(each.held_bytes for each in listener._open))
        (connection,) = listener._open
        yield listener, refused, connection, client


@on_uvloop
async def test_what_was_cut_already_has_nobody_else_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes nothing for too long is cut once, and what is left of it has room by that."""
    monkeypatch.setattr("proxy.clients.listener._HELD_BYTES", 10_000_000)

    async with keeping_one_waiting() as (listener, refused, connection, _):
        connection.cut()
        listener._make_room(connection.held_since + 1)
        assert (connection.held_bytes, refused) == (0, [])


@on_uvloop
async def test_what_an_overdue_client_kept_waiting_has_nobody_else_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up in the same look."""
    monkeypatch.setattr("proxy.clients.listener._HELD_BYTES", 30_000_000)

    async def handler(request: web.BaseRequest) -> Reply:
        _, request.protocol.tenant, size = request.raw_path.split("/")  # type: ignore[attr-defined]  # it is our own
        return said(request, bytes(int(size)))

    async with listening(handler, PATIENT) as (listener, port, refused), AsyncExitStack() as stack:
        clients = []
        for path in ("/slow/20000000", "/other/25000000"):
            clients.append(await stack.enter_async_context(await RawClient.connect(port)))
            await clients[-1].send(get(path))
            await until(lambda: all(each.held_bytes for each in listener._open) and len(listener) == len(clients))
        for each in listener._open:
            if each.tenant == "slow" and each.stalled_since is not None:
                each.stalled_since -= 100
        await until(lambda: len(listener) < 2)
        assert refused == ["slow_write_stall"]
        assert len((await clients[1].response()).body) == 25_000_000


@on_uvloop
async def test_who_is_cut_is_found_quickly_among_clients_of_as_many_tenants() -> None:
    """P7: the loop waits for it."""

    async def handler(request: web.BaseRequest) -> Reply:
        return said(request, b"")

    async with listening(handler, PATIENT) as (listener, _, refused):
        listener.memory_full = True
        for number in range(5_000):
            connection = listener()
            connection.tenant, connection.held_bytes = f"t-{number}", 60_000 + number
            listener._open.add(connection)
        began = time.thread_time()
        listener._make_room(100.0)
        assert time.thread_time() - began < 0.2
        left = [each.held_bytes for each in listener._open if each.held_bytes]
        assert sum(left) <= 64 << 20 < sum(left) + 65_000
        assert max(left) == 59_999 + len(left)
        assert refused == ["slow_answer"] * (5_000 - len(left))
        listener._open.clear()


@on_uvloop
async def test_of_an_answer_that_waits_all_counts_whatever_the_kernel_took() -> None:
    """It is kept to its end: hundreds of which a tenth was left would take ten times what they counted for."""

    async with keeping_one_waiting() as (_, _, connection, client):
        assert connection.wire is not None
        assert connection.wire.get_write_buffer_size() < 15_000_000 < connection.held_bytes
        await client.response()


WRITER = AnswerWriter(SystemClock())


def said(request: web.BaseRequest, body: bytes) -> Reply:
    return WRITER.whole(request, 200, "text/plain", body, {})


async def echo(request: web.BaseRequest) -> Reply:
    return said(request, request.raw_path.encode() + await request.content.read())


@on_uvloop
async def test_pipelined_requests_are_answered_in_order_each_with_its_own_body() -> None:
    async with listening(echo, PATIENT) as (_, port, _), await RawClient.connect(port) as client:
        asked = [post(f"/{number}", b"b" * number) for number in range(200)]
        await client.send(b"".join(asked))
        for number in range(200):
            assert (await client.response()).body == f"/{number}".encode() + b"b" * number


@pytest.mark.parametrize("asked", [post("/", b"body"), get("/")], ids=["post", "get"])
@on_uvloop
async def test_pipelined_requests_behind_a_slow_body_are_all_answered(*, asked: bytes) -> None:
    """aiohttp's parser counts a message too many then, and stops for a queue that is not full."""
    begun = asyncio.Event()

    async def handler(request: web.BaseRequest) -> Reply:
        begun.set()
        return await echo(request)

    async with listening(handler, PATIENT) as (_, port, _), await RawClient.connect(port) as client:
        slow = post("/", b"slow")
        await client.send(slow[:-2])
        await begun.wait()
        await client.send(slow[-2:] + 100 * asked)
        assert (await client.response()).body == b"/slow"
        for _ in range(100):
            assert (await client.response()).body.startswith(b"/")


@pytest.mark.parametrize("at_once", [True, False])
@on_uvloop
async def test_a_body_in_so_many_chunks_that_reading_is_held_up_is_read_to_its_end(*, at_once: bool) -> None:
    """The parser is told to stop behind a chunk, and does at the next piece of this body or of the next one."""

    many = 16_385  # more by one than a stream of aiohttp holds
    drained = asyncio.Event()

    async def handler(request: web.BaseRequest) -> Reply:
        if request.content_length is not None:
            return await echo(request)
        await until(lambda: request.content.total_bytes == many)  # so that reading is held up
        body = b""
        while len(body) < many:
            body += await request.content.readany()
        drained.set()
        return said(request, request.raw_path.encode() + body + await request.content.read())

    head = request("POST", "/", [("Host", "127.0.0.1"), ("Transfer-Encoding", "chunked")])
    rest = chunk(b"") if at_once else chunk(b"rest") + chunk(b"")
    async with listening(handler, PATIENT) as (_, port, _), await RawClient.connect(port) as client:
        await client.send(head + many * chunk(b"x") + (rest if at_once else b""))
        if not at_once:
            await drained.wait()
            await client.send(rest)
        assert (await client.response()).body == b"/" + many * b"x" + (b"" if at_once else b"rest")
        await client.send(post("/", b"next"))
        assert (await client.response()).body == b"/next"


@on_uvloop
async def test_a_body_that_the_handler_left_is_no_request() -> None:
    """H-06: it is read over, and what comes behind it is answered."""

    async def handler(request: web.BaseRequest) -> Reply:
        return said(request, request.raw_path.encode())

    async with listening(handler, PATIENT) as (_, port, _), await RawClient.connect(port) as client:
        smuggled = get("/smuggled")
        asked = post("/1", smuggled + bytes(300_000) + smuggled)
        await client.send(asked[:-200_000])
        assert (await client.response()).body == b"/1"
        await client.send(asked[-200_000:] + get("/2"))
        assert (await client.response()).body == b"/2"


@on_uvloop
async def test_a_connection_whose_last_answer_came_before_the_body_ends_with_the_body() -> None:
    """Not only when the time to linger is over: that time is what a client has that sends on."""

    async def handler(request: web.BaseRequest) -> Reply:
        return WRITER.whole(request, 413, "text/plain", b"", {}, close=True)

    async with listening(handler, PATIENT) as (listener, port, _), await RawClient.connect(port, within=0.7) as client:
        asked = post("/", bytes(300_000))
        await client.send(asked[:-200_000])
        assert (await client.response()).status == 413
        await client.send(asked[-200_000:] + get("/never"))
        assert await client.to_end() == b""
        await until(lambda: not len(listener))


@on_uvloop
async def test_a_client_that_sends_on_does_not_lose_its_last_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """H-06, D-07: closed with something unread, the kernel would answer with a reset; nor is what it sends read."""
    monkeypatch.setattr("proxy.clients.connection._LINGER_REST_S", 0.3)
    asked: list[str] = []

    async def handler(request: web.BaseRequest) -> Reply:
        asked.append(request.raw_path)
        return WRITER.whole(request, 413, "text/plain", b"too much", {}, close=True)

    async with listening(handler, PATIENT) as (listener, port, _):
        async with await RawClient.connect(port) as client:
            rest = (get("/smuggled") * 30_000)[:1_000_000]
            await client.send(post("/", bytes(1_500_000))[:-1_500_000])
            for start in range(0, len(rest), 100_000):
                await client.send(rest[start : start + 100_000])
                await asyncio.sleep(0.1)  # what is tested: in all much longer than a client may rest
            assert (await client.response()).body == b"too much"
            assert await client.to_end() == b""
            await until(lambda: not len(listener))  # although the client is still there: it rests
    assert asked == ["/"]


@pytest.mark.parametrize("bound", ["_LINGER_BYTES", "_LINGER_S"])
@on_uvloop
async def test_a_client_that_never_stops_sending_is_cut(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"proxy.clients.connection.{bound}", 0.5)

    async def handler(request: web.BaseRequest) -> Reply:
        return WRITER.whole(request, 413, "text/plain", b"", {}, close=True)

    async with listening(handler, PATIENT) as (listener, port, _), await RawClient.connect(port) as client:
        await client.send(post("/", bytes(1000))[:-1000])
        assert (await client.response()).status == 413
        with pytest.raises(ConnectionError):
            await send_for_ever(client)
        await until(lambda: not len(listener))


async def send_for_ever(client: RawClient) -> None:
    while True:
        await client.send(bytes(100))
        await asyncio.sleep(0.01)  # so slowly that it never sends as much as may be read over


@on_uvloop
async def test_a_head_that_never_ends_is_answered_and_the_answer_arrives() -> None:
    """B-10: although the client sends on, and whatever the pieces are."""
    async with listening(echo, PATIENT) as (_, port, _), await RawClient.connect(port) as client:
        endless = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: %b\r\n" % (n, b"b" * 8000) for n in range(120))
        for start in range(0, len(endless), 1000):
            await client.send(endless[start : start + 1000])
        assert (await client.response()).status == 431
        assert await client.to_end() == b""


@on_uvloop
async def test_a_body_that_comes_too_slowly_is_answered_and_nothing_else_is_told() -> None:
    async def handler(request: web.BaseRequest) -> Reply:
        request.protocol.body_deadline = 0.0  # type: ignore[attr-defined]  # it is our own
        try:
            return said(request, await request.content.read())
        except RequestTimeout:
            return WRITER.whole(request, 408, "text/plain", b"", {}, close=True)

    async with listening(handler, PATIENT) as (listener, port, refused), await RawClient.connect(port) as client:
        await client.send(post("/", bytes(1000))[:-1])
        assert (await client.response()).status == 408
        assert await client.to_end() == b""
        async with asyncio.timeout(4):
            with pytest.raises(ConnectionError):
                await send_for_ever(client)  # D-03: having been too slow it is not waited for as others are
        await until(lambda: not len(listener))
    assert refused == ["slow_body"]


@on_uvloop
async def test_an_error_of_a_handler_is_an_answer_and_the_end_of_the_connection() -> None:
    async def handler(request: web.BaseRequest) -> Reply:
        raise RuntimeError(request.raw_path)

    async with listening(handler, PATIENT) as (_, port, _), await RawClient.connect(port) as client:
        await client.send(get("/") + get("/"))
        assert (await client.response()).status == 500
        assert await client.to_end() == b""


@on_uvloop
async def test_an_error_of_a_handler_whose_answer_has_begun_breaks_it_off() -> None:
    """A second head would be read as a part of the stream; and without its end it passes for nothing whole."""

    async def handler(request: web.BaseRequest) -> Reply:
        stream = WRITER.stream(request, 200, "text/plain", {})
        await stream.send(b"a")
        raise RuntimeError

    async with listening(handler, PATIENT) as (listener, port, _), await RawClient.connect(port) as client:
        await client.send(get("/") + get("/"))
        assert (await client.head()).status == 200
        assert await client.to_end() == b"1\r\na\r\n"
        await until(lambda: not len(listener))


@pytest.mark.parametrize("sent", [b"", b"G", get("/"), get("/")[:-2], post("/", bytes(1000)), post("/", b"abc")[:-1]])
@on_uvloop
async def test_a_client_that_leaves_ends_its_handler_and_its_connection(sent: bytes) -> None:
    """P4: at whatever moment; and nobody else tells of it."""
    ended: list[bool] = []

    async def handler(request: web.BaseRequest) -> Reply:
        try:
            await request.content.read()
            await asyncio.Event().wait()
        finally:
            ended.append(True)
        return said(request, b"")

    async with listening(handler, PATIENT) as (listener, port, _):
        for turn in range(3):
            async with await RawClient.connect(port) as client:
                await client.send(sent)
                await until(lambda: len(listener) == 1)
                if b"\r\n\r\n" in sent:
                    await until(lambda: any(connection._current_request for connection in listener._open))
            began = turn + 1 if b"\r\n\r\n" in sent else 0
            await until(lambda: not len(listener) and len(ended) == began)  # noqa: B023 - awaited at once


@on_uvloop
async def test_a_connection_that_rests_is_closed_without_a_word() -> None:
    async with listening(echo) as (listener, port, _):
        async with await RawClient.connect(port) as silent, await RawClient.connect(port) as client:
            assert (await client.ask(get("/"))).body == b"/"
            assert await client.to_end() == await silent.to_end() == b""
            await until(lambda: not len(listener))


@on_uvloop
async def test_a_head_that_has_begun_is_awaited_however_long_the_connection_rested_before() -> None:
    raw = get("/")
    async with listening(echo) as (listener, port, refused), await RawClient.connect(port) as client:
        for _ in range(2):
            await client.send(raw[:5])
            await asyncio.sleep(2 * DEADLINES.idle)  # what is tested: longer than a connection may rest
            assert (await client.ask(raw[5:])).body == b"/"
        assert await client.to_end() == b""  # now it rests
        await until(lambda: not len(listener))
        assert refused == []


@on_uvloop
async def test_close_idle_ends_what_rests_at_once_and_lets_the_others_finish() -> None:
    """P5: also a body that is on its way still; but no further request is begun."""
    reading, answering = asyncio.Event(), asyncio.Event()
    go_on = asyncio.Event()

    async def handler(request: web.BaseRequest) -> Reply:
        if request.method == "POST":
            reading.set()
            return await echo(request)
        answering.set()
        await go_on.wait()
        return said(request, b"whole")

    async with listening(handler, PATIENT) as (listener, port, _):
        async with (
            await RawClient.connect(port) as silent,
            await RawClient.connect(port) as sender,
            await RawClient.connect(port) as waiter,
        ):
            asked = post("/", bytes(200_000))
            await sender.send(asked[:-100_000])
            await waiter.send(get("/") + get("/"))
            await asyncio.gather(reading.wait(), answering.wait())
            await until(lambda: len(listener) == 3)
            listener.close_idle()
            assert await silent.to_end() == b""
            await sender.send(asked[-100_000:] + get("/"))
            assert (await sender.response()).body == b"/" + bytes(200_000)
            go_on.set()
            assert (await waiter.response()).body == b"whole"
            assert await sender.to_end() == await waiter.to_end() == b""
            await until(lambda: not len(listener))


@on_uvloop
async def test_abort_all_leaves_no_connection_whatever_is_still_to_be_written() -> None:
    async def handler(request: web.BaseRequest) -> Reply:
        return said(request, bytes(64 << 20))

    async with listening(handler, PATIENT) as (listener, port, _):
        async with await RawClient.connect(port) as stuck, await RawClient.connect(port) as leaving:
            for client in (stuck, leaving):
                await client.send(get("/"))
                await client.until(b"HTTP/1.1 200")
            next(iter(listener._open)).force_close()
            listener.abort_all()
            await until(lambda: not len(listener))


class From(asyncio.Transport):
    """A connection from an address that no machine of tests has."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 1234, 0, 0)})

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Take any limit."""

    def abort(self) -> None:
        """Have nothing to end."""


async def test_of_one_ipv6_network_no_more_connections_come_than_of_one_address() -> None:
    async def handler(_: web.BaseRequest) -> Reply:
        raise AssertionError

    async with listening(handler, caps=Caps(10, 2)) as (listener, _, refused):
        for address in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "::ffff:1.2.3.4", "1.2.3.4"):
            listener().connection_made(From(address))
        assert (len(listener), refused) == (5, [])
        for address in ("2001:db8::3", "2001:db8:0:0:ffff::", "1.2.3.4"):
            listener().connection_made(From(address))
        assert (len(listener), refused) == (5, ["too_many_connections"] * 3)
