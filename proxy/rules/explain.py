"""Explains a judgement: each rule and each of its conditions, met or not, and what one more met rule would lead to.

Law: every node of a condition is evaluated by the engine's own functions; none of their logic is repeated here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from proxy.exchange import NO_TIES, Ties
from proxy.rules.conditions.cel import ConditionFailed
from proxy.rules.conditions.compiling import compile_condition
from proxy.rules.conditions.condition import AllOf, AnyOf, Cel, Comparison, Condition, Not, fields_of
from proxy.rules.engine import Judgement, capped
from proxy.rules.flags.flag import Flag
from proxy.rules.ladder import Ladder, Standing
from proxy.rules.pack.pack import Exemption, Pack, Rule
from proxy.rules.pack.words import Mode, OnError, Subject

_TRUE = AllOf(())
_FALSE = Not(_TRUE)


class Outcome(StrEnum):
    """What a condition came to."""

    MET = "met"
    NOT_MET = "not met"
    FAILED = "failed"
    UNKNOWN = "unknown"  # of a recorded exchange


class Fate(StrEnum):
    """What became of a rule."""

    FIRES = "fires"
    NOT_MET = "not met"
    FAILED = "failed"  # its on_error says skip
    SPARED = "spared"  # met, but an exemption keeps it from firing
    EITHER = "spared, met or not"  # of a recorded exchange
    EXPIRED = "expired"
    OFF = "off"


class Step(NamedTuple):
    """One node of a condition: its text, what it came to, and the value that it looked at (None for a group)."""

    says: str
    outcome: Outcome
    why: str = ""
    field: str = ""
    value: Any = None
    parts: tuple[Step, ...] = ()


class Near(NamedTuple):
    """A comparison that alone keeps a rule from firing; `score` and `rung` are where firing would lead in its world."""

    rule: str
    mode: Mode
    says: str
    value: Any
    score: int
    rung: str


@dataclass(frozen=True, slots=True)
class Explained:
    """One rule; `by` are the exemptions that spare it, `unknown` the fields that detectors failed to tell."""

    rule: Rule
    mode: Mode
    fate: Fate
    step: Step
    by: tuple[str, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole explanation; `next_rung` is the ladder's next rung and the score that is missing to reach it."""

    rules: tuple[Explained, ...]
    judgement: Judgement
    near: tuple[Near, ...]
    next_rung: tuple[str, int] | None


def explain(
    pack: Pack,
    fields: Mapping[str, Any],
    judgement: Judgement,
    now: float,
    *,
    unknown: frozenset[str] = frozenset(),
    max_mode: Mode = Mode.ENFORCE,
    ties: Ties = NO_TIES,
    shadow_ties: Ties = NO_TIES,
) -> Explanation:
    """Explain a judgement from the fields, signals included, and the time `now` that the engine judged by.

    `unknown` are the fields that detectors failed to tell. Flags raised before `now` are taken to be on the account.
    """
    exempt = [
        exemption
        for exemption in pack.exemptions
        if exemption.expires > now and _outcome(exemption.match, fields) is Outcome.MET
    ]
    rules = tuple(_rule(rule, capped(rule.mode, max_mode), fields, now, exempt, unknown) for rule in pack.rules)
    near: list[Near] = []
    for explained in rules:
        enforced = explained.mode is Mode.ENFORCE
        standing = judgement.enforced if enforced else judgement.shadow
        would = _standing(pack, standing, explained.rule, exempt, ties if enforced else shadow_ties, now)
        near += _near(explained, fields, would, exempt)
    score = judgement.enforced.score
    above = next((rung for rung in pack.ladder if rung.score > score), None)
    next_rung = None if above is None else (above.name, above.score - score)
    return Explanation(rules, judgement, tuple(near), next_rung)


def explain_condition(condition: Condition, fields: Mapping[str, Any]) -> Step:
    """Return what a condition and each of its parts came to, in the order of the file."""
    outcome = _outcome(condition, fields)
    match condition:
        case Comparison(field, operator, operand):
            value = fields[field]
            says = f"{field} {operator} {shown(operand)}"
            return Step(says, outcome, f"it is {shown(value)}", field, value)
        case Not(part):
            return Step("not", outcome, parts=(explain_condition(part, fields),))
        case AllOf(parts):
            return Step("all of", outcome, parts=tuple(explain_condition(part, fields) for part in parts))
        case AnyOf(parts):
            return Step("any of", outcome, parts=tuple(explain_condition(part, fields) for part in parts))
        case Cel(source):
            read = ", ".join(f"{name} is {shown(fields[name])}" for name in dict.fromkeys(fields_of(condition)))
            return Step(" ".join(source.split()), outcome, _failure(condition, fields) or read)


