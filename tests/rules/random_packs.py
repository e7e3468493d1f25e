"""Random conditions, packs and fields for property tests, over fields of every kind and values at their thresholds."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from proxy.detectors import field_table
from proxy.fields import Kind
from proxy.rules.conditions.condition import AllOf, AnyOf, Comparison, Condition, Not, Operator
from proxy.rules.pack.pack import Exemption, FlagSpec, Pack, Rule
from proxy.rules.pack.words import Mode, OnError, Severity, Subject

TABLE = field_table()
WORDS = st.sampled_from(["", "a", "ab", "large", "{"])
SMALL = st.integers(0, 4)
PARTS = st.one_of(SMALL, st.sampled_from([0.5, 1.5]))
NAMES = ("request.stream", "request.turns", "request.temperature", "request.model", "request.logit_bias_keys")

_OPERANDS: dict[Kind, dict[Operator, st.SearchStrategy[Any]]] = {
    Kind.BOOLEAN: {Operator.EQ: st.booleans()},
    Kind.NUMBER: {
        **dict.fromkeys((Operator.EQ, Operator.NE, Operator.GT, Operator.GTE, Operator.LT, Operator.LTE), PARTS),
        **dict.fromkeys((Operator.IN, Operator.NOT_IN), st.lists(SMALL, min_size=1, max_size=3).map(tuple)),
    },
    Kind.TEXT: {
        **dict.fromkeys((Operator.EQ, Operator.NE, Operator.CONTAINS, Operator.STARTS_WITH), WORDS),
        **dict.fromkeys((Operator.IN, Operator.NOT_IN), st.lists(WORDS, min_size=1, max_size=3).map(tuple)),
        Operator.MATCHES: st.sampled_from(["a+", "^a", "r.e$"]),
    },
    Kind.LIST: {
        Operator.HAS: WORDS,
        Operator.ANY_OF: st.lists(WORDS, min_size=1, max_size=3).map(tuple),
        Operator.SIZE_GTE: SMALL,
    },
}
_VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.BOOLEAN: st.booleans(),
    Kind.NUMBER: PARTS,
    Kind.TEXT: WORDS,
    Kind.LIST: st.lists(WORDS, max_size=4).map(tuple),
}


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    name = draw(st.sampled_from(NAMES))
    operator, operands = draw(st.sampled_from(list(_OPERANDS[TABLE[name].kind].items())))
    return Comparison(name, operator, draw(operands))


def conditions() -> st.SearchStrategy[Condition]:
    return st.recursive(
        comparisons(),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda parts: AllOf(tuple(parts))),
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: AnyOf(tuple(parts))),
            inner.map(Not),
        ),
        max_leaves=6,
    )


def fields() -> st.SearchStrategy[dict[str, Any]]:
    drawn = st.fixed_dictionaries({name: _VALUES[TABLE[name].kind] for name in NAMES})
    return drawn.map(lambda values: {**TABLE.defaults, **values})


@st.composite
def rules(draw: st.DrawFn, number: int) -> Rule:
    subjects = draw(st.lists(st.sampled_from(list(Subject)), min_size=1, max_size=2, unique=True))
    flag = FlagSpec(draw(st.sampled_from("fg")), tuple(subjects), draw(st.integers(1, 80)), 60_000)
    return Rule(
        id=f"rule-{number}",
        severity=Severity.LOW,
        mode=draw(st.sampled_from(list(Mode))),
        when=draw(conditions()),
        flag=flag,
        reason="",
        on_error=draw(st.sampled_from(list(OnError))),
        expires=draw(st.sampled_from([None, 1_000.0, 3_000.0])),
    )


@st.composite
def packs(draw: st.DrawFn, ladder: tuple[Any, ...]) -> Pack:
    made = tuple(draw(rules(number)) for number in range(draw(st.integers(1, 4))))
    names = [rule.id for rule in made]
    exemptions = tuple(
        Exemption(
            id=f"exemption-{number}",
            match=draw(conditions()),
            rules=tuple(draw(st.lists(st.sampled_from(names), unique=True))),
            max_rung=draw(st.sampled_from([None, ladder[0].name])),
            why="",
            owner="",
            expires=draw(st.sampled_from([1_000.0, 3_000.0])),
        )
        for number in range(draw(st.integers(0, 2)))
    )
    return Pack("random", "1", "o", "0", (), rules=made, ladder=ladder, exemptions=exemptions)
