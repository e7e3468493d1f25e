"""Chooses what of a prompt is read for patterns, in which order, and how much."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from proxy.exchange import Exchange, Text

# What a prompt asks for stands at its start (system prompt, instructions before a document) or its end (the newest
# message), and the middle of a conversation was its end some requests ago. So this much of both is read, which also
# bounds the cost of the longest prompt.
HEAD_CHARS = 24_576
TAIL_CHARS = 8_192
# How much of that texts outside the conversation and its instructions may take, or what those leave: an agent's tools
# can be as long as all of it, and anybody can put some beside a prompt.
_OTHERS_CHARS = 8_192
_CONVERSATIONS = ("messages", "input", "prompt")
_MESSAGES = ("messages", "input")
_INSTRUCTIONS = ("system", "instructions")
_STRING = attrgetter("text")


def rich_parts(exchange: Exchange) -> list[Any]:
    """Return the objects and lists of a conversation except messages of just a role and text, as most are.

    Only these can contain an image, an address or a seal, so detectors of those read nothing else.
    """
    found = exchange.rich
    if found is None:
        body = {} if exchange.call is None else exchange.call.body
        found = exchange.rich = [
            item
            for name in _MESSAGES
            if name in body and type(items := body[name]) is list
            for item in items
            if (type(item) is dict and not _is_text(item)) or type(item) is list
        ]
    return found


def _is_text(message: dict[str, Any]) -> bool:
    if len(message) != 2 or "role" not in message or "content" not in message or type(message["role"]) is not str:
        return False
    content = message["content"]
    if type(content) is str:
        return True
    if type(content) is not list:
        return False
    for part in content:
        if type(part) is not dict or len(part) != 2 or "text" not in part or part.get("type") != "text":
            return False
        if type(part["text"]) is not str:
            return False
    return True


def scanned(texts: Sequence[Text]) -> str:
    """Return the prompt as one text; of a long one, the conversation's beginning and end, and some of its tools."""
    pieces = list(map(_STRING, texts))
    if sum(map(len, pieces)) <= HEAD_CHARS + TAIL_CHARS:
        return "\n\n".join(pieces)
    said: list[str] = []
    told: list[str] = []
    others: list[str] = []
    for _, where, text in texts:
        kind = said if where.startswith(_CONVERSATIONS) else told if where.startswith(_INSTRUCTIONS) else others
        kind.append(text)
    own = told + said
    most = HEAD_CHARS + TAIL_CHARS - min(_OTHERS_CHARS, sum(map(len, others)))
    if sum(map(len, own)) > most:
        own = [*_first(own, most - TAIL_CHARS), *_last(said, TAIL_CHARS)]
    return "\n\n".join([*_first(others, HEAD_CHARS + TAIL_CHARS - sum(map(len, own))), *own])


def _first(texts: Iterable[str], most: int) -> list[str]:
    pieces: list[str] = []
    for text in texts:
        if most <= 0:
            break
        pieces.append(text[:most])
        most -= len(text)
    return pieces


def _last(texts: Sequence[str], most: int) -> list[str]:
    pieces: list[str] = []
    for text in reversed(texts):
        if most <= 0:
            break
        pieces.append(text[-most:])
        most -= len(text)
    return pieces[::-1]
