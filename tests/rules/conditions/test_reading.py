"""Reading conditions: what each way to write one becomes, and that what it becomes means what was written."""

from __future__ import annotations

import gc
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.detectors import field_table
from proxy.documents.document import Document
from proxy.documents.problem import has_errors
from proxy.documents.strict_yaml import parse
from proxy.fields import Field, FieldTable, Kind
from proxy.rules.conditions.compiling import compile_condition
from proxy.rules.conditions.condition import AllOf, AnyOf, Comparison, Condition, Not, Operand, Operator
from proxy.rules.conditions.operands import OPERATORS
from proxy.rules.conditions.reading import ConditionReader
from proxy.rules.pack_file.loading import check_pack

TABLE = field_table()
SIGNALS = {"signals.asks": Field("signals.asks", 0, "")}
LISTS: dict[str, Operand] = {"models": ("large", "small"), "sizes": (1, 2.5)}


def read(
    text: str, table: FieldTable = TABLE, *, in_signal: bool = False
) -> tuple[Condition | None, Document, list[str]]:
    document = parse(text.encode(), "f")
    reader = ConditionReader(document, table, SIGNALS, LISTS)
    found = reader.read((), in_signal=in_signal)
    return found, document, [problem.sentence() for problem in reader.problems]


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("{request.stream: true}", Comparison("request.stream", Operator.EQ, True)),
        ("{account.plan: free}", Comparison("account.plan", Operator.EQ, "free")),
        ("{request.turns: 3}", Comparison("request.turns", Operator.EQ, 3)),
        ("{account.age_days: {lt: 60}}", Comparison("account.age_days", Operator.LT, 60)),
        ("{signals.asks: {gte: 20}}", Comparison("signals.asks", Operator.GTE, 20)),
        ("{request.model: {in: $models}}", Comparison("request.model", Operator.IN, ("large", "small"))),
        ("{request.turns: {in: $sizes}}", Comparison("request.turns", Operator.IN, (1, 2.5))),
        ("{request.model: {in: [$others]}}", Comparison("request.model", Operator.IN, ("$others",))),
        ("{request.model: $5}", Comparison("request.model", Operator.EQ, "$5")),
        ("{request.model: {matches: '$'}}", Comparison("request.model", Operator.MATCHES, "$")),
        ("{request.logit_bias_keys: {any_of: $models}}", Comparison("request.logit_bias_keys", Operator.ANY_OF, ("large", "small"))),
        ("{request.logit_bias_keys: {has: x}}", Comparison("request.logit_bias_keys", Operator.HAS, "x")),
        ("{request.logit_bias_keys: {size_gte: 2}}", Comparison("request.logit_bias_keys", Operator.SIZE_GTE, 2)),
        (
            "{request.turns: {gte: 2, lt: 9}}",
            AllOf((Comparison("request.turns", Operator.GTE, 2), Comparison("request.turns", Operator.LT, 9))),
        ),
        (
            "{request.stream: true, not: {account.plan: free}}",
            AllOf((Comparison("request.stream", Operator.EQ, True), Not(Comparison("account.plan", Operator.EQ, "free")))),
        ),
        (
            "{any: [{request.stream: true}, {all: [{request.turns: 1}, {request.turns: 2}]}]}",
            AnyOf((
                Comparison("request.stream", Operator.EQ, True),
                AllOf((Comparison("request.turns", Operator.EQ, 1), Comparison("request.turns", Operator.EQ, 2))),
            )),
        ),
    ],
)  # fmt: skip
def test_what_is_written_becomes_a_condition(text: str, condition: Condition) -> None:
    found, _, problems = read(text)
    assert problems == []
    assert found == condition


@pytest.mark.parametrize("operator", Operator)
@pytest.mark.parametrize("kind", Kind)
def test_an_operator_is_taken_for_the_types_it_applies_to_and_no_other(kind: Kind, operator: Operator) -> None:
    field = next(field for field in TABLE.values() if field.kind is kind)
    operand: Any = {Kind.BOOLEAN: True, Kind.NUMBER: 5, Kind.TEXT: "x", Kind.LIST: "x"}[kind]
    if operator in (Operator.IN, Operator.NOT_IN, Operator.ANY_OF):
        operand = [operand]
    if operator is Operator.SIZE_GTE:
        operand = 1
    found, _, problems = read(json.dumps({field.name: {operator: operand}}))
    if operator in OPERATORS[kind]:
        assert found
        assert compile_condition(found)(TABLE.defaults) in (True, False)
    else:
        assert found is None
        assert problems[0].startswith(f"{operator} does not apply, {field.name} is ")


def test_what_only_the_end_of_an_exchange_tells_is_for_signals() -> None:
    found, _, problems = read("{answer.refused: true}")
    assert found is None
    assert problems == ["answer.refused is known only when the exchange has ended: count it with a signal"]
    found, _, problems = read("{answer.refused: true}", in_signal=True)
    assert found == Comparison("answer.refused", Operator.EQ, True)
    assert problems == []


def test_all_mistakes_of_a_condition_are_found_at_once() -> None:
    text = "{any: [{request.modle: a}, {request.turns: {gte: many}}, {not: {account.plan: {lt: 1}}}, {}], request.stream: 1}"
    found, _, problems = read(text)
    assert found is None
    assert len(problems) == 5


values = st.recursive(
    st.sampled_from([None, True, 0, -1, 2.5, 10**30, "", "$models", "$none", "large", "(", "a" * 70]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from([*Operator, *TABLE, "signals.asks", "signals.x", "any", "all", "not", "x"]),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=12,
)


@given(values)
def test_whatever_is_written_is_a_condition_that_cannot_fail_or_a_problem(value: object) -> None:
    found, document, problems = read(json.dumps(value))
    assert (found is None) == bool(problems)
    if found is not None:
        assert compile_condition(found)({**TABLE.defaults, "signals.asks": 5}) in (True, False)
    assert not has_errors(document.problems)


@given(values)
def test_no_condition_in_a_pack_raises_anything_but_problems(value: object) -> None:
    pack = {
        "apiVersion": "stillgate/v1",
        "kind": "PolicyPack",
        "metadata": {"name": "a", "version": "1.0.0", "owner": "b"},
        "lists": {"models": value},
        "signals": {"asks": {"count": "requests", "per": "key", "window": "1h", "where": value}},
        "rules": [{"id": "a", "when": value, "flag": {"name": "f", "on": "key", "score": 1, "ttl": "1h"}}, value],
        "ladder": [{"rung": "observe", "score": 1, "do": [value]}, value],
        "exemptions": [{"id": "a", "match": value, "rules": value, "max_rung": value}, value],
        "campaigns": [value],
    }
    found, problems = check_pack(json.dumps(pack).encode(), "f")
    assert (found is None) == has_errors(problems)


def test_many_conditions_on_one_list_take_the_room_of_one() -> None:
    items = tuple(f"account {number}" for number in range(10_000))
    conditions = [Comparison("account.name", operator, items) for operator in (Operator.IN, Operator.NOT_IN)] * 25
    tracemalloc.start()
    compiled = [compile_condition(condition) for condition in conditions]
    held, _ = tracemalloc.get_traced_memory()
    assert held < 2_000_000
    assert [holds({"account.name": "account 7"}) for holds in compiled[:2]] == [True, False]
    del compiled
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after < 100_000
