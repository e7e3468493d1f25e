"""An explanation says what the engine says, names every value, and what one step more would bring about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.exchange import NO_TIES, Call, Exchange, Principal, Ties
from proxy.rules.conditions.compiling import compile_condition
from proxy.rules.conditions.condition import AllOf, AnyOf, Comparison, Condition, Not, Operator
from proxy.rules.engine import NO_JUDGEMENT, Engine, Judgement
from proxy.rules.explain import Explanation, Fate, Outcome, Step, explain, explain_condition, shown
from proxy.rules.flags.flag import Flag
from proxy.rules.ladder import Standing
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Mode, Subject
from tests.policy_testing.packs import EXAMPLE
from tests.rules.books import ExactFlags, ExactSignals
from tests.rules.random_packs import TABLE, conditions, fields, packs

NOW = 2_000.0
CALL = Call("large", stream=False, body={"model": "large"})


def judge(
    pack: Pack, values: dict[str, Any], most: Mode = Mode.ENFORCE, unknown: frozenset[str] = frozenset()
) -> tuple[Judgement, Explanation]:
    principal = Principal("key", "account", "tenant", "plan", 0.0, {})
    exchange = Exchange("x", "openai.chat", "", "", "", NOW, principal, CALL, fields=dict(values), unknown=unknown)
    judgement = Engine(pack, TABLE, ExactSignals(), ExactFlags(), most).judge(exchange, NOW)
    return judgement, explain(pack, exchange.fields, judgement, NOW, unknown=unknown, max_mode=most)


def leaves(step: Step) -> Iterator[Step]:
    if not step.parts and step.field:
        yield step
    for part in step.parts:
        yield from leaves(part)


@given(conditions(), fields())
def test_every_step_says_what_the_engine_finds(condition: Condition, values: dict[str, Any]) -> None:
    def check(part: Condition, step: Step) -> None:
        assert (step.outcome is Outcome.MET) == compile_condition(part)(values)
        match part:
            case Not(inner):
                check(inner, step.parts[0])
            case AllOf(parts) | AnyOf(parts):
                for inner, below in zip(parts, step.parts, strict=True):
                    check(inner, below)
            case Comparison(field):
                assert step.value == values[field]

    check(condition, explain_condition(condition, values))


@given(
    packs(EXAMPLE.ladder),
    fields(),
    st.sampled_from(list(Mode)),
    st.sets(st.sampled_from(["request.stream", "request.turns"])).map(frozenset),
)
def test_the_rules_that_an_explanation_lets_fire_are_those_that_fire(
    pack: Pack, values: dict[str, Any], most: Mode, unknown: frozenset[str]
) -> None:
    judgement, explanation = judge(pack, values, most, unknown)
    fires = [each for each in explanation.rules if each.fate is Fate.FIRES]
    assert tuple(each.rule.id for each in fires) == judgement.shadow_fired
    assert tuple(each.rule.id for each in fires if each.mode is Mode.ENFORCE) == judgement.fired
    failed = [each.rule.id for each in explanation.rules if each.fate is Fate.FAILED]
    assert set(failed) <= set(judgement.failed)


@given(packs(EXAMPLE.ladder), fields())
def test_what_one_step_more_would_trigger_does_not_fire_yet(pack: Pack, values: dict[str, Any]) -> None:
    judgement, explanation = judge(pack, values)
    for near in explanation.near:
        assert near.rule not in judgement.shadow_fired
        world = judgement.enforced if near.mode is Mode.ENFORCE else judgement.shadow
        assert near.score >= world.score


def test_a_probe_below_its_thresholds_is_explained_value_by_value() -> None:
    values = {**TABLE.defaults, "request.logprobs": True, "account.age_days": 2.0, "request.turns": 8}
    _, explanation = judge(EXAMPLE, values)
    probe, young = explanation.rules
    assert [(step.says, step.why) for step in leaves(probe.step)] == [
        ("signals.probe_requests gte 50", "it is 0"),
        ("signals.probe_tokens gte 300", "it is 0"),
    ]
    assert [step.outcome for step in leaves(young.step)] == [Outcome.MET, Outcome.NOT_MET, Outcome.NOT_MET]
    assert young.step.parts[1].says == "any of"


def test_what_alone_keeps_a_rule_from_firing_is_named_with_where_it_would_lead() -> None:
    values = {**TABLE.defaults, "account.age_days": 2.0, "request.turns": 8}
    _, explanation = judge(EXAMPLE, values)
    assert [(near.rule, near.says, near.value, near.score, near.rung) for near in explanation.near] == [
        ("young-and-long", "request.turns gte 9", 8, 20, "observe"),
        ("young-and-long", "request.temperature gt 1.5", 1.0, 20, "observe"),
    ]
    assert explanation.next_rung == ("observe", 20)


@pytest.mark.parametrize(
    ("ties", "on", "score"),
    [
        (NO_TIES, (Subject.TEMPLATE, Subject.CLUSTER), 0),
        (NO_TIES, (Subject.CLUSTER, Subject.TENANT), 20),
        (Ties("", "c-1"), (Subject.TEMPLATE, Subject.CLUSTER), 20),
    ],
)
def test_a_rule_whose_flag_is_on_nothing_that_there_is_would_lead_nowhere(
    ties: Ties, on: tuple[Subject, ...], score: int
) -> None:
    young = EXAMPLE.rules[1]
    pack = replace(EXAMPLE, rules=(replace(young, flag=replace(young.flag, on=on)),))
    values = {**TABLE.defaults, "account.age_days": 2.0, "request.turns": 8}
    explanation = explain(pack, values, NO_JUDGEMENT, NOW, shadow_ties=ties)
    assert {near.score for near in explanation.near} == {score}


@pytest.mark.parametrize(
    ("since", "on", "score"),
    [(NOW - 1, Subject.ACCOUNT, 20), (NOW - 1, Subject.TENANT, 65), (NOW, Subject.ACCOUNT, 65)],
)
def test_a_weaker_rule_would_make_a_flag_of_before_lighter(since: float, on: Subject, score: int) -> None:
    young = EXAMPLE.rules[1]
    pack = replace(EXAMPLE, rules=(replace(young, flag=replace(young.flag, on=(on,))),))
    live = Flag("young", 65, since, NOW + 60, "another")
    judgement = NO_JUDGEMENT._replace(shadow=Standing(65, (live,)))
    values = {**TABLE.defaults, "account.age_days": 2.0, "request.turns": 8}
    assert {near.score for near in explain(pack, values, judgement, NOW).near} == {score}


def test_a_rule_that_reads_what_is_unknown_failed() -> None:
    _, explanation = judge(EXAMPLE, dict(TABLE.defaults), unknown=frozenset({"request.turns"}))
    assert explanation.rules[1].fate is Fate.FAILED
    assert explanation.rules[1].unknown == ("request.turns",)


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (3, "3"), (0.95, "0.95"), ("a", '"a"'), (("a", "b"), '["a", "b"]'), ((1, 2.5), "[1, 2.5]")],
)
def test_values_are_shown_as_a_pack_writes_them(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_condition_without_parts_holds() -> None:
    assert explain_condition(AllOf(()), {}).outcome is Outcome.MET


def test_a_comparison_that_must_not_hold_is_named_as_such() -> None:
    values = {**TABLE.defaults, "request.turns": 3}
    rule = replace(EXAMPLE.rules[0], when=Not(Comparison("request.turns", Operator.EQ, 3)))
    _, explanation = judge(replace(EXAMPLE, rules=(rule,)), values)
    assert [near.says for near in explanation.near] == ["not request.turns eq 3"]
