"""What of a prompt is read for patterns, in which order, and how much."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter

from proxy.exchange import Text

# What a prompt asks for stands at its start (system prompt, instructions before a document) or at its end (the newest
# message), and what stands in the middle of a conversation was its end some requests ago. So this much of both is
# read; it also bounds what the longest prompt costs.
HEAD_CHARS = 24_576
TAIL_CHARS = 8_192
# Of that, what is neither said nor told may have so much, or what the rest leaves: agents have tools as long as all of
# it, and anybody can put some beside a prompt.
OTHERS_CHARS = 8_192
_CONVERSATIONS = ("messages", "input", "prompt")
_INSTRUCTIONS = ("system", "instructions")
_STRING = attrgetter("text")


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
    most = HEAD_CHARS + TAIL_CHARS - min(OTHERS_CHARS, sum(map(len, others)))
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
