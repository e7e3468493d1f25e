"""Paced answers in a running proxy: late, byte for byte the upstream's, and nobody else's loss."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.end_to_end.customers import record_of
from tests.end_to_end.scene import CHAT, MESSAGES, Scene, answer, chat, delta, staged
from tests.end_to_end.test_hostile_clients import Reached
from tests.rig.invariants import Footprint
from tests.rig.raw_client import chunk, post
from tests.rig.scripted_upstream import Pause, Script, Send, event, json_answer, sse_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")
WORDS = "x" * 60  # twenty tokens: a fifth of a second at a hundred a second
FIRST_S, EACH_S, JITTER = 0.4, 0.2, 0.2
PACK: dict[str, Any] = {
    "apiVersion": "stillgate/v1",
    "kind": "PolicyPack",
    "metadata": {"name": "pace", "version": "1", "owner": "tests"},
    "defaults": {"mode": "enforce"},
    "quotas": [{"id": "tokens", "per": "key", "limits": [{"measure": "output_tokens", "max": "1M", "window": "1h"}]}],
    "rules": [
        {
            "id": "on-the-slow-plan",
            "when": {"account.plan": "slow"},
            "flag": {"name": "slow", "on": "account", "score": 50, "ttl": "1d"},
        }
    ],
    "ladder": [
        {
            "rung": "slow",
            "score": 50,
            "do": [{"pace": {"first_token": "400ms", "tokens_per_second": 100, "jitter": JITTER}}],
            "disclose": "header",
        }
    ],
}
# Shorter than any paced answer here: what is cut was cut for a wait of ours.
SETTINGS = {"upstreams": {"default": {"total_seconds": 1}}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("pace"), SETTINGS, pack=PACK) as scene:
        scene.key = await scene.gate.create_key(account="slow", tenant="slow", plan="slow")
        yield scene


class Took(NamedTuple):
    status: int
    limited: str | None
    body: bytes
    seconds: float
    record: dict[str, Any]


async def ask(scene: Scene, script: Script, key: str, path: str = CHAT, **members: Any) -> Took:
    scene.upstream.script(script)
    head = [("Authorization", f"Bearer {key}")] if path == CHAT else [("x-api-key", key)]
    began = time.monotonic()
    response = await scene.ask(post(path, chat(**members), head), accepted=True)
    seconds = time.monotonic() - began
    name = response.header("x-request-id") or response.header("request-id")
    record = await record_of(scene.gate, name)
    return Took(response.status, response.header("stillgate-limited"), response.body, seconds, record)


def message(text: str) -> dict[str, Any]:
    usage = {"input_tokens": 3, "output_tokens": 2}
    content = [{"type": "text", "text": text}]
    return {"id": "m", "type": "message", "role": "assistant", "model": "m-large", "content": content, "usage": usage}


def message_events(*texts: str) -> list[bytes]:
    start = {"type": "message_start", "message": {**message(""), "content": []}}
    deltas = [{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": t}} for t in texts]
    events: list[dict[str, Any]] = [start, *deltas, {"type": "message_stop"}]
    return [event(each, each["type"]) for each in events]


USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
STREAMS = {CHAT: [*[delta(WORDS)] * 4, event("[DONE]")], MESSAGES: message_events(*[WORDS] * 4)}
DOCUMENTS = {CHAT: answer(WORDS * 4, usage=USAGE), MESSAGES: message(WORDS * 4)}


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_a_paced_answer_is_late_and_byte_for_byte_the_upstreams(scene: Scene, path: str, *, stream: bool) -> None:
    script = sse_answer(STREAMS[path]) if stream else json_answer(200, DOCUMENTS[path])
    sent = b"".join(STREAMS[path]) if stream else script[0].data.partition(b"\r\n\r\n")[2]  # type: ignore[union-attr]
    took = await ask(scene, script, scene.key, path, stream=stream)
    assert (took.status, took.body, took.limited) == (200, sent, "1")
    assert took.seconds >= (FIRST_S + 4 * EACH_S) * (1 - JITTER)
    assert (took.record["effect"], took.record["by"], took.record["actions"]) == ("degrade", "slow", ["pace"])
    assert took.record["outcome"] == "answered"
    assert took.record["ms"]["total"] >= 900
    await scene.at_peace()


async def test_an_answer_that_is_slower_than_the_pace_is_no_degraded_one(scene: Scene) -> None:
    late = (Pause(0.9), *json_answer(200, answer("Hello", usage=USAGE)))
    took = await ask(scene, late, scene.key)
    assert (took.limited, took.record["effect"], took.record["by"], took.record["actions"]) == (None, "allow", "", [])


async def test_others_are_not_slowed_by_those_who_are(scene: Scene) -> None:
    quick = await scene.gate.create_key(account="quick", tenant="quick")
    scene.upstream.script(*[sse_answer([*[delta(WORDS)] * 20, event("[DONE]")])] * 20)
    slow = [asyncio.create_task(scene.ask(scene.ordinary(stream=True), accepted=True)) for _ in range(20)]
    calls = scene.calls
    await scene.upstream.wait_for_requests(calls + 20)
    took = [await ask(scene, json_answer(200, answer("Hello", usage=USAGE)), quick) for _ in range(10)]
    assert not any(task.done() for task in slow)
    assert sorted(each.record["ms"]["total"] for each in took)[4] < 200, "half of them, on a busy machine"
    assert {each.record["effect"] for each in took} == {"allow"}
    assert {(await task).status for task in slow} == {200}
    await scene.at_peace()


async def test_the_upstream_is_held_up_and_not_our_memory(scene: Scene) -> None:
    """D-04, with ourselves in the slow reader's place."""
    piece = {"choices": [{"index": 0, "delta": {"content": "x" * 30}}], "obfuscation": "y" * 16_000}
    pieces = [event(piece)] * 1000
    told = Reached()
    scene.upstream.script((*sse_answer(pieces, end=False), Pause(told), Send(chunk(event("[DONE]")) + chunk(b""))))
    before = Footprint.of(scene.gate)
    async with await scene.connect() as client:
        calls = scene.calls
        await client.send(scene.ordinary(stream=True))
        sent = (await scene.upstream.wait_for_requests(calls + 1))[-1]
        await client.chunk() if (await client.head()).status == 200 else None
        await asyncio.sleep(1.0)  # as long as the upstream would need to send it all
        assert not told.is_set(), "the upstream has sent everything into an answer that is held"
        assert Footprint.of(scene.gate).rss < before.rss + (8 << 20)
        client.close()
        await scene.upstream.wait_closed(sent.connection, within=1.0)
    await scene.at_peace()


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])
async def test_a_client_that_leaves_while_we_wait_ends_the_call_and_is_charged(scene: Scene, *, stream: bool) -> None:
    """P4, Q-03."""
    count = len(scene.gate.records("exchange"))
    text = "y" * 3000
    if stream:
        scene.upstream.script((*sse_answer([delta(text)], end=False), Pause(asyncio.Event())))
    else:
        scene.upstream.script(json_answer(200, answer(text, usage={"prompt_tokens": 3, "completion_tokens": 1000})))
    calls = scene.calls
    async with await scene.connect() as client:
        await client.send(scene.ordinary(stream=stream, max_tokens=4000))
        sent = (await scene.upstream.wait_for_requests(calls + 1))[-1]
        await asyncio.sleep(0.3)  # it has come, and waits
        client.close()
        if stream:
            await scene.upstream.wait_closed(sent.connection, within=1.0)
        record = (await scene.gate.wait_for_records(count + 1, within=1.5))[-1]
    assert (record["outcome"], record["usage"]["output"]) == ("client_left", 1000)
    assert record["settled"]["output_tokens"] == 1000
    await scene.at_peace()


async def test_a_shutdown_ends_a_paced_stream_with_an_error_event(tmp_path: Path) -> None:
    """P5, L-01."""
    async with staged(tmp_path, {"limits": {"drain_seconds": 0.5}}, pack=PACK) as scene:
        scene.key = await scene.gate.create_key(account="slow", tenant="slow", plan="slow")
        scene.upstream.script(sse_answer([*[delta(WORDS)] * 100, event("[DONE]")]))
        async with await scene.connect() as client:
            await client.send(scene.ordinary(stream=True))
            assert (await client.head()).status == 200
            await client.chunk()
            os.kill(scene.gate.pid, signal.SIGTERM)
            rest = await client.to_end()
        assert b"shutting down" in rest
        assert rest.endswith(b"0\r\n\r\n")
        assert await scene.gate.exit_code() == 0
        (record,) = scene.gate.records("exchange")
        assert (record["outcome"], record["effect"], record["status"]) == ("shutdown", "degrade", 200)
        assert record["usage"]["source"] == "estimate"
