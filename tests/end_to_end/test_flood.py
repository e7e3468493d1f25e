"""More connect than the process may have files open: row D-05."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import psutil

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


async def test_a_flood_takes_no_files_from_those_who_are_served(tmp_path: Path) -> None:
    """D-05: a stream that runs ends as it should, and who is inside can still ask, though every other place is taken."""
    go_on = asyncio.Event()
    async with staged(tmp_path, {"limits": {"connections_per_peer": 10_000}}, command=SCARCE) as scene:
        head = http(200, [("Content-Type", "text/event-stream"), ("Connection", "close")])
        end = event({"id": "c-1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}) + event("[DONE]")
        scene.upstream.script((Send(head + delta("a")), Pause(go_on), Send(delta("b") + end), Close()))
        inside = await scene.connect()
        async with await scene.connect() as streaming:
            await streaming.send(scene.ordinary(stream=True))
            assert (await streaming.head()).status == 200
            await streaming.chunk()
            assert (await inside.ask(scene.ordinary())).status == 200
            flood = [client for client in [await knock(scene) for _ in range(FLOOD)] if client is not None]
            (worker,) = scene.gate.workers
            open_now = (await scene.gate.metrics())["stillgate_connections"]
            assert 100 < open_now < FILES - 96
            assert psutil.Process(worker).num_fds() < FILES - 20
            assert scene.witness.saw(await inside.ask(scene.ordinary())).status == 200
            go_on.set()
            await streaming.until(b"0\r\n\r\n")
        refused = (await scene.gate.metrics())['stillgate_refusals_total{reason="too_many_connections"}']
        assert refused >= FLOOD - open_now
        for client in (*flood, inside):
            client.close()
        async with asyncio.timeout(10):
            while (await scene.gate.metrics())["stillgate_connections"]:
                await asyncio.sleep(0.05)
        assert (await scene.ask(scene.ordinary(), accepted=True)).status == 200
        assert "leaves fewer client connections" in (scene.gate.folder / "stderr.log").read_text()
