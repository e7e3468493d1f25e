"""What a field may be compared with: the operators of each type, each operator's values, and named lists."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from proxy.documents.document import Document
from proxy.documents.problem import Problem, nearest, quoted
from proxy.fields import Field, Kind
from proxy.patterns.linear_match import compile_pattern
from proxy.rules.conditions.condition import Comparison, Operand, Operator

OPERATORS: Mapping[Kind, tuple[Operator, ...]] = {
    Kind.TEXT: (
        Operator.EQ,
        Operator.NE,
        Operator.IN,
        Operator.NOT_IN,
        Operator.CONTAINS,
        Operator.STARTS_WITH,
        Operator.MATCHES,
    ),
    Kind.NUMBER: (
        Operator.EQ,
        Operator.NE,
        Operator.IN,
        Operator.GT,
        Operator.GTE,
        Operator.LT,
        Operator.LTE,
    ),
    Kind.BOOLEAN: (Operator.EQ,),
    Kind.LIST: (Operator.HAS, Operator.ANY_OF, Operator.SIZE_GTE),
}
# Operators that look at part of a text, so that any text may be compared.
OF_PARTS = (Operator.CONTAINS, Operator.STARTS_WITH, Operator.MATCHES)
_OF_LISTS = (Operator.IN, Operator.NOT_IN, Operator.ANY_OF)
_MAX_ITEMS = 10_000


class WrongOperand(ValueError):
    """A value that a field cannot be compared with; `step` is the index of the list item at fault."""

    def __init__(self, message: str, *, step: int | None = None, suggestion: str = "") -> None:
        super().__init__(message)
        self.step = step
        self.suggestion = suggestion


def read_operand(field: Field, operator: Operator, value: Any, lists: Mapping[str, Operand]) -> Operand:  # noqa: ANN401 - a value of a YAML file
    """Return what an operator compares a field with, named lists resolved. Raises WrongOperand.

    Where several values may stand, `$name` is that named list, alone: it cannot be one item of another list.
    """
    named = isinstance(value, str) and value.startswith("$") and operator is not Operator.MATCHES
    if operator in _OF_LISTS:
        return _several(field, value, lists, _list_named(value, lists) if named else None)
    if named and value[1:] in lists:
        raise WrongOperand(f"{quoted(value)} is a list, and {operator} takes one value: use in or any_of")
    if operator is Operator.SIZE_GTE:
        if type(value) is not int or value < 1:
            raise WrongOperand("should be a whole number from 1")
        return value
    kind = Kind.TEXT if field.kind is Kind.LIST else field.kind
    _check(kind, value)
    if operator is Operator.MATCHES:
        compile_pattern(value)
    elif operator not in OF_PARTS:
        check_possible(field, value, operator)
    elif kind is Kind.TEXT and value == "":
        raise WrongOperand("should not be empty: every text has that")
    return value  # type: ignore[no-any-return]  # checked to be of the kind


def check_possible(field: Field, value: Any, operator: Operator = Operator.EQ, step: int | None = None) -> None:  # noqa: ANN401 - of the field's kind
    """Raise WrongOperand for a value that the field never has: an author would not notice such a mistake."""
    if isinstance(value, tuple):
        for number, item in enumerate(value):
            check_possible(field, item, operator, number)
        return
    if field.among and value not in field.among and value != field.default:
        close = "" if value.isdecimal() else nearest(value, field.among)  # 9 is as near to 19 as to 09
        known = "" if close else f"; there are {', '.join(field.among)}"
        raise WrongOperand(f"{field.name} is never {quoted(value)}{known}", step=step, suggestion=close)
    if field.most < math.inf and (value > field.most or (value == field.most and operator is Operator.GT)):
        raise WrongOperand(f"{field.name} is never above {field.most:g}", step=step)


def leave_room(comparisons: Iterable[Comparison]) -> bool:
    """Tell whether any number lies within all bounds that these comparisons of one field set."""
    low, high = (-math.inf, False), (math.inf, True)  # low: whether it is itself excluded; high: whether included
    for one in comparisons:
        match one.operator, one.operand:
            case ((Operator.GT | Operator.GTE), (int() | float()) as bound):
                low = max(low, (bound, one.operator is Operator.GT))
            case ((Operator.LT | Operator.LTE), (int() | float()) as bound):
                high = min(high, (bound, one.operator is Operator.LTE))
    return low[0] < high[0] or (low[0] == high[0] and not low[1] and high[1])


def read_lists(document: Document) -> tuple[dict[str, Operand], list[Problem]]:
    """Return the pack's lists, wrong ones as empty ones, and what is wrong with them."""
    found: dict[str, Operand] = {}
    problems = []
    for path, items in document.items(("lists",)):
        name = str(path[-1])
        found[name] = ()
        if not isinstance(items, list) or not items:
            problems.append(document.problem(path, "should be a list of texts or of numbers, and not empty"))
            continue
        if len(items) > _MAX_ITEMS:
            problems.append(document.problem(path, f"has more than {_MAX_ITEMS:,} values"))
            continue
        kind = Kind.TEXT if isinstance(items[0], str) else Kind.NUMBER
        before = len(problems)
        for number, item in enumerate(items):
            try:
                _check(kind, item)
            except WrongOperand as error:
                problems.append(document.problem((*path, number), str(error)))
        if len(problems) == before:
            found[name] = tuple(items)
    return found, problems


