"""A call is sent with the names that its upstream has for the model and for the most tokens of a chat's answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from proxy.clock import Clock, VirtualClock
from proxy.deciding.course import Terms
from proxy.dialects.anthropic_messages import AnthropicMessages
from proxy.dialects.base import Dialect
from proxy.dialects.openai_chat import OpenAIChat
from proxy.errors import Unavailable
from proxy.upstream.model_api import Origin, Upstream
from proxy.upstream.served_model import ServedModel
from tests.rig.scripted_upstream import Pause, ScriptedUpstream, json_answer

CHAT, MESSAGES = OpenAIChat(), AnthropicMessages()
ASKED: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "Hello"}]}
OLD, NEW = "max_tokens", "max_completion_tokens"


@asynccontextmanager
async def served(url: str, clock: Clock, chat_length: str | None = None) -> AsyncIterator[ServedModel]:
    upstream = Upstream(Origin("default", url, "", 5.0, 5.0, 5.0, 60.0, connections=2))
    watching = asyncio.create_task(upstream.watch())
    try:
        yield ServedModel(Terms(1000, 0, 0), upstream, "vendor/small", clock, lambda: None, chat_length=chat_length)
    finally:
        watching.cancel()
        await asyncio.wait([watching])
        upstream.close()


async def post(model: ServedModel, dialect: Dialect, asked: dict[str, Any], tenant: str = "acme") -> None:
    call = dialect.read(json.dumps(asked).encode())
    answer = await model.post(tenant, dialect, {}, call, dialect.write(call), lambda: None)
    answer.close()


async def sent(dialect: Dialect, members: dict[str, Any], chat_length: str | None) -> dict[str, Any]:
    asked = {**ASKED, **members}
    async with ScriptedUpstream() as behind, served(behind.url, VirtualClock(), chat_length) as model:
        behind.script(json_answer(200, {}))
        await post(model, dialect, asked)
    body: dict[str, Any] = behind.requests[0].json()
    assert (body.pop("model"), body.pop("messages")) == ("vendor/small", asked["messages"])
    return body


@pytest.mark.parametrize(
    ("members", "known", "expected"),
    [
        ({NEW: 7}, OLD, {OLD: 7}),
        ({OLD: 7}, NEW, {NEW: 7}),
        ({OLD: 7, NEW: 7}, OLD, {OLD: 7}),
        ({OLD: None, NEW: 7}, OLD, {OLD: 7}),
        ({OLD: 7, NEW: None}, OLD, {OLD: 7}),
        ({NEW: None}, OLD, {}),
        ({OLD: 7}, OLD, {OLD: 7}),
        ({NEW: 7, "stream": True}, OLD, {OLD: 7, "stream": True, "stream_options": {"include_usage": True}}),
        ({NEW: 7}, None, {NEW: 7}),
        ({OLD: 7, NEW: 7}, None, {OLD: 7, NEW: 7}),
    ],
)
async def test_the_most_tokens_of_a_chats_answer_have_the_name_that_the_upstream_knows(
    members: dict[str, Any], known: str | None, expected: dict[str, Any]
) -> None:
    """Ollama takes no notice of max_completion_tokens, and Mistral's API refuses it."""
    assert await sent(CHAT, members, known) == expected


async def test_other_apis_have_their_own_name_for_it() -> None:
    assert await sent(MESSAGES, {OLD: 7}, NEW) == {OLD: 7}


async def test_a_client_that_leaves_the_call_that_tries_for_all_shuts_the_model_for_nobody() -> None:
    asked, clock = {**ASKED, OLD: 7}, VirtualClock()
    async with ScriptedUpstream() as behind, served(behind.url, clock) as model:
        behind.script(*[json_answer(503, {})] * 5, (Pause(60.0),), json_answer(200, {}))
        for number in range(5):
            await post(model, CHAT, asked, f"tenant-{number}")
        clock.advance(10)
        leaving = asyncio.create_task(post(model, CHAT, asked))
        await behind.wait_for_requests(6)
        with pytest.raises(Unavailable):
            await post(model, CHAT, asked)
        leaving.cancel()
        await asyncio.wait([leaving])
        clock.advance(1)
        await post(model, CHAT, asked)
        await post(model, CHAT, asked)


async def test_a_call_from_before_that_is_left_lets_nobody_else_try_beside_the_one_that_tries_for_all() -> None:
    asked, clock = {**ASKED, OLD: 7}, VirtualClock()
    async with ScriptedUpstream() as behind, served(behind.url, clock) as model:
        behind.script((Pause(60.0),), *[json_answer(503, {})] * 5, (Pause(60.0),), json_answer(200, {}))
        before = asyncio.create_task(post(model, CHAT, asked))
        await behind.wait_for_requests(1)
        for number in range(5):
            await post(model, CHAT, asked, f"tenant-{number}")
        clock.advance(10)
        trying = asyncio.create_task(post(model, CHAT, asked))
        await behind.wait_for_requests(7)
        before.cancel()
        await asyncio.wait([before])
        clock.advance(1)
        with pytest.raises(Unavailable):
            await post(model, CHAT, asked)
        trying.cancel()
        await asyncio.wait([trying])
        clock.advance(1)
        await post(model, CHAT, asked)
