"""The official clients through the proxy to the stand-in model: everything a customer does on a good day.

One proxy serves the whole file, as it would a day's customers.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pydantic
import pytest
import pytest_asyncio

from tests.end_to_end.customers import HELLO, anthropic_client, assert_said_nothing_wrong, openai_client, record_of
from tests.rig.process import Stillgate

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODEL = "standin-large"
MODELS = ["standin-large", "standin-reasoner", "standin-small"]
WEATHER: Any = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
OPENAI_TOOLS: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}]
ANTHROPIC_TOOLS: Any = [{"name": "get_weather", "input_schema": WEATHER}]
THINKING: Any = {"model": MODEL, "max_tokens": 2048, "thinking": {"type": "enabled", "budget_tokens": 1024}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stillgate]:
    async with Stillgate.start(tmp_path_factory.mktemp("sdks"), {"models": None}, upstream_url=None) as gate:
        yield gate
        assert_said_nothing_wrong(gate)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chat(gate: Stillgate) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai_client(gate, await gate.create_key(account="chat-customer")) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def claude(gate: Stillgate) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic_client(gate, await gate.create_key(account="messages-customer")) as client:
        yield client


def usage_of(record: dict[str, Any]) -> tuple[int, int, str]:
    return record["usage"]["input"], record["usage"]["output"], record["usage"]["source"]


async def test_a_chat_answer_is_charged_what_it_says_it_used(gate: Stillgate, chat: openai.AsyncOpenAI) -> None:
    answer = await chat.chat.completions.create(model=MODEL, messages=HELLO)
    assert answer.choices[0].message.content
    assert answer.usage is not None
    record = await record_of(gate, answer._request_id)
    assert usage_of(record) == (answer.usage.prompt_tokens, answer.usage.completion_tokens, "upstream")
    assert (record["effect"], record["outcome"], record["status"]) == ("allow", "answered", 200)
    assert (record["dialect"], record["model"], record["upstream"]) == ("openai.chat", MODEL, "stand-in")


@pytest.mark.parametrize("options", [None, {"include_usage": False}, {"include_obfuscation": False}])
async def test_a_chat_stream_shows_no_usage_that_was_not_asked_for_and_is_charged_all_the_same(
    gate: Stillgate, chat: openai.AsyncOpenAI, options: Any
) -> None:
    whole = await chat.chat.completions.create(model=MODEL, messages=HELLO)
    given = {} if options is None else {"stream_options": options}
    async with chat.chat.completions.with_streaming_response.create(
        model=MODEL, messages=HELLO, stream=True, **given
    ) as raw:
        body = await raw.read()
    assert b'"usage"' not in body
    assert body.endswith(b"data: [DONE]\n\n")
    stream = await chat.chat.completions.create(model=MODEL, messages=HELLO, stream=True, **given)
    chunks = [chunk async for chunk in stream]
    assert all(chunk.choices and "usage" not in chunk.model_fields_set for chunk in chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content
    assert whole.usage is not None
    for exchange_id in (raw.headers["x-request-id"], stream.response.headers["x-request-id"]):
        record = await record_of(gate, exchange_id)
        assert usage_of(record) == (whole.usage.prompt_tokens, whole.usage.completion_tokens, "upstream")


async def test_a_chat_stream_that_asks_for_usage_gets_it_once(gate: Stillgate, chat: openai.AsyncOpenAI) -> None:
    stream = await chat.chat.completions.create(
        model=MODEL, messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    usages = [chunk.usage async for chunk in stream]
    assert all(usage is None for usage in usages[:-1])
    last = usages[-1]
    assert last is not None
    record = await record_of(gate, stream.response.headers["x-request-id"])
    assert usage_of(record) == (last.prompt_tokens, last.completion_tokens, "upstream")


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_tool_is_called_and_its_result_answered(chat: openai.AsyncOpenAI, streamed: bool) -> None:
    asked: Any = [{"role": "user", "content": "Please use the tool to look."}]
    if streamed:
        async with chat.chat.completions.stream(model=MODEL, messages=asked, tools=OPENAI_TOOLS) as events:
            kinds = {event.type async for event in events}
            answer: Any = await events.get_final_completion()
        assert "tool_calls.function.arguments.delta" in kinds
    else:
        answer = await chat.chat.completions.create(model=MODEL, messages=asked, tools=OPENAI_TOOLS)
    assert answer.choices[0].finish_reason == "tool_calls"
    (call,) = answer.choices[0].message.tool_calls
    arguments = json.loads(call.function.arguments)
    assert isinstance(arguments["city"], str)
    made = {"id": call.id, "type": "function", "function": {"name": "get_weather", "arguments": json.dumps(arguments)}}
    told: Any = [
        *asked,
        {"role": "assistant", "content": None, "tool_calls": [made]},
        {"role": "tool", "tool_call_id": call.id, "content": "rain"},
    ]
    after = await chat.chat.completions.create(model=MODEL, messages=told, tools=OPENAI_TOOLS)
    assert after.choices[0].message.content


async def test_logprobs_come_through(chat: openai.AsyncOpenAI) -> None:
    answer = await chat.chat.completions.create(model=MODEL, messages=HELLO, logprobs=True, top_logprobs=3)
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content
    assert "".join(entry.token for entry in logprobs.content) == answer.choices[0].message.content
    assert {len(entry.top_logprobs) for entry in logprobs.content} == {3}


async def test_two_choices_are_two_answers_and_charged_as_two(gate: Stillgate, chat: openai.AsyncOpenAI) -> None:
    answer = await chat.chat.completions.create(model=MODEL, messages=HELLO, n=2)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.usage is not None
    record = await record_of(gate, answer._request_id)
    assert record["usage"]["output"] == answer.usage.completion_tokens
    assert record["fields"]["request.choices"] == 2


async def test_a_json_schema_gives_an_instance_of_the_asked_model(chat: openai.AsyncOpenAI) -> None:
    class Visit(pydantic.BaseModel):
        place: str
        guests: list[str]

    answer = await chat.chat.completions.parse(model=MODEL, messages=HELLO, response_format=Visit)
    assert isinstance(answer.choices[0].message.parsed, Visit)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_message_is_charged_what_it_says_it_used(
    gate: Stillgate, claude: anthropic.AsyncAnthropic, streamed: bool
) -> None:
    wanted: Any = {"model": MODEL, "max_tokens": 300, "messages": HELLO, "system": "Be brief."}
    message: Any
    if streamed:
        async with claude.messages.stream(**wanted) as stream:
            text = "".join([piece async for piece in stream.text_stream])
            message = await stream.get_final_message()
            exchange_id: str | None = stream.response.headers["request-id"]
        assert text == message.content[0].text
    else:
        message = await claude.messages.create(**wanted)
        exchange_id = message._request_id
    assert message.content[0].text
    record = await record_of(gate, exchange_id)
    assert usage_of(record) == (message.usage.input_tokens, message.usage.output_tokens, "upstream")
    assert (record["dialect"], record["effect"], record["outcome"]) == ("anthropic.messages", "allow", "answered")


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_thinking_block_comes_back_in_a_second_turn_with_its_signature_intact(
    claude: anthropic.AsyncAnthropic, streamed: bool
) -> None:
    if streamed:
        async with claude.messages.stream(**THINKING, messages=HELLO) as stream:
            first: Any = await stream.get_final_message()
    else:
        first = await claude.messages.create(**THINKING, messages=HELLO)
    assert [block.type for block in first.content] == ["thinking", "text"]
    turn: Any = [{"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]}]
    second = await claude.messages.create(**THINKING, messages=[*HELLO, *turn, *HELLO])
    assert second.stop_reason == "end_turn"
    turn[0]["content"][0]["signature"] = "AAAA"
    with pytest.raises(anthropic.BadRequestError, match="signature"):  # so it is the signature that was looked at
        await claude.messages.create(**THINKING, messages=[*HELLO, *turn, *HELLO])


async def test_the_clients_own_loop_over_tools_goes_on_without_a_thread_that_nobody_keeps_for_it(
    claude: anthropic.AsyncAnthropic,
) -> None:
    asked: list[str] = []

    @anthropic.beta_async_tool
    async def get_weather(city: str) -> str:
        """Tell the weather."""
        asked.append(city)
        return "rain"

    forced: Any = {"tools": [get_weather], "tool_choice": {"type": "any"}, "max_iterations": 2}
    runner = claude.beta.messages.tool_runner(model=MODEL, max_tokens=500, messages=HELLO, **forced)
    told = [message.content[0].type async for message in runner]
    assert (told, len(asked)) == (["tool_use", "text"], 1)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_tool_use_comes_back_with_its_result(claude: anthropic.AsyncAnthropic, streamed: bool) -> None:
    wanted: Any = {"model": MODEL, "max_tokens": 500, "tools": ANTHROPIC_TOOLS}
    forced: Any = {**wanted, "messages": HELLO, "tool_choice": {"type": "tool", "name": "get_weather"}}
    if streamed:
        async with claude.messages.stream(**forced) as stream:
            first: Any = await stream.get_final_message()
    else:
        first = await claude.messages.create(**forced)
    assert first.stop_reason == "tool_use"
    (call,) = first.content
    assert isinstance(call.input["city"], str)
    used = {"type": "tool_use", "id": call.id, "name": call.name, "input": call.input}
    result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "rain"}]}
    told = [*HELLO, {"role": "assistant", "content": [used]}, {"role": "user", "content": [result]}]
    second = await claude.messages.create(**wanted, messages=told)
    assert [block.type for block in second.content] == ["text"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_text_is_completed_and_charged_what_was_written(
    gate: Stillgate, chat: openai.AsyncOpenAI, streamed: bool
) -> None:
    wanted: Any = {"model": MODEL, "prompt": ["One day", "One night"], "max_tokens": 20, "logprobs": 2}
    whole = await chat.completions.create(**wanted)
    exchange_id = whole._request_id
    if streamed:
        stream = await chat.completions.create(**wanted, stream=True)
        chunks = [chunk async for chunk in stream]
        assert all(chunk.choices and "usage" not in chunk.model_fields_set for chunk in chunks)
        texts = ["", ""]
        for chunk in chunks:
            texts[chunk.choices[0].index] += chunk.choices[0].text
        assert texts == [choice.text for choice in whole.choices]
        exchange_id = stream.response.headers["x-request-id"]
    assert whole.usage is not None
    record = await record_of(gate, exchange_id)
    assert usage_of(record) == (whole.usage.prompt_tokens, whole.usage.completion_tokens, "upstream")
    assert (record["dialect"], record["outcome"]) == ("openai.completions", "answered")


@pytest.mark.parametrize("how", [{}, {"encoding_format": "float"}, {"encoding_format": "base64", "dimensions": 64}])
async def test_texts_are_embedded_and_charged_what_was_read(
    gate: Stillgate, chat: openai.AsyncOpenAI, how: dict[str, Any]
) -> None:
    answer = await chat.embeddings.create(model=MODEL, input=["a harbour", "a mill"], **how)
    # Asked for by name, base64 is what the client hands on: 64 figures of four bytes.
    assert {len(item.embedding) for item in answer.data} == {344 if "dimensions" in how else 256}
    record = await record_of(gate, answer._request_id)
    assert usage_of(record) == (answer.usage.prompt_tokens, 0, "upstream")
    assert (record["dialect"], record["outcome"]) == ("openai.embeddings", "answered")


async def test_a_count_of_tokens_is_what_the_message_is_charged_for_and_free(
    gate: Stillgate, claude: anthropic.AsyncAnthropic
) -> None:
    counted = await claude.messages.count_tokens(model=MODEL, messages=HELLO, system="Be brief.")
    message = await claude.messages.create(model=MODEL, messages=HELLO, system="Be brief.", max_tokens=9)
    assert counted.input_tokens == message.usage.input_tokens
    record = await record_of(gate, counted._request_id)
    assert (usage_of(record), record["cost_microusd"]) == ((0, 0, "upstream"), 0)
    assert (record["dialect"], record["outcome"]) == ("anthropic.count_tokens", "answered")


async def test_both_clients_list_the_models(
    gate: Stillgate, chat: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic
) -> None:
    assert [model.id async for model in await chat.models.list()] == MODELS
    assert [model.id async for model in claude.models.list()] == MODELS
    theirs = (await chat.models.with_raw_response.list()).headers["x-request-id"]
    ours = (await claude.models.with_raw_response.list()).headers["request-id"]
    for exchange_id, dialect in ((theirs, "openai.chat"), (ours, "anthropic.messages")):
        record = await record_of(gate, exchange_id)
        assert (record["dialect"], record["outcome"], record["upstream"]) == (dialect, "local", "")
