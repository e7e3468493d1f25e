"""Turns conditions into functions of the fields, once, when a pack is loaded; per exchange they are only called.

Laws: a condition looks at values of a known type, so only expressions can fail; texts are matched in linear time,
whatever the pattern and the text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakValueDictionary

from proxy.patterns.linear_match import compile_pattern
from proxy.rules.conditions.cel import compile_cel
from proxy.rules.conditions.condition import AllOf, AnyOf, Cel, Comparison, Condition, Holds, Not, Operand, Operator

# Conditions with the same list share one set while any of them is in use: it takes some 500 kB for a list of ten
# thousand texts, which hundreds of rules may name.
_SETS: WeakValueDictionary[tuple[Any, ...], frozenset[Any]] = WeakValueDictionary()


def compile_condition(condition: Condition) -> Holds:
    """Return a function that tells whether the condition holds for an exchange's fields.

    The function raises ConditionFailed if an expression fails; comparisons never do.
    """
    match condition:
        case Comparison():
            return _COMPARISONS[condition.operator](condition.field, condition.operand)
        case Not(part):
            holds = compile_condition(part)
            return lambda fields: not holds(fields)
        case AllOf(parts):
            return _all([compile_condition(part) for part in _cheap_first(parts)])
        case AnyOf(parts):
            return _any([compile_condition(part) for part in _cheap_first(parts)])
        case Cel(source, lists, compiled):
            return compiled or compile_cel(source, dict(lists))


def _cheap_first(parts: tuple[Condition, ...]) -> list[Condition]:
    """Order parts by cost, the cheapest first: since none can fail or has effects, their order changes nothing."""
    return sorted(parts, key=_cost)


def _cost(condition: Condition) -> int:
    match condition:
        case Comparison(operator=Operator.MATCHES):
            return 3
        case Comparison(operator=Operator.HAS | Operator.ANY_OF | Operator.CONTAINS):
            return 1
        case Comparison():
            return 0
        case Cel():
            return 9
        case _:
            return 2


def _all(parts: list[Holds]) -> Holds:
    match parts:
        case []:
            return lambda _: True
        case [only]:
            return only
        case [first, second]:
            return lambda fields: first(fields) and second(fields)
        case _:
            fixed = tuple(parts)

            def every(fields: Mapping[str, Any]) -> bool:
                for holds in fixed:  # noqa: SIM110 - `all` makes a generator, which takes longer than most parts
                    if not holds(fields):
                        return False
                return True

            return every


def _any(parts: list[Holds]) -> Holds:
    match parts:
        case [only]:
            return only
        case [first, second]:
            return lambda fields: first(fields) or second(fields)
        case _:
            fixed = tuple(parts)

            def some(fields: Mapping[str, Any]) -> bool:
                for holds in fixed:  # noqa: SIM110 - as above
                    if holds(fields):
                        return True
                return False

            return some


def _has_any(name: str, operand: Operand) -> Holds:
    wanted = _set(operand)
    return lambda fields: not wanted.isdisjoint(fields[name])


def _matches(name: str, operand: Operand) -> Holds:
    search = compile_pattern(str(operand))
    return lambda fields: search(fields[name])


def _in(name: str, operand: Operand) -> Holds:
    wanted = _set(operand)
    return lambda fields: fields[name] in wanted


def _not_in(name: str, operand: Operand) -> Holds:
    wanted = _set(operand)
    return lambda fields: fields[name] not in wanted


def _set(operand: Operand) -> frozenset[Any]:
    items = operand if isinstance(operand, tuple) else (operand,)
    found = _SETS.get(items)
    if found is None:
        found = _SETS[items] = frozenset(items)
    return found


_COMPARISONS: Mapping[Operator, Callable[[str, Any], Holds]] = {
    Operator.EQ: lambda name, operand: lambda fields: fields[name] == operand,
    Operator.NE: lambda name, operand: lambda fields: fields[name] != operand,
    Operator.IN: _in,
    Operator.NOT_IN: _not_in,
    Operator.CONTAINS: lambda name, operand: lambda fields: operand in fields[name],
    Operator.STARTS_WITH: lambda name, operand: lambda fields: fields[name].startswith(operand),
    Operator.MATCHES: _matches,
    Operator.GT: lambda name, operand: lambda fields: fields[name] > operand,
    Operator.GTE: lambda name, operand: lambda fields: fields[name] >= operand,
    Operator.LT: lambda name, operand: lambda fields: fields[name] < operand,
    Operator.LTE: lambda name, operand: lambda fields: fields[name] <= operand,
    Operator.HAS: lambda name, operand: lambda fields: operand in fields[name],
    Operator.ANY_OF: _has_any,
    Operator.SIZE_GTE: lambda name, operand: lambda fields: len(fields[name]) >= operand,
}
