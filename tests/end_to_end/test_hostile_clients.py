"""Clients that are slow, that leave, that take too much or never take what they asked for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from threading import Thread
from typing import Literal

import psutil
import pytest
import pytest_asyncio

from tests.end_to_end.scene import CHAT, MESSAGES, Scene, staged
from tests.rig.invariants import Footprint
from tests.rig.process import GENEROUS_PACK
from tests.rig.raw_client import BrokenError, RawClient, Response, chunk, get
from tests.rig.scripted_upstream import Pause, Script, ScriptedUpstream, Send, event, http, sse_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")
QUICK = {"header_seconds": 1, "body_seconds": 1, "idle_seconds": 2}
# One exchange more than there are slow bodies in the first test, so that an honest request finds room beside them.
EXCHANGES = 5
CAPS = {"connections_per_peer": 24, "exchanges": EXCHANGES, "write_stall_seconds": 1}
UNLIMITED = {**GENEROUS_PACK, "quotas": []}
# A deadline of one second, the sweep that comes once a second, and a machine that does other things too.
ENDED_S = 4.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("clients")) as scene:
        yield scene


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def strict(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """A proxy with deadlines of a second and small caps."""
    async with staged(tmp_path_factory.mktemp("strict"), {"limits": QUICK | CAPS}) as scene:
        yield scene


class Reached(asyncio.Event):
    """An event that a script sets by waiting for it: as a pause, it tells how far the script came."""

    async def wait(self) -> Literal[True]:
        self.set()
        return True


async def ended(client: RawClient) -> bytes:
    """Return what came before the other side ended the connection, by whatever means."""
    try:
        return await client.to_end()
    except BrokenError as broken:
        return broken.received


async def drip(client: RawClient, data: bytes) -> None:
    with suppress(OSError):
        for byte in data:
            await client.send(bytes([byte]))
            await asyncio.sleep(0.1)  # the attack itself: ten bytes a second


def content(text: str) -> bytes:
    delta = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
    return event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m-large", **delta})


async def test_clients_that_keep_a_request_back_are_ended(strict: Scene) -> None:
    """D-03: nothing, a head in drops, a body in drops, a body that never comes, the rest of a second request."""
    head = strict.ordinary().split(b"\r\n\r\n")[0] + b"\r\n\r\n"
    begun = {
        "nothing": b"",
        "a head that drips": b"GET / HTTP/1.1\r\n",
        "a line that never ends": b"GET /",
        "a body that drips": head,
        "a body that never comes": head,
        "a body that rests before its end": strict.ordinary(user="a" * (1 << 20))[:-1],
        "a chunked body that never comes": head.replace(b"Content-Length: ", b"X-A: ").replace(
            b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n"
        ),
        "rest after an answer": get("/v1/models", [strict.bearer]),
        "a second head that drips": get("/v1/models", [strict.bearer]) + b"GET / HTTP/1.1\r\n",
    }
    clients = {name: await strict.connect(ENDED_S) for name in begun}
    async with asyncio.TaskGroup() as drips:
        for name, client in clients.items():
            await client.send(begun[name])
            if name.endswith("drips"):
                drips.create_task(drip(client, b"X-A: " + b"b" * 40))
        honest = await strict.ask(strict.ordinary(), accepted=True)
        got = {name: await ended(client) for name, client in clients.items()}
    for client in clients.values():
        client.close()
    assert honest.status == 200
    statuses = {
        name: [line.split()[1] for line in raw.split(b"\r\n") if line.startswith(b"HTTP/")] for name, raw in got.items()
    }
    assert statuses == {
        "nothing": [],
        "a head that drips": [],
        "a line that never ends": [],
        "a body that drips": [b"408"],
        "a body that never comes": [b"408"],
        "a body that rests before its end": [b"408"],
        "a chunked body that never comes": [b"408"],
        "rest after an answer": [b"200"],
        "a second head that drips": [b"200"],
    }
    assert (await strict.gate.metrics())['stillgate_refusals_total{reason="too_slow"}'] >= 6
    await strict.at_peace()


@pytest.mark.soak
async def test_1_500_slow_clients_slow_nobody_down_and_are_all_ended(tmp_path: Path) -> None:
    """D-03: 500 that rest, 500 heads and 500 bodies in drops; honest ones wait at most twice as long as without them."""
    limits = {"header_seconds": 5, "body_seconds": 5, "idle_seconds": 5, "connections_per_peer": 2_000}
    async with staged(tmp_path, {"limits": limits}) as scene:
        head, body = scene.ordinary().split(b"\r\n\r\n")
        usual = await _slowest(scene)
        begun = [b""] * 500 + [b"GET / HTTP/1.1\r\nX-A: "] * 500 + [head + b"\r\n\r\n"] * 500
        slow = [await scene.connect(30) for _ in begun]
        for client, start in zip(slow, begun, strict=True):
            await client.send(start)
        async with asyncio.TaskGroup() as dripping:
            for client, start in zip(slow, begun, strict=True):
                if start:
                    dripping.create_task(_drops(client, body))
            meanwhile = await _slowest(scene)
            await _until_connections(scene, 0, within=5 + ENDED_S)
        for client in slow:
            client.close()
        assert meanwhile < 2 * usual + 0.01
        await scene.at_peace()


async def _drops(client: RawClient, data: bytes) -> None:
    with suppress(OSError):
        for byte in data:
            await client.send(bytes([byte]))
            await asyncio.sleep(2)  # the attack itself: a byte in two seconds


async def _slowest(scene: Scene) -> float:
    """Return the 99th percentile of how long honest requests take, in seconds."""
    took = []
    clock = asyncio.get_running_loop().time
    for _ in range(200):
        began = clock()
        assert (await scene.ask(scene.ordinary(), accepted=True)).status == 200
        took.append(clock() - began)
    return sorted(took)[197]


async def test_a_client_that_never_takes_its_answer_is_ended(strict: Scene) -> None:
    """D-04: with its call upstream, and so is one that asks on and on and reads nothing."""
    before, calls = len(strict.gate.records("exchange")), strict.calls
    strict.upstream.script((*sse_answer([content("y" * 16_000)] * 1000, end=False), Pause(asyncio.Event())))
    deaf, asking = await strict.connect(), await strict.connect()
    async with asyncio.TaskGroup() as sending:
        await deaf.send(strict.ordinary(stream=True))
        call = (await strict.upstream.wait_for_requests(calls + 1))[-1]
        sending.create_task(_send_all(asking, get("/v1/nothing", [strict.bearer]) * 20_000))
        await strict.upstream.wait_closed(call.connection, within=ENDED_S)
        await _until_connections(strict, 0)
    deaf.close()
    asking.close()
    record = (await strict.gate.wait_for_records(before + 1))[-1]
    assert (record["outcome"], record["usage"]["source"]) == ("client_left", "estimate")
    await strict.at_peace()


async def _send_all(client: RawClient, raw: bytes) -> None:
    with suppress(OSError, TimeoutError):
        await client.send(raw)


async def _until_connections(scene: Scene, count: int, within: float = 6.0) -> None:
    try:
        async with asyncio.timeout(within):
            while (open_now := (await scene.gate.metrics())["stillgate_connections"]) != count:
                await asyncio.sleep(0.1)  # the attack itself: ten bytes a second
    except TimeoutError:
        raise AssertionError(f"{open_now} connections are open, not {count}, after {within} s") from None


async def test_one_address_gets_so_many_connections_and_no_more(strict: Scene) -> None:
    """D-05: those beyond the cap end at once, the others live, and a place that is free is given away again."""
    await _until_connections(strict, 0)
    clients = [await strict.connect() for _ in range(40)]
    await _until_connections(strict, 24)
    answers = [await _answered(strict, client) for client in clients]
    assert answers.count(200) == 24
    assert answers.count(None) == 16
    for client in clients:
        client.close()
    await _until_connections(strict, 0)
    assert (await strict.ask(strict.ordinary())).status == 200
    await strict.at_peace()


async def _answered(scene: Scene, client: RawClient) -> int | None:
    try:
        return scene.witness.saw(await client.ask(get("/v1/models", [scene.bearer]))).status
    except (BrokenError, OSError):
        return None


async def test_what_is_beyond_the_cap_of_exchanges_is_turned_away(strict: Scene) -> None:
    """D-05: 503 or Anthropic's 529 with Retry-After, unrecorded, and those who are inside are answered."""
    open_door = asyncio.Event()
    usual = strict.upstream.default
    assert callable(usual)
    before = strict.calls
    strict.upstream.default = lambda asked: (Pause(open_door), *usual(asked))
    try:
        inside = [asyncio.create_task(strict.ask(strict.ordinary(), accepted=True)) for _ in range(EXCHANGES)]
        await strict.upstream.wait_for_requests(before + EXCHANGES)
        for path, status in ((CHAT, 503), (MESSAGES, 529)):
            turned = await strict.ask(
                strict.ordinary(("anthropic-version", "2023-06-01"), path=path),
                dialect="anthropic" if path == MESSAGES else "openai",
                accepted=False,
            )
            assert turned.status == status
            assert turned.header("retry-after") == "1"
        open_door.set()
        assert [(await task).status for task in inside] == [200] * EXCHANGES
    finally:
        strict.upstream.default = usual
    await strict.at_peace()


