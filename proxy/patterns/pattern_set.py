"""Pattern sets as detectors use them: frozen values, checked as a whole or not there at all."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

# The fields of `proxy.detectors.content` that sets feed.
Fed = Literal[
    "content.trace_elicitation",
    "content.rubric_grading",
    "content.refusal_rewrite",
    "content.synthetic_generation",
    "content.identity_claim",
]


class Within(StrEnum):
    """How close together the parts of a pattern have to stand."""

    PHRASE = "phrase"
    PASSAGE = "passage"
    PROMPT = "prompt"


@dataclass(frozen=True, slots=True)
class Pattern:
    """One pattern; `all` and `none` are regular expressions for folded text."""

    id: str
    weight: float
    all: tuple[str, ...]
    none: tuple[str, ...]
    within: Within
    value: str


@dataclass(frozen=True, slots=True)
class PatternSet:
    """One file of patterns that feed one field."""

    name: str
    field: str
    patterns: tuple[Pattern, ...]
