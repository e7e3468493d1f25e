"""The traffic that is measured, as bytes: a 2 kB chat request, a 1.5 kB answer, a stream of 64 chunks.

Law: what a client gets is the same whether it asks a bare pass-through or a proxy that asks for the usage and hides it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

PATH = "/v1/chat/completions"
MODEL = "bench-model"
CHUNKS = 64
ASKS_FOR_STREAM = b'"stream":true'
ASKS_FOR_USAGE = b'"include_usage"'
_REQUEST_BYTES = 2048
_ANSWER_BYTES = 1536
_WORDS = "the proxy reads each request once, strictly, and sends on what it has read; "
_USAGE = {"prompt_tokens": 431, "completion_tokens": 62, "total_tokens": 493}
_CHUNK = {
    "id": "chatcmpl-Bq3TnV7sYcXw2Lh8",
    "object": "chat.completion.chunk",
    "created": 1_764_000_000,
    "model": MODEL,
}


def request_body(*, stream: bool) -> bytes:
    """Return what a client sends: a system prompt, a turn and its answer, a question; no usage asked for."""

    def build(text: str) -> dict[str, Any]:
        messages = [
            {"role": "system", "content": "You answer questions about the documents that you are given."},
            {"role": "user", "content": [{"type": "text", "text": text}]},
            {"role": "assistant", "content": "It reads requests strictly."},
            {"role": "user", "content": "Why does it do that?"},
        ]
        request = {"model": MODEL, "messages": messages, "max_tokens": 512, "temperature": 0.7, "top_p": 0.95}
        return {**request, "stream": True} if stream else request

    return _of_size(build, _REQUEST_BYTES)


def answer_body() -> bytes:
    """Return the JSON answer, usage included."""

    def build(text: str) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return {**_CHUNK, "object": "chat.completion", "choices": [choice], "usage": _USAGE}

    return _of_size(build, _ANSWER_BYTES)


def stream_events(*, usage: bool) -> list[bytes]:
    """Return the events of the stream, its end marker last; with `usage` as the API sends them when asked for it."""
    deltas = [{"role": "assistant", "content": ""}, *[{"content": f" word{n:02}"} for n in range(CHUNKS - 2)], {}]
    chunks: list[dict[str, Any]] = []
    for number, delta in enumerate(deltas, start=1):
        finish = "stop" if number == CHUNKS else None
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunks.append({**_CHUNK, "choices": [choice]})
    if usage:
        chunks = [*({**chunk, "usage": None} for chunk in chunks), {**_CHUNK, "choices": [], "usage": _USAGE}]
    return [b"data: %b\n\n" % document for document in [*map(orjson.dumps, chunks), b"[DONE]"]]


def _of_size(build: Callable[[str], dict[str, Any]], size: int) -> bytes:
    missing = size - len(orjson.dumps(build("")))
    return orjson.dumps(build((_WORDS * (missing // len(_WORDS) + 1))[:missing]))
