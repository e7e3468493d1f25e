"""Promises about requests for responses: what is taken, what is refused, what is sent, and which ids are found."""

from __future__ import annotations

import json
from typing import Any, get_args, get_type_hints

import pytest
from openai.types.responses import ResponseInputItemParam, ToolParam
from openai.types.responses.response_create_params import ResponseCreateParamsBase

from proxy.dialects.openai_responses import OpenAIResponses
from proxy.errors import BadRequest
from proxy.wire import GONE

DIALECT = OpenAIResponses()
HI: dict[str, Any] = {"role": "user", "content": "hi"}
_SAID: dict[str, Any] = {"type": "output_text", "text": "yes", "annotations": []}
ANSWER: dict[str, Any] = {"type": "message", "id": "msg_1", "role": "assistant", "content": [_SAID]}


def _body(**members: Any) -> bytes:
    asked = {"model": "m", "input": "hi", **members}
    return json.dumps({name: value for name, value in asked.items() if value is not ...}).encode()


BUNDLED: dict[str, Any] = {
    "type": "inline",
    "name": "s",
    "description": "d",
    "source": {"type": "base64", "media_type": "application/zip", "data": "UEsDBA=="},
}
_TAKEN: dict[str, dict[str, Any]] = {
    "the least": {},
    "nulls": dict.fromkeys(
        ("background", "include", "instructions", "max_output_tokens", "store", "stream", "stream_options", "text",
         "tools", "prompt", "conversation", "previous_response_id", "reasoning", "top_logprobs")
    ),
    "every role": {"input": [{"role": role, "content": "a"} for role in ("user", "system", "developer", "assistant")]},
    "every part": {
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "a"},
                    {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"},
                    {"type": "input_file", "file_url": "https://example.com/a.pdf"},
                    {"type": "input_file", "filename": "a.pdf", "file_data": "AAAA"},
                ],
            }
        ]
    },
    "a turn that is returned": {
        "input": [
            HI,
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "AAAA"},
            {**ANSWER, "content": [_SAID, {"type": "refusal", "refusal": "no"}]},
            {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "rain"},
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "rain"}]},
            {"type": "tool_search_call", "call_id": "s", "execution": "client", "arguments": {"goal": "weather"}},
            {"type": "tool_search_output", "call_id": "s", "tools": [{"type": "function", "name": "f"}]},
            {"type": "image_generation_call", "id": "ig_1", "result": "AAAA", "background": "opaque"},
            {"type": "program", "id": "pr_1", "call_id": "c", "code": "await f()", "fingerprint": "AAAA"},
            {"type": "program_output", "id": "po_1", "call_id": "c", "result": "rain", "status": "completed"},
            {"type": "item_reference", "id": "msg_1"},
            {"id": "msg_2"},
        ]
    },
    "an environment with names of state": {
        "input": [
            {"type": "local_shell_call", "call_id": "c", "action": {"command": ["ls"], "env": {"container": "a", "thread": "b"}}}
        ]
    },
    "what changes a conversation on its way": {
        "input": [
            HI,
            {"type": "additional_tools", "role": "developer", "tools": [{"type": "function", "name": "f"}]},
            {"type": "configuration_update", "reasoning": {"effort": "low"}, "text": {"format": {"type": "text"}}},
            {"type": "compaction_trigger"},
        ]
    },
    "settings": {
        "temperature": 0.5, "top_p": 1, "top_logprobs": 20, "max_output_tokens": 1, "store": True, "metadata": {"a": "b"},
        "include": ["message.output_text.logprobs", "reasoning.encrypted_content"], "reasoning": {"effort": "low"},
        "image": {"context_compression": "enabled"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"properties": {"file_id": {}}}}},
    },
    "what is called like state, and is none": {"metadata": {"file_id": "x", "thread": "y"}},
    "tools": {
        "tools": [
            {"type": "function", "name": "f", "parameters": {"properties": {"container": {"type": "string"}}}},
            {"type": "function", "name": "g", "output_schema": {"properties": {"file_id": {"type": "string"}}}},
            {"type": "web_search"},
            {"type": "web_search_2025_08_26"},
            {"type": "code_interpreter", "container": {"type": "auto"}},
            {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "g"}]},
            {"type": "programmatic_tool_calling"},
            {"type": "image_generation", "background": "transparent"},
            {
                "type": "shell",
                "environment": {"type": "local", "skills": [{"name": "s", "description": "d", "path": "/s"}]},
            },
            {"type": "shell", "environment": {"type": "container_auto", "skills": [BUNDLED]}},
        ]
    },
    "tools to search through": {"tools": [{"type": "tool_search"}, *[{"type": "function", "name": "f"}] * 2_000]},
    "a stream with options": {"stream": True, "stream_options": {"include_obfuscation": False}},
    "a stored prompt alone": {"input": ..., "prompt": {"id": "pmpt_1", "variables": {"name": "Ada"}}},
}  # fmt: skip

_REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no input": ({"input": ...}, "input"),
    "an empty input": ({"input": []}, "input"),
    "an input of another type": ({"input": 5}, "input"),
    "an input of strings": ({"input": ["hi"]}, "input[0]"),
    "an unknown role": ({"input": [{"role": "tool", "content": "a"}]}, "input[0].role"),
    "a role as a list": ({"input": [{"role": ["user"], "content": "a"}]}, "input[0].role"),
    "a role as an object": ({"input": [{"role": {}, "content": "a"}]}, "input[0].role"),
    "an unknown item": ({"input": [HI, {"type": "mcp_call", "id": "x"}]}, "input[1].type"),
    "an item of no type": ({"input": [{"type": 5}]}, "input[0].type"),
    "an unknown part": ({"input": [{"role": "user", "content": [{"type": "text_2"}]}]}, "input[0].content[0]"),
    "a content of another type": ({"input": [{"role": "user", "content": 5}]}, "input[0].content"),
    "an id of another type": ({"input": [{**ANSWER, "id": 5}]}, "input[0].id"),
    "a reference to nothing": ({"input": [{"type": "item_reference"}]}, "input[0].id"),
    "an output that is no list of parts": (
        {"input": [{"type": "function_call_output", "call_id": "c", "output": ["a"]}]},
        "input[0].output[0]",
    ),
    "a background answer": ({"background": True}, "background"),
    "instructions as a list": ({"instructions": ["a"]}, "instructions"),
    "no tokens": ({"max_output_tokens": 0}, "max_output_tokens"),
    "too many alternatives": ({"top_logprobs": 21}, "top_logprobs"),
    "an unknown inclusion": ({"include": ["everything"]}, "include"),
    "a tool that goes elsewhere": ({"tools": [{"type": "mcp", "server_url": "https://example.com"}]}, "tools[0].type"),
    "a tool that goes elsewhere, within": (
        {"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "mcp"}]}]},
        "tools[0].tools[0].type",
    ),
    "a tool that goes elsewhere, found": (
        {
            "input": [
                {"type": "tool_search_output", "call_id": "c", "tools": [{"type": "mcp", "server_url": "https://a"}]}
            ]
        },
        "input[0].tools[0].type",
    ),
    "too many tools": ({"tools": [{"type": "function", "name": "f"}] * 10_001}, "tools"),
    "found tools that go elsewhere beside an output": (
        {
            "input": [
                {"type": "tool_search_output", "output": [], "tools": [{"type": "mcp", "server_url": "https://a"}]}
            ]
        },
        "input[0].tools[0].type",
    ),
    "a tool that goes elsewhere, added": (
        {"input": [{"type": "additional_tools", "role": "developer", "tools": [{"type": "mcp"}]}]},
        "input[0].tools[0].type",
    ),
    "found tools that are none": ({"input": [{"type": "tool_search_output", "tools": [5]}]}, "input[0].tools[0]"),
    "skills": ({"tools": [{"type": "shell", "environment": {"skills": [{"id": "s"}]}}]}, "tools[0].environment.skills"),
    "skills that are kept": (
        {"tools": [{"type": "shell", "environment": {"skills": [{"type": "skill_reference", "skill_id": "s"}]}}]},
        "tools[0].environment.skills",
    ),
    "skills that a request brings along and does not": (
        {"tools": [{"type": "shell", "environment": {"skills": [{**BUNDLED, "source": {"file_id": "f"}}]}}]},
        "tools[0].environment.skills",
    ),
    "skills of an unknown kind": (
        {"tools": [{"type": "shell", "environment": {"skills": [{**BUNDLED, "type": "custom"}]}}]},
        "tools[0].environment.skills",
    ),
    "options without a stream": ({"stream_options": {}}, "stream_options"),
    "unknown options": ({"stream": True, "stream_options": {"include_usage": True}}, "stream_options"),
    "a prompt without an id": ({"prompt": {"version": "1"}}, "prompt"),
    "a state of another type": ({"previous_response_id": 5}, "previous_response_id"),
    "a state in a list": ({"previous_response_id": ["resp_123456"]}, "previous_response_id"),
    "reasoning of another type": ({"reasoning": "low"}, "reasoning"),
    "chat's messages": ({"messages": [HI]}, "messages"),
    "a key that folds to a known one": ({"Input": "a"}, "Input"),
}


