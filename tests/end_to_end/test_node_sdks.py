"""The official clients for Node through the proxy: what a customer's code gets, and what it catches (row S-01).

The clients for Python have files of their own; here is what another implementation may read in another way.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.end_to_end.customers import HELLO, assert_said_nothing_wrong, record_of
from tests.end_to_end.scene import Scene, staged
from tests.end_to_end.small_quotas import PACK, SETTINGS
from tests.rig.node import NodeClients, Sdk, Told, node_clients
from tests.rig.raw_client import chunk
from tests.rig.scripted_upstream import (
    WORDS,
    Close,
    Reset,
    Script,
    Send,
    event,
    json_answer,
    sse_answer,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXT = "".join(WORDS)
CHAT, MESSAGES = "chat.completions.create", "messages.create"
SPEAKERS: list[tuple[Sdk, str]] = [("openai", CHAT), ("anthropic", MESSAGES)]
NOT_STARTED = json_answer(429, {"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}})
# The classes of statuses for which the two clients have different ones.
CLASSES: dict[Sdk, dict[int, str]] = {
    "openai": {413: "APIError", 503: "InternalServerError"},
    "anthropic": {413: "ContentTooLargeError", 503: "ServiceUnavailableError"},
}
COMPLETION = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m-large"}
BEGUN = sse_answer(
    [event({**COMPLETION, "choices": [{"index": 0, "delta": {"content": "Hel"}, "finish_reason": None}]})], end=False
)


@dataclass(kw_only=True)
class NodeScene(Scene):
    node: NodeClients

    async def customer(self) -> str:
        """Return the key of a new one."""
        name = f"customer-{len(self.gate.keys)}"
        return await self.gate.create_key(account=name, tenant=name)

    async def told(self, sdk: Sdk, key: str, how: dict[str, Any] | None = None, **more: Any) -> Told:
        """Ask for an answer of up to 16 tokens, with `how` on top."""
        wanted = {"model": "m-large", "messages": HELLO, "max_tokens": 16, **(how or {})}
        return await self.node.ask(sdk, key, dict(SPEAKERS)[sdk], wanted, **more)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NodeScene]:
    async with staged(tmp_path_factory.mktemp("node"), SETTINGS, pack=PACK) as scene:
        async with node_clients(scene.gate) as node:
            yield NodeScene(scene.upstream, scene.gate, scene.key, node=node)
        await scene.at_peace()
        assert_said_nothing_wrong(scene.gate)


def said_by(told: Told, dialect: str) -> str:
    """Return the text that a client was told, from a document or from events."""
    match dialect:
        case "openai.chat":
            choices = [choice for event in told.events for choice in event["choices"]] or told.value["choices"]
            return "".join(choice.get("delta", choice.get("message")).get("content") or "" for choice in choices)
        case "openai.completions":
            choices = [choice for event in told.events for choice in event["choices"]] or told.value["choices"]
            return "".join(choice["text"] for choice in choices)
        case "openai.responses":
            if not told.events:
                return str(told.value["output_text"])
            return "".join(event["delta"] for event in told.events if event["type"] == "response.output_text.delta")
    if not told.events:
        return "".join(block["text"] for block in told.value["content"])
    return "".join(event["delta"]["text"] for event in told.events if event["type"] == "content_block_delta")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("sdk", "call", "dialect", "asked"),
    [
        ("openai", CHAT, "openai.chat", {"messages": HELLO}),
        ("openai", "completions.create", "openai.completions", {"prompt": "Say hello."}),
        ("openai", "responses.create", "openai.responses", {"input": "Say hello."}),
        ("anthropic", MESSAGES, "anthropic.messages", {"messages": HELLO, "max_tokens": 16}),
    ],
)
async def test_every_api_answers_in_documents_and_streams_and_is_charged(
    scene: NodeScene, sdk: Sdk, call: str, dialect: str, asked: dict[str, Any], stream: bool
) -> None:
    how = {"model": "m-large", **asked, **({"stream": True} if stream else {})}
    told = await scene.node.ask(sdk, await scene.customer(), call, how)
    assert told.error is None
    assert bool(told.events) is stream
    assert said_by(told, dialect) == TEXT
    record = await record_of(scene.gate, told.request_id)
    assert (record["dialect"], record["effect"], record["status"]) == (dialect, "allow", 200)
    usage = record["usage"]
    assert (usage["input"], usage["output"], usage["source"]) == (*scene.upstream.usage, "upstream")


async def test_vectors_counts_and_models_come_through(scene: NodeScene) -> None:
    key = await scene.customer()
    vectors = await scene.node.ask("openai", key, "embeddings.create", {"model": "m-large", "input": ["a", "b"]})
    assert vectors.error is None
    assert [type(number) for number in vectors.value["data"][0]["embedding"][:2]] == [float, float]
    counted = await scene.node.ask("anthropic", key, "messages.countTokens", {"model": "m-large", "messages": HELLO})
    assert counted.value["input_tokens"] == scene.upstream.usage[0]
    for sdk in ("openai", "anthropic"):
        listed = await scene.node.ask(sdk, key, "models.list")
        assert "m-large" in [model["id"] for model in listed.value["data"]]


@pytest.mark.parametrize("wrong", ["of no key", "expired", "revoked"])
async def test_whatever_is_wrong_with_a_key_is_the_same_authentication_error(scene: NodeScene, wrong: str) -> None:
    match wrong:
        case "of no key":
            secret = f"sgk_{'0' * 33}"
        case "expired":
            secret = await scene.gate.create_key(expires_at=time.time() - 1)  # noqa: TID251 - the end of a real key
        case _:
            secret = await scene.gate.create_key()
            await scene.gate.admin_request("POST", f"/keys/{scene.gate.keys[-1]['id']}/revoke", {"reason": "leaked"})
    for sdk, _ in SPEAKERS:
        error = (await scene.told(sdk, secret)).error
        assert error is not None
        assert (error["class"], error["status"]) == ("AuthenticationError", 401)
        assert error["requestID"]
        assert secret not in str(error)


@pytest.mark.parametrize(
    ("how", "status", "kind"),
    [
        ({"model": "m-larg"}, 404, "NotFoundError"),
        ({"messages": "hello"}, 400, "BadRequestError"),
        ({"messages": [{"role": "user", "content": "a" * 20_000}]}, 403, "PermissionDeniedError"),
        ({"messages": [{"role": "user", "content": "a" * 70_000}]}, 413, ""),
    ],
)
async def test_what_is_wrong_with_a_request_is_the_class_that_its_status_has(
    scene: NodeScene, how: dict[str, Any], status: int, kind: str
) -> None:
    key = await scene.customer()
    for sdk, _ in SPEAKERS:
        error = (await scene.told(sdk, key, how)).error
        assert error is not None
        assert (error["class"], error["status"]) == (kind or CLASSES[sdk][status], status)
        record = await record_of(scene.gate, error["requestID"])
        assert (record["effect"], record["status"]) == ("deny", status)


async def test_a_client_that_retries_as_it_was_told_is_served(scene: NodeScene) -> None:
    for sdk, _ in SPEAKERS:
        key, dear = await scene.customer(), {"model": "m-dear", "max_tokens": 9}
        first = await scene.told(sdk, key, dear, maxRetries=2)
        second = await scene.told(sdk, key, dear, maxRetries=2)
        assert first.error is None
        assert second.error is None
        name = (await record_of(scene.gate, second.request_id))["key"]
        statuses = [record["status"] for record in scene.gate.records("exchange") if record["key"] == name]
        assert statuses in ([200, 429, 200], [200, 429, 429, 200])


async def test_a_quota_of_a_day_is_a_rate_limit_error_that_no_client_retries(scene: NodeScene) -> None:
    key = await scene.customer()
    usage = {"prompt_tokens": 1, "completion_tokens": 49_990, "total_tokens": 49_991}
    choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    scene.upstream.script(
        json_answer(200, {"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage})
    )
    assert (await scene.told("openai", key, {"model": "m-long", "max_tokens": 49_990})).error is None
    for sdk, _ in SPEAKERS:
        error = (await scene.told(sdk, key, maxRetries=2)).error
        assert error is not None
        assert (error["class"], error["status"]) == ("RateLimitError", 429)
        name = (await record_of(scene.gate, error["requestID"]))["key"]
    mine = [record["status"] for record in scene.gate.records("exchange") if record["key"] == name]
    assert mine == [200, 429, 429]


async def test_an_upstream_that_fails_once_is_asked_again_by_the_client_alone(scene: NodeScene) -> None:
    for sdk, _ in SPEAKERS:
        key, calls = await scene.customer(), len(scene.upstream.requests)
        scene.upstream.script(NOT_STARTED)
        error = (await scene.told(sdk, key)).error
        assert error is not None
        assert (error["class"], error["status"]) == (CLASSES[sdk][503], 503)
        assert len(scene.upstream.requests) == calls + 1
        scene.upstream.script((Reset(),))
        assert (await scene.told(sdk, key, maxRetries=1)).error is None
        assert len(scene.upstream.requests) == calls + 3


@pytest.mark.parametrize("ending", [(Send(chunk(b"")),), (Close(),), (Reset(),)])
async def test_a_stream_that_breaks_raises_in_the_middle(scene: NodeScene, ending: Script) -> None:
    scene.upstream.script((*BEGUN, *ending))
    told = await scene.told("openai", await scene.customer(), {"stream": True})
    assert [piece["choices"][0]["delta"]["content"] for piece in told.events] == ["Hel"]
    assert told.error is not None
    assert told.error["class"] == "APIError"
    record = await record_of(scene.gate, told.request_id)
    assert (record["outcome"], record["usage"]["source"]) == ("upstream_truncated", "estimate")


async def test_a_client_that_leaves_a_stream_ends_it_upstream_and_is_charged(scene: NodeScene) -> None:
    scene.upstream.script(BEGUN)
    told = await scene.told("openai", await scene.customer(), {"stream": True}, leaveAfter=1)
    await scene.upstream.wait_closed(scene.upstream.requests[-1].connection)
    record = await record_of(scene.gate, told.request_id)
    assert (record["outcome"], record["usage"]["source"]) == ("client_left", "estimate")
    assert record["usage"]["output"] >= 1


async def test_a_client_that_loses_patience_is_not_kept_waiting_and_its_call_not_either(scene: NodeScene) -> None:
    scene.upstream.script(())  # nothing, on an open connection
    error = (await scene.told("openai", await scene.customer(), timeout=300)).error
    assert error is not None
    assert error["class"] == "APIConnectionTimeoutError"
    await scene.upstream.wait_closed(scene.upstream.requests[-1].connection)
