"""What of a prompt is read for patterns, in which order, and how much."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from proxy.exchange import Exchange, Text

# What a prompt asks for stands at its start (system prompt, instructions before a document) or at its end (the newest
# message), and what stands in the middle of a conversation was its end some requests ago. So this much of both is
# read; it also bounds what the longest prompt costs.
HEAD_CHARS = 24_576
TAIL_CHARS = 8_192
# Of that, what is neither said nor told may have so much, or what the rest leaves: agents have tools as long as all of
# it, and anybody can put some beside a prompt.
_OTHERS_CHARS = 8_192
_CONVERSATIONS = ("messages", "input", "prompt")
_MESSAGES = ("messages", "input")
_INSTRUCTIONS = ("system", "instructions")
_STRING = attrgetter("text")


def rich_parts(exchange: Exchange) -> list[Any]:
    """Return the objects and lists of a conversation that are no messages of a role and text, as most are.

    Only in these can there be an image, an address or a seal: who looks for one of them goes through them alone.
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
    """Return the prompt as one text; of a long one the beginning and the end of what is said, and some of its tools."""
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
