from __future__ import annotations

import math
from typing import Any

import pytest

from proxy.standin.server import Options
from tests.standin.conftest import StartModel
from tests.standin.wire import CHAT, WEATHER, Said, chat

TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}
USER = {"role": "user", "content": "Describe a harbour."}
CALLED = {
    "role": "assistant",
    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}],
}


def contents(said: Said, member: str = "content", choice: int = 0) -> list[str]:
    deltas = [
        one["delta"].get(member) for _, data in said.events[:-1] for one in data["choices"] if one["index"] == choice
    ]
    return [delta for delta in deltas if delta]


async def test_a_cap_of_64_tokens_streams_exactly_64_pieces_of_text(url: str) -> None:
    for question in ("one", "two", "three", "four", "five"):
        said = await chat(url, stream=True, max_tokens=64, messages=[{"role": "user", "content": question}])
        assert len(contents(said)) == 64
        assert said.events[-2][1]["choices"][0]["finish_reason"] == "length"


async def test_a_stream_opens_with_the_role_and_ends_with_done(url: str) -> None:
    said = await chat(url, stream=True)
    assert said.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert said.body.endswith(b"\n\ndata: [DONE]\n\n")
    first, last = said.events[0][1], said.events[-2][1]
    assert first["choices"][0]["delta"]["role"] == "assistant"
    assert (last["choices"][0]["delta"], last["choices"][0]["finish_reason"]) == ({}, "stop")
    assert len({data["id"] for _, data in said.events[:-1]}) == 1


async def test_only_a_client_that_asks_for_usage_sees_it_in_a_stream(url: str) -> None:
    plain = await chat(url, stream=True)
    assert all("usage" not in data for _, data in plain.events[:-1])
    asked = await chat(url, stream=True, stream_options={"include_usage": True})
    *chunks, final = (data for _, data in asked.events[:-1])
    assert all(data["usage"] is None for data in chunks)
    assert final["choices"] == []
    assert final["usage"]["completion_tokens"] == len(contents(asked))


async def test_several_choices_differ_take_turns_and_are_billed_together(url: str) -> None:
    whole = (await chat(url, n=3, max_tokens=80)).json
    texts = [choice["message"]["content"] for choice in whole["choices"]]
    assert len(set(texts)) == 3
    streamed = await chat(url, n=3, max_tokens=80, stream=True, stream_options={"include_usage": True})
    assert ["".join(contents(streamed, choice=index)) for index in range(3)] == texts
    assert whole["usage"] == streamed.events[-2][1]["usage"]
    order = [data["choices"][0]["index"] for _, data in streamed.events[:6]]
    assert order == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("cap", ["max_tokens", "max_completion_tokens"])
async def test_either_cap_cuts_the_answer(url: str, cap: str) -> None:
    said = (await chat(url, **{cap: 5})).json
    assert said["usage"]["completion_tokens"] == 5
    assert said["choices"][0]["finish_reason"] == "length"


async def test_a_stop_sequence_ends_the_answer_before_itself(url: str) -> None:
    whole = (await chat(url)).json["choices"][0]["message"]["content"]
    stop = whole[30:36]
    for given in (stop, ["never said", stop]):
        cut = (await chat(url, stop=given)).json["choices"][0]
        assert cut["message"]["content"] == whole[: whole.index(stop)]
        assert cut["finish_reason"] == "stop"


async def test_log_probabilities_fit_the_tokens_and_each_other(url: str) -> None:
    whole = (await chat(url, logprobs=True, top_logprobs=5, max_tokens=80)).json["choices"][0]
    entries = whole["logprobs"]["content"]
    assert "".join(entry["token"] for entry in entries) == whole["message"]["content"]
    for entry in entries:
        top = entry["top_logprobs"]
        values = [one["logprob"] for one in top]
        assert bytes(entry["bytes"]).decode() == entry["token"]
        assert len({one["token"] for one in top}) == 5
        assert values == sorted(values, reverse=True)
        assert sum(map(math.exp, values)) <= 1
        assert entry["logprob"] in [one["logprob"] for one in top if one["token"] == entry["token"]]
    streamed = await chat(url, logprobs=True, top_logprobs=5, max_tokens=80, stream=True)
    known = [data["choices"][0]["logprobs"] for _, data in streamed.events[:-1]]
    assert [entry for one in known if one for entry in one["content"]] == entries


