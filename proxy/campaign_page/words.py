"""Says what was found in two sentences for somebody who has never seen the code."""

from __future__ import annotations

from collections.abc import Sequence

from proxy.campaign_page.facts import Facts
from proxy.hunter.finding_rows import Said
from proxy.hunter.terms import LIKELY
from proxy.pages.markup import moment

# What gives a campaign away, by family of evidence; an attribute that an operator named has its own name.
_GIVEN_AWAY = {
    "text": "the same instructions in their prompts",
    "age": "accounts opened at about the same time",
    "client": "the same client program",
    "one place": "network addresses in one place",
    "one card": "one means of payment",
    "peer": "a shared pool of network addresses",
    "volume": "work dealt out evenly among them",
    "rhythm": "activity at all hours of day and night",
    "output": "unusually long answers",
    "payload": "questions that hardly ever repeat",
    "trace_elicitation": "asking for the model's reasoning",
    "rubric_grading": "asking for grades",
    "synthetic_generation": "asking for training data",
    "refusal_rewrite": "asking for what is declined",
    "identity_claim": "making the model answer under a foreign name",
    "logprobs": "asking for token probabilities",
    "obfuscation": "disguised prompts",
}
_REASONS = 3
_CERTAIN, _PROBABLE = 0.99, 0.9
_WORDS_PER_TOKEN = 0.75  # of English


def family(name: str) -> str:
    """Return what a family of evidence is about."""
    return _GIVEN_AWAY.get(name, f"a shared pool of {name} values")


def summary(facts: Facts) -> tuple[str, str]:
    """Return the two sentences: who they are taken for, and what they were given and why one thinks so."""
    exposure = facts.exposure
    who = f"{_many(facts.accounts, 'account')} in the names of {_many(facts.tenants, 'customer')}"
    if facts.state == Said.DISMISSED:
        first = f"{who} looked like one operation that copies the model, but a reviewer has decided that they are not."
    else:
        first = f"{who} are {_sure(facts.confidence)} one operation that copies the model by collecting its answers."
    reasons = [family(entry.family) for entry in facts.evidence if entry.weight > 0][:_REASONS]
    because = f"; what gives them away above all: {listed(reasons)}" if reasons else ""
    counted = exposure.output_tokens * _WORDS_PER_TOKEN
    words = f"{round(counted, -2) or round(counted):,.0f}"
    second = (
        f"From {moment(facts.first_at)} to {moment(facts.last_at)} UTC they sent "
        f"{_many(exposure.exchanges, 'request')} and got {_many(exposure.delivered, 'answer')}, some {words} words, "
        f"and what they asked for was {facts.sought}{because}."
    )
    return first, second


def _sure(confidence: float) -> str:
    if confidence >= _CERTAIN:
        return "almost certainly"
    if confidence >= _PROBABLE:
        return "very probably"
    return "probably" if confidence >= LIKELY else "possibly"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def listed(parts: Sequence[str]) -> str:
    """Return parts as a sentence lists them."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