@pytest.mark.parametrize("how", ["close", "reset", "half_close"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_client_that_leaves_before_the_answer_ends_the_call_upstream(
    scene: Scene, how: str, *, streamed: bool
) -> None:
    """P4, Q-03: within a second, and the input is charged."""
    scene.upstream.script((Pause(asyncio.Event()),))
    before, calls = len(scene.gate.records("exchange")), scene.calls
    async with await scene.connect() as client:
        await client.send(scene.ordinary(stream=streamed))
        sent = (await scene.upstream.wait_for_requests(calls + 1))[-1]
        getattr(client, how)()
        await scene.upstream.wait_closed(sent.connection, within=1.0)
    record = (await scene.gate.wait_for_records(before + 1))[-1]
    assert (record["outcome"], record["usage"]["source"]) == ("client_left", "estimate")
    assert record["usage"]["input"] > 0
    await scene.at_peace()


async def test_a_client_that_leaves_while_its_body_is_stuck_on_the_way_up_ends_the_call(tmp_path: Path) -> None:
    """P4: an upstream that takes nothing does not keep the connection, nor what of the body was not sent."""
    loop = asyncio.get_running_loop()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        port = listener.getsockname()[1]
        async with (
            ScriptedUpstream() as unused,
            staged(tmp_path, upstream=unused, upstream_url=f"http://127.0.0.1:{port}", pack=UNLIMITED) as stuck,
        ):

            def connections() -> int:
                open_now = psutil.Process(stuck.gate.workers[0]).net_connections("tcp4")
                return sum(bool(one.raddr) and one.raddr.port == port for one in open_now)

            async with await stuck.connect() as client:
                await client.send(stuck.ordinary(messages=[{"role": "user", "content": "a" * (9 << 20)}]))
                async with asyncio.timeout(5):
                    theirs, _ = await loop.sock_accept(listener)
                with theirs:
                    theirs.setblocking(False)
                    assert (await loop.sock_recv(theirs, 1024)).startswith(b"POST ")
                    assert connections() == 1
                    client.close()
                    async with asyncio.timeout(1):
                        while connections():
                            await asyncio.sleep(0.02)
            record = (await stuck.gate.wait_for_records(1))[-1]
            assert (record["outcome"], record["usage"]["source"]) == ("client_left", "estimate")


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_a_client_that_leaves_in_mid_stream_is_charged_what_it_got(scene: Scene, path: str) -> None:
    """P4, Q-03."""
    text = "x" * 3000
    if path == CHAT:
        piece = content(text)
    else:
        delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
        piece = event(delta, "content_block_delta")
    scene.upstream.script((*sse_answer([piece], end=False), Pause(asyncio.Event())))
    before, calls = len(scene.gate.records("exchange")), scene.calls
    async with await scene.connect() as client:
        await client.send(scene.ordinary(path=path, stream=True, max_tokens=4000))
        sent = (await scene.upstream.wait_for_requests(calls + 1))[-1]
        await client.until(b'x"}')
        client.close()
        await scene.upstream.wait_closed(sent.connection, within=1.0)
    record = (await scene.gate.wait_for_records(before + 1))[-1]
    assert record["outcome"] == "client_left"
    assert record["usage"]["output"] == 1000, "three bytes a token"
    assert record["usage"]["source"] == "estimate"
    assert '"level":"error"' not in (scene.gate.folder / "stderr.log").read_text(), "whoever leaves is no fault of ours"
    await scene.at_peace()


async def test_a_client_that_leaves_in_the_middle_of_its_body_reaches_nobody(scene: Scene) -> None:
    """D-07: it has a record, and nothing went upstream; what it pipelined behind a pending call neither."""
    before, calls = len(scene.gate.records("exchange")), scene.calls
    async with await scene.connect() as client:
        await client.send(scene.ordinary()[:-5])
        client.reset()
    record = (await scene.gate.wait_for_records(before + 1))[-1]
    assert (record["effect"], record["outcome"]) == ("deny", "client_left")
    scene.upstream.script((Pause(asyncio.Event()),))
    async with await scene.connect() as client:
        await client.send(scene.ordinary() * 20)
        sent = (await scene.upstream.wait_for_requests(calls + 1))[-1]
        client.close()
        await scene.upstream.wait_closed(sent.connection)
    await scene.gate.wait_for_records(before + 2)
    assert scene.calls == calls + 1
    await scene.at_peace()


@pytest.mark.parametrize("text", ["no event", "", "y" * 30])
async def test_who_leaves_a_stream_before_any_text_pays_for_the_time_that_was_thought(scene: Scene, text: str) -> None:
    """As before its head: a model that thinks unseen would be had for nothing. What came is known better."""
    before, calls = len(scene.gate.records("exchange")), scene.calls
    pieces = [] if text == "no event" else [content(text)]
    scene.upstream.script((*sse_answer(pieces, end=False), Pause(asyncio.Event())))
    async with await scene.connect() as client:
        await client.send(scene.ordinary(stream=True))
        sent = (await scene.upstream.wait_for_requests(calls + 1))[-1]
        if pieces:
            await client.head()
        await asyncio.sleep(0.3)  # 30 tokens, and 16 are reserved
        client.close()
        await scene.upstream.wait_closed(sent.connection)
    record = (await scene.gate.wait_for_records(before + 1))[-1]
    assert (record["outcome"], record["usage"]["output"]) == ("client_left", 10 if text.startswith("y") else 16)
    await scene.at_peace()


async def test_a_slow_reader_holds_the_upstream_up_and_not_our_memory(scene: Scene) -> None:
    """D-04: 48 MB of stream wait at the upstream until the client reads on, and all of it comes."""
    pieces = [content(f"{number}:" + "y" * 16_000) for number in range(3000)]
    told = Reached()
    whole: Script = (*sse_answer(pieces, end=False), Send(chunk(event("[DONE]")) + chunk(b"")))
    scene.upstream.script((*whole[:-1], Pause(told), whole[-1]))
    before = Footprint.of(scene.gate)
    async with await scene.connect(30) as client:
        await client.send(scene.ordinary(stream=True))
        await client.head()
        await asyncio.sleep(0.5)  # as long as the upstream would need to send it all
        assert not told.is_set(), "the upstream has sent everything to a client that reads nothing"
        assert Footprint.of(scene.gate).rss < before.rss + (8 << 20)
        got = b""
        while data := await client.chunk():
            got += data if len(got) < 1 << 20 else b""
        assert got.startswith(pieces[0])
    assert Footprint.of(scene.gate).rss < before.rss + (24 << 20)
    await scene.at_peace()


@pytest.mark.parametrize("size", [10, 16_000], ids=["small events", "large ones"])
async def test_many_slow_readers_hold_256_kb_each_at_most(tmp_path: Path, size: int) -> None:
    """D-04: however fast the upstream is, and whatever its events are."""
    streams = 40
    with socket.create_server(("127.0.0.1", 0), backlog=streams) as fast:
        Thread(target=_tell_all, args=(fast, content("y" * size)), daemon=True).start()
        url = f"http://127.0.0.1:{fast.getsockname()[1]}"
        async with staged(tmp_path, upstream_url=url) as scene, AsyncExitStack() as stack:
            before = Footprint.of(scene.gate)
            for number in range(streams + 1):
                client = await stack.enter_async_context(await scene.connect())
                await client.send(scene.ordinary(stream=True))
                await client.head()
                if not number:
                    await asyncio.sleep(0.5)  # what the first one takes, all share
                    before = Footprint.of(scene.gate)
            await asyncio.sleep(0.5)  # as long as we need to take what we do
            assert (Footprint.of(scene.gate).rss - before.rss) / streams < 256_000


def _tell_all(fast: socket.socket, piece: bytes) -> None:
    """Answer every call with events without end, as fast as they are taken."""
    with suppress(OSError):
        while True:
            taken, _ = fast.accept()
            Thread(target=_tell, args=(taken, piece * (300_000 // len(piece))), daemon=True).start()


def _tell(taken: socket.socket, pieces: bytes) -> None:
    with taken, suppress(OSError):
        taken.recv(65_536)
        taken.sendall(http(200, [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")]))
        while True:
            taken.sendall(chunk(pieces))


async def test_bodies_on_their_way_take_no_more_memory_than_there_is(scene: Scene) -> None:
    """D-10: beyond 256 MB of them a large one is turned away, a small one never, and room that is free is used again."""
    large = scene.ordinary(user="a" * ((10 << 20) - 200))
    clients = [await scene.connect(20) for _ in range(30)]
    try:
        await asyncio.gather(*(_send_all(client, large[:-1]) for client in clients))
        turned = scene.witness.saw(await _first_answer(clients), accepted=True)
        assert (turned.status, turned.header("retry-after")) == (503, "1")
        assert (await scene.ask(scene.ordinary(), accepted=True)).status == 200
    finally:
        for client in clients:
            client.close()
    await _until_connections(scene, 0)
    assert (await scene.ask(large, accepted=True, within=20)).status in {200, 429}
    await scene.at_peace()


async def _first_answer(clients: list[RawClient]) -> Response:
    """Return the first answer that one of them gets."""
    tasks = [asyncio.create_task(client.response()) for client in clients]
    done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    await asyncio.wait(others)
    return done.pop().result()


async def test_5_000_pipelined_requests_are_answered_in_order(scene: Scene) -> None:
    """H-18: each with its own decision and id, a bounded queue, bounded memory."""
    before = Footprint.of(scene.gate)
    kinds = [
        (200, get("/v1/models", [scene.bearer])),
        (404, get("/v1/nothing", [scene.bearer])),
        (401, get("/v1/models")),
    ]
    expected = [kinds[number * 7 % 3 if number % 5 else 0] for number in range(5000)]
    async with await scene.connect(20) as client, asyncio.TaskGroup() as tasks:
        tasks.create_task(client.send(b"".join(raw for _, raw in expected)))
        answers = [await client.response() for _ in expected]
    assert [answer.status for answer in answers] == [status for status, _ in expected]
    assert len({answer.header("x-request-id") for answer in answers}) == 5000
    assert Footprint.of(scene.gate).rss < before.rss + (32 << 20)
    await scene.gate.wait_for_records(sum(status == 200 for status, _ in expected))
    await scene.at_peace()
