"""The shared store refuses, hangs, answers nonsense or loses its answers: 503 and never 401 or 429, and all is well after.

What is known of a key and of limits goes on meanwhile; the store is a real one behind a proxy that breaks.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from proxy.auth.api_key import mint
from proxy.clock import SystemClock
from proxy.store import open_store
from proxy.store.base import Row
from tests.end_to_end.scene import CHAT, MESSAGES, Scene, chat, staged
from tests.rig.fault_proxy import BlackHole, Fault, FaultProxy, Garbage, LostReply, Refuse, ResetAfter
from tests.rig.process import GENEROUS_PACK
from tests.rig.raw_client import Response, get, post
from tests.rig.valkey import Valkey, command

pytestmark = pytest.mark.asyncio(loop_scope="module")
# A store call may take 0.25 s; a request makes two at most, and the machine does other things too.
BOUND_S = 1.5
BACK_S = 5.0
LEASE_S = 1.5  # a second a slot of the minute, and what the last call before the fault may have taken


@asynccontextmanager
async def sharing(
    folder: Path, store_url: str, more: Mapping[str, Any] | None = None, **how: Any
) -> AsyncIterator[Scene]:
    """Start a proxy on a shared store."""
    (folder / "data").mkdir(mode=0o700)
    master = folder / "shared.master"
    master.touch(mode=0o600)
    master.write_text(secrets.token_hex(32))
    async with staged(folder, {"store": store_url, "secret_file": master.name, **(more or {})}, **how) as scene:
        yield scene


@asynccontextmanager
async def away(folder: Path, appendonly: str = "yes", **how: Any) -> AsyncIterator[tuple[Scene, FaultProxy]]:
    """Start a proxy on a shared store that is reached through a proxy of faults."""
    with Valkey(folder / "valkey", settings={"appendonly": appendonly}) as valkey:
        async with FaultProxy(valkey.url) as store, sharing(folder, store.url, **how) as scene:
            yield scene, store


Stage = tuple[Scene, FaultProxy]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with away(tmp_path_factory.mktemp("away"), appendonly="no") as stage:
        yield stage


async def timed(scene: Scene, raw: bytes, **how: Any) -> Response:
    """Ask, and require an answer in bounded time."""
    began = asyncio.get_running_loop().time()
    answer = await scene.ask(raw, **how)
    took = asyncio.get_running_loop().time() - began
    assert took < BOUND_S, f"{took:.2f} s for {answer.status}"
    return answer


async def until(what: Callable[[], Any], wanted: Any, within: float = BACK_S) -> None:
    deadline = asyncio.get_running_loop().time() + within
    while (found := await what()) != wanted:
        assert asyncio.get_running_loop().time() < deadline, f"{found} and not {wanted} after {within} s"
        await asyncio.sleep(0.05)


FAULTS: dict[str, Fault] = {
    "refused": Refuse(),
    "black hole": BlackHole(),
    "garbage": Garbage(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "replies lost": LostReply(),
}
REPLIES = (
    b"-LOADING Valkey is loading the dataset in memory\r\n",
    b"-READONLY You can't write against a read only replica.\r\n",
    b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    b"-MISCONF Errors writing to the AOF file\r\n",
    b"-NOAUTH Authentication required.\r\n",
    b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
    b"-\r\n",
    b"*3\r\n:1\r\n$-1\r\n+x\r\n",
    b":1\r\n",
    b"*1000000000\r\n",
    b"$-2\r\n",
)


@pytest.mark.parametrize("name", FAULTS)
async def test_an_outage_looks_like_one_and_passes(stage: Stage, name: str) -> None:
    """R-02, R-03, R-08, R-10, R-12: unknown keys get 503 in their dialect; who is known goes on by his process's share."""
    scene, store = stage
    fresh = await scene.gate.create_key(account=secrets.token_hex(4), tenant=secrets.token_hex(4))
    unasked = ("Authorization", f"Bearer {fresh}")
    unknown = ("Authorization", f"Bearer {mint(secrets.token_bytes)}")
    async with await scene.connect() as client:
        try:
            await until(lambda: status(scene, scene.ordinary()), 200)
            before = await scene.gate.metrics()
            store.fault = FAULTS[name]
            ends = asyncio.get_running_loop().time() + LEASE_S
            while asyncio.get_running_loop().time() < ends:  # longer than anything that was held
                assert scene.witness.saw(await client.ask(scene.ordinary())).status == 200
                await asyncio.sleep(0.02)
            now = await scene.gate.metrics()
            assert now["stillgate_store_breaker_open"] == 1
            for measure in ("requests", "output_tokens"):
                series = f'stillgate_local_limits_total{{measure="{measure}",result="granted"}}'
                assert now[series] > before.get(series, 0), measure
            for path in (CHAT, MESSAGES):
                dialect = "anthropic" if path == MESSAGES else "openai"
                answer = await timed(scene, post(path, chat(), [unasked]), dialect=dialect)
                assert (answer.status, answer.header("retry-after")) == (503, "2"), answer
            keyed = await timed(scene, scene.ordinary(("Idempotency-Key", name.replace(" ", "-"))), accepted=True)
            assert (keyed.status, keyed.header("retry-after"), b"Idempotency-Key" in keyed.raw) == (503, "2", True)
            malformed = await timed(scene, post(CHAT, chat(), [("Authorization", "Bearer x")]), accepted=False)
            assert malformed.status == 401, "what cannot be a key needs no store"
            assert (await timed(scene, post(CHAT, chat(), [unknown]), accepted=False)).status == 503
            assert (await timed(scene, get("/v1/models", [scene.bearer]), accepted=True)).status == 200
            await until(lambda: ready(scene), {"ready": False, "missing": ["store"], "notes": []})
        finally:
            store.fault = None
    await until(lambda: ready(scene), {"ready": True, "missing": [], "notes": []})
    await until(lambda: status(scene, post(CHAT, chat(), [unasked])), 200)
    assert (await scene.gate.metrics())["stillgate_store_breaker_open"] == 0
    assert (await scene.ask(post(CHAT, chat(), [unknown]), accepted=False)).status == 401
    assert await status(scene, scene.ordinary()) == 200
    await until(lambda: status(scene, scene.ordinary(("Idempotency-Key", name.replace(" ", "-")))), 200)
    await scene.at_peace()


