"""What the hunter is told of one exchange: who, when, from where, how much, and the prompt's prints; never its text."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Asked(NamedTuple):
    """What the fields said of the request; scores are 0 to 1."""

    model: str = ""
    turns: int = 1
    logprobs: bool = False
    trace_elicitation: float = 0.0
    rubric_grading: float = 0.0
    synthetic_generation: float = 0.0
    refusal_rewrite: float = 0.0
    identity_claim: str = ""
    obfuscation: float = 0.0


class Event(NamedTuple):
    """One exchange that has ended, or was denied.

    `at` and `opened` are Unix seconds, `opened` 0 if nobody knows when the account was opened. `peer`, `prefix` (its
    /24 or /48), `agent` and the values of `links` (payment and the like, by attribute) are keyed pseudonyms, empty if
    unknown. `prints` are sorted and distinct; `question` is the print of the last user text, 0 if there is none.
    `reasoning_tokens` are those of the output that were thought and not withheld. `effect` is "degrade" where that may
    have made the answer shorter. `delivered` says that the answer, or the part of it that matters, reached the caller.
    """

    at: float
    account: str
    tenant: str
    opened: float
    peer: str
    prefix: str
    agent: str
    links: tuple[tuple[str, str], ...]
    dialect: str
    asked: Asked
    input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    effect: str
    delivered: bool
    prints: NDArray[np.uint64]
    question: int

    @property
    def whole(self) -> bool:
        """Whether the answer is as long as the model would have it, as far as that is up to the gateway."""
        return self.delivered and self.effect == "allow"
