"""Promises about errors: each API's clients find them in the shape that they know, and learn nothing about us."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from anthropic import Anthropic
from anthropic.types import ThreadUnsupportedRequestErrorDetails
from anthropic.types.shared import ErrorResponse
from openai import OpenAI
from openai._streaming import SSEDecoder
from openai.types.shared import ErrorObject

from proxy.dialects import dialects
from proxy.dialects.anthropic_messages import AnthropicMessages
from proxy.dialects.base import Dialect
from proxy.dialects.openai_chat import OpenAIChat
from proxy.errors import (
    BadRequest,
    LimitReached,
    MethodNotAllowed,
    NotFound,
    ProxyError,
    RequestTimeout,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedMedia,
    UpstreamFailed,
    UpstreamTimeout,
)
from proxy.keyed.issued_ids import StateRefused
from tests.rig.speech import BY_PATH

_ALL = pytest.mark.parametrize("dialect", dialects().values(), ids=dialects().keys())
_ERRORS = (
    BadRequest,
    Unauthenticated,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    TooLarge,
    UnsupportedMedia,
    LimitReached,
    ProxyError,
    UpstreamFailed,
    Unavailable,
    UpstreamTimeout,
)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BadRequest("m"), "invalid_request_error"),
        (Unauthenticated("m"), "invalid_request_error"),
        (ProxyError("m", status=403), "permission_error"),
        (NotFound("m"), "invalid_request_error"),
        (TooLarge("m"), "invalid_request_error"),
        (LimitReached("m"), "rate_limit_error"),
        (LimitReached("m", code="insufficient_quota"), "insufficient_quota"),
        (ProxyError("m"), "server_error"),
        (UpstreamFailed("m", status=529), "server_error"),
    ],
)
def test_an_openai_error_has_the_type_of_its_status(error: ProxyError, kind: str) -> None:
    document = json.loads(OpenAIChat().error(error, "exchange-1"))
    assert document == {"error": {"message": "m", "type": kind, "param": None, "code": error.code}}
    ErrorObject.model_validate(document["error"], strict=True)


def test_an_openai_error_names_the_place() -> None:
    error = BadRequest("m", param="messages[0].role", code="c")
    assert json.loads(OpenAIChat().error(error, "x"))["error"] == {
        "message": "m",
        "type": "invalid_request_error",
        "param": "messages[0].role",
        "code": "c",
    }


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BadRequest("m"), "invalid_request_error"),
        (Unauthenticated("m"), "authentication_error"),
        (ProxyError("m", status=403), "permission_error"),
        (NotFound("m"), "not_found_error"),
        (MethodNotAllowed("m"), "invalid_request_error"),
        (TooLarge("m"), "request_too_large"),
        (UnsupportedMedia("m"), "invalid_request_error"),
        (BadRequest("m", status=422), "invalid_request_error"),
        (LimitReached("m"), "rate_limit_error"),
        (ProxyError("m"), "api_error"),
        (UpstreamFailed("m"), "api_error"),
        (Unavailable("m"), "overloaded_error"),
        (UpstreamTimeout("m"), "timeout_error"),
        (UpstreamFailed("m", status=529), "overloaded_error"),
    ],
)
def test_an_anthropic_error_has_the_type_of_its_status(error: ProxyError, kind: str) -> None:
    document = json.loads(AnthropicMessages().error(error, "exchange-1"))
    assert document == {"type": "error", "error": {"type": kind, "message": "m"}, "request_id": "exchange-1"}
    assert ErrorResponse.construct(**document).request_id == "exchange-1"


def test_a_thread_is_refused_in_the_word_by_which_clients_go_on_without() -> None:
    asked = {
        "model": "m",
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "hi"}],
        "thread": {"type": "create"},
    }
    with pytest.raises(BadRequest) as refused:
        AnthropicMessages().read(json.dumps(asked).encode())
    document = json.loads(AnthropicMessages().error(refused.value, "exchange-1"))
    details = ThreadUnsupportedRequestErrorDetails.model_validate(document["error"]["details"], strict=True)
    assert (refused.value.status, details.error_code) == (400, "thread_unsupported_request")
    for other in (StateRefused("skills"), BadRequest("`thread` is none.", param="thread")):
        assert "details" not in json.loads(AnthropicMessages().error(other, "exchange-1"))["error"]


@pytest.mark.parametrize("kind", _ERRORS)
def test_the_official_clients_understand_every_error(kind: type[ProxyError]) -> None:
    error = kind("in plain words")

    def answer(dialect: Dialect) -> httpx2.MockTransport:
        headers = {dialect.request_id_header: "exchange-1", "content-type": "application/json"}
        body = dialect.error(error, "exchange-1")
        return httpx2.MockTransport(lambda _: httpx2.Response(error.status, headers=headers, content=body))

    with httpx2.Client(transport=answer(OpenAIChat())) as http:
        openai = OpenAI(api_key="k", base_url="http://127.0.0.1/v1", http_client=http, max_retries=0)
        with pytest.raises(Exception, match="in plain words") as caught:
            openai.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        assert (caught.value.status_code, caught.value.request_id) == (error.status, "exchange-1")  # type: ignore[attr-defined] # the client's own
    with httpx2.Client(transport=answer(AnthropicMessages())) as http:
        anthropic = Anthropic(api_key="k", base_url="http://127.0.0.1", http_client=http, max_retries=0)
        with pytest.raises(Exception, match="in plain words") as caught:
            anthropic.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "hi"}])
        assert (caught.value.status_code, caught.value.request_id) == (error.status, "exchange-1")  # type: ignore[attr-defined] # the client's own


@pytest.mark.parametrize(
    "before", [b"", b"data: {}\n\n", b"data: {}\r\n\r\n", b'data: {"cho', b": ping", b"data: {}\n", b"data: {}\r"]
)
@_ALL
def test_an_error_event_stands_alone_whatever_was_relayed_before(dialect: Dialect, before: bytes) -> None:
    stream = before + dialect.error_event(UpstreamFailed("m"), "x")
    *_, last = SSEDecoder().iter_bytes(iter([stream]))
    named = dialect.name == "openai.responses" or BY_PATH[dialect.path].family == "anthropic"
    assert last.event == ("error" if named else None)
    told, error = json.loads(last.data), json.loads(dialect.error(UpstreamFailed("m"), "x"))
    assert told | error == told


@_ALL
@pytest.mark.parametrize(
    ("status", "kind", "passed"),
    [
        (400, BadRequest, 400),
        (404, NotFound, 404),
        (413, TooLarge, 413),
        (422, BadRequest, 422),
        (401, UpstreamFailed, 502),
        (402, UpstreamFailed, 502),
        (403, UpstreamFailed, 502),
        (408, UpstreamTimeout, 504),
        (409, UpstreamFailed, 502),
        (425, UpstreamFailed, 502),
        (429, Unavailable, 503),
        (500, UpstreamFailed, 500),
        (501, UpstreamFailed, 502),
        (502, UpstreamFailed, 502),
        (503, UpstreamFailed, 503),
        (504, UpstreamTimeout, 504),
        (529, UpstreamFailed, 529),
        (101, UpstreamFailed, 502),
        (204, UpstreamFailed, 502),
        (302, UpstreamFailed, 502),
        (999, UpstreamFailed, 502),
    ],
)
def test_only_what_is_wrong_with_the_request_is_told_in_the_upstreams_words(
    dialect: Dialect, status: int, kind: type[ProxyError], passed: int
) -> None:
    body = json.dumps({"type": "error", "error": {"type": "t_code", "message": "its words", "code": "t_code"}}).encode()
    error = dialect.upstream_error(status, body)
    assert type(error) is kind
    assert error.status == passed
    theirs = status in (400, 404, 413, 422)
    assert (error.message == "its words") is theirs
    assert (error.code == "t_code") is theirs


@_ALL
def test_a_limit_of_our_credential_is_no_limit_of_the_client(dialect: Dialect) -> None:
    error = dialect.upstream_error(429, b'{"error":{"message":"organization org-123 is out of quota"}}')
    assert (error.status, error.code, error.retry_after) == (503, "upstream_rate_limited", 1)


def test_the_upstreams_code_and_place_are_passed_on() -> None:
    body = b'{"error":{"message":"too long","code":"context_length_exceeded","param":"messages"}}'
    error = OpenAIChat().upstream_error(400, body)
    assert (error.message, error.code, error.param) == ("too long", "context_length_exceeded", "messages")


@pytest.mark.parametrize(
    "body",
    [
        {"object": "error", "message": "too long", "type": "BadRequestError", "param": "messages", "code": 400},
        [{"error": {"code": 400, "message": "too long", "status": "INVALID_ARGUMENT"}}],
    ],
    ids=["SGLang and Mistral", "Gemini"],
)
@_ALL
def test_the_words_of_servers_that_shape_errors_otherwise_are_found(dialect: Dialect, body: Any) -> None:
    for indent in (None, 2):
        error = dialect.upstream_error(400, json.dumps(body, indent=indent).encode() + b"\n")
        assert (error.status, error.message) == (400, "too long")


@pytest.mark.parametrize("odd", [None, 5, ["c"], "", "a\nb", "c" * 129])
def test_an_odd_code_or_place_is_left_out(odd: Any) -> None:
    body = json.dumps({"error": {"message": "m", "code": odd, "param": odd}}).encode()
    error = OpenAIChat().upstream_error(400, body)
    assert (error.code, error.param) == ("invalid_request", None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>nginx</body></html>",
        b"[]",
        b"[",
        b'[{"error":{"message":"m"}},{"error":{"message":"n"}}]',
        b'{"message":"m"}',
        b'{"object":"error","message":["m"]}',
        b"null",
        b"{}",
        b'{"error":"m"}',
        b'{"error":{"message":5}}',
        b'{"error":{"message":"  \\n "}}',
        b'{"error":{"message":"\xff"}}',
        b'{"error":{"message":"' + b"m" * 70_000 + b'"}}',
        b"[" * 10_000,
    ],
)
@_ALL
def test_what_holds_no_words_gets_ours(dialect: Dialect, body: bytes) -> None:
    assert dialect.upstream_error(400, body).message == "The model API refused the request."


@pytest.mark.parametrize(
    ("words", "passed"),
    [
        ("a" * 2_000, "a" * 1_000),
        ("a\x00b\x1b[31m\u202ec\r\nd", "a b [31m c  d"),
        ("bad key sk-proj-abcdefghijkl given", "bad key [removed] given"),
        ("key sk-abcd***************wxyz", "key [removed]"),
        ("in organization org-AbCdEfGhIjKl", "in organization [removed]"),
        ("Authorization: Bearer abc.def", "Authorization: [removed]"),
        ("use sk-learn", "use sk-learn"),
    ],
)
@_ALL
def test_the_upstreams_words_are_cleaned(dialect: Dialect, words: str, passed: str) -> None:
    body = json.dumps({"error": {"message": words}}).encode()
    assert dialect.upstream_error(400, body).message == passed


_TOO_MANY_PIXELS = {
    "error_code": "image_dimensions_too_large",
    "max_side_length_pixels": 2_000,
    "paths": ["messages.0.content.1", "messages.2.content.0.content.3"],
}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (_TOO_MANY_PIXELS, _TOO_MANY_PIXELS),
        ({"error_code": "tool_name_conflict", "tool_owner": "org"}, {"error_code": "tool_name_conflict"}),
        (
            _TOO_MANY_PIXELS | {"max_side_length_pixels": 10**30, "paths": ["\ud800"]},
            {"error_code": "image_dimensions_too_large"},
        ),
        ({"error_code": "organization_on_hold", "appeal_url": "https://example.com"}, None),
        ({"error_code": 5}, None),
        (None, None),
    ],
)
def test_what_programs_go_by_is_told_of_the_request_alone(given: Any, told: Any) -> None:
    body = {"type": "error", "error": {"type": "invalid_request_error", "message": "m", "details": given}}
    error = AnthropicMessages().upstream_error(400, json.dumps(body).encode())
    assert json.loads(AnthropicMessages().error(error, "x"))["error"].get("details") == told