async def test_no_reply_of_the_store_is_more_than_an_outage(stage: Stage) -> None:
    """R-08, R-12: neither an error of its own nor nonsense becomes a 500, a refusal or an answer."""
    scene, store = stage
    for reply in (*REPLIES, None):
        key = await scene.gate.create_key(account=secrets.token_hex(4), tenant=secrets.token_hex(4))
        raw = post(CHAT, chat(), [("Authorization", f"Bearer {key}")])
        store.fault = Garbage(reply) if reply else ResetAfter(0)
        try:
            assert (await timed(scene, raw)).status == 503, reply
        finally:
            store.fault = None
        await until(partial(status, scene, raw), 200)
        await until(lambda: ready(scene), {"ready": True, "missing": [], "notes": []})
    await scene.at_peace()


async def test_a_store_that_keeps_no_file_is_warned_of(stage: Stage) -> None:
    """R-15."""
    scene, _ = stage
    assert "the store keeps no append-only file" in (scene.gate.folder / "stderr.log").read_text()
    assert (await scene.gate.metrics())["stillgate_store_append_only"] == 0


async def test_a_store_that_was_flushed_looks_like_an_outage_until_it_is_restored(stage: Stage) -> None:
    """R-10, R-14: who is known goes on, nobody is told that his key is wrong, and an operator is told what happened."""
    scene, way = stage
    await until(lambda: status(scene, scene.ordinary()), 200)
    fresh = await scene.gate.create_key(account="fresh", tenant="fresh")
    unasked = post(CHAT, chat(), [("Authorization", f"Bearer {fresh}")])
    store = await open_store(way.url, clock=SystemClock(), deadline=5.0)
    try:
        tables = ("keys", "key_ids", "epochs", "store")
        backup = [Row(table, name, value) for table in tables async for name, value in store.scan(table)]
        await asyncio.to_thread(command, way.url, "FLUSHALL")
        assert (await scene.ask(unasked, accepted=False)).status == 503
        await until(lambda: lost(scene), 1.0)
        assert "the store has lost everything it held" in (scene.gate.folder / "stderr.log").read_text()
        assert await status(scene, scene.ordinary()) == 200
        assert (await scene.ask(unasked, accepted=False)).status == 503
        await store.write(backup)
        await until(lambda: lost(scene), 0.0)
        assert await status(scene, unasked) == await status(scene, scene.ordinary()) == 200
    finally:
        await store.close()
    await scene.at_peace()


async def lost(scene: Scene) -> float:
    return (await scene.gate.metrics())["stillgate_store_lost"]


async def ready(scene: Scene) -> Any:
    return (await scene.gate.admin_request("GET", "/readyz"))[1]


async def status(scene: Scene, raw: bytes) -> int:
    return (await scene.ask(raw)).status


async def test_what_the_store_counted_unseen_is_counted_once(tmp_path: Path) -> None:
    """R-04, P3: ten requests an hour are ten, whatever became of the answers; a lost one costs one at most."""
    limits = [{"measure": "requests", "max": 10, "window": "1h", "exact": True}]
    pack = GENEROUS_PACK | {"quotas": [{"id": "ten", "per": "key", "limits": limits}]}
    async with away(tmp_path, pack=pack) as (scene, store):
        statuses = [(await scene.ask(scene.ordinary(), accepted=True)).status for _ in range(3)]
        store.fault = LostReply()
        lost = (await scene.ask(scene.ordinary(), accepted=True)).status
        store.fault = None

        async def answers() -> bool:
            statuses.append((await scene.ask(scene.ordinary(), accepted=True)).status)
            return statuses[-1] != 503

        await until(answers, wanted=True)
        for _ in range(10):
            statuses.append((await scene.ask(scene.ordinary(), accepted=True)).status)
        assert lost == 503
        assert set(statuses) <= {200, 429, 503}
        assert 9 <= statuses.count(200) <= 10
        assert statuses[-1] == 429
        await scene.at_peace()


async def test_a_store_that_is_killed_and_comes_back_is_used_again(tmp_path: Path) -> None:
    """R-02, R-15: without a restart of ours, and its keys are those of before."""
    with Valkey(tmp_path / "valkey", settings={"appendfsync": "always"}) as valkey:
        async with sharing(tmp_path, valkey.url) as scene:
            other = await scene.gate.create_key(account="other", tenant="other")
            raw = post(CHAT, chat(), [("Authorization", f"Bearer {other}")])
            valkey.kill()
            assert (await timed(scene, raw)).status == 503
            valkey.start()
            await until(lambda: status(scene, raw), 200)
            await scene.at_peace()
