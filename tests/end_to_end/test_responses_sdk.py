"""The official client's responses through the proxy to the stand-in model: everything a customer does on a good day.

One proxy serves the whole file, as it would a day's customers.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pydantic
import pytest
import pytest_asyncio

from tests.end_to_end.customers import assert_said_nothing_wrong, openai_client, record_of
from tests.rig.process import Stillgate

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODEL = "standin-large"
REASONER = "standin-reasoner"
HELLO = "Say hello."
TOOLS: Any = [
    {
        "type": "function",
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        "strict": False,
    }
]
ENCRYPTED: Any = ["reasoning.encrypted_content"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stillgate]:
    async with Stillgate.start(tmp_path_factory.mktemp("responses"), {"models": None}, upstream_url=None) as gate:
        yield gate
        assert_said_nothing_wrong(gate)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(gate: Stillgate) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai_client(gate, await gate.create_key(account="responses-customer")) as client:
        yield client


async def streamed(client: openai.AsyncOpenAI, **wanted: Any) -> tuple[Any, list[Any]]:
    """Return the final response of a stream, and its events."""
    async with client.responses.stream(**wanted) as stream:
        events = [event async for event in stream]
        return await stream.get_final_response(), events


async def test_a_response_is_charged_what_it_says_it_used(gate: Stillgate, client: openai.AsyncOpenAI) -> None:
    answer = await client.responses.create(model=MODEL, input=HELLO, instructions="Be brief.")
    assert answer.output_text
    assert answer.status == "completed"
    assert answer.usage is not None
    record = await record_of(gate, answer._request_id)
    charged = record["usage"]
    assert (charged["input"], charged["output"]) == (answer.usage.input_tokens, answer.usage.output_tokens)
    assert charged["source"] == "upstream"
    assert (record["effect"], record["outcome"], record["status"]) == ("allow", "answered", 200)
    assert (record["dialect"], record["model"], record["upstream"]) == ("openai.responses", MODEL, "stand-in")


async def test_a_stream_says_the_same_as_the_document_and_is_charged_the_same(
    gate: Stillgate, client: openai.AsyncOpenAI
) -> None:
    whole = await client.responses.create(model=MODEL, input=HELLO)
    stream = await client.responses.create(model=MODEL, input=HELLO, stream=True)
    events: list[Any] = [event async for event in stream]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == whole.output_text
    final = events[-1].response
    assert (final.status, final.output_text, final.usage) == ("completed", whole.output_text, whole.usage)
    record = await record_of(gate, stream.response.headers["x-request-id"])
    assert (record["usage"]["output"], record["usage"]["source"]) == (final.usage.output_tokens, "upstream")


@pytest.mark.parametrize("streams", [False, True])
async def test_a_conversation_goes_on_from_the_response_before(client: openai.AsyncOpenAI, streams: bool) -> None:
    if streams:
        first, events = await streamed(client, model=MODEL, input="My name is Ada.")
        assert {event.response.id for event in events if hasattr(event, "response")} == {first.id}
        assert {event.item_id for event in events if hasattr(event, "item_id")} == {item.id for item in first.output}
    else:
        first = await client.responses.create(model=MODEL, input="My name is Ada.")
    second = await client.responses.create(model=MODEL, input="What is it?", previous_response_id=first.id)
    alone = await client.responses.create(model=MODEL, input="What is it?")
    assert second.previous_response_id == first.id
    assert second.usage is not None
    assert alone.usage is not None
    assert second.usage.input_tokens > alone.usage.input_tokens  # so the model was shown the first turn


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("how", ["returned", "named"])
async def test_a_tool_is_called_and_its_output_answered(client: openai.AsyncOpenAI, streams: bool, how: str) -> None:
    asked: Any = {"model": REASONER, "input": "Please use the tool to look.", "tools": TOOLS}
    first: Any = (await streamed(client, **asked))[0] if streams else await client.responses.create(**asked)
    thought, call = first.output
    assert (thought.type, call.type, call.name) == ("reasoning", "function_call", "get_weather")
    assert isinstance(json.loads(call.arguments)["city"], str)
    turns: Any = [{"role": "user", "content": asked["input"]}]
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    turns += [{"type": "item_reference", "id": item.id} for item in first.output] if how == "named" else first.output
    second = await client.responses.create(model=REASONER, tools=TOOLS, input=[*turns, output])
    assert second.output_text


async def test_reasoning_that_nobody_keeps_comes_back_encrypted(client: openai.AsyncOpenAI) -> None:
    asked: Any = {"model": REASONER, "store": False, "include": ENCRYPTED, "reasoning": {"summary": "auto"}}
    first = await client.responses.create(**asked, input=HELLO)
    thought: Any = first.output[0]
    assert thought.summary[0].text
    turns: Any = [{"role": "user", "content": HELLO}, *first.output, {"role": "user", "content": "Go on."}]
    assert (await client.responses.create(**asked, input=turns)).output_text
    thought.encrypted_content = "AAAA"
    with pytest.raises(openai.BadRequestError) as refused:  # so it is what was looked at
        await client.responses.create(**asked, input=turns)
    assert refused.value.code == "invalid_encrypted_content"


async def test_logprobs_and_structured_output_come_through(client: openai.AsyncOpenAI) -> None:
    class Visit(pydantic.BaseModel):
        place: str
        guests: list[str]

    answer: Any = await client.responses.create(
        model=MODEL, input=HELLO, include=["message.output_text.logprobs"], top_logprobs=3
    )
    logprobs = answer.output[0].content[0].logprobs
    assert "".join(entry.token for entry in logprobs) == answer.output_text
    assert {len(entry.top_logprobs) for entry in logprobs} == {3}
    parsed = await client.responses.parse(model=MODEL, input=HELLO, text_format=Visit)
    assert isinstance(parsed.output_parsed, Visit)


async def test_an_answer_that_is_cut_is_incomplete_and_accounted(gate: Stillgate, client: openai.AsyncOpenAI) -> None:
    answer = await client.responses.create(model=MODEL, input=HELLO, max_output_tokens=16)
    assert (answer.status, answer.incomplete_details and answer.incomplete_details.reason) == (
        "incomplete",
        "max_output_tokens",
    )
    stream = await client.responses.create(model=MODEL, input=HELLO, max_output_tokens=16, stream=True)
    *_, last = [event async for event in stream]
    assert last.type == "response.incomplete"
    record = await record_of(gate, answer._request_id)
    assert (record["outcome"], record["usage"]["output"]) == ("answered", 16)
