"""Withheld reasoning in a running proxy: the official clients read every answer, and a block goes back as it was."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio

from proxy.keyed.sealed_reasoning import PREFIX
from tests.end_to_end.customers import (
    HELLO,
    anthropic_client,
    assert_said_nothing_wrong,
    openai_client,
    record_of,
)
from tests.end_to_end.scene import MESSAGES, Scene, staged
from tests.rig.process import Stillgate
from tests.rig.raw_client import Response, post
from tests.rig.scripted_upstream import Script, event, json_answer, sse_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")
MODEL = "standin-large"
SECRET = "The canary sings of seventeen hidden steps, one after another."
SEAL = "c2VhbGVkLWNhbmFyeS1zaWduYXR1cmU="
PACK: dict[str, Any] = {
    "apiVersion": "stillgate/v1",
    "kind": "PolicyPack",
    "metadata": {"name": "withhold", "version": "1.0.0", "owner": "tests"},
    "defaults": {"mode": "enforce"},
    "rules": [
        {
            "id": "free",
            "when": {"account.plan": "free"},
            "flag": {"name": "free", "on": "account", "score": 60, "ttl": "1d"},
        },
        {
            "id": "replayed",
            "when": {"content.foreign_signature": True},
            "flag": {"name": "replayed", "on": "account", "score": 10, "ttl": "1d"},
        },
    ],
    "ladder": [{"rung": "withhold", "score": 60, "do": [{"withhold": "reasoning"}], "disclose": "header"}],
}
SCHEMA: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = [{"name": "get_weather", "input_schema": SCHEMA}]
USING: Any = [{"role": "user", "content": "Please use the tool to look."}]
THINKING: Any = {"model": MODEL, "max_tokens": 2048, "thinking": {"type": "enabled", "budget_tokens": 1024}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stillgate]:
    folder = tmp_path_factory.mktemp("withhold")
    async with Stillgate.start(folder, {"models": None}, upstream_url=None, pack=PACK) as gate:
        yield gate
        assert_said_nothing_wrong(gate)


class People:
    """Customers: one is flagged, a colleague of the same organisation and one of another are not."""

    def __init__(self, gate: Stillgate) -> None:
        self._gate = gate
        self._keys: dict[str, str] = {}

    async def key(self, name: str, tenant: str, plan: str) -> str:
        if name not in self._keys:
            self._keys[name] = await self._gate.create_key(account=name, tenant=tenant, plan=plan)
        return self._keys[name]

    async def flagged(self) -> str:
        return await self.key("flagged", "acme", "free")

    async def colleague(self) -> str:
        return await self.key("colleague", "acme", "pro")

    async def stranger(self) -> str:
        return await self.key("stranger", "elsewhere", "pro")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def people(gate: Stillgate) -> People:
    return People(gate)


async def asked(client: anthropic.AsyncAnthropic, *, streamed: bool, **how: Any) -> tuple[Any, str]:
    """Return a message and the exchange's id."""
    if streamed:
        async with client.messages.stream(**how) as stream:
            message = await stream.get_final_message()
            assert stream.response.headers.get("stillgate-limited") in {None, "1"}
            return message, stream.response.headers["request-id"]
    message = await client.messages.create(**how)
    return message, str(message._request_id)


def turn(message: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in message.content]}


