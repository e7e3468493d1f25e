"""What of a prompt is read for patterns, in which order, and how much."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from proxy.exchange import Text

# What a prompt asks for stands at its start (system prompt, instructions before a document) or at its end (the newest
# message), and what stands in the middle of a conversation was its end some requests ago. So this much of both is
# read; it also bounds what the longest prompt costs.
HEAD_CHARS = 24_576
TAIL_CHARS = 8_192
_CONVERSATIONS = ("messages", "input", "prompt")
_STRING = attrgetter("text")


def scanned(texts: Sequence[Text]) -> str:
    """Return the prompt as one text, or its head and tail if it is long."""
    pieces = list(map(_STRING, texts))
    if sum(map(len, pieces)) <= HEAD_CHARS + TAIL_CHARS:
        return "\n\n".join(pieces)
    # Tool definitions may stand after the messages: the newest message is to be the end.
    ordered = sorted(texts, key=lambda text: text.where.startswith(_CONVERSATIONS))
    return f"{_head(ordered)}\n\n{_tail(ordered)}"


def _head(texts: Sequence[Text]) -> str:
    pieces, left = [], HEAD_CHARS
    for _, _, text in texts:
        pieces.append(text[:left])
        left -= len(text)
        if left <= 0:
            break
    return "\n\n".join(pieces)


def _tail(texts: Sequence[Text]) -> str:
    pieces, left = [], TAIL_CHARS
    for _, _, text in reversed(texts):
        pieces.append(text[-left:])
        left -= len(text)
        if left <= 0:
            break
    return "\n\n".join(reversed(pieces))
