"""A call is sent with the names that its upstream has for the model and for the most tokens of a chat's answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from proxy.clock import VirtualClock
from proxy.deciding.course import Terms
from proxy.dialects.anthropic_messages import AnthropicMessages
from proxy.dialects.base import Dialect
from proxy.dialects.openai_chat import OpenAIChat
from proxy.upstream.model_api import Origin, Upstream
from proxy.upstream.served_model import ServedModel
from tests.rig.scripted_upstream import ScriptedUpstream, json_answer

CHAT, MESSAGES = OpenAIChat(), AnthropicMessages()
OLD, NEW = "max_tokens", "max_completion_tokens"


async def sent(dialect: Dialect, members: dict[str, Any], chat_length: str | None) -> dict[str, Any]:
    asked = {"model": "small", "messages": [{"role": "user", "content": "Hello"}], **members}
    call = dialect.read(json.dumps(asked).encode())
    async with ScriptedUpstream() as behind:
        behind.script(json_answer(200, {}))
        upstream = Upstream(Origin("default", behind.url, "", 5.0, 5.0, 5.0, 60.0, connections=2))
        watching = asyncio.create_task(upstream.watch())
        model = ServedModel(
            Terms(1000, 0, 0), upstream, "vendor/small", VirtualClock(), lambda: None, chat_length=chat_length
        )
        answer = await model.post("acme", dialect, {}, call, dialect.write(call), lambda: None)
        answer.close()
        watching.cancel()
        await asyncio.wait([watching])
        upstream.close()
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