@pytest.mark.parametrize("back_by", ["flagged", "colleague"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_tool_use_of_two_turns_goes_on_with_a_handle_in_the_place_of_the_thinking(
    gate: Stillgate, people: People, back_by: str, *, streamed: bool
) -> None:
    wanted = {**THINKING, "tools": TOOLS}
    async with (
        anthropic_client(gate, await people.flagged()) as flagged,
        anthropic_client(gate, await people.colleague()) as plain,
    ):
        open_, _ = await asked(plain, streamed=streamed, **wanted, messages=USING)
        first, exchange = await asked(flagged, streamed=streamed, **wanted, messages=USING)
        assert [block.type for block in open_.content] == ["thinking", "tool_use"]
        assert [block.type for block in first.content] == ["redacted_thinking", "tool_use"]
        assert first.content[0].data.startswith(PREFIX)
        assert first.content[1].input == open_.content[1].input
        assert first.usage == open_.usage
        assert open_.content[0].thinking[:12] not in first.model_dump_json()
        record = await record_of(gate, exchange)
        assert (record["effect"], record["by"], record["actions"]) == ("degrade", "withhold", ["withhold"])
        call = first.content[1]
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "rain"}
        told = [*USING, turn(first), {"role": "user", "content": [result]}]
        # The stand-in refuses every thinking block whose signature is not its own, and every redacted one.
        second, exchange = await asked(
            flagged if back_by == "flagged" else plain, streamed=streamed, **wanted, messages=told
        )
        kinds = {"flagged": "redacted_thinking", "colleague": "thinking"}
        assert [block.type for block in second.content] == [kinds[back_by], "text"]
        record = await record_of(gate, exchange)
        assert record["fields"].get("content.foreign_signature") is None
        if back_by == "flagged":
            third, _ = await asked(flagged, streamed=streamed, **wanted, messages=[*told, turn(second), *HELLO])
            assert third.stop_reason == "end_turn"


@pytest.mark.parametrize("streamed", [False, True])
async def test_another_organisations_handle_is_refused_and_flagged(
    gate: Stillgate, people: People, *, streamed: bool
) -> None:
    async with (
        anthropic_client(gate, await people.flagged()) as flagged,
        anthropic_client(gate, await people.stranger()) as stranger,
    ):
        first, _ = await asked(flagged, streamed=False, **THINKING, messages=HELLO)
        with pytest.raises(anthropic.BadRequestError, match="redacted_thinking") as refused:
            await asked(stranger, streamed=streamed, **THINKING, messages=[*HELLO, turn(first), *HELLO])
        record = await record_of(gate, refused.value.request_id)
        assert (record["effect"], record["by"], record["status"]) == ("deny", "request", 400)
        assert record["fired"] == ["replayed"]
        assert record["fields"]["content.foreign_signature"] is True
        damaged = turn(first)
        damaged["content"][0]["data"] = damaged["content"][0]["data"][:-8] + "AAAAAAA="
        with pytest.raises(anthropic.BadRequestError, match="redacted_thinking") as refused:
            await asked(flagged, streamed=streamed, **THINKING, messages=[*HELLO, damaged, *HELLO])
        record = await record_of(gate, refused.value.request_id)
        assert (record["by"], record["fired"], record["actions"]) == ("request", ["free"], [])


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_openai_client_reads_a_chat_without_reasoning(
    gate: Stillgate, people: People, *, streamed: bool
) -> None:
    how: Any = {"model": MODEL, "messages": HELLO, "reasoning_effort": "high"}
    found = []
    for key in (await people.colleague(), await people.flagged()):
        async with openai_client(gate, key) as client:
            if not streamed:
                answer = await client.chat.completions.create(**how)
                message = answer.choices[0].message
                found.append((message.content, getattr(message, "reasoning_content", None), answer.usage))
                exchange = str(answer._request_id)
                continue
            stream = await client.chat.completions.create(**how, stream=True, stream_options={"include_usage": True})
            text, thought, usage = "", "", None
            async for chunk in stream:
                usage = chunk.usage or usage
                for choice in chunk.choices:
                    text += choice.delta.content or ""
                    thought += getattr(choice.delta, "reasoning_content", None) or ""
            found.append((text, thought or None, usage))
            exchange = str(stream.response.headers["x-request-id"])
    (open_text, open_thought, open_usage), withheld = found
    assert open_thought
    assert withheld == (open_text, None, open_usage)
    record = await record_of(gate, exchange)
    assert (record["effect"], record["by"], record["actions"]) == ("degrade", "withhold", ["withhold"])


TOOL: Any = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}


async def test_the_openai_client_calls_a_tool_over_two_turns_with_a_handle_in_the_place_of_the_reasoning(
    gate: Stillgate, people: People
) -> None:
    how: Any = {"model": MODEL, "reasoning_effort": "high", "tools": [TOOL]}
    async with openai_client(gate, await people.flagged()) as client:
        async with client.chat.completions.stream(**how, messages=USING) as events:
            answer = await events.get_final_completion()
        message = answer.choices[0].message
        assert answer.choices[0].finish_reason == "tool_calls"
        assert (message.model_extra or {})["reasoning_content"].startswith(PREFIX)
        assert message.tool_calls
        assert json.loads(message.tool_calls[0].function.arguments)["city"]
        said = message.model_dump(exclude_none=True, exclude={"parsed"})
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "rain"}
        told: Any = [*USING, said, result]
        after = await client.chat.completions.create(**how, messages=told)
    assert after.choices[0].message.content
    assert not hasattr(after.choices[0].message, "reasoning_content")


