"""Changes every number of a pack by the smallest step that means something, one at a time.

If a pack's tests still pass, they do not pin that number: nobody would notice if it were wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import NamedTuple, TypeVar

from proxy.fields import FieldTable
from proxy.rules.conditions.condition import AllOf, AnyOf, Comparison, Condition, Not, Operator, fields_of
from proxy.rules.pack.pack import Campaign, FlagSpec, Pack, Quota, Rule, Rung, Signal
from proxy.rules.pack.units import window_text
from proxy.rules.pack.words import Mode
from proxy.store.base import SLOTS

_COMPARED = frozenset({Operator.EQ, Operator.NE, Operator.IN, Operator.GT, Operator.GTE, Operator.LT, Operator.LTE})
_FINEST = Decimal("0.01")  # step of a number that need not be whole

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A pack with one number changed; `number` names it, alike for both directions, and `change` is the new value.

    `before` and `after` are the part of the pack that holds the number: a comparison, or a whole quota, signal, rule,
    campaign or rung.
    """

    number: str
    change: str
    before: Comparison | Quota | Signal | Rule | Campaign | Rung
    after: Comparison | Quota | Signal | Rule | Campaign | Rung
    pack: Pack


class _Nudge(NamedTuple):
    number: str
    change: str
    before: Comparison | Quota | Signal | Rule | Campaign | Rung
    after: Comparison | Quota | Signal | Rule | Campaign | Rung


def mutants(pack: Pack, table: FieldTable) -> Iterator[Mutant]:
    """Yield the pack with each number a step up and down: maxima, windows, thresholds, scores, lifetimes, containment.

    Entries that are off are left out, and so are numbers in expressions, parameters of actions, and numbers that only
    the hunter reads.
    """
    for index, quota in enumerate(pack.quotas):
        for nudge, changed in _quota(quota):
            yield Mutant(*nudge, replace(pack, quotas=_with(pack.quotas, index, changed)))
    read = _read(pack)
    for index, signal in enumerate(pack.signals):
        if f"signals.{signal.name}" not in read:
            continue
        for nudge, counted in _signal(signal, table):
            yield Mutant(*nudge, replace(pack, signals=_with(pack.signals, index, counted)))
    for index, rule in enumerate(pack.rules):
        for nudge, ruled in _rule(rule, table):
            yield Mutant(*nudge, replace(pack, rules=_with(pack.rules, index, ruled)))
    for index, campaign in enumerate(pack.campaigns):
        for nudge, known in _campaign(campaign):
            yield Mutant(*nudge, replace(pack, campaigns=_with(pack.campaigns, index, known)))
    yield from _rungs(pack)


def _read(pack: Pack) -> set[str]:
    """Return what conditions read that decide something: those of rules that are on, and of exemptions."""
    on = [rule.when for rule in pack.rules if rule.mode is not Mode.OFF]
    return {name for when in (*on, *(exemption.match for exemption in pack.exemptions)) for name in fields_of(when)}


def _rungs(pack: Pack) -> Iterator[Mutant]:
    sums = _sums(pack)
    for index, rung in enumerate(pack.ladder):
        # A total between two sums of flags cannot occur, so the step goes to where the nearest sum counts differently.
        reached = min((total for total in sums if total >= rung.score), default=None)
        missed = max((total for total in sums if total < rung.score), default=None)
        for score in [total for total in (missed, None if reached is None else reached + 1) if total is not None]:
            moved = replace(rung, score=score)
            ladder = tuple(sorted(_with(pack.ladder, index, moved), key=_score))
            nudge = _Nudge(f"rung {rung.name}: score {rung.score}", str(score), rung, moved)
            yield Mutant(*nudge, replace(pack, ladder=ladder))


def _sums(pack: Pack) -> set[int]:
    """Return every total that flags can come to; a flag name counts once, with any of its scores."""
    flags: dict[str, set[int]] = {}
    entries: tuple[Rule | Campaign, ...] = (*pack.rules, *pack.campaigns)
    for spec in (entry.flag for entry in entries if entry.mode is not Mode.OFF):
        flags.setdefault(spec.name, set()).add(spec.score)
    highest = max((rung.score for rung in pack.ladder), default=0)
    sums = {0}
    for scores in flags.values():
        sums |= {total + score for total in sums if total < highest for score in scores}
    return sums - {0}


def _quota(quota: Quota) -> Iterator[tuple[_Nudge, Quota]]:
    if quota.mode is Mode.OFF:
        return
    for index, limit in enumerate(quota.limits):
        per = f" per {window_text(limit.window_ms)}" if limit.window_ms else ""
        named = f"quota {quota.id}: {limit.measure}{per}"
        lengths = _lengths(limit.window_ms) if limit.window_ms else ()
        changes = [
            *((f"{named}, max {limit.max}", str(most), replace(limit, max=most)) for most in _around(limit.max)),
            *((f"{named}, window", _length(window), replace(limit, window_ms=window)) for window in lengths),
        ]
        for number, change, changed in changes:
            after = replace(quota, limits=_with(quota.limits, index, changed))
            yield _Nudge(number, change, quota, after), after


