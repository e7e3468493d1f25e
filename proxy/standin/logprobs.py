"""Log probabilities that look like a model's: plausible, in order, and adding up to less than one."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from typing import Any

_OTHERS = (
    " the", " and", " of ", "The ", "ing ", " to ", " in ", "tion", "ed a", " wit", "e of", " as ", "s, w", " for",
    "ter ", "ly a", " is ", "ould", "In t", " one", ". Th", "at t", "er o",
)  # fmt: skip
_SURPRISE_CHANCE = 0.12  # how often the second best token was drawn


def token_logprobs(tokens: Iterable[str], top: int, dice: random.Random) -> Iterator[dict[str, Any]]:
    """Yield one entry per token, with the `top` (at most 20) most likely tokens in falling order."""
    for token in tokens:
        ranked = [other for other in dice.sample(_OTHERS, top + 2) if other != token]
        surprised = dice.random() < _SURPRISE_CHANCE
        ranked.insert(1 if surprised else 0, token)
        logprobs = _falling(len(ranked), dice)
        entry = _entry(token, logprobs[1 if surprised else 0])
        entry["top_logprobs"] = [_entry(other, logprob) for other, logprob in zip(ranked[:top], logprobs, strict=False)]
        yield entry


def _falling(count: int, dice: random.Random) -> list[float]:
    """Return `count` log probabilities, each smaller than the one before: every token takes a share of what is left."""
    left, values = 1.0, []
    for _ in range(count):
        taken = left * dice.uniform(0.55, 0.95)
        values.append(math.log(taken))
        left -= taken
    return values


def _entry(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}
