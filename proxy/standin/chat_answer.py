"""Answers in the shape of OpenAI chat completions: one JSON document, or server-sent events of one token each.

Beside the API's own members, `reasoning_content` carries the reasoning as several open model servers send it. It is
there only if the request gives `reasoning_effort`; without it a reasoning model bills its thoughts and keeps them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, NamedTuple

import orjson

from proxy.errors import ProxyError
from proxy.standin.answer import Answer
from proxy.standin.chat_request import ChatRequest
from proxy.standin.logprobs import token_logprobs
from proxy.standin.pace import Frame
from proxy.standin.prose import dice_for
from proxy.standin.tokens import count, split

_FINISH = {"stop": "stop", "stop_sequence": "stop", "length": "length", "tool": "tool_calls"}
_ERROR_TYPES = {401: "invalid_request_error", 429: "requests", 500: "server_error", 503: "server_error"}


class Stamp(NamedTuple):
    """What tells this answer from any other: its id, a tool call id per choice, seconds since the Unix epoch."""

    id: str
    call_ids: list[str]
    created: int


def document(request: ChatRequest, answers: list[Answer], stamp: Stamp) -> bytes:
    """Return the answer as one JSON document."""
    return orjson.dumps(
        {
            "id": stamp.id,
            "object": "chat.completion",
            "created": stamp.created,
            "model": request.model.id,
            "choices": [_choice(request, answer, index, stamp) for index, answer in enumerate(answers)],
            "usage": _usage(request, answers),
            "service_tier": "default",
            "system_fingerprint": _fingerprint(request),
        }
    )


def frames(request: ChatRequest, answers: list[Answer], stamp: Stamp) -> Iterator[Frame]:
    """Yield the answer's events; several choices take turns, a token each."""
    envelope = {
        "id": stamp.id,
        "object": "chat.completion.chunk",
        "created": stamp.created,
        "model": request.model.id,
        "service_tier": "default",
        "system_fingerprint": _fingerprint(request),
    }
    head = b"data: " + orjson.dumps(envelope)[:-1]
    tail = b',"usage":null}\n\n' if request.include_usage else b"}\n\n"
    voices = [_choice_frames(request, answer, index, stamp, (head, tail)) for index, answer in enumerate(answers)]
    if len(voices) == 1:
        yield from voices[0]
    else:
        for turn in zip_longest(*voices):
            timed = False  # the choices of a turn are generated side by side and share its time
            for frame, is_token in filter(None, turn):
                yield frame, is_token and not timed
                timed = timed or is_token
    if request.include_usage:
        usage = orjson.dumps(_usage(request, answers))
        yield b'%b,"choices":[],"usage":%b}\n\n' % (head, usage), False
    yield b"data: [DONE]\n\n", False


def error_body(error: ProxyError) -> bytes:
    """Return an error as this API words it."""
    kind = _ERROR_TYPES.get(error.status, "invalid_request_error")
    return orjson.dumps({"error": {"message": error.message, "type": kind, "param": error.param, "code": error.code}})


def _choice(request: ChatRequest, answer: Answer, index: int, stamp: Stamp) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None, "annotations": []}
    if answer.tool is not None:
        function = {"name": answer.tool, "arguments": answer.text}
        message |= {
            "content": None,
            "tool_calls": [{"id": stamp.call_ids[index], "type": "function", "function": function}],
        }
    if request.shows_reasoning and answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    logprobs = None
    if (entries := _logprobs(request, answer, index)) is not None:
        logprobs = {"content": list(entries), "refusal": None}
    return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": _FINISH[answer.ending]}


def _choice_frames(
    request: ChatRequest, answer: Answer, index: int, stamp: Stamp, around: tuple[bytes, bytes]
) -> Iterator[Frame]:
    """Yield one choice's events. The bytes around a token are the same for all of them and made once."""
    head = b'%b,"choices":[{"index":%d,"delta":' % (around[0], index)
    plain_end = b',"logprobs":null,"finish_reason":null}]' + around[1]
    opening: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}
    before, after = b'{"content":', b"}" + plain_end
    if answer.tool is not None:
        function = {"name": answer.tool, "arguments": ""}
        call = {"index": 0, "id": stamp.call_ids[index], "type": "function", "function": function}
        opening = {"role": "assistant", "content": None, "tool_calls": [call]}
        before, after = b'{"tool_calls":[{"index":0,"function":{"arguments":', b"}}]}" + plain_end
    yield head + orjson.dumps(opening) + plain_end, False
    for thought in split(answer.reasoning):
        delta = b'{"reasoning_content":%b}' % orjson.dumps(thought)
        yield head + delta + plain_end if request.shows_reasoning else b"", True
    before = head + before
    entries = _logprobs(request, answer, index)
    if entries is None:
        for token in split(answer.text):
            yield before + orjson.dumps(token) + after, True
    else:
        for token, entry in zip(split(answer.text), entries, strict=True):
            known = orjson.dumps({"content": [entry], "refusal": None})
            end = b'},"logprobs":%b,"finish_reason":null}]%b' % (known, around[1])
            yield before + orjson.dumps(token) + end, True
    yield b'%b{},"logprobs":null,"finish_reason":"%b"}]%b' % (head, _FINISH[answer.ending].encode(), around[1]), False


def _logprobs(request: ChatRequest, answer: Answer, index: int) -> Iterator[dict[str, Any]] | None:
    """Return an entry per token of text, or None: a tool call has none."""
    if request.top_logprobs is None or answer.tool is not None:
        return None
    return token_logprobs(
        split(answer.text), request.top_logprobs, dice_for(b"logprobs", request.wish.seed, bytes([index]))
    )


def _usage(request: ChatRequest, answers: list[Answer]) -> dict[str, Any]:
    output = sum(answer.output_tokens for answer in answers)
    return {
        "prompt_tokens": request.prompt_tokens,
        "completion_tokens": output,
        "total_tokens": request.prompt_tokens + output,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": sum(count(answer.reasoning) for answer in answers),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _fingerprint(request: ChatRequest) -> str:
    return f"fp_{request.model.created:x}{request.model.max_output_tokens:x}"