def _around(most: int) -> list[int]:
    return [most - 1, most + 1] if most > 1 else [most + 1]


def _signal(signal: Signal, table: FieldTable) -> Iterator[tuple[_Nudge, Signal]]:
    named = f"signal {signal.name}"
    for window in _lengths(signal.window_ms):
        # Another window means another counter, so another digest.
        after = replace(signal, window_ms=window, digest=f"{signal.digest} {window}")
        number = f"{named}: window {window_text(signal.window_ms)}"
        yield _Nudge(number, _length(window), signal, after), after
    for nudge, where in _condition(signal.where, table):
        after = replace(signal, where=where, digest=f"{signal.digest} {nudge.number} {nudge.change}")
        yield nudge._replace(number=f"{named}: {nudge.number}"), after


def _rule(rule: Rule, table: FieldTable) -> Iterator[tuple[_Nudge, Rule]]:
    if rule.mode is Mode.OFF:
        return
    named = f"rule {rule.id}"
    for nudge, when in _condition(rule.when, table):
        yield nudge._replace(number=f"{named}: {nudge.number}"), replace(rule, when=when)
    for number, change, flag in _flag(rule.flag):
        after = replace(rule, flag=flag)
        yield _Nudge(f"{named}: {number}", change, rule, after), after


def _campaign(campaign: Campaign) -> Iterator[tuple[_Nudge, Campaign]]:
    if campaign.mode is Mode.OFF:
        return
    named = f"campaign {campaign.id}"
    for number, change, flag in _flag(campaign.flag):
        after = replace(campaign, flag=flag)
        yield _Nudge(f"{named}: {number}", change, campaign, after), after
    contain = campaign.contain
    if contain is None or not contain.opened_within_ms:
        return
    for within in _lengths(contain.opened_within_ms):
        after = replace(campaign, contain=replace(contain, opened_within_ms=within))
        number = f"{named}: opened_within {window_text(contain.opened_within_ms)}"
        yield _Nudge(number, _length(within), campaign, after), after


def _flag(flag: FlagSpec) -> Iterator[tuple[str, str, FlagSpec]]:
    for score in (flag.score - 1, flag.score + 1):
        yield f"score {flag.score}", str(score), replace(flag, score=score)
    for ttl in _lengths(flag.ttl_ms):
        yield f"ttl {window_text(flag.ttl_ms)}", _length(ttl), replace(flag, ttl_ms=ttl)


def _condition(condition: Condition, table: FieldTable) -> Iterator[tuple[_Nudge, Condition]]:
    match condition:
        case Comparison(field, operator, operand):
            several = operand if isinstance(operand, tuple) else (operand,)
            for index, item in enumerate(several):
                for value in _nudged(field, operator, item, table):
                    after = replace(condition, operand=_with(operand, index, value) if operand is several else value)
                    yield _Nudge(f"{field} {operator} {item}", str(value), condition, after), after
        case Not(part):
            for nudge, changed in _condition(part, table):
                yield nudge, Not(changed)
        case AllOf(parts) | AnyOf(parts):
            remade: Callable[[tuple[Condition, ...]], Condition] = type(condition)
            for index, part in enumerate(parts):
                for nudge, changed in _condition(part, table):
                    yield nudge, remade(_with(parts, index, changed))


def _nudged(field: str, operator: Operator, operand: object, table: FieldTable) -> list[int | float]:
    if isinstance(operand, bool) or not isinstance(operand, int | float):
        return []
    if operator is Operator.SIZE_GTE:
        return [operand - 1, operand + 1]
    if operator not in _COMPARED:
        return []
    known = table.get(field)
    if known is None or isinstance(known.default, int):  # signals count in whole numbers
        return [operand - 1, operand + 1]
    exact = Decimal(repr(operand))
    finest = Decimal(1) if exact == exact.to_integral_value() and abs(exact) > 1 else _FINEST
    step = min(finest, Decimal(1).scaleb(int(exact.as_tuple().exponent)))
    kind = int if step == 1 else float
    return [kind(exact - step), kind(exact + step)]


def _lengths(milliseconds: int) -> tuple[int, int]:
    """Return a time one slot shorter and longer: a window is counted no finer."""
    step = max(1, milliseconds // SLOTS)
    return milliseconds - step, milliseconds + step


def _length(milliseconds: int) -> str:
    return window_text(milliseconds) or f"{milliseconds}ms"


def _with(items: tuple[Item, ...], index: int, item: Item) -> tuple[Item, ...]:
    return (*items[:index], item, *items[index + 1 :])


def _score(rung: Rung) -> int:
    return rung.score