@pytest.mark.parametrize("members", _TAKEN.values(), ids=_TAKEN)
def test_what_the_api_takes_is_sent_as_it_was_read(members: dict[str, Any]) -> None:
    body = _body(**members)
    assert json.loads(DIALECT.write(DIALECT.read(body))) == json.loads(body)


@pytest.mark.parametrize(("members", "param"), _REFUSED.values(), ids=_REFUSED)
def test_what_cannot_be_judged_is_refused_where_it_stands(members: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        DIALECT.read(_body(**members))
    assert refused.value.param == param


def test_a_background_answer_is_refused_with_the_reason() -> None:
    with pytest.raises(BadRequest, match="charged") as refused:
        DIALECT.read(_body(background=True))
    assert refused.value.code == "unsupported_parameter"


def test_the_call_says_what_was_asked() -> None:
    call = DIALECT.read(_body(stream=True, max_output_tokens=50))
    assert (call.model, call.stream, call.max_output_tokens, call.choices) == ("m", True, 50, 1)
    assert DIALECT.read(_body()).max_output_tokens is None


def test_every_parameter_of_the_official_client_is_known_but_those_that_reach_beyond_a_response() -> None:
    unknown = {"access_programs", "background_options"}
    for name in get_type_hints(ResponseCreateParamsBase).keys() - {"model", "input"}:
        with_it = _body(**{name: None})
        if name in unknown:
            with pytest.raises(BadRequest, match=name):
                DIALECT.read(with_it)
        else:
            DIALECT.read(with_it)


def _kinds(union: object) -> set[str]:
    """Return the types of what a client may send in one place."""
    hints = [get_type_hints(each)["type"] for each in get_args(union)]
    return {kind for hint in hints for kind in get_args(hint) if isinstance(kind, str)}


def test_every_item_and_tool_of_the_official_client_is_known_but_those_that_go_elsewhere() -> None:
    for kind in _kinds(ResponseInputItemParam):
        item: dict[str, Any] = {"type": kind, "id": "a_1", "role": "user", "content": "hi", "tools": []}
        if kind.startswith("mcp_"):
            with pytest.raises(BadRequest, match="type"):
                DIALECT.read(_body(input=[item]))
        else:
            DIALECT.read(_body(input=[item]))
    for kind in _kinds(ToolParam) - {"mcp"}:
        DIALECT.read(_body(tools=[{"type": kind}]))


_KEPT: list[tuple[dict[str, Any], dict[tuple[str | int, ...], object]]] = [
    ({}, {}),
    ({"previous_response_id": "resp_1"}, {("previous_response_id",): ...}),
    ({"conversation": "conv_1"}, {("conversation",): ...}),
    ({"conversation": {"id": "conv_1"}}, {("conversation", "id"): ...}),
    ({"prompt": {"id": "p", "variables": {"a": {"type": "input_file", "file_id": "f"}, "file_id": "free"}}},
     {("prompt", "id"): ..., ("prompt", "variables", "a", "file_id"): ...}),
    ({"tools": [{"type": "file_search", "vector_store_ids": ["a", "b"]}]},
     {("tools", 0, "vector_store_ids", 0): ..., ("tools", 0, "vector_store_ids", 1): ...}),
    ({"tools": [{"type": "code_interpreter", "container": "cntr_1"}]}, {("tools", 0, "container"): ...}),
    ({"tools": [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["f"]}}]},
     {("tools", 0, "container", "file_ids", 0): ...}),
    ({"tools": [{"type": "image_generation", "input_image_mask": {"file_id": "f"}}]},
     {("tools", 0, "input_image_mask", "file_id"): ...}),
    ({"prompt_cache_options": {"comparison_response_id": "resp_1"}},
     {("prompt_cache_options", "comparison_response_id"): ...}),
    ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
     {("input", 0, "content", 0, "file_id"): ...}),
    ({"input": [{"type": "item_reference", "id": "msg_1"}]}, {("input", 0, "id"): ...}),
    ({"input": [{"id": "msg_1"}]}, {("input", 0, "id"): ...}),
    ({"input": [{"type": "reasoning", "id": "rs_1", "summary": []}]}, {("input", 0, "id"): ...}),
    ({"input": [{"type": "reasoning", "summary": [], "encrypted_content": "A"}]}, {}),
    ({"input": [{"type": "image_generation_call", "id": "ig_1"}]}, {("input", 0, "id"): ...}),
    ({"input": [{"type": "code_interpreter_call", "id": "ci_1", "container_id": "cntr_1"}]},
     {("input", 0, "id"): ..., ("input", 0, "container_id"): ...}),
    ({"input": [{"type": "computer_call_output", "call_id": "c", "output": {"file_id": "f"}}]},
     {("input", 0, "output", "file_id"): ...}),
    ({"input": [{"type": "program", "id": "pr_1", "call_id": "c", "code": "f()", "fingerprint": "A"}]},
     {("input", 0, "id"): ...}),
    ({"input": [{"type": "additional_tools", "id": "at_1", "tools": [{"type": "file_search", "vector_store_ids": ["a"]}]}]},
     {("input", 0, "tools", 0, "vector_store_ids", 0): ..., ("input", 0, "id"): GONE}),
    ({"input": [ANSWER]}, {("input", 0, "id"): GONE}),
    ({"input": [{**ANSWER, "content": [{**_SAID, "annotations": [{"file_id": "f", "container_id": "c"}]}]}]},
     {("input", 0, "content", 0, "annotations"): [], ("input", 0, "id"): GONE}),
    ({"input": [{"type": "reasoning", "content": ["x", {"annotations": [{"file_id": "f"}]}]}]},
     {("input", 0, "content", 1, "annotations"): []}),
    ({"input": [{"type": "file_search_call", "id": "fs_1", "results": [{"file_id": "f"}]}]},
     {("input", 0, "results"): None, ("input", 0, "id"): ...}),
    ({"input": [{"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": '{"file_id": "f"}'}]},
     {("input", 0, "id"): GONE}),
]  # fmt: skip