def shown(value: object) -> str:
    """Return a value as a pack would write it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"[{', '.join(shown(item) for item in value)}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _outcome(condition: Condition, fields: Mapping[str, Any]) -> Outcome:
    try:
        return Outcome.MET if compile_condition(condition)(fields) else Outcome.NOT_MET
    except ConditionFailed:
        return Outcome.FAILED


def _failure(condition: Condition, fields: Mapping[str, Any]) -> str:
    try:
        compile_condition(condition)(fields)
    except ConditionFailed as failed:
        return str(failed)
    return ""


def _rule(
    rule: Rule,
    mode: Mode,
    fields: Mapping[str, Any],
    now: float,
    exempt: Sequence[Exemption],
    unknown: frozenset[str],
) -> Explained:
    step = explain_condition(rule.when, fields)
    missing = tuple(sorted(unknown & set(fields_of(rule.when))))
    by = tuple(exemption.id for exemption in exempt if rule.id in exemption.rules)
    outcome = Outcome.FAILED if missing else step.outcome
    if outcome is Outcome.FAILED and rule.on_error is OnError.TREAT_AS_MATCH:
        outcome = Outcome.MET
    if mode is Mode.OFF:
        fate = Fate.OFF
    elif rule.expires is not None and now >= rule.expires:
        fate = Fate.EXPIRED
    elif outcome is Outcome.FAILED:
        fate = Fate.FAILED
    elif outcome is Outcome.NOT_MET:
        fate = Fate.NOT_MET
    else:
        fate = Fate.SPARED if by else Fate.FIRES
    return Explained(rule, mode, fate, step, by if fate is Fate.SPARED else (), missing)


def _near(
    explained: Explained, fields: Mapping[str, Any], would: Standing, exempt: Sequence[Exemption]
) -> Iterator[Near]:
    """Yield the comparisons of a rule that is not met, each of which alone would make it fire and lead to `would`."""
    rule = explained.rule
    if explained.fate is not Fate.NOT_MET or any(rule.id in exemption.rules for exemption in exempt):
        return
    for comparison, flipped in _flips(rule.when, fields):
        if _outcome(flipped, fields) is Outcome.MET:
            says = f"{comparison.field} {comparison.operator} {shown(comparison.operand)}"
            if _outcome(comparison, fields) is Outcome.MET:
                says = f"not {says}"
            yield Near(rule.id, explained.mode, says, fields[comparison.field], would.score, would.rung)


def _standing(
    pack: Pack, standing: Standing, rule: Rule, exempt: Sequence[Exemption], ties: Ties, now: float
) -> Standing:
    """Return where an exchange would stand if the rule fired as well."""
    flags = {flag.name: flag for flag in standing.flags}
    there = {
        Subject.ACCOUNT: True,
        Subject.TENANT: True,
        Subject.TEMPLATE: ties.template,
        Subject.CLUSTER: ties.cluster,
    }
    if any(there[subject] for subject in rule.flag.on):
        score = rule.flag.score
        known = flags.get(rule.flag.name, Flag(rule.flag.name, score, now, now, rule.id))
        if known.last_raised == now or Subject.ACCOUNT not in rule.flag.on:
            score = max(score, known.score)
        flags[rule.flag.name] = known._replace(score=score)
    caps = [exemption for exemption in exempt if exemption.max_rung is not None]
    return Ladder(pack.ladder).stand(flags, caps)[0]


def _flips(condition: Condition, fields: Mapping[str, Any]) -> Iterator[tuple[Comparison, Condition]]:
    """Yield every comparison, with the condition as it would be if this one comparison came out the other way."""
    match condition:
        case Comparison():
            yield condition, _FALSE if _outcome(condition, fields) is Outcome.MET else _TRUE
        case Not(part):
            for comparison, flipped in _flips(part, fields):
                yield comparison, Not(flipped)
        case AllOf(parts) | AnyOf(parts):
            for index, part in enumerate(parts):
                for comparison, flipped in _flips(part, fields):
                    yield comparison, type(condition)((*parts[:index], flipped, *parts[index + 1 :]))
