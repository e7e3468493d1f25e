"""What is reserved before an answer and charged after it: the upstream's numbers, at the settings' prices.

One proxy serves the file. Each test asks for a model of its own where it fills the count of one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio

from tests.end_to_end.customers import ask as say
from tests.end_to_end.customers import openai_client, record_of
from tests.end_to_end.scene import CHAT, MESSAGES, Scene, chat, staged
from tests.rig.invariants import Dialect
from tests.rig.raw_client import Response, post
from tests.rig.scripted_upstream import Close, Reset, Script, html_answer, json_answer
from tests.rig.structured_fields import read_list

pytestmark = pytest.mark.asyncio(loop_scope="module")

PER_MODEL, IN_BRIEF = 3_000, 900
PRICED = {"input_usd_per_million": 3, "output_usd_per_million": 15}
SETTINGS: dict[str, Any] = {
    "models": {
        "m-priced": PRICED,
        "m-cheap": {"input_usd_per_million": 0.1, "output_usd_per_million": 0.000001},
        **{f"m-{name}": {"max_output_tokens": PER_MODEL} for name in ("shapes", "failing", "full")},
        "m-capped": {"max_output_tokens": 100},
        **{f"m-alias-{n}": {"max_output_tokens": PER_MODEL, "known_as": "vendor/aliased"} for n in (1, 2)},
    },
}
PACK: dict[str, Any] = {
    "apiVersion": "stillgate/v1",
    "kind": "PolicyPack",
    "metadata": {"name": "settlement", "version": "1", "owner": "tests"},
    "defaults": {"mode": "enforce"},
    "quotas": [
        {"id": "brief", "per": "key", "limits": [{"measure": "input_tokens", "max": IN_BRIEF, "window": "2s"}]},
        {"id": "model", "per": "model", "limits": [{"measure": "output_tokens", "max": PER_MODEL, "window": "1h"}]},
        {
            "id": "rest",
            "per": "account",
            "limits": [
                {"measure": "requests", "max": 10_000, "window": "1h"},
                {"measure": "total_tokens", "max": 1_000_000, "window": "1h"},
                {"measure": "cost_usd", "max": 1_000, "window": "1d"},
            ],
        },
    ],
}
SHAPES: list[tuple[Dialect, dict[str, Any]]] = [
    ("openai", {}),
    ("openai", {"stream": True}),
    ("openai", {"stream": True, "stream_options": {"include_usage": False}}),
    ("openai", {"stream": True, "stream_options": {"include_usage": True}}),
    ("anthropic", {}),
    ("anthropic", {"stream": True}),
]
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
LONG: Any = [{"role": "user", "content": "a" * 2_000}]  # some 700 tokens: there is room for one of them in two seconds


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("settlement"), SETTINGS, pack=PACK) as scene:
        yield scene
        await scene.at_peace()


async def ask(scene: Scene, dialect: Dialect = "openai", **members: Any) -> Response:
    path = CHAT if dialect == "openai" else MESSAGES
    return await scene.ask(post(path, chat(**members), [scene.bearer]), accepted=True, dialect=dialect)


async def record(scene: Scene, answer: Response) -> dict[str, Any]:
    return await record_of(scene.gate, answer.header("x-request-id") or answer.header("request-id"))


async def test_every_way_to_ask_the_same_is_charged_the_same(scene: Scene) -> None:
    """Q-02."""
    charges = []
    for dialect, how in SHAPES:
        answer = await ask(scene, dialect, model="m-priced", **how)
        assert answer.status == 200
        charged = await record(scene, answer)
        charges.append((charged["usage"], charged["cost_microusd"], charged["settled"]))
    assert charges[0] == (
        {"input": 11, "output": 7, "source": "upstream"},
        11 * 3 + 7 * 15,
        {"requests": 1, "input_tokens": 11, "output_tokens": 7, "total_tokens": 18, "cost_usd": 138},
    )
    assert all(one == other for one, other in pairwise(charges))


async def test_the_store_holds_what_was_charged_to_the_token(scene: Scene) -> None:
    for dialect, how in SHAPES:
        assert (await ask(scene, dialect, model="m-shapes", **how)).status == 200
    left = PER_MODEL - 7 * len(SHAPES)
    refused = await ask(scene, model="m-shapes", max_tokens=left + 1)
    assert (refused.status, (await record(scene, refused))["by"]) == (429, "model")
    scene.upstream.script(html_answer(500))
    async with asyncio.timeout(5):
        while (await ask(scene, model="m-shapes", max_tokens=left)).status == 429:
            await asyncio.sleep(0.05)  # what was reserved and not used is on its way back


@pytest.mark.parametrize(
    ("model", "members", "reserved"),
    [
        ("m-large", {"max_tokens": 16}, 16),
        ("m-large", {"max_tokens": None, "max_completion_tokens": 17}, 17),
        ("m-large", {"max_tokens": 16, "n": 3}, 48),
        ("m-capped", {"max_tokens": 5_000}, 100),
        ("m-capped", {"max_tokens": None}, 100),
        ("m-capped", {"max_tokens": None, "n": 4}, 400),
        ("m-capped", {"max_tokens": 10**15}, 100),
        ("m-capped", {"max_tokens": None, "max_completion_tokens": 10**15, "n": 20}, 2_000),
        ("m-capped", {"max_tokens": None, "reasoning_effort": "high"}, 100),
        ("m-capped", {"max_tokens": 7, "max_completion_tokens": 7, "parallel_tool_calls": True}, 7),
    ],
)
async def test_the_reserve_is_what_the_client_may_get_at_most(
    scene: Scene, model: str, members: dict[str, Any], reserved: int
) -> None:
    """Q-05, Q-07."""
    taken = (await record(scene, await ask(scene, model=model, **members)))["reserved"]
    assert taken["output_tokens"] == reserved
    assert taken["total_tokens"] == reserved + taken["input_tokens"]
    assert taken["requests"] == 1


@pytest.mark.parametrize(
    ("members", "place"),
    [
        *(({"n": number}, "n") for number in (0, -1, 129, 10**9, 2**63, 1.5, True, "2")),
        *(({"max_tokens": number}, "max_tokens") for number in (0, -1, 1.5, True, "16")),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
        ({"best_of": 2}, "best_of"),
        ({"parallel_tool_calls": 10**9}, None),
    ],
)
async def test_what_would_multiply_an_answer_without_bound_is_refused(
    scene: Scene, members: dict[str, Any], place: str | None
) -> None:
    """Q-05, Q-07: a number where the API has a switch is the upstream's to judge, and multiplies nothing."""
    calls = scene.calls
    answer = await ask(scene, **members)
    if place is None:
        assert (await record(scene, answer))["reserved"]["output_tokens"] == 16
        return
    assert (answer.status, scene.calls, answer.json()["error"]["param"]) == (400, calls, place)