async def test_an_answer_without_reasoning_is_not_degraded(gate: Stillgate, people: People) -> None:
    async with anthropic_client(gate, await people.flagged()) as flagged:
        _, exchange = await asked(flagged, streamed=True, model=MODEL, max_tokens=99, messages=HELLO)
    record = await record_of(gate, exchange)
    assert (record["effect"], record["rung"], record["actions"]) == ("allow", "withhold", [])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("withhold-scripted"), pack=PACK) as scene:
        yield scene


async def ask_flagged(scene: Scene, *, stream: bool) -> Response:
    secret = await scene.gate.create_key(account=f"free-{scene.calls}", plan="free")
    body = {"model": "m-large", "max_tokens": 99, "messages": HELLO, "stream": stream}
    head = [("x-api-key", secret), ("anthropic-version", "2023-06-01")]
    return await scene.ask(post(MESSAGES, body, head), accepted=True, dialect="anthropic")


def assert_no_canary(response: Response) -> None:
    for canary in (SECRET, SEAL):
        assert not [at for at in range(len(canary) - 11) if canary[at : at + 12].encode() in response.raw]


MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m-large", "stop_reason": None}
USAGE = {"input_tokens": 3, "output_tokens": 2}
BLOCK = {"type": "thinking", "thinking": SECRET, "signature": SEAL}


def named(document: Any) -> bytes:
    return event(document, document["type"])


