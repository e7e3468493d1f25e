"""A model that keeps failing is left alone for all, one tenant's wait is not another's, and names differ upstream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import cycle

import pytest
import pytest_asyncio

from tests.end_to_end.customers import record_of
from tests.end_to_end.scene import CHAT, MESSAGES, Headers, Scene, answer, chat, staged
from tests.rig.invariants import Dialect
from tests.rig.raw_client import Response, post
from tests.rig.scripted_upstream import Pause, html_answer, json_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")
# What an upstream says besides its status, and how long a client is then asked to wait; 1 where it said nothing of use.
ASKS: dict[str, tuple[int, Headers, int | None]] = {
    "429 in seconds": (429, [("Retry-After", "7")], 7),
    "429 in milliseconds": (429, [("retry-after-ms", "6500"), ("Retry-After", "30")], 7),
    "429 at a date long past": (429, [("Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT")], 1),
    "429 at a date far away": (429, [("Retry-After", "Fri, 31 Dec 2399 23:59:59 GMT")], 60),
    "429 in an absurd time": (429, [("Retry-After", "9" * 40)], 60),
    "429 in a negative time": (429, [("Retry-After", "-7")], 1),
    "429 and nonsense": (429, [("Retry-After", "\xff soon, 1e9"), ("retry-after-ms", "NaN")], 1),
    "429 alone": (429, [], 1),
    "503 in seconds": (503, [("Retry-After", "9")], 9),
    "503 alone": (503, [], None),
    "529 in seconds": (529, [("Retry-After", "3600")], 60),
}
BY_ASKING: dict[str, dict[str, str]] = {f"asking-{number}": {} for number in range(len(ASKS))}
MODELS = {"sick": {}, "busy": {}, "queued": {}, "m-fine": {"known_as": "vendor/fine-2026-01-31"}, **BY_ASKING}
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


@pytest.mark.parametrize(("name", "path"), list(zip(ASKS, cycle([CHAT, MESSAGES]))))
async def test_an_upstream_that_asks_to_be_left_alone_is_by_whom_it_told_and_no_quota_is_blamed(
    scene: Scene, name: str, path: str
) -> None:
    """U-05: for as long as it asked, a minute at most; another tenant is not kept from trying."""
    status, headers, wait = ASKS[name]
    model = f"asking-{list(ASKS).index(name)}"
    dialect: Dialect = "openai" if path == CHAT else "anthropic"
    told, other = [await scene.gate.create_key(account=who + model, tenant=who + model) for who in ("told-", "other-")]
    scene.upstream.script(json_answer(status, {"error": {"message": "limit of org-canary-upstream"}}, headers))
    calls = scene.calls

    async def ask(key: str) -> Response:
        raw = post(path, chat(model=model), [("Authorization", f"Bearer {key}")])
        return await scene.ask(raw, accepted=True, dialect=dialect)

    refused = await ask(told)
    assert refused.status == (503 if status == 429 else status)
    assert refused.header("retry-after") == (None if wait is None else str(wait))
    error = refused.json()["error"]
    assert (error["type"], error.get("code")) == {
        "openai": ("server_error", "upstream_rate_limited" if status == 429 else "upstream_error"),
        "anthropic": ("overloaded_error", None),
    }[dialect]
    assert b"canary" not in refused.raw
    id_header = "x-request-id" if path == CHAT else "request-id"
    record = await record_of(scene.gate, refused.header(id_header))
    assert (record["effect"], record["outcome"], record["cost_microusd"]) == ("allow", "upstream_error", 0)
    assert (record["settled"]["requests"], record["settled"]["input_tokens"]) == (0, 0)
    again = await ask(told)
    rests = wait is not None and wait > 1
    assert (again.status, scene.calls) == ((503, calls + 1) if rests else (200, calls + 2))
    if rests and wait is not None:
        assert wait - 5 <= int(again.header("retry-after") or 0) <= wait
        assert "not answering" in again.json()["error"]["message"]
    asked = scene.calls
    assert ((await ask(other)).status, scene.calls) == (200, asked + 1)
    await scene.at_peace()


async def test_a_model_whose_upstream_asks_two_tenants_to_wait_is_let_alone_by_all_until_the_time_is_up(
    scene: Scene,
) -> None:
    """U-05: a success in between says that it is not shut for everybody; afterwards all may try at once."""
    keys = [await scene.gate.create_key(account=f"busy-{who}", tenant=f"busy-{who}") for who in range(5)]
    limited = json_answer(429, {"error": {"message": "no"}}, [("Retry-After", "3")])
    scene.upstream.script(limited, json_answer(200, answer()), limited)
    counted = 'stillgate_upstream_rests_total{model="busy"}'
    before = (await scene.gate.metrics())[counted]
    told = [await code_of(scene, key, model="busy") for key in keys[:3]]
    assert told == [(503, "upstream_rate_limited"), (200, ""), (503, "upstream_rate_limited")]
    scene.upstream.script(limited)
    calls = scene.calls
    assert await code_of(scene, keys[3], model="busy") == (503, "upstream_rate_limited")
    for key in keys:
        got = await of(scene, key, model="busy")
        assert (got.status, got.json()["error"]["code"]) == (503, "upstream_resting")
        assert 1 <= int(got.header("retry-after") or 0) <= 3
    assert scene.calls == calls + 1
    assert await code_of(scene, keys[0]) == (200, "")  # another model's is another limit
    assert (await scene.gate.metrics())[counted] == before + 1
    async with asyncio.timeout(10):
        while (await of(scene, keys[4], model="busy")).status == 503:
            await asyncio.sleep(0.2)  # the proxy's clock decides
    assert [await code_of(scene, key, model="busy") for key in keys] == [(200, "")] * 5
    await scene.at_peace()


async def test_who_waits_for_room_when_the_upstream_asks_is_not_sent_either(scene: Scene) -> None:
    """U-05."""
    key = await scene.gate.create_key(account="queued", tenant="queued")
    gate = asyncio.Event()
    limited = json_answer(429, {"error": {"message": "no"}}, [("Retry-After", "30")])
    scene.upstream.script(*[(Pause(gate), *limited)] * 2)
    calls = scene.calls
    held = [asyncio.create_task(code_of(scene, key, model="queued")) for _ in range(2)]
    async with asyncio.timeout(5):
        while scene.calls < calls + 2:
            await asyncio.sleep(0.01)  # another process asks
    waiting = asyncio.create_task(code_of(scene, key, model="queued"))
    await scene.gate.metrics()  # a turn of the proxy, in which the third comes to wait
    gate.set()
    assert [await task for task in held] == [(503, "upstream_rate_limited")] * 2
    assert await waiting == (503, "upstream_resting")
    assert scene.calls == calls + 2
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
