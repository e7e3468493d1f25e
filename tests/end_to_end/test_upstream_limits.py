"""A model that keeps failing is let alone for all, one tenant's wait is not another's, and names differ upstream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.end_to_end.customers import record_of
from tests.end_to_end.scene import CHAT, MESSAGES, Scene, answer, chat, staged
from tests.rig.raw_client import Response, post
from tests.rig.scripted_upstream import Pause, html_answer, json_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")
MODELS = {"sick": {}, "m-fine": {"known_as": "vendor/fine-2026-01-31"}}
UPSTREAM = {"connections": 3, "connections_per_tenant": 2, "waiting_per_tenant": 1, "waiting_seconds": 1.5}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    settings = {"upstreams": {"default": UPSTREAM}, "models": MODELS}
    async with staged(tmp_path_factory.mktemp("limits"), settings) as scene:
        yield scene


async def of(scene: Scene, key: str, **members: object) -> Response:
    return await scene.ask(post(CHAT, chat(**members), [("Authorization", f"Bearer {key}")]), accepted=True)


async def code_of(scene: Scene, key: str, **members: object) -> tuple[int, str]:
    got = await of(scene, key, **members)
    return got.status, "" if got.status == 200 else got.json()["error"]["code"]


async def test_a_model_that_keeps_failing_for_several_tenants_is_let_alone_and_others_are_not(scene: Scene) -> None:
    """U-15: what is away costs nobody a wait, and is asked again later."""
    other = await scene.gate.create_key(account="second", tenant="second")
    scene.upstream.script(*[html_answer(503)] * 5)
    asked = scene.calls
    for key in (scene.key, scene.key, scene.key, scene.key, other):
        assert await code_of(scene, key, model="sick") == (503, "upstream_error")
    got = await of(scene, scene.key, model="sick")
    assert (got.status, got.json()["error"]["code"]) == (503, "upstream_resting")
    assert 1 <= int(got.header("retry-after") or 0) <= 10
    assert scene.calls == asked + 5
    record = await record_of(scene.gate, got.header("x-request-id"))
    assert (record["effect"], record["outcome"], record["status"]) == ("deny", "refused", 503)
    assert await code_of(scene, other) == (200, "")
    async with asyncio.timeout(20):
        while (await of(scene, other, model="sick")).status == 503:
            await asyncio.sleep(0.2)  # the proxy's clock decides
    await scene.at_peace()


async def test_one_tenant_that_takes_all_it_may_waits_and_is_sent_away_while_others_are_answered(scene: Scene) -> None:
    """U-14."""
    other = await scene.gate.create_key(account="third", tenant="third")
    gate = asyncio.Event()
    scene.upstream.script(*[(Pause(gate), *json_answer(200, answer()))] * 2)
    asked = scene.calls
    held = [asyncio.create_task(code_of(scene, scene.key)) for _ in range(2)]
    async with asyncio.timeout(5):
        while scene.calls < asked + 2:
            await asyncio.sleep(0.01)  # another process asks
    results = await asyncio.gather(*(code_of(scene, scene.key) for _ in range(2)))
    assert results == [(503, "overloaded")] * 2  # one was not let wait, the other waited too long
    assert await code_of(scene, other) == (200, "")
    gate.set()
    assert [await task for task in held] == [(200, "")] * 2
    await scene.goes_on()


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_a_model_has_its_own_name_upstream(scene: Scene, path: str) -> None:
    raw = scene.ordinary(path=path, model="m-fine", stream=None)
    got = await scene.ask(raw, accepted=True, dialect="openai" if path == CHAT else "anthropic")
    assert got.status == 200
    assert scene.upstream.requests[-1].json()["model"] == "vendor/fine-2026-01-31"
    record = await record_of(scene.gate, got.header("x-request-id" if path == CHAT else "request-id"))
    assert record["fields"]["request.model"] == "m-fine"
    await scene.at_peace()
