"""How it ends when it is told to: promise P5, rows L-01 and L-02, and what a balancer sees of it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.scene import CHAT, MESSAGES, Scene, answer, staged
from tests.rig.raw_client import RawClient, get
from tests.rig.scripted_upstream import Pause, Send, event, http, json_answer

HALT_S = 30.0
STREAMS = 50


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


async def refused(port: int) -> None:
    """Return once nobody listens there any more."""
    async with asyncio.timeout(10):
        while True:
            try:
                (await RawClient.connect(port)).close()
            except OSError:
                return
            await asyncio.sleep(0.01)


def beginning(path: str) -> tuple[Send, Pause]:
    """Answer with the beginning of a stream that never ends."""
    head = http(200, [("Content-Type", "text/event-stream"), ("Connection", "close")])
    if path == CHAT:
        first = event({"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}}]})
    else:
        first = event({"type": "ping"}, "ping")
    return Send(head + first), Pause(asyncio.Event())


async def test_readiness_goes_at_once_and_the_door_closes_when_balancers_had_time_to_see_it(tmp_path: Path) -> None:
    """P5, L-01: within 100 ms, on the port for probes too, which knows no other route."""
    health = free_port()
    settings = {
        "health": {"port": health},
        "limits": {"stop_delay_seconds": 1.0, "drain_seconds": 0.2},
        "store": "embedded",
    }
    async with staged(tmp_path, settings) as scene:
        async with await RawClient.connect(health, within=HALT_S) as probe:
            for path, status in (
                ("/healthz", 200),
                ("/readyz", 200),
                ("/metrics", 200),
                ("/status", 404),
                ("/keys", 404),
            ):
                assert (await probe.ask(get(path))).status == status
            began = time.monotonic()
            os.kill(scene.gate.pid, signal.SIGTERM)
            asked = began
            while (await probe.ask(get("/readyz"))).status == 200:
                asked = time.monotonic()  # a probe that is sent from now on
            assert asked - began < 0.1
            assert (await probe.ask(get("/healthz"))).status == 200
            assert (await scene.ask(scene.ordinary(), accepted=True)).status == 200
            assert time.monotonic() - began < 1.0, "too late to tell"
            await refused(scene.gate.port)
            assert time.monotonic() - began > 0.9
        assert await scene.gate.exit_code() == 0


async def test_all_streams_end_with_an_event_that_says_why_and_all_is_recorded(tmp_path: Path) -> None:
    """P5, L-01: fifty of them, in both dialects; nothing is left over, and the exit code is 0."""
    async with staged(tmp_path, {"limits": {"drain_seconds": 0.5}}) as scene:
        paths = [CHAT, MESSAGES] * (STREAMS // 2)
        scene.upstream.default = lambda asked: beginning(asked.target)
        clients = [await scene.connect(HALT_S) for _ in paths]
        for client, path in zip(clients, paths, strict=True):
            await client.send(scene.ordinary(path=path, stream=True))
        for client in clients:
            assert (await client.head()).status == 200
        family = [psutil.Process(pid) for pid in scene.gate.pids()]
        os.kill(scene.gate.pid, signal.SIGTERM)
        for client in clients:
            rest = await client.to_end()
            assert b"shutting down" in rest
            assert rest.endswith(b"0\r\n\r\n")
            client.close()
        assert await scene.gate.exit_code() == 0
        records = scene.gate.records("exchange")
        assert [record["outcome"] for record in records] == ["shutdown"] * STREAMS
        assert len(scene.gate.records("stop")) == 1
        assert not scene.gate.records("gap")
        assert not [process for process in family if process.is_running()]


async def test_an_answer_that_comes_during_a_stop_says_that_its_connection_ends(tmp_path: Path) -> None:
    """Its client would send the next request on it, and get nothing."""
    go_on = asyncio.Event()
    async with staged(tmp_path, {"limits": {"drain_seconds": 20.0}}) as scene:
        scene.upstream.script((Pause(go_on), *json_answer(200, answer())))
        async with await scene.connect(HALT_S) as client:
            await client.send(scene.ordinary())
            await scene.upstream.wait_for_requests(1)
            os.kill(scene.gate.pid, signal.SIGTERM)
            await refused(scene.gate.port)
            go_on.set()
            told = await client.response()
            assert (told.status, told.header("connection")) == (200, "close")
        assert await scene.gate.exit_code(10) == 0


async def test_an_answer_that_is_still_on_its_way_to_its_client_is_not_cut_off(tmp_path: Path) -> None:
    """Its exchange has ended for us, and its client is slow."""
    text = "y" * 20_000_000  # more than sockets take
    async with staged(tmp_path, {"limits": {"drain_seconds": 20.0}}) as scene:
        scene.upstream.script(json_answer(200, answer(text)))
        async with await scene.connect(HALT_S) as client:
            await client.send(scene.ordinary())
            await scene.gate.wait_for_records(1)
            os.kill(scene.gate.pid, signal.SIGTERM)
            await refused(scene.gate.port)
            await asyncio.sleep(0.2)
            assert (await client.response()).json()["choices"][0]["message"]["content"] == text
        assert await scene.gate.exit_code(5) == 0


async def hang(scene: Scene) -> RawClient:
    """Begin a stream that does not end by itself."""
    scene.upstream.script(beginning(CHAT))
    client = await scene.connect(HALT_S)
    await client.send(scene.ordinary(stream=True))
    assert (await client.head()).status == 200
    return client


async def unready(scene: Scene) -> None:
    async with asyncio.timeout(5):
        while (await scene.gate.admin("GET", "/readyz"))[0] == 200:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("first", "second"), [("TERM", "INT"), ("INT", "TERM")])
async def test_signals_mean_what_they_are_documented_to(tmp_path: Path, first: str, second: str) -> None:
    """L-02: SIGHUP and SIGPIPE end nothing, whoever gets them; the second SIGTERM or SIGINT skips delay and drain."""
    async with staged(tmp_path, {"limits": {"drain_seconds": 60.0, "stop_delay_seconds": 30.0}}) as scene:
        for pid in (scene.gate.pid, *scene.gate.workers):
            for number in (signal.SIGHUP, signal.SIGPIPE):
                os.kill(pid, number)
        os.kill(scene.gate.workers[0], signal.SIGINT)  # from the terminal, it is the parent's business
        assert (await scene.ask(scene.ordinary(), accepted=True)).status == 200
        client = await hang(scene)
        began = time.monotonic()
        os.kill(scene.gate.pid, signal.Signals[f"SIG{first}"])
        await unready(scene)
        os.kill(scene.gate.pid, signal.Signals[f"SIG{second}"])
        assert b"shutting down" in await client.to_end()
        client.close()
        assert await scene.gate.exit_code(20) == 0
        assert time.monotonic() - began < 20
        said = (scene.gate.folder / "stderr.log").read_text()
        assert "Traceback" not in said
        assert "started again" not in said


async def test_counters_stay_and_what_runs_is_told_until_the_last_worker_has_ended(tmp_path: Path) -> None:
    """A counter that goes back is one that began anew to a Prometheus: it would count all that is left once more."""
    async with staged(tmp_path, {"limits": {"drain_seconds": 60.0}}, workers=2) as scene:
        await asyncio.gather(*(scene.ask(scene.ordinary(), accepted=True) for _ in range(24)))
        assert len({record["writer"] for record in await scene.gate.wait_for_records(24)}) == 2
        streams = [await hang(scene) for _ in range(2)]
        assert await ended_and_running(scene) == (24, 2)
        os.kill(scene.gate.pid, signal.SIGTERM)
        await unready(scene)
        assert await ended_and_running(scene) == (24, 2)
        streams.pop().close()
        async with asyncio.timeout(20):
            while (counted := await ended_and_running(scene))[1] != 1:
                assert counted[0] >= 24
                await asyncio.sleep(0.05)
        assert counted[0] >= 24
        streams.pop().close()
        assert await scene.gate.exit_code() == 0


async def ended_and_running(scene: Scene) -> tuple[float, float]:
    counted = await scene.gate.metrics()
    ended = sum(value for name, value in counted.items() if name.startswith("stillgate_exchanges_total"))
    return ended, counted["stillgate_inflight"]
