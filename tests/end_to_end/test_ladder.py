"""Rules and the ladder in a running proxy: flagged callers lose what they probe with, then access; others lose nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.end_to_end.scene import CHAT, MESSAGES, Scene, answer, delta, staged
from tests.rig.raw_client import Response, post
from tests.rig.scripted_upstream import event, json_answer, sse_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
PACK: dict[str, Any] = {
    "apiVersion": "stillgate/v1",
    "kind": "PolicyPack",
    "metadata": {"name": "ladder", "version": "1.0.0", "owner": "tests"},
    "defaults": {"mode": "enforce"},
    "lists": {"small": ["m-small"]},
    "signals": {
        "probes": {"count": "requests", "per": "account", "window": "1h", "where": {"request.logprobs": True}},
        "refusals": {"count": "requests", "per": "account", "window": "1h", "where": {"answer.refused": True}},
        "turned_away": {"count": "requests", "per": "account", "window": "1h", "where": {"answer.status": 403}},
    },
    "rules": [
        {
            "id": "probing",
            "when": {"signals.probes": {"gte": 3}},
            "flag": {"name": "probing", "on": "account", "score": 45, "ttl": "1d"},
            "reason": "{signals.probes} requests with log-probabilities",
        },
        {
            "id": "many-choices",
            "when": {"request.choices": {"gte": 5}},
            "flag": {"name": "many_choices", "on": "account", "score": 100, "ttl": "1d"},
        },
        {
            "id": "declined",
            "when": {"signals.refusals": {"gte": 2}},
            "flag": {"name": "declined", "on": "account", "score": 150, "ttl": "1d"},
        },
        {
            "id": "watched",
            "mode": "shadow",
            "when": {"request.model": {"in": "$small"}},
            "flag": {"name": "watched", "on": "account", "score": 150, "ttl": "1d"},
        },
    ],
    "ladder": [
        {"rung": "strip", "score": 40, "do": [{"drop": ["logprobs", "logit_bias"]}], "disclose": "header"},
        {"rung": "clamp", "score": 80, "do": [{"clamp": {"max_output_tokens": 8, "n": 1}}]},
        {
            "rung": "block",
            "score": 140,
            "do": [{"reject": {"status": 403}}],
            "client": {"code": "access_paused", "message": "Access paused (ref {exchange_id})."},
        },
    ],
}
SETTINGS: dict[str, Any] = {"models": {"m-large": {}, "m-small": {}}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("ladder"), SETTINGS, pack=PACK) as scene:
        yield scene


class Customer:
    """One account of its own, in either dialect."""

    def __init__(self, scene: Scene, secret: str) -> None:
        self._scene = scene
        self._secret = secret

    async def chat(self, **members: Any) -> Response:
        """Ask for a completion; a stream is answered with events."""
        body = {"model": "m-large", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 16, **members}
        script = (
            sse_answer([delta("Hello"), event("[DONE]")])
            if members.get("stream")
            else json_answer(200, answer("Hello", usage=USAGE))
        )
        self._scene.upstream.script(script)
        return await self._scene.ask(post(CHAT, body, [("Authorization", f"Bearer {self._secret}")]), accepted=True)

    async def message(self, **members: Any) -> Response:
        """Ask for a message."""
        body = {"model": "m-large", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 16, **members}
        head = [("x-api-key", self._secret), ("anthropic-version", "2023-06-01")]
        return await self._scene.ask(post(MESSAGES, body, head), accepted=True, dialect="anthropic")


async def customer(scene: Scene) -> Customer:
    customer.count += 1  # type: ignore[attr-defined]
    name = f"customer-{customer.count}"  # type: ignore[attr-defined]
    return Customer(scene, await scene.gate.create_key(account=name, tenant=name))


customer.count = 0  # type: ignore[attr-defined]


def last_record(scene: Scene) -> dict[str, Any]:
    return scene.gate.records("exchange")[-1]


async def flagged(scene: Scene) -> list[Any]:
    """Return the flags that a reviewer sees."""
    status, found = await scene.gate.admin_request("GET", "/flags")
    assert status == 200
    flags: list[Any] = found["flags"]
    return flags


def sent(scene: Scene) -> dict[str, Any]:
    """Return the body that went upstream last."""
    body: dict[str, Any] = scene.upstream.requests[-1].json()
    return body


@pytest.mark.parametrize("stream", [False, True])
async def test_a_probing_account_loses_what_it_probes_with_and_is_told_so(scene: Scene, *, stream: bool) -> None:
    prober, other = await customer(scene), await customer(scene)
    probe = {"logprobs": True, "top_logprobs": 5, "logit_bias": {"1": 2}, "stream": stream}
    for _ in range(2):
        answered = await prober.chat(**probe)
        assert (answered.status, answered.header("stillgate-limited")) == (200, None)
        assert sent(scene)["logprobs"] is True
    answered = await prober.chat(**probe)
    assert (answered.status, answered.header("stillgate-limited")) == (200, "1")
    assert not sent(scene).keys() & probe.keys() - {"stream"}
    assert (await other.chat(**probe)).header("stillgate-limited") is None
    assert sent(scene)["logprobs"] is True
    await scene.at_peace()
    degraded = [record for record in scene.gate.records("exchange") if record["effect"] == "degrade"][-1]
    assert (degraded["by"], degraded["rung"], degraded["score"]) == ("strip", "strip", 45)
    assert (degraded["actions"], degraded["fired"], degraded["flags"]) == (["drop"], ["probing"], ["probing"])
    assert degraded["reasons"] == ["3 requests with log-probabilities"]
    assert degraded["fields"]["signals.probes"] == 3
    assert degraded["id"] in {record["id"] for record in scene.gate.records("begin")}


async def test_a_flag_that_changes_nothing_degrades_nothing(scene: Scene) -> None:
    prober = await customer(scene)
    for _ in range(3):
        await prober.chat(logprobs=True)
    assert (await prober.chat()).header("stillgate-limited") is None
    await scene.at_peace()
    record = last_record(scene)
    assert (record["effect"], record["by"], record["rung"], record["actions"]) == ("allow", "", "strip", [])


async def test_a_clamped_call_asks_the_model_for_no_more_than_the_bound(scene: Scene) -> None:
    greedy = await customer(scene)
    assert (await greedy.chat(n=5, max_tokens=None)).header("stillgate-limited") is None, "this rung discloses nothing"
    assert (sent(scene)["n"], sent(scene)["max_completion_tokens"]) == (1, 8)
    await scene.at_peace()
    record = last_record(scene)
    assert (record["effect"], record["by"], record["actions"]) == ("degrade", "clamp", ["clamp"])
    assert record["reserved"] == {}


async def test_whom_the_model_declines_too_often_is_blocked_in_the_words_of_the_pack(scene: Scene) -> None:
    seeker = await customer(scene)
    declined = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m-large",
        "content": [],
        "stop_reason": "refusal",
        "usage": {"input_tokens": 3, "output_tokens": 1},
    }
    for _ in range(2):
        scene.upstream.script(json_answer(200, declined))
        assert (await seeker.message()).status == 200
    calls = scene.calls
    blocked = await seeker.message()
    assert blocked.status == 403
    record_id = blocked.header("request-id")
    assert blocked.json()["error"]["message"] == f"Access paused (ref {record_id})."
    blocked = await seeker.chat(stream=True)
    assert (blocked.status, blocked.json()["error"]["code"]) == (403, "access_paused")
    assert scene.calls == calls
    await scene.at_peace()
    record = last_record(scene)
    assert (record["effect"], record["by"], record["actions"]) == ("deny", "block", ["reject"])


async def test_a_refusal_by_a_rung_counts_in_signals_that_read_answers(scene: Scene) -> None:
    insisting = await customer(scene)
    statuses = [(await insisting.chat(n=5, logprobs=True)).status for _ in range(5)]
    assert statuses == [200, 200, 403, 403, 403]
    await scene.at_peace()
    fields = last_record(scene)["fields"]
    assert (fields["answer.status"], fields["signals.turned_away"]) == (403, 2)


async def test_a_rule_in_shadow_shows_in_the_record_only(scene: Scene) -> None:
    watched = await customer(scene)
    assert (await watched.chat(model="m-small", logprobs=True)).status == 200
    assert sent(scene)["logprobs"] is True
    await scene.at_peace()
    record = last_record(scene)
    assert (record["effect"], record["rung"], record["fired"]) == ("allow", "", [])
    assert record["shadow"] == {"rung": "block", "score": 150, "fired": ["watched"], "denied_by": []}


async def test_flags_are_there_again_after_everything_was_killed(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with staged(tmp_path_factory.mktemp("killed"), SETTINGS, pack=PACK) as scene:
        prober = await customer(scene)
        for _ in range(3):
            await prober.chat(logprobs=True)
        async with asyncio.timeout(5):  # it reaches the store behind the request
            while not await flagged(scene):
                await asyncio.sleep(0.05)
        await scene.gate.kill_everything()
        await scene.gate.restart()
        assert (await prober.chat(logprobs=True)).header("stillgate-limited") == "1"
