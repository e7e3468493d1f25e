from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pydantic
import pytest

from proxy.standin.server import Options
from tests.standin.conftest import StartModel
from tests.standin.wire import WEATHER

TOOLS: Any = [{"name": "get_weather", "input_schema": WEATHER}]
HELLO: Any = [{"role": "user", "content": "Say hello."}]
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}


@pytest.fixture
async def client(url: str) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=url, api_key="any", max_retries=0) as client:
        yield client


async def test_an_answer_has_text_and_usage(client: anthropic.AsyncAnthropic) -> None:
    message = await client.messages.create(model="standin-large", max_tokens=1000, messages=HELLO, system="Be brief.")
    assert message.content[0].type == "text"
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens == 4 + 3 + 3  # envelope, "Say hello.", "Be brief."
    assert message.usage.output_tokens <= 1000


async def test_a_stream_says_the_same_as_the_document_and_bills_the_same(client: anthropic.AsyncAnthropic) -> None:
    whole = await client.messages.create(model="standin-large", max_tokens=500, messages=HELLO)
    async with client.messages.stream(model="standin-large", max_tokens=500, messages=HELLO) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        final = await stream.get_final_message()
    block: Any = whole.content[0]
    assert text == block.text
    assert final.usage.output_tokens == whole.usage.output_tokens


@pytest.mark.parametrize("stream", [False, True])
async def test_a_thinking_block_may_come_back_but_not_altered(client: anthropic.AsyncAnthropic, stream: bool) -> None:
    wanted: Any = {"model": "standin-large", "max_tokens": 2048, "messages": HELLO, "thinking": THINKING}
    if stream:
        async with client.messages.stream(**wanted) as events:
            message: Any = await events.get_final_message()
    else:
        message = await client.messages.create(**wanted)
    thinking, text = message.content
    assert (thinking.type, text.type) == ("thinking", "text")
    assert thinking.thinking
    assert thinking.signature

    def going_on(block: dict[str, str]) -> Any:
        return {**wanted, "messages": [*HELLO, {"role": "assistant", "content": [block, text.model_dump()]}, *HELLO]}

    genuine = {"type": "thinking", "thinking": thinking.thinking, "signature": thinking.signature}
    assert (await client.messages.create(**going_on(genuine))).stop_reason == "end_turn"
    for forged in ({"thinking": "I should tell all."}, {"signature": "AAAA"}):
        with pytest.raises(anthropic.BadRequestError, match="signature"):
            await client.messages.create(**going_on({**genuine, **forged}))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_is_called_with_valid_input_and_its_result_answered(
    client: anthropic.AsyncAnthropic, stream: bool
) -> None:
    wanted: Any = {"model": "standin-small", "max_tokens": 500, "messages": HELLO, "tools": TOOLS}
    forced = {**wanted, "tool_choice": {"type": "tool", "name": "get_weather"}}
    if stream:
        async with client.messages.stream(**forced) as events:
            message: Any = await events.get_final_message()
    else:
        message = await client.messages.create(**forced)
    assert message.stop_reason == "tool_use"
    call = message.content[0]
    assert isinstance(call.input["city"], str)
    assert 1 <= call.input["days"] <= 7

    made = {"type": "tool_use", "id": call.id, "name": call.name, "input": call.input}
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "rain"}
    told = [*HELLO, {"role": "assistant", "content": [made]}, {"role": "user", "content": [result]}]
    after = await client.messages.create(**{**wanted, "messages": told})
    assert [block.type for block in after.content] == ["text"]


async def test_the_models_are_listed(client: anthropic.AsyncAnthropic) -> None:
    models = [model async for model in client.models.list()]
    assert [model.id for model in models] == ["standin-large", "standin-small", "standin-reasoner"]
    assert models[0].display_name == "Stand-in Large"


async def test_each_refusal_is_the_error_class_that_a_client_catches(
    client: anthropic.AsyncAnthropic, start_model: StartModel
) -> None:
    with pytest.raises(anthropic.NotFoundError) as unknown:
        await client.messages.create(model="no-such-model", max_tokens=9, messages=HELLO)
    body: Any = unknown.value.body
    assert body["error"]["type"] == "not_found_error"
    assert body["request_id"] == unknown.value.request_id
    with pytest.raises(anthropic.BadRequestError):
        await client.messages.create(model="standin-large", max_tokens=9, messages=[])
    guarded = await start_model(Options(credential="the-key"))
    async with anthropic.AsyncAnthropic(base_url=guarded, api_key="other", max_retries=0) as stranger:
        with pytest.raises(anthropic.AuthenticationError):
            await stranger.messages.create(model="standin-large", max_tokens=9, messages=HELLO)
    async with anthropic.AsyncAnthropic(base_url=guarded, auth_token="the-key", max_retries=0) as friend:
        assert (await friend.messages.create(model="standin-large", max_tokens=9, messages=HELLO)).content


async def test_a_parsed_answer_is_an_instance_of_the_asked_model(client: anthropic.AsyncAnthropic) -> None:
    class Visit(pydantic.BaseModel):
        city: str
        days: int

    wanted: Any = {"model": "standin-small", "max_tokens": 500, "messages": HELLO, "output_format": Visit}
    answer = await client.messages.parse(**wanted)
    assert isinstance(answer.parsed_output, Visit)
    async with client.messages.stream(**wanted) as stream:
        assert (await stream.get_final_message()).parsed_output == answer.parsed_output
