from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pydantic
import pytest

from proxy.standin.server import Options
from tests.standin.conftest import StartModel
from tests.standin.wire import WEATHER

TOOLS: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}]
HELLO: Any = [{"role": "user", "content": "Say hello."}]


@pytest.fixture
async def client(url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        yield client


async def test_an_answer_has_text_and_usage_that_adds_up(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="standin-large", messages=HELLO)
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert 60 <= answer.usage.completion_tokens <= 150
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


async def test_a_stream_says_the_same_as_the_document_and_bills_the_same(client: openai.AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(model="standin-large", messages=HELLO)
    text, usage = "", None
    stream = await client.chat.completions.create(
        model="standin-large", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    async for chunk in stream:
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
        usage = chunk.usage or usage
    assert text == whole.choices[0].message.content
    assert usage == whole.usage


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_is_called_with_valid_arguments_and_its_result_answered(
    client: openai.AsyncOpenAI, stream: bool
) -> None:
    asked: Any = [{"role": "user", "content": "Please use the tool to look."}]
    if stream:
        async with client.chat.completions.stream(model="standin-large", messages=asked, tools=TOOLS) as events:
            async for _ in events:
                pass
            answer: Any = await events.get_final_completion()
    else:
        answer = await client.chat.completions.create(model="standin-large", messages=asked, tools=TOOLS)
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls"
    call = message.tool_calls[0]
    arguments = json.loads(call.function.arguments)
    assert call.function.name == "get_weather"
    assert isinstance(arguments["city"], str)
    assert 1 <= arguments["days"] <= 7

    made = {"id": call.id, "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    told: Any = [
        *asked,
        {"role": "assistant", "content": None, "tool_calls": [made]},
        {"role": "tool", "tool_call_id": call.id, "content": "rain"},
    ]
    after = await client.chat.completions.create(model="standin-large", messages=told, tools=TOOLS)
    assert after.choices[0].message.content
    assert after.choices[0].message.tool_calls is None


async def test_a_parsed_answer_is_an_instance_of_the_asked_model(client: openai.AsyncOpenAI) -> None:
    class Visit(pydantic.BaseModel):
        place: str
        guests: list[str]
        season: pydantic.JsonValue

    answer = await client.chat.completions.parse(model="standin-small", messages=HELLO, response_format=Visit)
    assert isinstance(answer.choices[0].message.parsed, Visit)


async def test_the_models_are_listed(client: openai.AsyncOpenAI) -> None:
    names = [model.id async for model in await client.models.list()]
    assert names == ["standin-large", "standin-small", "standin-reasoner"]


async def test_each_refusal_is_the_error_class_that_a_client_catches(
    client: openai.AsyncOpenAI, start_model: StartModel
) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        await client.chat.completions.create(model="no-such-model", messages=HELLO)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as empty:
        await client.chat.completions.create(model="standin-large", messages=[])
    assert empty.value.param == "messages"
    guarded = await start_model(Options(credential="the-key"))
    async with openai.AsyncOpenAI(base_url=f"{guarded}/v1", api_key="other", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError) as refused:
            await stranger.chat.completions.create(model="standin-large", messages=HELLO)
    assert refused.value.code == "invalid_api_key"
    async with openai.AsyncOpenAI(base_url=f"{guarded}/v1", api_key="the-key", max_retries=0) as friend:
        assert (await friend.chat.completions.create(model="standin-large", messages=HELLO)).choices
