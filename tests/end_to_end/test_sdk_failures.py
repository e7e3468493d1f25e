"""What the official clients raise when the upstream fails, before its answer or in the middle of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio

from tests.end_to_end.customers import (
    anthropic_client,
    ask,
    assert_said_nothing_wrong,
    both_raise,
    openai_client,
    record_of,
    recorded,
)
from tests.end_to_end.scene import Scene, staged
from tests.rig.raw_client import chunk
from tests.rig.scripted_upstream import (
    Close,
    Pause,
    Reset,
    Script,
    Send,
    event,
    html_answer,
    json_answer,
    sse_answer,
    truncated,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTINGS: dict[str, Any] = {"upstreams": {"default": {"first_byte_seconds": 0.5}}}
MUTE: Script = (Pause(asyncio.Event()),)
BUSY = json_answer(429, {"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}})
CUT = truncated(b'{"id": "chatcmpl-1", "choices": [')

COMPLETION = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m-large"}
CHAT_BEGUN = sse_answer(
    [event({**COMPLETION, "choices": [{"index": 0, "delta": {"content": "Hel"}, "finish_reason": None}]})], end=False
)
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m-large", "content": []}
USAGE = {"input_tokens": 11, "output_tokens": 1}
MESSAGE_BEGUN = sse_answer(
    [
        event({"type": "message_start", "message": {**MESSAGE, "usage": USAGE}}, "message_start"),
        event(
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            "content_block_start",
        ),
        event(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}},
            "content_block_delta",
        ),
    ],
    end=False,
)
END = Send(chunk(b""))
OVERLOADED = {"type": "overloaded_error", "message": "Overloaded"}
CHAT_ERROR = Send(chunk(event({"error": {"message": "Overloaded", "type": "server_error", "code": "overloaded"}})))
MESSAGE_ERROR = Send(chunk(event({"type": "error", "error": OVERLOADED}, "error")))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("failures"), SETTINGS) as scene:
        yield scene
        await scene.at_peace()
        assert_said_nothing_wrong(scene.gate)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chat(scene: Scene) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai_client(scene.gate, scene.key) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def claude(scene: Scene) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic_client(scene.gate, scene.key) as client:
        yield client


async def until_it_breaks(stream: Any, pieces: list[Any]) -> None:
    async for piece in stream:
        pieces.append(piece)


@pytest.mark.parametrize(
    ("answer", "status", "code", "anthropic_type", "outcome"),
    [
        ((Close(),), 502, "upstream_error", "api_error", "upstream_unreachable"),
        ((Reset(),), 502, "upstream_error", "api_error", "upstream_unreachable"),
        (CUT, 502, "upstream_reset", "api_error", "upstream_truncated"),
        (html_answer(200), 502, "upstream_error", "api_error", "upstream_error"),
        (html_answer(401), 502, "upstream_error", "api_error", "upstream_error"),
        (html_answer(500), 500, "upstream_error", "api_error", "upstream_error"),
        (html_answer(502), 502, "upstream_error", "api_error", "upstream_error"),
        (html_answer(503), 503, "upstream_error", "overloaded_error", "upstream_error"),
        (html_answer(529), 529, "upstream_error", "overloaded_error", "upstream_error"),
        (BUSY, 503, "upstream_rate_limited", "overloaded_error", "upstream_error"),
        (MUTE, 504, "upstream_timeout", "timeout_error", "upstream_timeout"),
    ],
)
async def test_an_upstream_that_fails_is_an_internal_server_error_that_costs_nothing(
    scene: Scene,
    chat: openai.AsyncOpenAI,
    claude: anthropic.AsyncAnthropic,
    answer: Script,
    status: int,
    code: str,
    anthropic_type: str,
    outcome: str,
) -> None:
    """S-01."""
    scene.upstream.script(answer, answer)
    theirs, ours = await both_raise("InternalServerError", chat, claude)
    assert (theirs.status_code, theirs.code, theirs.type, ours.type) == (status, code, "server_error", anthropic_type)
    record = await recorded(scene.gate, theirs, ours)
    assert (record["effect"], record["outcome"], record["usage"]["source"]) == ("allow", outcome, "none")
    assert {measure for measure, units in record["settled"].items() if units} == {
        "concurrency"
    }  # whose slot is free again


@pytest.mark.parametrize(
    ("ending", "code", "outcome"),
    [
        ((CHAT_ERROR, END), "overloaded", "upstream_error"),
        ((END,), "upstream_truncated", "upstream_truncated"),
        ((Close(),), "upstream_reset", "upstream_truncated"),
        ((Reset(),), "upstream_reset", "upstream_truncated"),
    ],
)
async def test_a_chat_stream_that_breaks_raises_in_the_middle(
    scene: Scene, chat: openai.AsyncOpenAI, ending: Script, code: str, outcome: str
) -> None:
    """S-01."""
    scene.upstream.script((*CHAT_BEGUN, *ending))
    stream = await ask(chat, stream=True)
    pieces: list[Any] = []
    with pytest.raises(openai.APIError) as error:
        await until_it_breaks(stream, pieces)
    assert [piece.choices[0].delta.content for piece in pieces] == ["Hel"]
    assert error.value.code == code
    record = await record_of(scene.gate, stream.response.headers["x-request-id"])
    assert (record["outcome"], record["status"], record["usage"]["source"]) == (outcome, 200, "estimate")


@pytest.mark.parametrize(
    ("ending", "kind", "outcome"),
    [
        ((MESSAGE_ERROR, END), "overloaded_error", "upstream_error"),
        ((END,), "api_error", "upstream_truncated"),
        ((Close(),), "api_error", "upstream_truncated"),
        ((Reset(),), "api_error", "upstream_truncated"),
    ],
)
async def test_a_message_stream_that_breaks_raises_in_the_middle(
    scene: Scene, claude: anthropic.AsyncAnthropic, ending: Script, kind: str, outcome: str
) -> None:
    """S-01."""
    scene.upstream.script((*MESSAGE_BEGUN, *ending))
    pieces: list[Any] = []
    with pytest.raises(anthropic.APIStatusError) as error:
        await until_it_breaks(await ask(claude, stream=True), pieces)
    assert [piece.type for piece in pieces] == ["message_start", "content_block_start", "content_block_delta"]
    assert error.value.type == kind
    record = await record_of(scene.gate, error.value.request_id)
    assert (record["outcome"], record["status"], record["usage"]["source"]) == (outcome, 200, "estimate")


async def test_a_client_that_stops_waiting_raises_its_timeout_and_ends_the_call(
    scene: Scene, chat: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic
) -> None:
    """S-01."""
    for client, kind in ((chat, openai.APITimeoutError), (claude, anthropic.APITimeoutError)):
        before, calls = len(scene.gate.records("exchange")), len(scene.upstream.requests)
        scene.upstream.script((Pause(asyncio.Event()),))
        with pytest.raises(kind):
            await ask(client, timeout=0.3)
        record = (await scene.gate.wait_for_records(before + 1))[-1]
        assert (record["outcome"], len(scene.upstream.requests)) == ("client_left", calls + 1)
