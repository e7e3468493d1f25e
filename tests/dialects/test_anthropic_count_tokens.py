"""Promises about counts of tokens: read as strictly as what they count, and charged as a request without tokens."""

from __future__ import annotations

import json
from typing import Any, get_type_hints

import pytest
from anthropic.types.message_count_tokens_params import MessageCountTokensParams

from proxy.dialects.anthropic_count_tokens import AnthropicCountTokens
from proxy.dialects.anthropic_messages import AnthropicMessages
from proxy.errors import BadRequest, UpstreamFailed
from proxy.exchange import Call, Kept, Usage, Work
from tests.dialects.streams import decode

DIALECT = AnthropicCountTokens()
_BASE = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
_CALL = Call("m", stream=False, body={}, work=Work.COUNT)


def _body(**members: Any) -> bytes:
    return json.dumps({**_BASE, **members}).encode()


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"system": "s", "tools": [{"name": "f", "input_schema": {}}], "tool_choice": {"type": "auto"}},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}, "stream": False},
    ],
)
def test_what_a_message_would_have_is_taken_and_charged_nothing(members: dict[str, Any]) -> None:
    call = DIALECT.read(_body(**members))
    assert (call.work, call.most_input(3_000), call.most_output(1_000)) == (Work.COUNT, 0, 0)
    written = {name: value for name, value in {**_BASE, **members}.items() if name != "stream"}
    assert json.loads(DIALECT.write(call)) == written


def test_every_member_that_the_official_client_sends_is_taken() -> None:
    routing = {"user_profile_id", "workspace_id"}  # another credential's
    for name in set(get_type_hints(MessageCountTokensParams)) - {"model", "messages"} - routing:
        assert DIALECT.read(_body(**{name: None})).body[name] is None


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"stream": True}, "stream"),
        ({"max_tokens": 5}, "max_tokens"),
        ({"container": "c"}, "container"),
        ({"tools": [{"type": "mcp_toolset"}]}, "tools[0].type"),
    ],
)
def test_what_would_be_refused_of_a_message_is_refused_of_a_count(members: dict[str, Any], place: str) -> None:
    with pytest.raises(BadRequest) as refused:
        DIALECT.read(_body(**members))
    assert refused.value.param == place


def test_it_names_files_where_the_message_does() -> None:
    image = {"type": "image", "source": {"type": "file", "file_id": "file_1"}}
    body = _body(messages=[{"role": "user", "content": [image]}])
    assert DIALECT.read(body).kept == (Kept(("messages", 0, "content", 0, "source", "file_id")),)


def test_detectors_see_of_it_what_they_see_of_the_message() -> None:
    members: dict[str, Any] = {"system": "s", "tools": [{"name": "f", "description": "d", "input_schema": {}}]}
    messages = AnthropicMessages()
    asked = messages.texts(messages.read(_body(max_tokens=1, **members)))
    assert list(DIALECT.texts(DIALECT.read(_body(**members)))) == list(asked)


@pytest.mark.parametrize(
    ("body", "complete"),
    [
        (b'{"input_tokens": 2095}', True),
        (b'{"input_tokens": -1}', False),
        (b'{"input_tokens": "9"}', False),
        (b"{}", False),
    ],
)
def test_a_count_is_an_answer_only_if_it_is_one(body: bytes, complete: bool) -> None:
    (chunk,), progress = decode(DIALECT, _CALL, [body], streamed=False)
    assert (chunk.raw, progress.complete) == (body, complete)
    assert progress.usage == (Usage(0, 0) if complete else None)
    assert DIALECT.wire(streamed=False).parts(chunk) == []


def test_a_stream_that_nobody_asked_for_is_the_upstreams_failure() -> None:
    with pytest.raises(UpstreamFailed, match="another kind"):
        DIALECT.decoder(_CALL, streamed=True)
