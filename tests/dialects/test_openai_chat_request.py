"""Promises about requests for chat completions: what is taken, what is refused, and what is sent."""

from __future__ import annotations

import json
from typing import Any, get_type_hints

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsBase

from proxy.dialects.openai_chat import OpenAIChat
from proxy.errors import BadRequest, ConfigurationError
from proxy.keyed.issued_ids import IssuedIds, taken

DIALECT = OpenAIChat()
_BASE = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}


def _body(**members: Any) -> bytes:
    return json.dumps({**_BASE, **members}).encode()


def _message(**members: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "hi"}, {"role": "user", "content": "hi", **members}]}


def _part(part: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, part]}]}


_TAKEN: dict[str, dict[str, Any]] = {
    "the least": {},
    "a model by its path": {"model": "ft:org/gpt-4o@2024.08:x_1"},
    "every role": {
        "messages": [
            {"role": "developer", "content": "a"},
            {"role": "system", "content": [{"type": "text", "text": "b"}], "name": "n"},
            {"role": "user", "content": "c"},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": {}}]},
            {"role": "tool", "tool_call_id": "1", "content": "d"},
            {"role": "function", "name": "f", "content": None},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "audio": None},
        ]
    },
    "every part": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "a"},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                    {"type": "file", "file": {"filename": "a.pdf", "file_data": "AAAA", "file_id": None}},
                ],
            }
        ]
    },
    "a turn with its thoughts": {
        "messages": [
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "a"}], "closed": True},
                    {"type": "redacted_thinking", "data": "AAAA"},
                    {"type": "reasoning", "text": "b"},
                    {"type": "text", "text": "c"},
                ],
            }
        ]
    },
    "nulls": dict.fromkeys(
        ("stream", "stream_options", "n", "max_tokens", "stop", "store", "tools", "logit_bias", "previous_response_id")
    ),
    "settings": {"n": 128, "stop": ["a"] * 16, "logit_bias": {"1": -100}, "temperature": 0.5, "store": False},
    "one stop": {"stop": "a"},
    "tools": {"tools": [{"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {"name": "c"}}]},
    "a tool argument called file_id": {
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"file_id": {}}}}}]
    },
    "equal limits": {"max_tokens": 5, "max_completion_tokens": 5},
    "a stream with options": {"stream": True, "stream_options": {"include_usage": False, "include_obfuscation": True}},
    "a stream with usage so far": {
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    },
    "what other servers are shown": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}},
                    {"type": "audio_url", "audio_url": {"url": "data:audio/wav;base64,AAAA"}},
                    {"type": "document_url", "document_url": "https://example.com/a.pdf", "document_name": "a"},
                ],
            }
        ]
    },
}

