"""Conditions as functions: every operator, and what joins them, over values that it holds for and that it does not."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from proxy.rules.conditions.compiling import compile_condition
from proxy.rules.conditions.condition import AllOf, AnyOf, Comparison, Condition, Not, Operator

# By operator: what it compares with, values that it holds for, values that it does not.
MEANT: dict[Operator, tuple[Any, list[Any], list[Any]]] = {
    Operator.EQ: ("free", ["free"], ["", "fre", "free ", "Free"]),
    Operator.NE: ("free", ["", "fre", "free ", "Free"], ["free"]),
    Operator.IN: (("a", "b"), ["a", "b"], ["", "c", "ab"]),
    Operator.NOT_IN: (("a", "b"), ["", "c", "ab"], ["a", "b"]),
    Operator.CONTAINS: ("bot", ["bot", "a bot 1"], ["", "bo", "Bot"]),
    Operator.STARTS_WITH: ("bot", ["bot", "bot 1"], ["", "bo", "a bot", "Bot"]),
    Operator.MATCHES: ("^b.t", ["bot", "bat 1"], ["", "abat", "bt"]),
    Operator.GT: (3, [3.1, 4], [2, 3]),
    Operator.GTE: (3, [3, 4], [2, 2.9]),
    Operator.LT: (3, [2, 2.9], [3, 4]),
    Operator.LTE: (3, [2, 3], [3.1, 4]),
    Operator.HAS: ("a", [("a",), ("b", "a")], [(), ("b",), ("ab",)]),
    Operator.ANY_OF: (("a", "b"), [("a",), ("c", "b")], [(), ("c",), ("ab",)]),
    Operator.SIZE_GTE: (2, [("a", "b"), ("a", "b", "c")], [(), ("a",)]),
}
HELD = {True: Comparison("yes", Operator.EQ, operand=True), False: Comparison("no", Operator.EQ, operand=True)}
FIELDS = {"yes": True, "no": False}


@pytest.mark.parametrize("operator", Operator)
def test_an_operator_holds_for_what_it_says(operator: Operator) -> None:
    operand, held, missed = MEANT[operator]
    holds = compile_condition(Comparison("field", operator, operand))
    assert [value for value in (*held, *missed) if holds({"field": value})] == held


@pytest.mark.parametrize("size", range(5))
def test_conditions_are_joined_as_they_say_however_many_they_are(size: int) -> None:
    for truths in itertools.product([True, False], repeat=size):
        parts: tuple[Condition, ...] = tuple(HELD[truth] for truth in truths)
        assert compile_condition(AllOf(parts))(FIELDS) is all(truths)
        assert compile_condition(AnyOf(parts))(FIELDS) is any(truths)
        assert compile_condition(Not(AllOf(parts)))(FIELDS) is not all(truths)
