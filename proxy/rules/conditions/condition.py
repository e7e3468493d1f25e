"""The conditions of packs: comparisons of fields and signals, their combinations, and expressions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from proxy.fields import Value
from proxy.rules.conditions.cel_names import names_in_cel

# A compiled condition: tells whether it holds for an exchange's fields.
Holds = Callable[[Mapping[str, Any]], bool]
# What a field is compared with: one value, or several for `in`, `not_in` and `any_of`.
Operand = Value | tuple[str | float, ...]


class Operator(StrEnum):
    """How a field is compared."""

    EQ = "eq"
    NE = "ne"
    IN = "in"
    NOT_IN = "not_in"
    CONTAINS = "contains"
    STARTS_WITH = "starts_with"
    MATCHES = "matches"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    HAS = "has"
    ANY_OF = "any_of"
    SIZE_GTE = "size_gte"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field, or a signal as `signals.NAME`, with a value, or values for `in`, `not_in`, `any_of`."""

    field: str
    operator: Operator
    operand: Operand


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part must hold; with no parts it always holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One part must hold."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part must not hold."""

    part: Condition


@dataclass(frozen=True, slots=True)
class Cel:
    """An expression in CEL; `lists` are the lists that it names, with their values.

    `compiled` was made when the pack was checked at load, so that this process compiles it only once.
    """

    source: str
    lists: tuple[tuple[str, Operand], ...] = ()
    compiled: Holds | None = field(default=None, compare=False, repr=False)


Condition = Comparison | AllOf | AnyOf | Not | Cel


def fields_of(condition: Condition) -> Iterator[str]:
    """Yield the names that a condition reads, signals as `signals.NAME`."""
    match condition:
        case Comparison(name):
            yield name
        case Not(part):
            yield from fields_of(part)
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from fields_of(part)
        case Cel(source):
            yield from names_in_cel(source)


def comparisons_of(condition: Condition) -> Iterator[Comparison]:
    """Yield every comparison in a condition."""
    match condition:
        case Comparison():
            yield condition
        case Not(part):
            yield from comparisons_of(part)
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from comparisons_of(part)