_REFUSED: dict[str, tuple[dict[str, Any], str | None]] = {
    "no model": ({"model": None}, "model"),
    "an empty model": ({"model": ""}, "model"),
    "a long model": ({"model": "m" * 129}, "model"),
    "a model with a space": ({"model": "gpt 4"}, "model"),
    "a model with a newline": ({"model": "gpt-4\n"}, "model"),
    "a model in other letters": ({"model": "g\u0440t-4"}, "model"),
    "a model as a list": ({"model": ["gpt-4"]}, "model"),
    "no messages": ({"messages": []}, "messages"),
    "messages as an object": ({"messages": {}}, "messages"),
    "messages missing": ({"messages": None}, "messages"),
    "too many messages": ({"messages": [{"role": "user", "content": ""}] * 10_001}, "messages"),
    "a message as a string": ({"messages": ["hi"]}, "messages[0]"),
    "an unknown role": ({"messages": [{"role": "root", "content": "hi"}]}, "messages[0].role"),
    "a role as a list": ({"messages": [{"role": ["user"], "content": "hi"}]}, "messages[0].role"),
    "no role": ({"messages": [{"content": "hi"}]}, "messages[0].role"),
    "content as a number": (_message(content=1), "messages[1].content"),
    "J-10 content as an object": (_message(content={"type": "text"}), "messages[1].content"),
    "J-10 an unknown part": (_part({"type": "video"}), "messages[0].content[1]"),
    "J-10 a part without a type": (_part({"text": "hi"}), "messages[0].content[1]"),
    "a part as a string": (_part("hi"), "messages[0].content[1]"),
    "a part of a type that is a list": (_part({"type": []}), "messages[0].content[1]"),
    "stream as a number": ({"stream": 1}, "stream"),
    "stream as a string": ({"stream": "true"}, "stream"),
    "n as true": ({"n": True}, "n"),
    "n as a float": ({"n": 1.0}, "n"),
    "no choices": ({"n": 0}, "n"),
    "too many choices": ({"n": 129}, "n"),
    "no tokens": ({"max_tokens": 0}, "max_tokens"),
    "negative tokens": ({"max_completion_tokens": -1}, "max_completion_tokens"),
    "tokens as true": ({"max_tokens": True}, "max_tokens"),
    "tokens as a float": ({"max_tokens": 5.0}, "max_tokens"),
    "different limits": ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
    "options without a stream": ({"stream_options": {"include_usage": True}}, "stream_options"),
    "options as a list": ({"stream": True, "stream_options": []}, "stream_options"),
    "an unknown option": ({"stream": True, "stream_options": {"x": True}}, "stream_options"),
    "an option as a number": (
        {"stream": True, "stream_options": {"include_usage": 1}},
        "stream_options.include_usage",
    ),
    "J-12 too many stops": ({"stop": ["a"] * 17}, "stop"),
    "J-12 1,000 stops": ({"stop": ["a"] * 1_000}, "stop"),
    "J-12 90,000 biases": ({"logit_bias": {str(token): 1 for token in range(90_000)}}, "logit_bias"),
    "J-12 a template's arguments": ({"chat_template_kwargs": {"a": 1}}, "chat_template_kwargs"),
    "J-12 a template": ({"chat_template": "{{ 7*7 }}"}, "chat_template"),
    "J-12 a guiding expression": ({"guided_regex": "(a+)+$"}, "guided_regex"),
    "J-12 a guiding grammar": ({"guided_grammar": "root ::= root"}, "guided_grammar"),
    "J-12 a guiding schema": ({"guided_json": {}}, "guided_json"),
    "J-12 structured outputs of another server": ({"structured_outputs": {"regex": "(a+)+$"}}, "structured_outputs"),
    "J-12 processors of logits": ({"logits_processors": ["os.system"]}, "logits_processors"),
    "a stop as a number": ({"stop": [1]}, "stop"),
    "too many biases": ({"logit_bias": {str(token): 1 for token in range(1_025)}}, "logit_bias"),
    "biases as a list": ({"logit_bias": []}, "logit_bias"),
    "too many tools": ({"tools": [{"type": "function"}] * 257}, "tools"),
    "too many functions": ({"functions": [{}] * 257}, "functions"),
    "a tool as a string": ({"tools": ["f"]}, "tools[0]"),
    "a tool of another API": ({"tools": [{"type": "mcp", "server_url": "https://x"}]}, "tools[0].type"),
    "best_of": ({"best_of": 2}, "best_of"),
    "an unknown member": ({"surprise": 1}, "surprise"),
    "J-03 another case": ({"Model": "gpt-4o-mini"}, "Model"),
    "J-03 a long s": ({"me\u017f\u017fages": []}, "me\u017f\u017fages"),
    "a NUL": ({"model\0": "x"}, "model?"),
    "J-03 a zero-width space": ({"mo\u200bdel": "x"}, "mo?del"),
    "a long name": ({"x" * 5_000: 1}, "x" * 64),
    "an empty name": ({"": 1}, ""),
    "J-11 another origin": ({"api_base": "http://127.0.0.1"}, "api_base"),
    "J-11 another key": ({"api_key": "k"}, "api_key"),
    "J-11 extra headers": ({"extra_headers": {}}, "extra_headers"),
    "J-11 an extra body": ({"extra_body": {}}, "extra_body"),
}