NO_NAMES = ["M-PRICED", "m-priced ", " m-priced", "m-priced\n", "m-priced-2026-01-31", "ft:m-priced:acme::1"]


@pytest.mark.parametrize("name", [*NO_NAMES, "openai/m-priced", "m-priced\u200b", "vendor/aliased", "m\u2010priced"])
async def test_a_model_by_a_name_that_is_not_in_the_settings_is_none(scene: Scene, name: str) -> None:
    """Q-09: not in another case, with spaces, a date, a prefix, nor as its upstream knows it."""
    calls = scene.calls
    for dialect in ("openai", "anthropic"):
        answer = await ask(scene, dialect, model=name)
        assert (answer.status in (400, 404), scene.calls) == (True, calls)


async def test_all_names_of_a_model_share_one_count(scene: Scene) -> None:
    """Q-09."""
    usage = {"prompt_tokens": 1, "completion_tokens": PER_MODEL - 100, "total_tokens": PER_MODEL - 99}
    scene.upstream.script(json_answer(200, {"choices": [], "usage": usage}))
    assert (await ask(scene, model="m-alias-1", max_tokens=PER_MODEL - 100)).status == 200
    assert scene.upstream.requests[-1].json()["model"] == "vendor/aliased"
    for name in ("m-alias-1", "m-alias-2"):
        refused = await ask(scene, model=name, max_tokens=101)
        assert (refused.status, (await record(scene, refused))["by"]) == (429, "model")
    assert (await ask(scene, model="m-alias-2", max_tokens=100)).status == 200


async def test_a_call_that_is_retried_until_it_is_answered_is_charged_once(scene: Scene) -> None:
    """Q-10: by an official client, which sends one idempotency key with all of them, or by hand."""
    scene.upstream.script(html_answer(500), json_answer(429, {}), json_answer(200, {"choices": [], "usage": USAGE}))
    key = await scene.gate.create_key(account="retrying")
    async with openai_client(scene.gate, key, max_retries=2) as client:
        answer = await say(client, model="m-priced", extra_headers={"Idempotency-Key": "the-same"})
    last = await record_of(scene.gate, answer._request_id)
    records = [record for record in scene.gate.records("exchange") if record["key"] == last["key"]]
    assert [record["status"] for record in records] == [500, 503, 200]
    total = {name: sum(record["settled"][name] for record in records) for name in ("requests", "output_tokens")}
    assert total == {"requests": 1, "output_tokens": 7}
    assert sum(record["cost_microusd"] for record in records) == 11 * 3 + 7 * 15
    assert all(sent.header("idempotency-key") is None for sent in scene.upstream.requests)