def _several(field: Field, value: Any, lists: Mapping[str, Operand], named: Operand | None) -> Operand:  # noqa: ANN401 - as above
    kind = Kind.TEXT if field.kind is Kind.LIST else field.kind
    items = value if named is None else named
    if not isinstance(items, list | tuple):
        raise WrongOperand("should be a list, or the name of one such as $models")
    if not items and named is None:
        raise WrongOperand("should not be empty")
    if len(items) > _MAX_ITEMS:
        raise WrongOperand(f"has more than {_MAX_ITEMS:,} values")
    for number, item in enumerate(items if named is None else items[:1]):  # a named list's are all of one kind
        try:
            _check(kind, item)
        except WrongOperand as error:
            if named is None:
                raise WrongOperand(str(error), step=number) from None
            has = f"the text {quoted(item)}" if isinstance(item, str) else f"the number {item}: put it in quotes"
            raise WrongOperand(f"{field.name} is {_WORDS[kind]}, and the list has {has}") from None
        if named is None and str(item).startswith("$") and item[1:] in lists:
            raise WrongOperand(f"{quoted(item)} is a list of its own: name it without the brackets", step=number)
    if field.among or field.most < math.inf:
        for number, item in enumerate(items):
            check_possible(field, item, step=None if named is not None else number)
    return tuple(items)


def _list_named(value: str, lists: Mapping[str, Operand]) -> Operand:
    try:
        return lists[value[1:]]
    except KeyError:
        close = nearest(value[1:], lists)
        raise WrongOperand(f"unknown list {quoted(value)}", suggestion=f"${close}" if close else "") from None


def _check(kind: Kind, value: Any) -> None:  # noqa: ANN401 - as above
    match kind:
        case Kind.TEXT if isinstance(value, bool | int | float):
            raise WrongOperand("should be text: put it in quotes")
        case Kind.TEXT if not isinstance(value, str):
            raise WrongOperand("should be text")
        case Kind.NUMBER if isinstance(value, bool) or not isinstance(value, int | float):
            raise WrongOperand("should be a number")
        case Kind.BOOLEAN if isinstance(value, str):
            raise WrongOperand(f"should be true or false: {quoted(value)} is text")
        case Kind.BOOLEAN if not isinstance(value, bool):
            raise WrongOperand("should be true or false")
        case _:
            return


_WORDS = {Kind.TEXT: "text", Kind.NUMBER: "a number"}
