"""Answers in the shape of Anthropic messages: one JSON document, or named server-sent events of one token each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from proxy.errors import ProxyError
from proxy.standin.answer import Answer
from proxy.standin.messages_request import MessagesRequest
from proxy.standin.pace import Frame
from proxy.standin.tokens import split

_STOP_REASONS = {"stop": "end_turn", "stop_sequence": "stop_sequence", "length": "max_tokens", "tool": "tool_use"}
_ERROR_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}
_PING = b'event: ping\ndata: {"type":"ping"}\n\n'


class Stamp(NamedTuple):
    """What tells this answer from any other; `signature` belongs to its thinking, empty if it has none."""

    id: str
    call_id: str
    signature: str


def document(request: MessagesRequest, answer: Answer, stamp: Stamp) -> bytes:
    """Return the answer as one JSON document."""
    message = _message(request, stamp, output_tokens=answer.output_tokens)
    if answer.reasoning:
        message["content"].append({"type": "thinking", "thinking": answer.reasoning, "signature": stamp.signature})
    if answer.tool is not None:
        message["content"].append({**_tool_block(answer.tool, stamp), "input": _input(answer)})
    elif answer.text:
        message["content"].append({"type": "text", "text": answer.text})
    return orjson.dumps({**message, **_ending(answer)})


def frames(request: MessagesRequest, answer: Answer, stamp: Stamp) -> Iterator[Frame]:
    """Yield the answer's events."""
    message = _message(request, stamp, output_tokens=1)
    yield _event("message_start", {"message": message}), False
    index = 0
    if answer.reasoning:
        block = {"type": "thinking", "thinking": "", "signature": ""}
        yield _event("content_block_start", {"index": index, "content_block": block}), False
        yield _PING, False
        yield from _deltas(index, "thinking_delta", "thinking", answer.reasoning)
        signed = {"type": "signature_delta", "signature": stamp.signature}
        yield _event("content_block_delta", {"index": index, "delta": signed}), False
        yield _event("content_block_stop", {"index": index}), False
        index = 1
    if answer.text:
        block = {"type": "text", "text": ""} if answer.tool is None else _tool_block(answer.tool, stamp)
        yield _event("content_block_start", {"index": index, "content_block": block}), False
        if index == 0:
            yield _PING, False
        if answer.tool is None:
            yield from _deltas(index, "text_delta", "text", answer.text)
        else:
            yield from _deltas(index, "input_json_delta", "partial_json", answer.text)
        yield _event("content_block_stop", {"index": index}), False
    usage = {**_prompt_usage(request), "output_tokens": answer.output_tokens}
    yield _event("message_delta", {"delta": _ending(answer), "usage": usage}), False
    yield _event("message_stop", {}), False


def error_body(error: ProxyError, request_id: str) -> bytes:
    """Return an error as this API words it."""
    kind = _ERROR_TYPES.get(error.status, "invalid_request_error")
    return orjson.dumps({"type": "error", "error": {"type": kind, "message": error.message}, "request_id": request_id})


def _message(request: MessagesRequest, stamp: Stamp, output_tokens: int) -> dict[str, Any]:
    return {
        "id": stamp.id,
        "type": "message",
        "role": "assistant",
        "model": request.model.id,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            **_prompt_usage(request),
            "cache_creation": {
                "ephemeral_5m_input_tokens": request.cached.written,
                "ephemeral_1h_input_tokens": 0,
            },
            "output_tokens": output_tokens,
            "service_tier": "standard",
        },
    }


def _prompt_usage(request: MessagesRequest) -> dict[str, int]:
    """Return the prompt's tokens as they are billed: `input_tokens` are those outside the cache only."""
    read, written = request.cached
    return {
        "input_tokens": request.prompt_tokens - read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
    }


def _ending(answer: Answer) -> dict[str, Any]:
    return {"stop_reason": _STOP_REASONS[answer.ending], "stop_sequence": answer.stopped_by}


def _tool_block(name: str, stamp: Stamp) -> dict[str, Any]:
    return {"type": "tool_use", "id": stamp.call_id, "name": name, "input": {}}


def _input(answer: Answer) -> orjson.Fragment:
    """Return a call's arguments; what was cut short is no JSON, and the document has to be."""
    return orjson.Fragment("{}" if answer.ending == "length" else answer.text)


def _event(name: str, members: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps({"type": name, **members}))


def _deltas(index: int, kind: str, member: str, text: str) -> Iterator[Frame]:
    """Yield an event per token; the bytes around a token are the same for all of them and made once."""
    around = _event("content_block_delta", {"index": index, "delta": {"type": kind, member: "?"}})
    before, after = around.split(b'"?"')
    for token in split(text):
        yield before + orjson.dumps(token) + after, True