@pytest.mark.parametrize(("members", "kept"), _KEPT)
def test_every_id_of_what_is_kept_is_found(members: dict[str, Any], kept: dict[Any, object]) -> None:
    assert {each.path: each.instead for each in DIALECT.read(_body(**members)).kept} == kept


@pytest.mark.parametrize(
    ("members", "changed"),
    [
        ({}, {"instructions": "Be brief."}),
        ({"instructions": "Rhyme."}, {"instructions": "Rhyme.\n\nBe brief."}),
        ({"prompt": {"id": "p"}, "instructions": "Rhyme."}, {"instructions": "Rhyme.\n\nBe brief."}),
        ({"prompt": {"id": "p"}}, {"input": [{"role": "developer", "content": "Be brief."}, HI]}),
        ({"prompt": {"id": "p"}, "input": [HI]}, {"input": [{"role": "developer", "content": "Be brief."}, HI]}),
        ({"prompt": {"id": "p"}, "input": ...}, {"input": [{"role": "developer", "content": "Be brief."}]}),
    ],
)
def test_an_instruction_more_comes_behind_all_others(members: dict[str, Any], changed: dict[str, Any]) -> None:
    call = DIALECT.read(_body(**members))
    assert call.instruct is not None
    assert call.instruct(call.body, "Be brief.") == {**call.body, **changed}
