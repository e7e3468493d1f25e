"""Expressions asked at once say what each says by itself, however many there are and whatever they are made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.rules.conditions.cel import MAX_SOURCE_CHARS, CelCondition, ConditionFailed, Expressions
from proxy.rules.conditions.cel_together import Together
from tests.rules.conditions.test_cel import FIELDS

_TRUE = ('request.model == "large"', "request.turns > 2 // a comment", "(" * 12 + "true" + ")" * 12)
_FALSE = ("request.stream", "request.turns > 2 && request.stream", "'// ' == \"'\"")
_FAILING = ("request.turns / 0 > 1", "request.logit_bias_keys[9] == 'x'")


def _compiled(*sources: str) -> list[CelCondition]:
    expressions = Expressions([], {})
    return [expressions.compile(source) for source in sources]


@given(st.lists(st.sampled_from([*_TRUE, *_FALSE]), min_size=1, max_size=60))
def test_each_expression_has_its_bit(sources: list[str]) -> None:
    together = Together(_compiled(*sources))
    together.put_up(FIELDS)
    assert together(FIELDS) == sum(1 << bit for bit, source in enumerate(sources) if source in _TRUE)


@given(st.lists(st.sampled_from([*_TRUE, *_FALSE]), max_size=30), st.sampled_from(_FAILING), st.integers(0, 30))
def test_if_one_fails_all_do_and_each_can_be_asked_by_itself(sources: list[str], failing: str, place: int) -> None:
    sources.insert(place, failing)
    conditions = _compiled(*sources)
    together = Together(conditions)
    together.put_up(FIELDS)
    with pytest.raises(ConditionFailed):
        together(FIELDS)
    for condition, source in zip(conditions, sources, strict=True):
        if source is not failing:
            assert condition(FIELDS) is (source in _TRUE)


def test_it_sees_the_fields_as_they_are_now() -> None:
    together = Together(_compiled("request.turns > 3", "request.turns > 4"))
    fields = dict(FIELDS)
    found = []
    for turns in (3, 4, 5):
        fields["request.turns"] = turns
        together.put_up(fields)
        found.append(together(fields))
    assert found == [0b00, 0b01, 0b11]


def test_expressions_of_several_packs_are_told_apart() -> None:
    one, other = _compiled("request.turns == 3", "request.stream"), _compiled("request.turns == 3")
    together = Together([one[0], other[0], one[1], *other])
    together.put_up(FIELDS)
    assert together(FIELDS) == 0b1011


def test_what_is_too_long_or_too_deep_to_be_asked_at_once_is_asked_in_parts() -> None:
    long = " || ".join(["request.turns == 3", *["request.turns == 4"] * 180])
    assert len(long) < MAX_SOURCE_CHARS < 2 * len(long)
    deep = "!" * 2 + "(" * 20 + "request.stream" + ")" * 20
    together = Together(_compiled(*[long] * 3, *[deep] * 40, *["request.turns == 3"] * 40))
    together.put_up(FIELDS)
    assert together(FIELDS) == 0b111 | ((1 << 40) - 1) << 43
