"""Answers as the two APIs send them, and ways to take them apart."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import pairwise
from typing import Any

import orjson

from proxy.dialects.base import Dialect
from proxy.exchange import Call, Chunk, Progress


def data(document: Any) -> bytes:
    """Return an event without a name."""
    return b"data: " + json.dumps(document, separators=(",", ":")).encode() + b"\n\n"


def event(document: Any) -> bytes:
    """Return an event named after the document's type."""
    return b"event: " + str(document["type"]).encode() + b"\n" + data(document)


def chat_chunk(*deltas: dict[str, Any], **members: Any) -> dict[str, Any]:
    """Return a chat completion chunk with a choice for each delta."""
    choices = [{"index": index, "delta": delta, "finish_reason": None} for index, delta in enumerate(deltas)]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**head, "choices": choices, **members}


def cut(body: bytes, cuts: list[int]) -> list[bytes]:
    """Cut a body at the given places, counted around the end."""
    places = sorted({0, len(body), *(place % (len(body) + 1) for place in cuts)})
    return [body[start:end] for start, end in pairwise(places)]


def decode(dialect: Dialect, call: Call, pieces: list[bytes], *, streamed: bool) -> tuple[list[Chunk], Progress]:
    """Feed a whole answer to a decoder."""
    decoder = dialect.decoder(call, streamed=streamed)
    chunks = [chunk for piece in pieces for chunk in decoder.feed(piece)]
    return chunks + decoder.finish(), decoder.progress


def sent(dialect: Dialect, chunks: list[Chunk], *, streamed: bool) -> bytes:
    """Return what a client gets to see."""
    return b"".join(dialect.encode(chunk, streamed=streamed) for chunk in chunks)


def known(progress: Progress) -> tuple[object, ...]:
    """Return what is known for sure: the bytes of text are estimated from the events that come together."""
    return progress.usage, progress.complete, progress.failed


def read_by_a_client(body: bytes) -> list[Any]:
    """Return the documents that a client reads in a stream, in whatever words they are written."""
    documents = []
    for line in body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        name, _, value = line.partition(b":")
        with suppress(orjson.JSONDecodeError):
            if name == b"data":
                documents.append(orjson.loads(value))
    return [document for document in documents if isinstance(document, dict)]
