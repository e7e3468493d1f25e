"""More connect than the process may have files open: row D-05."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.scene import Scene, delta, staged
from tests.rig.raw_client import RawClient
from tests.rig.scripted_upstream import Close, Pause, Send, event, http

FILES = 512
FLOOD = 700
SCARCE = ["sh", "-c", f'ulimit -n {FILES} && exec "$@"', "sh", sys.executable, "-m", "proxy.cli"]


async def knock(scene: Scene) -> RawClient | None:
    try:
        return await scene.connect(5.0)
    except (OSError, TimeoutError):
        return None


@asynccontextmanager
async def streaming(scene: Scene) -> AsyncIterator[None]:
    """Have a stream run that goes on to its end behind what is done meanwhile."""
    go_on = asyncio.Event()
    head = http(200, [("Content-Type", "text/event-stream"), ("Connection", "close")])
    end = event({"id": "c-1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}) + event("[DONE]")
    scene.upstream.script((Send(head + delta("a")), Pause(go_on), Send(delta("b") + end), Close()))
    async with await scene.connect() as client:
        await client.send(scene.ordinary(stream=True))
        assert (await client.head()).status == 200
        await client.chunk()
        yield
        go_on.set()
        await client.until(b"0\r\n\r\n")


async def flooded(port: int, peer: str, count: int) -> list[socket.socket]:
    """Connect so often from one address of this machine."""
    loop = asyncio.get_running_loop()
    open_ones = []
    for _ in range(count):
        one = socket.socket()
        one.setblocking(False)
        one.bind((peer, 0))
        open_ones.append(one)
        await loop.sock_connect(one, ("127.0.0.1", port))
    return open_ones


def lives(one: socket.socket) -> bool:
    try:
        return one.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


@pytest.mark.soak
async def test_of_ten_thousand_connections_no_address_has_more_than_its_part(tmp_path: Path) -> None:
    """D-05 in full: both caps are the settings' own defaults."""
    async with staged(tmp_path) as scene:
        inside = await scene.connect()
        async with streaming(scene):
            peers = {f"127.0.0.{n}": await flooded(scene.gate.port, f"127.0.0.{n}", 1_100) for n in range(2, 14)}
            assert scene.witness.saw(await inside.ask(scene.ordinary())).status == 200
            within = {peer: sum(map(lives, open_ones)) for peer, open_ones in peers.items()}
            open_now = (await scene.gate.metrics())["stillgate_connections"]
            assert max(within.values()) == 1_000
            assert sum(within.values()) <= open_now <= 10_000
            assert open_now > 9_000
        for one in (one for open_ones in peers.values() for one in open_ones):
            one.close()
        inside.close()
        async with asyncio.timeout(30):
            while (await scene.gate.metrics())["stillgate_connections"]:
                await asyncio.sleep(0.05)
        assert (await scene.ask(scene.ordinary(), accepted=True)).status == 200


async def test_a_flood_takes_no_files_from_those_who_are_served(tmp_path: Path) -> None:
    """D-05: a stream that runs ends as it should, and who is inside can still ask, though every other place is taken."""
    async with staged(tmp_path, {"limits": {"connections_per_peer": 10_000}}, command=SCARCE) as scene:
        inside = await scene.connect()
        async with streaming(scene):
            assert (await inside.ask(scene.ordinary())).status == 200
            flood = [client for client in [await knock(scene) for _ in range(FLOOD)] if client is not None]
            (worker,) = scene.gate.workers
            open_now = (await scene.gate.metrics())["stillgate_connections"]
            assert 100 < open_now < FILES - 96
            assert psutil.Process(worker).num_fds() < FILES - 20
            assert scene.witness.saw(await inside.ask(scene.ordinary())).status == 200
        refused = (await scene.gate.metrics())['stillgate_refusals_total{reason="too_many_connections"}']
        assert refused >= FLOOD - open_now
        for client in (*flood, inside):
            client.close()
        async with asyncio.timeout(10):
            while (await scene.gate.metrics())["stillgate_connections"]:
                await asyncio.sleep(0.05)
        assert (await scene.ask(scene.ordinary(), accepted=True)).status == 200
        assert "leaves fewer client connections" in (scene.gate.folder / "stderr.log").read_text()
