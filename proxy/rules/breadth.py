"""Tells whether one condition is wider than another, as far as their shapes alone can show it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from proxy.rules.conditions.condition import AllOf, AnyOf, Comparison, Condition, Not, Operator
from proxy.rules.pack.definitions import canonical

_DOWNWARD = (Operator.LT, Operator.LTE)
_UPWARD = (Operator.GT, Operator.GTE, Operator.SIZE_GTE)


class Breadth(Enum):
    """How a new condition compares with an old one."""

    SAME = 0
    WIDER = 1  # the new one holds wherever the old one did
    NARROWER = -1
    UNKNOWN = 2

    def turned(self) -> Breadth:
        """Return how the negations of the two compare."""
        return {Breadth.WIDER: Breadth.NARROWER, Breadth.NARROWER: Breadth.WIDER}.get(self, self)


def breadth(old: Condition, new: Condition) -> Breadth:
    """Return how the new condition compares with the old one."""
    old, new = _alone(old), _alone(new)
    if canonical(old) == canonical(new):
        return Breadth.SAME
    match old, new:
        case Comparison(), Comparison():
            return _of_comparisons(old, new)
        case Not(before), Not(after):
            return breadth(before, after).turned()
        case (AnyOf(), _) | (_, AnyOf()):
            parts = [side.parts if isinstance(side, AnyOf) else (side,) for side in (old, new)]
            return _of_parts(parts[0], parts[1], Breadth.WIDER)
        case (AllOf(), _) | (_, AllOf()):
            parts = [side.parts if isinstance(side, AllOf) else (side,) for side in (old, new)]
            return _of_parts(parts[0], parts[1], Breadth.NARROWER)
        case _:
            return Breadth.UNKNOWN


def _alone(condition: Condition) -> Condition:
    """Return the only part of a group of one, which means the same."""
    while isinstance(condition, AllOf | AnyOf) and len(condition.parts) == 1:
        [condition] = condition.parts
    return condition


def _of_comparisons(old: Comparison, new: Comparison) -> Breadth:
    if (old.field, old.operator) != (new.field, new.operator):
        return Breadth.UNKNOWN
    before, after, operator = old.operand, new.operand, old.operator
    if isinstance(before, tuple) and isinstance(after, tuple):
        grows = set(before) <= set(after)
        if not grows and not set(before) >= set(after):
            return Breadth.UNKNOWN
        return Breadth.WIDER if grows != (operator is Operator.NOT_IN) else Breadth.NARROWER
    if isinstance(before, int | float) and isinstance(after, int | float) and operator in (*_UPWARD, *_DOWNWARD):
        return Breadth.WIDER if (after > before) == (operator in _DOWNWARD) else Breadth.NARROWER
    return Breadth.UNKNOWN


def _of_parts(old: tuple[Condition, ...], new: tuple[Condition, ...], by_more: Breadth) -> Breadth:
    """Compare two groups' parts, ignoring the equal ones; `by_more` is what one more part makes of the group."""
    old, new = tuple(map(_alone, old)), tuple(map(_alone, new))
    kept = [canonical(part) for part in old if canonical(part) in [canonical(other) for other in new]]
    gone = [part for part in old if canonical(part) not in kept]
    come = [part for part in new if canonical(part) not in kept]
    if not gone and not come:
        return Breadth.SAME
    if not gone or not come:
        return by_more if come else by_more.turned()
    if len(gone) != len(come):
        return Breadth.UNKNOWN
    return _together(breadth(before, after) for before, after in zip(gone, come, strict=True))


def _together(found: Iterable[Breadth]) -> Breadth:
    kinds = set(found) - {Breadth.SAME}
    if len(kinds) > 1:
        return Breadth.UNKNOWN
    return kinds.pop() if kinds else Breadth.SAME