async def test_a_cost_is_rounded_up_to_whole_micro_dollars(scene: Scene) -> None:
    charged = await record(scene, await ask(scene, model="m-cheap"))
    assert charged["cost_microusd"] == charged["settled"]["cost_usd"] == 2  # 1.1 and a trace


@pytest.mark.parametrize("answer", [html_answer(500), html_answer(200), (Close(),), (Reset(),)])
async def test_what_was_reserved_is_free_again_when_the_upstream_fails(scene: Scene, answer: Script) -> None:
    for _ in range(3):
        scene.upstream.script(answer)
        async with asyncio.timeout(5):
            # Everything the model's count has: the next one fits only once this one has come back.
            while (failed := await ask(scene, model="m-failing", max_tokens=PER_MODEL)).status == 429:
                await asyncio.sleep(0.02)
        assert failed.status >= 500
        settled = (await record(scene, failed))["settled"]
        assert set(settled.values()) == {0}


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
async def test_a_client_that_waits_as_long_as_it_was_told_is_admitted(scene: Scene, dialect: Dialect) -> None:
    """Q-16, S-06."""
    usage = {"prompt_tokens": 690, "completion_tokens": 1, "input_tokens": 690, "output_tokens": 1}
    scene.key = await scene.gate.create_key(account=f"patient-{dialect}")
    scene.upstream.script(json_answer(200, {"type": "message", "choices": [], "usage": usage}))
    assert (await ask(scene, dialect, messages=LONG)).status == 200
    refused = await ask(scene, dialect, messages=LONG)
    assert (refused.status, (await record(scene, refused))["by"]) == (429, "brief")
    wait = int(refused.header("retry-after") or 0)
    assert 1 <= wait <= 3
    if dialect == "openai":
        told = {name: refused.header(f"x-ratelimit-{name}-tokens") or "" for name in ("limit", "remaining", "reset")}
        assert 1 <= int(told["reset"].removesuffix("s")) <= wait
    else:
        names = ("limit", "remaining", "reset")
        told = {name: refused.header(f"anthropic-ratelimit-input-tokens-{name}") or "" for name in names}
        date = datetime.strptime(refused.header("date") or "", "%a, %d %b %Y %H:%M:%S %Z")  # noqa: DTZ007 - always GMT
        reset_at = datetime.fromisoformat(told["reset"]).replace(tzinfo=None)
        assert 0 <= (reset_at - date).total_seconds() <= wait + 1
    assert int(told["limit"]) == IN_BRIEF
    (name, policy), *_ = read_list(refused.header("ratelimit-policy") or "")
    (same, left), *_ = read_list(refused.header("ratelimit") or "")
    assert (name, policy) == ("input-tokens", {"q": IN_BRIEF, "qu": "tokens", "w": 2})
    assert (same, left["r"], 1 <= int(left["t"]) <= wait + 1) == ("input-tokens", int(told["remaining"]), True)
    assert 0 <= int(told["remaining"]) <= IN_BRIEF - 690
    await asyncio.sleep(wait)
    assert (await ask(scene, dialect, messages=LONG)).status == 200


@pytest.mark.parametrize(
    ("dialect", "kind", "code"),
    [("openai", "insufficient_quota", "insufficient_quota"), ("anthropic", "rate_limit_error", None)],
)
async def test_what_never_fits_is_refused_without_a_time_to_come_back(
    scene: Scene, dialect: Dialect, kind: str, code: str | None
) -> None:
    scene.key = await scene.gate.create_key(account=f"large-{dialect}")
    refused = await ask(scene, dialect, messages=[{"role": "user", "content": "a" * 3 * IN_BRIEF}])
    assert refused.status == 429
    assert refused.header("retry-after") is None
    assert refused.header("x-should-retry") == "false"
    error = refused.json()["error"]
    assert (error["type"], error.get("code")) == (kind, code)
    assert "Retry after making the request smaller" in error["message"]


async def test_a_count_of_everybody_that_was_passed_refuses_and_is_told_to_nobody(scene: Scene) -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": PER_MODEL + 500, "total_tokens": PER_MODEL + 501}
    scene.upstream.script(json_answer(200, {"choices": [], "usage": usage}))
    answer = await ask(scene, model="m-full", max_tokens=PER_MODEL)
    assert (await record(scene, answer))["settled"]["output_tokens"] == PER_MODEL + 500
    refused = await ask(scene, model="m-full", max_tokens=1)
    assert (refused.status, (await record(scene, refused))["by"]) == (429, "model")
    told = read_list(refused.header("ratelimit-policy") or "")
    assert {PER_MODEL}.isdisjoint(policy["q"] for _, policy in told)
    assert int(refused.header("x-ratelimit-limit-tokens") or 0) in (IN_BRIEF, 1_000_000)  # his own
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert 3_500 < int(refused.header("retry-after") or 0) <= 3_661
