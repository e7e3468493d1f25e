from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.standin.wire import ANTHROPIC, MESSAGES, WEATHER, Said, ask, messages

TOOL = {"name": "get_weather", "input_schema": WEATHER}
USED = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"}
ENABLED = {"type": "enabled", "budget_tokens": 1024}


def names(said: Said) -> list[str]:
    seen: list[str] = []
    for name, _ in said.events:
        if name != "content_block_delta" or seen[-1] != name:
            seen.append(name)
    return seen


def deltas(said: Said, kind: str) -> list[Any]:
    return [
        data["delta"] for name, data in said.events if name == "content_block_delta" and data["delta"]["type"] == kind
    ]


async def test_a_stream_has_the_events_of_the_api_in_its_order(url: str) -> None:
    said = await messages(url, stream=True)
    assert names(said) == [
        "message_start", "content_block_start", "ping", "content_block_delta", "content_block_stop",
        "message_delta", "message_stop",
    ]  # fmt: skip
    assert all(data["type"] == name for name, data in said.events)
    start, end = said.events[0][1]["message"], said.events[-2][1]
    assert (start["content"], start["stop_reason"], start["usage"]["output_tokens"]) == ([], None, 1)
    assert end["usage"]["output_tokens"] == len(deltas(said, "text_delta"))


async def test_a_cap_of_64_tokens_streams_exactly_64_pieces_of_text(url: str) -> None:
    said = await messages(url, stream=True, max_tokens=64)
    assert len(deltas(said, "text_delta")) == 64
    assert said.events[-2][1]["delta"] == {"stop_reason": "max_tokens", "stop_sequence": None}


async def test_thinking_comes_first_and_ends_with_its_signature(url: str) -> None:
    said = await messages(url, stream=True, max_tokens=2048, thinking=ENABLED)
    starts = [data for name, data in said.events if name == "content_block_start"]
    assert [start["content_block"]["type"] for start in starts] == ["thinking", "text"]
    assert [start["index"] for start in starts] == [0, 1]
    (signed,) = deltas(said, "signature_delta")
    assert len(base64.b64decode(signed["signature"], validate=True)) == 32
    thought = deltas(said, "thinking_delta")
    assert said.events[-2][1]["usage"]["output_tokens"] == len(thought) + len(deltas(said, "text_delta"))


async def test_a_tool_call_streams_its_input_in_pieces_that_join_to_the_whole(url: str) -> None:
    wish = {"tools": [TOOL], "messages": [{"role": "user", "content": "Use the tool, please."}]}
    whole = (await messages(url, **wish)).json
    said = await messages(url, **wish, stream=True)
    (start,) = [data["content_block"] for name, data in said.events if name == "content_block_start"]
    assert start["input"] == {}
    pieces = [delta["partial_json"] for delta in deltas(said, "input_json_delta")]
    assert len(pieces) > 3
    assert Said(200, {}, "".join(pieces).encode()).json == whole["content"][0]["input"]
    assert whole["stop_reason"] == "tool_use"


async def test_a_call_that_is_cut_short_has_an_empty_input_in_a_document(url: str) -> None:
    said = (await messages(url, tools=[TOOL], tool_choice={"type": "any"}, max_tokens=2)).json
    assert (said["content"][0]["input"], said["stop_reason"]) == ({}, "max_tokens")


async def test_a_stop_sequence_ends_the_answer_and_is_named(url: str) -> None:
    whole = (await messages(url)).json["content"][0]["text"]
    stop = whole[30:36]
    said = (await messages(url, stop_sequences=["never said", stop])).json
    assert said["content"][0]["text"] == whole[: whole.index(stop)]
    assert (said["stop_reason"], said["stop_sequence"]) == ("stop_sequence", stop)


async def test_a_marked_prefix_is_written_to_the_cache_once_and_then_read(url: str) -> None:
    system = [{"type": "text", "text": "Long rules. " * 50, "cache_control": {"type": "ephemeral"}}]
    plain = (await messages(url, system=[{"type": "text", "text": "Long rules. " * 50}])).json["usage"]
    first = (await messages(url, system=system)).json["usage"]
    again = (await messages(url, system=system)).json["usage"]
    assert (first["cache_creation_input_tokens"], first["cache_read_input_tokens"]) == (150, 0)
    assert (again["cache_creation_input_tokens"], again["cache_read_input_tokens"]) == (0, 150)
    assert plain["input_tokens"] == first["input_tokens"] + 150 == again["input_tokens"] + 150
    assert first["cache_creation"]["ephemeral_5m_input_tokens"] == 150


async def test_a_media_block_costs_the_same_however_large(url: str) -> None:
    def picture(data: str) -> dict[str, Any]:
        source = {"type": "base64", "media_type": "image/png", "data": data}
        return {"messages": [{"role": "user", "content": [{"type": "image", "source": source}]}]}

    small, large = [(await messages(url, **picture("AA" * size))).json["usage"] for size in (1, 10_000)]
    assert small["input_tokens"] == large["input_tokens"] == 89


@pytest.mark.parametrize(
    ("missing", "status", "kind"),
    [("x-api-key", 401, "authentication_error"), ("anthropic-version", 400, "invalid_request_error")],
)
async def test_a_request_without_a_required_header_is_refused(url: str, missing: str, status: int, kind: str) -> None:
    headers = {name: value for name, value in ANTHROPIC.items() if name != missing}
    said = await ask(url, "/v1/messages", MESSAGES, headers)
    assert said.status == status
    assert said.json["error"]["type"] == kind


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": None}, "messages"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}, "messages.0.content.0.type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages.0.content.0.source"),
        ({"messages": [{"role": "user", "content": [RESULT]}]}, "messages.0.content"),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}]}]},
            "messages.0.content.0.data",
        ),
        ({"messages": [{"role": "assistant", "content": [{**USED, "input": None}]}]}, "messages.0.content.0.input"),
        ({"system": 5}, "system"),
        ({"temperature": 1.5}, "temperature"),
        ({"stop_sequences": [""]}, "stop_sequences"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1023}, "max_tokens": 2000}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": ENABLED, "max_tokens": 1024}, "max_tokens"),
        ({"thinking": {"type": "deep"}}, "thinking.type"),
        ({"output_config": {"format": "json"}}, "output_config.format"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"tools": [{"name": "x"}]}, "tools.0.input_schema"),
        ({"tools": [{"name": "x", "input_schema": {"type": "array"}}]}, "tools.0.input_schema.type"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "other"}}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "always"}}, "tool_choice.type"),
        ({"tools": [TOOL], "tool_choice": {"type": "any"}, "thinking": ENABLED, "max_tokens": 2000}, "tool_choice"),
    ],
)
async def test_a_wrong_request_is_refused_with_the_member_at_fault(
    url: str, changes: dict[str, Any], where: str
) -> None:
    said = await messages(url, **changes)
    assert said.status == 400
    assert said.json["type"] == "error"
    assert said.json["error"]["type"] == "invalid_request_error"
    assert said.json["error"]["message"].startswith(where + ":")
    assert said.json["request_id"] == said.headers["request-id"]