_STATE: dict[str, dict[str, Any]] = {
    "a stored answer": {"store": True},
    "an earlier answer": {"previous_response_id": "resp_1"},
    "a conversation": {"conversation": "conv_1"},
    "a container": {"container": "c_1"},
    "a stored prompt": {"prompt": {"id": "pmpt_1"}},
    "other servers": {"mcp_servers": []},
    "a file": _part({"type": "file", "file": {"file_id": "file-1"}}),
    "a file in an image": _part({"type": "image_url", "image_url": {"file_id": "file-1"}}),
    "a file beside a text": _part({"type": "text", "text": "hi", "file_id": "file-1"}),
    "a file beside the content": _message(attachments=[{"file_id": "file-1"}]),
    "a spoken answer": _message(role="assistant", audio={"id": "audio_1"}),
    "a voice of the account": {"audio": {"format": "wav", "voice": {"id": "voice_1"}}},
}


@pytest.mark.parametrize("members", _TAKEN.values(), ids=_TAKEN.keys())
def test_what_the_api_knows_is_taken_as_it_came(members: dict[str, Any]) -> None:
    call = DIALECT.read(_body(**members))
    assert call.body == {**_BASE, **members}


@pytest.mark.parametrize(("members", "param"), _REFUSED.values(), ids=_REFUSED.keys())
def test_what_the_api_does_not_know_is_refused_with_its_place(members: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        DIALECT.read(_body(**members))
    assert caught.value.param == param
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("members", _STATE.values(), ids=_STATE.keys())
def test_state_kept_at_the_upstream_is_out_of_reach(members: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match="state kept at the upstream") as caught:
        taken(DIALECT.read(_body(**members)), IssuedIds(b"k" * 32, "acme", "default", frozenset()))
    assert caught.value.code == "upstream_state"


def test_an_unknown_member_is_named_as_the_api_names_it() -> None:
    with pytest.raises(BadRequest, match=r"^Unrecognized request argument supplied: guided_regex$"):
        DIALECT.read(_body(guided_regex="a*"))


def test_what_the_operator_allows_is_taken() -> None:
    dialect = OpenAIChat(frozenset({"guided_regex"}))
    assert dialect.read(_body(guided_regex="a*")).body["guided_regex"] == "a*"


@pytest.mark.parametrize(
    "allow",
    [
        {"Model"},
        {"me\u017f\u017fages"},
        {"mo\u200bdel"},
        {"\uff4e"},
        {"api_base"},
        {"API_KEY"},
        {"conversation"},
        {"a", "A"},
    ],
)
def test_nothing_may_be_allowed_that_stands_for_something_else(allow: set[str]) -> None:
    with pytest.raises(ConfigurationError):
        OpenAIChat(frozenset(allow))


def test_every_member_that_the_official_client_knows_is_taken() -> None:
    known = set(get_type_hints(CompletionCreateParamsBase))
    assert {"model", "messages", "tools", "web_search_options"} <= known
    for name in known - {"model", "messages"}:
        DIALECT.read(_body(**{name: None}))


def test_the_call_says_what_was_asked_for() -> None:
    call = DIALECT.read(_body(n=3, max_completion_tokens=7, stream=True))
    assert (call.model, call.stream, call.choices, call.max_output_tokens) == ("gpt-4o", True, 3, 7)
    plain = DIALECT.read(_body(max_tokens=9))
    assert (plain.stream, plain.choices, plain.max_output_tokens, plain.hide_usage) == (False, 1, 9, False)
    assert DIALECT.read(_body()).max_output_tokens is None


@pytest.mark.parametrize(
    ("members", "hidden", "sent"),
    [
        ({}, False, None),
        ({"stream": True}, True, {"include_usage": True}),
        ({"stream": True, "stream_options": None}, True, {"include_usage": True}),
        ({"stream": True, "stream_options": {"include_usage": False}}, True, {"include_usage": True}),
        ({"stream": True, "stream_options": {"include_usage": True}}, False, {"include_usage": True}),
        (
            {"stream": True, "stream_options": {"include_obfuscation": False}},
            True,
            {"include_obfuscation": False, "include_usage": True},
        ),
    ],
)
def test_the_usage_of_a_stream_is_always_asked_for(members: dict[str, Any], hidden: bool, sent: Any) -> None:
    call = DIALECT.read(_body(**members))
    assert call.hide_usage is hidden
    assert json.loads(DIALECT.write(call)) == {**_BASE, **members, **({"stream_options": sent} if sent else {})}
    assert call.body == {**_BASE, **members}
