"""Promises about requests for messages: what is taken, what is refused, and what is sent."""

from __future__ import annotations

import json
from typing import Any, get_type_hints

import pytest
from anthropic.types.message_create_params import MessageCreateParamsBase

from proxy.dialects.anthropic_messages import AnthropicMessages
from proxy.errors import BadRequest, ConfigurationError
from proxy.keyed.issued_ids import IssuedIds, taken

DIALECT = AnthropicMessages()
_BASE = {"model": "claude-x", "max_tokens": 16, "messages": [{"role": "user", "content": "hi"}]}


def _body(**members: Any) -> bytes:
    return json.dumps({**_BASE, **members}).encode()


def _block(block: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, block]}]}


def _document(source: Any) -> dict[str, Any]:
    return _block({"type": "document", "source": source})


def _result(content: Any) -> dict[str, Any]:
    return _block({"type": "tool_result", "tool_use_id": "t", "content": content})


_TAKEN: dict[str, dict[str, Any]] = {
    "the least": {},
    "no answer, to warm the cache": {"max_tokens": 0},
    "a system prompt": {"system": "s"},
    "a system prompt of blocks": {"system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]},
    "a system message": {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}]},
    "an answer begun": {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "("}]},
    "thinking": _block({"type": "thinking", "thinking": "t", "signature": "s"}),
    "hidden thinking": _block({"type": "redacted_thinking", "data": "AAAA"}),
    "an image": _block({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}),
    "a document": _document({"type": "text", "media_type": "text/plain", "data": "d"}),
    "a document of blocks": _document({"type": "content", "content": [{"type": "text", "text": "d"}]}),
    "a document of one string": _document({"type": "content", "content": "d"}),
    "a search result": _block({"type": "search_result", "source": "s", "title": "t", "content": []}),
    "a tool use": _block({"type": "tool_use", "id": "t", "name": "n", "input": {"file_id": "an argument"}}),
    "a tool result": _result([{"type": "text", "text": "r"}, {"type": "tool_reference", "tool_name": "n"}]),
    "a tool result of one string": _result("r"),
    "an empty tool result": _block({"type": "tool_result", "tool_use_id": "t"}),
    "a server tool's result": _block(
        {"type": "web_search_tool_result", "tool_use_id": "t", "content": [{"type": "web_search_result", "url": "u"}]}
    ),
    "a conversation made shorter": _block(
        {"type": "compaction", "content": "c", "signature": "s", "tool_changes": None}
    ),
    "citations": _block({"type": "text", "text": "a", "citations": [{"type": "char_location", "file_id": None}]}),
    "tools": {
        "tools": [
            {"name": "f", "input_schema": {"properties": {"container": {}}}},
            {"type": "custom", "name": "f", "input_schema": {}},
            {"type": "bash_20250124", "name": "bash"},
            {"type": "web_search_20250305", "name": "web_search"},
            {"type": "tool_search_tool_bm25", "name": "tool_search_tool_bm25"},
        ]
    },
    "tools to search through": {
        "tools": [
            {"type": "tool_search_tool_bm25", "name": "tool_search_tool_bm25"},
            *[{"name": f"f{number}", "input_schema": {}, "defer_loading": True} for number in range(2_000)],
        ]
    },
    "settings": {"stop_sequences": ["a"], "temperature": 1.0, "thinking": {"type": "enabled", "budget_tokens": 1024}},
    "skills that everybody has": {"container": {"skills": [{"type": "anthropic", "skill_id": "pptx"}]}},
    "nulls": {"container": None, "system": None, "tools": None, "diagnostics": {"previous_message_id": None}},
}

_REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no model": ({"model": None}, "model"),
    "no limit": ({"max_tokens": None}, "max_tokens"),
    "a negative limit": ({"max_tokens": -1}, "max_tokens"),
    "a limit as true": ({"max_tokens": True}, "max_tokens"),
    "a limit as a float": ({"max_tokens": 16.0}, "max_tokens"),
    "no messages": ({"messages": []}, "messages"),
    "a role of another API": ({"messages": [{"role": "developer", "content": "hi"}]}, "messages[0].role"),
    "no content": ({"messages": [{"role": "user"}]}, "messages[0].content"),
    "J-10 content as null": ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
    "J-10 an unknown block": (_block({"type": "video"}), "messages[0].content[1].type"),
    "tools that came with a conversation made shorter": (
        _block({"type": "compaction", "content": "c", "tool_changes": [{"type": "tool_addition"}]}),
        "messages[0].content[1].tool_changes",
    ),
    "a block without a type": (_block({"text": "hi"}), "messages[0].content[1].type"),
    "a block as a string": (_block("hi"), "messages[0].content[1]"),
    "an unknown source": (_document({"type": "magic"}), "messages[0].content[1].source.type"),
    "a source of a type that is a list": (_document({"type": []}), "messages[0].content[1].source.type"),
    "an unknown block in a document": (
        _document({"type": "content", "content": [{"type": "video"}]}),
        "messages[0].content[1].source.content[0].type",
    ),
    "J-10 an unknown block in a tool result": (_result([{"type": "video"}]), "messages[0].content[1].content[0].type"),
    "a tool result as a number": (_result(1), "messages[0].content[1].content"),
    "an unknown block in the system prompt": ({"system": [{"type": "video"}]}, "system[0].type"),
    "a system prompt as an object": ({"system": {}}, "system"),
    "stream as a number": ({"stream": 1}, "stream"),
    "stop sequences as a string": ({"stop_sequences": "a"}, "stop_sequences"),
    "too many tools": ({"tools": [{"name": "f"}] * 10_001}, "tools"),
    "a tool on another server": ({"tools": [{"type": "mcp_toolset"}]}, "tools[0].type"),
    "a tool of a type that is a list": ({"tools": [{"type": []}]}, "tools[0].type"),
    "an unknown member": ({"surprise": 1}, "surprise"),
    "a member of another API": ({"n": 2}, "n"),
    "another case": ({"Max_Tokens": 1}, "Max_Tokens"),
    "J-11 another workspace": ({"workspace_id": "w"}, "workspace_id"),
    "J-11 fallbacks": ({"fallbacks": []}, "fallbacks"),
}

_STATE: dict[str, dict[str, Any]] = {
    "a container": {"container": "container_1"},
    "skills": {"container": {"skills": []}},
    "an open skill with more": {"container": {"skills": [{"type": "anthropic", "skill_id": "a", "file_id": "f"}]}},
    "an open skill within one": {"container": {"skills": [{"type": "anthropic", "skill_id": {"file_id": "f"}}]}},
    "skills of one's own": {"container": {"skills": [{"type": "custom", "skill_id": "skill_1"}]}},
    "other servers": {"mcp_servers": [{"url": "https://x"}]},
    "an earlier answer": {"diagnostics": {"previous_message_id": "msg_1"}},
    "a file in a document": _document({"type": "file", "file_id": "file_1"}),
    "a file in an image": _block({"type": "image", "source": {"type": "file", "file_id": "file_1"}}),
    "a file for a container": _block({"type": "container_upload", "file_id": "file_1"}),
    "a file in a tool result": _result([{"type": "document", "source": {"type": "file", "file_id": "file_1"}}]),
    "a file in a server tool's result": _block(
        {"type": "code_execution_tool_result", "content": {"content": [{"file_id": "file_1"}]}}
    ),
    "a file in the system prompt": {"system": [{"type": "text", "text": "s", "file_id": "file_1"}]},
}


@pytest.mark.parametrize("members", _TAKEN.values(), ids=_TAKEN.keys())
def test_what_the_api_knows_is_taken_and_sent_as_it_came(members: dict[str, Any]) -> None:
    call = DIALECT.read(_body(**members))
    assert call.body == {**_BASE, **members}
    assert json.loads(DIALECT.write(call)) == {**_BASE, **members}


@pytest.mark.parametrize(("members", "param"), _REFUSED.values(), ids=_REFUSED.keys())
def test_what_the_api_does_not_know_is_refused_with_its_place(members: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        DIALECT.read(_body(**members))
    assert caught.value.param == param


@pytest.mark.parametrize("members", _STATE.values(), ids=_STATE.keys())
def test_state_kept_at_the_upstream_is_out_of_reach(members: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match="state kept at the upstream") as caught:
        taken(DIALECT.read(_body(**members)), IssuedIds(b"k" * 32, "acme", "default", frozenset()))
    assert caught.value.code == "upstream_state"


def test_every_member_that_the_official_client_puts_into_a_body_is_taken() -> None:
    headers = {"user_profile_id", "workspace_id"}
    known = set(get_type_hints(MessageCreateParamsBase)) - headers
    assert {"model", "messages", "thinking", "output_config"} <= known
    for name in known - _BASE.keys():
        DIALECT.read(_body(**{name: None}))


@pytest.mark.parametrize("allow", [{"Max_tokens"}, {"mcp_servers"}, {"base_url"}, {"\ufb01le_id"}])
def test_nothing_may_be_allowed_that_stands_for_something_else(allow: set[str]) -> None:
    with pytest.raises(ConfigurationError):
        AnthropicMessages(frozenset(allow))


def test_the_call_says_what_was_asked_for() -> None:
    call = DIALECT.read(_body(stream=True, max_tokens=7))
    assert (call.model, call.stream, call.choices, call.max_output_tokens) == ("claude-x", True, 1, 7)
    assert not call.hide_usage
