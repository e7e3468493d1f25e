"""Traffic of all kinds, good and bad, for a while: nothing grows, and no task fails unseen; rows L-12 and L-14."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.end_to_end.scene import CHAT, MESSAGES, Scene, chat, delta, staged
from tests.rig.process import GENEROUS_PACK
from tests.rig.raw_client import BrokenError, get, post
from tests.rig.scripted_upstream import Close, Reset, Send, event, html_answer, http, json_answer, sse_answer

UNLIMITED = {**GENEROUS_PACK, "quotas": []}
# With everything that Python and asyncio can be made to complain of.
CHATTY = ["env", "PYTHONASYNCIODEBUG=1", "PYTHONDEVMODE=1", sys.executable, "-m", "proxy.cli"]
UNSEEN = ("never retrieved", "was never awaited", "was destroyed but it is pending", "ResourceWarning", "Traceback")
END = event({"id": "c-1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}) + event("[DONE]")
AT_ONCE = 10
SLOPE_BYTES = 1 << 20  # in ten minutes


def answers(seeded: random.Random) -> Any:
    """Return one of the ways in which an upstream answers, most of them well."""
    broken = http(200, [("Content-Type", "text/event-stream"), ("Connection", "close")]) + delta("a")
    return seeded.choice(
        [
            None,
            None,
            None,
            sse_answer([delta("a" * 500)] * 20 + [END]),
            (Send(broken), Close()),
            (Send(broken), Reset()),
            json_answer(500, {"error": {"message": "no", "type": "server_error"}}),
            json_answer(429, {"error": {"message": "no", "type": "rate_limit"}}),
            html_answer(502),
            (Reset(),),
        ]
    )


async def ask(scene: Scene, seeded: random.Random) -> None:
    """Do one of the things that clients do."""
    kind = seeded.randrange(10)
    with suppress(OSError, BrokenError, TimeoutError):
        async with await scene.connect(10) as client:
            path = seeded.choice([CHAT, MESSAGES])
            if kind < 4:
                await client.ask(scene.ordinary(path=path, stream=kind % 2 == 0))
            elif kind == 4:
                await client.ask(get("/v1/models", [scene.bearer]))
            elif kind == 5:
                await client.ask(post(path, chat(), [("Authorization", "Bearer nobody")]))
            elif kind == 6:
                await client.ask(post(path, b"{" * seeded.randrange(1, 200), [scene.bearer]))
            elif kind == 7:
                await client.send(b"GARBAGE / HTTP/9.9\r\n\r\n")
                await client.to_end()
            elif kind == 8:
                await client.send(scene.ordinary(path=path, stream=True))  # and leave
            else:
                await client.send(scene.ordinary(path=path)[:-10])
                client.reset()


async def traffic(scene: Scene, seconds: float, seeded: random.Random) -> int:
    """Send it for so long; return how much it was."""
    usual = scene.upstream.default
    assert callable(usual)
    scene.upstream.default = lambda asked: answers(seeded) or usual(asked)
    until, count = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        await asyncio.gather(*(ask(scene, seeded) for _ in range(AT_ONCE)))
        count += AT_ONCE
    scene.upstream.default = usual
    return count


def held(scene: Scene) -> tuple[int, int]:
    """Return bytes and descriptors of parent and workers."""
    family = [psutil.Process(pid) for pid in (scene.gate.pid, *scene.gate.workers)]
    return sum(one.memory_info().rss for one in family), sum(one.num_fds() for one in family)


async def at_rest(scene: Scene) -> None:
    """Return once nobody is connected and nothing runs."""
    async with asyncio.timeout(20):
        while True:
            metrics = await scene.gate.metrics()
            if metrics["stillgate_connections"] == metrics["stillgate_inflight"] == 0:
                return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("seconds", [2.0, pytest.param(1800.0, marks=[pytest.mark.soak, pytest.mark.timeout(2400)])])
async def test_nothing_grows_and_no_task_fails_unseen(tmp_path: Path, seconds: float) -> None:
    """L-12, L-14: also with asyncio's and Python's own checks on."""
    seeded = random.Random(12)
    async with staged(tmp_path, {"limits": {"drain_seconds": 2.0}}, pack=UNLIMITED, command=CHATTY) as scene:
        assert await traffic(scene, seconds / 2, seeded) > 10
        await at_rest(scene)
        began, (bytes_before, files_before) = time.monotonic(), held(scene)
        assert await traffic(scene, seconds / 2, seeded) > 10
        await at_rest(scene)
        bytes_after, files_after = held(scene)
        warming = 16 << 20 if seconds < 60 else 2 << 20  # what a few seconds may still load
        allowed = SLOPE_BYTES * (time.monotonic() - began) / 600 + warming
        assert bytes_after - bytes_before < allowed
        assert files_after <= files_before + 8
        assert (await scene.ask(scene.ordinary(), accepted=True)).status == 200
        ids: set[str] = set()
        for record in scene.gate.log().walk():
            if record["kind"] == "exchange":
                assert record["id"] not in ids
                assert record["outcome"] != "failed"
                ids.add(record["id"])
        assert ids
        assert await scene.gate.terminate() == 0
        said = (scene.gate.folder / "stderr.log").read_text()
        assert not [line for line in said.splitlines() if any(word in line for word in UNSEEN)]
