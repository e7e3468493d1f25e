"""What a prompt asks for, by pattern sets: each score is one field, and each set feeds one field.

Laws: the text is folded and searched once for all fields, as is what was found encoded in it; without sets every field
keeps its default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, get_args

from proxy.detectors import encoded
from proxy.detectors.phrases import Hit, Phrases
from proxy.detectors.reading import scanned
from proxy.documents.problem import nearest
from proxy.errors import ConfigurationError
from proxy.exchange import Exchange
from proxy.fields import Cost, Field, Value
from proxy.patterns.folding import fold
from proxy.patterns.pattern_set import Fed, PatternSet

_SCORES = (
    Field(
        "content.trace_elicitation",
        0.0,
        "How surely the prompt asks for hidden or verbatim reasoning, from 0 to 1.",
        Cost.TEXT,
        most=1.0,
    ),
    Field(
        "content.rubric_grading",
        0.0,
        "How surely it asks to score or compare answers as a reward model does, from 0 to 1.",
        Cost.TEXT,
        most=1.0,
    ),
    Field(
        "content.refusal_rewrite",
        0.0,
        "How surely it asks to rewrite refusals, or for text that a censor lets pass, from 0 to 1.",
        Cost.TEXT,
        most=1.0,
    ),
    Field(
        "content.synthetic_generation",
        0.0,
        "How surely it asks to make up training data: tasks, questions, personas, dialogues, from 0 to 1.",
        Cost.TEXT,
        most=1.0,
    ),
)
_IDENTITY = Field(
    "content.identity_claim", "", "The other lab's assistant that the model is told to be; empty if none.", Cost.TEXT
)
_ENCODED = Field(
    "content.encoded",
    (),
    f"The codes that parts of the prompt are written in: {', '.join(encoded.CODECS)}.",
    Cost.TEXT,
    among=encoded.CODECS,
)
FED: tuple[str, ...] = get_args(Fed)

_DECIMALS = 3


class Content:
    """Adds `content.*`. Raises ConfigurationError for a set that feeds no field of these."""

    fields: ClassVar[tuple[Field, ...]] = (*_SCORES, _IDENTITY, _ENCODED)

    def __init__(self, sets: Sequence[PatternSet]) -> None:
        for entry in sets:
            if entry.field not in FED:
                close = nearest(entry.field, FED)
                hint = f" - did you mean {close!r}?" if close else ""
                raise ConfigurationError(f"the pattern set {entry.name} feeds the unknown field {entry.field!r}{hint}")
        self._phrases = Phrases(sets, encoded.MARKS)
        # For spaced-out letters, where nobody can tell words apart: a word may begin anywhere.
        self._joined = Phrases([_anywhere(entry) for entry in sets])

    def inspect(self, exchange: Exchange) -> Mapping[str, Value]:
        """Return the scores of what was found; nothing for an ordinary prompt."""
        text = scanned(exchange.texts)
        hits, marks = self._phrases.find(fold(text))
        found: dict[str, Value] = {}
        if marks or not text.isascii():
            decoded = encoded.decode(text, marks)
            codecs = tuple(sorted({codec for codec, _ in decoded if codec in encoded.CODECS}))
            if codecs:
                found[_ENCODED.name] = codecs
            for codec, plain in decoded:
                phrases = self._joined if codec == encoded.SPACED else self._phrases
                hits += phrases.find(fold(plain))[0]
        if hits:
            found |= _scores(hits)
        return found


def _anywhere(entry: PatternSet) -> PatternSet:
    patterns = tuple(
        replace(
            pattern,
            all=tuple(part.replace(r"\b", "") for part in pattern.all),
            none=tuple(part.replace(r"\b", "") for part in pattern.none),
        )
        for pattern in entry.patterns
    )
    return replace(entry, patterns=patterns)


def _scores(hits: Sequence[Hit]) -> dict[str, Value]:
    wrong: dict[str, float] = {}
    best: Hit | None = None
    for hit in set(hits):
        if hit.field != _IDENTITY.name:
            wrong[hit.field] = wrong.get(hit.field, 1.0) * (1.0 - hit.pattern.weight)
        elif best is None or (hit.pattern.weight, hit.pattern.value) > (best.pattern.weight, best.pattern.value):
            best = hit
    scores: dict[str, Value] = {field: round(1.0 - doubt, _DECIMALS) for field, doubt in wrong.items()}
    if best is not None:
        scores[_IDENTITY.name] = best.pattern.value
    return scores