@pytest.mark.parametrize("stream", [False, True])
async def test_reasoning_is_shown_to_those_who_set_an_effort_and_billed_to_all(url: str, stream: bool) -> None:
    async def thoughts(**wish: Any) -> tuple[str, int]:
        said = await chat(url, stream=stream, **wish, **({"stream_options": {"include_usage": True}} if stream else {}))
        shown = (
            "".join(contents(said, "reasoning_content"))
            if stream
            else said.json["choices"][0]["message"].get("reasoning_content", "")
        )
        usage = said.events[-2][1]["usage"] if stream else said.json["usage"]
        return shown, usage["completion_tokens_details"]["reasoning_tokens"]

    shown, billed = await thoughts(reasoning_effort="low")
    assert billed > 0
    assert len(shown) == 4 * billed
    hidden, billed = await thoughts(model="standin-reasoner")
    assert (hidden, billed > 0) == ("", True)
    assert await thoughts() == ("", 0)


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "get_weather"}}], ids=["required", "named"]
)
async def test_a_required_tool_is_called_and_its_arguments_come_in_pieces(url: str, choice: Any) -> None:
    whole = (await chat(url, tools=[TOOL], tool_choice=choice)).json["choices"][0]["message"]
    streamed = await chat(url, tools=[TOOL], tool_choice=choice, stream=True)
    calls = [call[0] for data in streamed.events[:-1] for one in data[1]["choices"] for call in _calls(one)]
    assert calls[0]["id"].startswith("call_")
    assert calls[0]["function"] == {"name": "get_weather", "arguments": ""}
    pieces = [call["function"]["arguments"] for call in calls]
    assert len(pieces) > 3
    assert "".join(pieces) == whole["tool_calls"][0]["function"]["arguments"]
    assert whole["content"] is None


def _calls(choice: dict[str, Any]) -> list[list[dict[str, Any]]]:
    return [choice["delta"]["tool_calls"]] if "tool_calls" in choice["delta"] else []


async def test_a_tool_that_is_neither_asked_for_nor_required_is_left_alone(url: str) -> None:
    assert (await chat(url, tools=[TOOL])).json["choices"][0]["message"]["content"]
    asking = [{"role": "user", "content": "Use the tool."}]
    forbidden = (await chat(url, tools=[TOOL], tool_choice="none", messages=asking)).json
    assert forbidden["choices"][0]["message"]["content"]


async def test_the_same_request_gets_the_same_words_and_another_seed_other_words(
    url: str, start_model: StartModel
) -> None:
    async def text(where: str, **changes: Any) -> str:
        return str((await chat(where, **changes)).json["choices"][0]["message"]["content"])

    said = await text(url)
    assert await text(await start_model()) == said
    assert await text(await start_model(Options(seed=1))) != said
    assert await text(url, seed=7) != said


async def test_a_request_for_a_json_object_gets_one(url: str) -> None:
    text = (await chat(url, response_format={"type": "json_object"})).json["choices"][0]["message"]["content"]
    assert text.startswith("{")
    assert text.endswith("}")


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"model": None}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": ["hello"]}, "messages.0"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages.0.content.0.type"),
        ({"messages": [{"role": "user", "content": [{"type": []}]}]}, "messages.0.content.0.type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text"),
        ({"messages": [USER, {"role": "tool", "tool_call_id": "call_1", "content": "x"}]}, "messages.1.tool_call_id"),
        ({"messages": [CALLED, {"role": "tool", "tool_call_id": "other", "content": "x"}]}, "messages.1.tool_call_id"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "text": 5}]}], "n": 0}, "n"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"n": 0}, "n"),
        ({"n": True}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 10**9}, "max_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": 5}, "stop"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"reasoning_effort": "extreme"}, "reasoning_effort"),
        ({"reasoning_effort": []}, "reasoning_effort"),
        ({"tools": [{"type": "other"}]}, "tools.0.type"),
        ({"tools": [{"type": "function"}]}, "tools.0.function"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools.0.function.name"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "other"}}}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.name"),
    ],
)
async def test_a_wrong_request_is_refused_with_the_member_at_fault(
    url: str, changes: dict[str, Any], param: str
) -> None:
    body = {name: value for name, value in {**CHAT, **changes}.items() if value is not None}
    said = await chat(url, **{name: None for name in changes if name not in body}, **body)
    assert said.status == 400
    assert set(said.json["error"]) == {"message", "type", "param", "code"}
    assert said.json["error"]["param"] == param
    assert said.json["error"]["type"] == "invalid_request_error"
