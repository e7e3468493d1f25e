"""Memory of the deployment runs full and has room again: row D-10."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path

from redis import Redis

from tests.end_to_end.scene import CHAT, MESSAGES, Scene, answer, staged
from tests.rig.raw_client import BrokenError
from tests.rig.scripted_upstream import Pause, ScriptedUpstream, Send, http
from tests.rig.waiting import until

LIMIT_BYTES = 384 << 20  # about three times what parent, worker and store take


async def unready(scene: Scene) -> bool:
    status, said = await scene.gate.admin_request("GET", "/readyz")
    assert said["missing"] in ([], ["memory"])
    return bool(status == 503)


async def test_while_memory_is_full_new_work_is_turned_away_and_what_runs_goes_on(tmp_path: Path) -> None:
    """D-10: the store's memory counts too, so that is what is filled; each dialect has its own word for it."""
    async with staged(tmp_path, {"limits": {"memory_bytes": LIMIT_BYTES}}) as scene:
        store = Redis(unix_socket_path=str((scene.gate.data / "store" / "valkey.sock").resolve()))
        usual, door = scene.upstream.default, asyncio.Event()
        assert callable(usual)
        assert 0 < (await scene.gate.metrics())["stillgate_memory_share"] < 0.8
        scene.upstream.default = lambda asked: (Pause(door), *usual(asked))
        running = asyncio.create_task(scene.ask(scene.ordinary(), accepted=True))
        await scene.upstream.wait_for_requests(1)
        await asyncio.to_thread(store.setrange, "ballast", LIMIT_BYTES - 1, "x")
        await until(lambda: unready(scene))
        for path, status, dialect in ((CHAT, 503, "openai"), (MESSAGES, 529, "anthropic")):
            asked = scene.ordinary(("anthropic-version", "2023-06-01"), path=path)
            turned = await scene.ask(asked, accepted=False, dialect=dialect)  # type: ignore[arg-type]  # of two words
            assert (turned.status, turned.header("retry-after")) == (status, "5")
            assert b"overloaded_error" in turned.body or dialect == "openai"
        assert (await scene.gate.admin("GET", "/healthz"))[0] == 200
        metrics = await scene.gate.metrics()
        assert metrics["stillgate_memory_full"] == 1
        assert metrics["stillgate_memory_share"] > 0.9
        assert metrics['stillgate_refusals_total{reason="overloaded"}'] == 2
        door.set()
        assert (await running).status == 200
        scene.upstream.default = usual
        await asyncio.to_thread(store.delete, "ballast")
        await asyncio.to_thread(store.execute_command, "MEMORY PURGE")

        async def ready() -> bool:
            return not await unready(scene)

        await until(ready)
        assert (await scene.ask(scene.ordinary(), accepted=True)).status == 200
        assert (await scene.gate.metrics())["stillgate_memory_full"] == 0
        store.close()
        await scene.at_peace()


async def test_memory_that_a_burst_of_answers_took_is_given_back(tmp_path: Path) -> None:
    """D-10: also what the C library keeps of it, which would count as used for good."""
    async with staged(tmp_path, {"limits": {"memory_bytes": LIMIT_BYTES}}) as scene:
        door = asyncio.Event()
        body = json.dumps(answer("x" * 500_000)).encode()
        long = http(200, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))], body)
        scene.upstream.default = lambda _: (Send(long[:-1]), Pause(door), Send(long[-1:]))
        asked = [asyncio.create_task(scene.ask(scene.ordinary(), within=40)) for _ in range(800)]
        await until(lambda: unready(scene))
        door.set()
        for each in asked:
            with suppress(BrokenError):  # while memory is full, few of them may wait for who is slow
                await each

        async def ready() -> bool:
            return not await unready(scene)

        await until(ready)


async def test_many_large_answers_come_in_few_at_a_time(tmp_path: Path) -> None:
    """P6: each is kept until it is whole, so the others wait at the upstream, and all are answered in the end."""
    async with staged(tmp_path) as scene:
        door, size = asyncio.Event(), 16 << 20
        body = json.dumps(answer("x" * size)).encode()
        long = http(200, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))], body)
        scene.upstream.default = lambda _: (Send(long[:-1]), Pause(door), Send(long[-1:]))
        (before,) = scene.gate.rss().values()
        asked = [asyncio.create_task(scene.ask(scene.ordinary(), accepted=True, within=60)) for _ in range(32)]

        async def as_many_as_may() -> bool:
            return max(scene.gate.rss().values()) > before + 8 * size

        await until(as_many_as_may)
        await asyncio.sleep(1)  # the others would come meanwhile
        assert max(scene.gate.rss().values()) < before + 16 * size
        door.set()
        assert {(each.status, len(each.body)) for each in await asyncio.gather(*asked)} == {(200, len(body))}
        await scene.at_peace()


async def test_large_answers_of_a_slow_upstream_keep_none_of_another_waiting(tmp_path: Path) -> None:
    async with ScriptedUpstream() as slow:
        other = {"url": slow.url, "credential_file": "upstream.key"}
        settings = {"upstreams": {"slow": other}, "models": {"m-slow": {"upstream": "slow"}}}
        async with staged(tmp_path, settings) as scene:
            door = asyncio.Event()
            body = json.dumps(answer("x" * (1 << 20))).encode()
            long = http(200, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))], body)
            slow.default = lambda _: (Send(long[:-1]), Pause(door), Send(long[-1:]))
            scene.upstream.default = lambda _: (Send(long),)
            asked = [asyncio.create_task(scene.ask(scene.ordinary(model="m-slow"))) for _ in range(9)]
            await until(lambda: len(slow.requests) == len(asked))
            await asyncio.sleep(0.5)  # what is large of them comes meanwhile
            assert (await scene.ask(scene.ordinary(), within=5)).status == 200
            door.set()
            assert {each.status for each in await asyncio.gather(*asked)} == {200}