async def test_no_byte_of_the_reasoning_reaches_the_client(scene: Scene) -> None:
    text = {"type": "text", "text": f"Four. <thinking>{SECRET}</thinking>"}
    message = {**MESSAGE, "content": [BLOCK, text], "stop_reason": "end_turn", "usage": USAGE}
    scene.upstream.script(json_answer(200, message))
    answer = await ask_flagged(scene, stream=False)
    assert_no_canary(answer)
    assert [block.get("text") for block in answer.json()["content"]] == [None, "Four. "]
    start = {"type": "message_start", "message": {**MESSAGE, "content": [], "usage": USAGE}}
    deltas = [{"type": "thinking_delta", "thinking": letter} for letter in SECRET]
    deltas.append({"type": "signature_delta", "signature": SEAL})
    events: list[dict[str, Any]] = [start, {"type": "content_block_start", "index": 0, "content_block": BLOCK}]
    events += [{"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas]
    ending = [{"type": "message_delta", "delta": {}, "usage": {"output_tokens": 2}}, {"type": "message_stop"}]
    scene.upstream.script(sse_answer(map(named, [*events, *ending])))  # it never stops its block
    answer = await ask_flagged(scene, stream=True)
    assert_no_canary(answer)
    assert answer.body.count(b"content_block_start") == 2, "an event and its type"
    assert PREFIX.encode() in answer.body
    await scene.goes_on()


CALL: dict[str, Any] = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
DETAIL: dict[str, Any] = {"type": "reasoning.text", "text": SECRET, "signature": SEAL, "format": "x", "index": 0}


def turn_of_a_server(thought: dict[str, Any], *, stream: bool) -> Script:
    """Return what a server answers that thinks and then calls a tool."""
    head = {"id": "c-1", "created": 1, "model": "m-large"}
    if not stream:
        message = {"role": "assistant", "content": None, "tool_calls": [CALL], **thought}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        return json_answer(200, {**head, "object": "chat.completion", "choices": [choice], "usage": usage})
    deltas: list[dict[str, Any]] = [{"role": "assistant"}, thought, {"tool_calls": [{"index": 0, **CALL}]}, {}]
    reasons = [None, None, None, "tool_calls"]
    chunks = [
        {**head, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
        for delta, reason in zip(deltas, reasons, strict=True)
    ]
    return sse_answer([*map(event, chunks), event("[DONE]")])


@pytest.mark.parametrize(
    "thought", [{"reasoning_content": SECRET}, {"reasoning": SECRET, "reasoning_details": [DETAIL]}]
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_server_is_given_its_reasoning_again_between_two_calls_of_tools(
    scene: Scene, thought: dict[str, Any], *, stream: bool
) -> None:
    key = await scene.gate.create_key(account=f"free-{scene.calls}", plan="free", tenant="acme")
    how: Any = {"model": "m-large", "tools": [TOOL], "max_tokens": 99}
    async with openai_client(scene.gate, key) as client:
        scene.upstream.script(turn_of_a_server(thought, stream=stream))
        if stream:
            async with client.chat.completions.stream(**how, messages=USING) as events:
                answer: Any = await events.get_final_completion()
        else:
            answer = await client.chat.completions.create(**how, messages=USING)
        said = answer.choices[0].message.model_dump(exclude_none=True, exclude={"parsed"})
        assert said["tool_calls"][0]["id"] == "call_1"
        assert PREFIX in json.dumps(said)
        assert not [secret for secret in (SECRET, SEAL) if secret in json.dumps(said)]
        told: Any = [*USING, said, {"role": "tool", "tool_call_id": "call_1", "content": "rain"}]
        scene.upstream.script(turn_of_a_server(thought, stream=False))
        await client.chat.completions.create(**how, messages=told)
    (back,) = [each for each in json.loads(scene.upstream.requests[-1].body)["messages"] if each["role"] == "assistant"]
    assert {
        name: back[name] for name in back.keys() & {"reasoning_content", "reasoning", "reasoning_details"}
    } == thought
    stranger = await scene.gate.create_key(account=f"other-{scene.calls}", plan="pro", tenant="elsewhere")
    calls = scene.calls
    async with openai_client(scene.gate, stranger) as client:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.chat.completions.create(**how, messages=told)
    assert (refused.value.code, scene.calls) == ("invalid_encrypted_content", calls)
    record = await record_of(scene.gate, refused.value.request_id)
    assert record["fields"]["content.foreign_signature"] is True
    await scene.goes_on()


def escaped(body: Any, handle: str) -> bytes:
    """Return a request as a client writes it that escapes every character of a handle, as JSON allows."""
    return (
        json.dumps(body).encode().replace(handle.encode(), "".join(f"\\u{ord(char):04x}" for char in handle).encode())
    )


async def test_a_handle_is_known_however_its_json_was_written(scene: Scene) -> None:
    message = {**MESSAGE, "content": [BLOCK], "stop_reason": "end_turn", "usage": USAGE}
    head = [
        ("x-api-key", await scene.gate.create_key(account="free", plan="free")),
        ("anthropic-version", "2023-06-01"),
    ]
    hello: Any = {"model": "m-large", "max_tokens": 99, "messages": HELLO}
    scene.upstream.script(json_answer(200, message))
    first = await scene.ask(post(MESSAGES, hello, head), accepted=True, dialect="anthropic")
    content = first.json()["content"]
    told = {**hello, "messages": [*HELLO, {"role": "assistant", "content": content}, *HELLO]}
    raw = escaped(told, content[0]["data"])
    assert PREFIX.encode() not in raw
    scene.upstream.script(json_answer(200, message))
    second = await scene.ask(post(MESSAGES, raw, head), accepted=True, dialect="anthropic")
    assert second.status == 200
    sent = json.loads(scene.upstream.requests[-1].body)
    assert sent["messages"][1] == {"role": "assistant", "content": [BLOCK]}
    forged = {"type": "redacted_thinking", "data": PREFIX + "Zm9yZ2Vk"}
    told["messages"][1]["content"] = [forged]
    calls = scene.calls
    refused = await scene.ask(post(MESSAGES, escaped(told, forged["data"]), head), accepted=True, dialect="anthropic")
    error = refused.json()["error"]
    assert (refused.status, error["type"]) == (400, "invalid_request_error")
    assert "redacted_thinking" in error["message"]
    assert scene.calls == calls
    await scene.goes_on()


async def test_a_stream_that_breaks_off_within_its_reasoning_gives_none_of_it(scene: Scene) -> None:
    start = {"type": "message_start", "message": {**MESSAGE, "content": [], "usage": USAGE}}
    block = {"type": "content_block_start", "index": 0, "content_block": BLOCK}
    scene.upstream.script(sse_answer(map(named, [start, block])))
    answer = await ask_flagged(scene, stream=True)
    assert_no_canary(answer)
    assert b"event: error" in answer.body
    await scene.goes_on()


async def test_endless_reasoning_ends_with_an_error_and_costs_no_memory(scene: Scene) -> None:
    start = {"type": "message_start", "message": {**MESSAGE, "content": [], "usage": USAGE}}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "x" * 65_536}}
    scene.upstream.script(sse_answer([*map(named, [start, block]), *[named(delta)] * 200]))
    answer = await ask_flagged(scene, stream=True)
    assert json.loads(answer.body.rpartition(b"data: ")[2])["error"]["type"] == "api_error"
    await scene.goes_on()
