"""Every number of a pack is nudged, one at a time, by a step that means something."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from proxy.detectors import field_table
from proxy.rules.conditions.condition import AllOf, AnyOf, Cel, Comparison, Condition, Not, Operator
from proxy.rules.mutate import mutants
from proxy.rules.pack.pack import Campaign, FlagSpec, Pack, Rule, Rung, Signal
from proxy.rules.pack.words import Mode, OnError, Severity, Subject
from tests.policy_testing.packs import EXAMPLE

FLAG = FlagSpec("f", (Subject.ACCOUNT,), 10, 60_000)


def changes(when: Condition) -> list[str]:
    rule = Rule("r", Severity.LOW, Mode.SHADOW, when, FLAG, "", OnError.SKIP)
    pack = Pack("p", "1", "o", "0", (), rules=(rule,))
    return [mutant.change for mutant in mutants(pack, field_table()) if isinstance(mutant.before, Comparison)]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        pytest.param(Comparison("request.turns", Operator.GTE, 20), ["19", "21"], id="whole numbers by one"),
        pytest.param(Comparison("signals.asks", Operator.LT, 300), ["299", "301"], id="so are signals"),
        pytest.param(Comparison("request.temperature", Operator.GT, 0.8), ["0.79", "0.81"], id="fractions by a hundredth"),
        pytest.param(Comparison("request.temperature", Operator.GT, 0.995), ["0.994", "0.996"], id="or as fine as it is written"),
        pytest.param(Comparison("account.age_days", Operator.LT, 60), ["59", "61"], id="whole days by a day"),
        pytest.param(Comparison("request.temperature", Operator.LTE, 1), ["0.99", "1.01"], id="one may be a share"),
        pytest.param(Comparison("request.logit_bias_keys", Operator.SIZE_GTE, 3), ["2", "4"], id="sizes"),
        pytest.param(Comparison("request.choices", Operator.IN, (1, 4)), ["0", "2", "3", "5"], id="each of a list"),
        pytest.param(Comparison("request.model", Operator.EQ, "large"), [], id="texts have no numbers"),
        pytest.param(Comparison("request.model", Operator.IN, ("large", "7")), [], id="nor have lists of them"),
        pytest.param(Comparison("request.stream", Operator.EQ, True), [], id="nor have booleans"),
        pytest.param(Cel("account.age_days < 60"), [], id="expressions are left alone"),
        pytest.param(
            Not(AnyOf((Comparison("request.turns", Operator.EQ, 1), AllOf((Comparison("request.tools", Operator.NE, 5),))))),
            ["0", "2", "4", "6"],
            id="at any depth",
        ),
    ],
)  # fmt: skip
def test_thresholds(when: Condition, expected: list[str]) -> None:
    assert changes(when) == expected


def test_every_number_is_nudged_in_both_directions_and_nothing_else_changes() -> None:
    found = list(mutants(EXAMPLE, field_table()))
    assert {number for number, times in Counter(mutant.number for mutant in found).items() if times != 2} == {
        "rung observe: score 20",  # no flags come to less
        "rung block: score 140",  # nor to more
    }
    assert {mutant.number for mutant in found} >= {
        "quota key-quota: requests per 1m, max 80",
        "quota key-quota: requests per 1m, window",
        "signal probe_requests: window 1h",
        "signal probe_tokens: request.logit_bias_size gte 1",
        "rule logprob-probe: score 65",
        "rule logprob-probe: ttl 3d",
        "rung block: score 140",
    }
    assert len({mutant.pack for mutant in found} | {EXAMPLE}) == len(found) + 1


def test_a_rung_moves_to_the_nearest_score_that_flags_can_come_to() -> None:
    # The flags of the example are 65 and 20, and both together 85.
    found = [(mutant.number, mutant.change) for mutant in mutants(EXAMPLE, field_table()) if "rung" in mutant.number]
    assert found == [
        ("rung observe: score 20", "21"),
        ("rung strip: score 40", "20"),
        ("rung strip: score 40", "66"),
        ("rung clamp: score 60", "20"),
        ("rung clamp: score 60", "66"),
        ("rung block: score 140", "85"),
    ]


def test_what_is_off_adds_nothing_to_a_score_that_a_rung_moves_to() -> None:
    off = Campaign("c", Mode.OFF, 2, 1, 60_000, 0.9, FlagSpec("c", (Subject.CLUSTER,), 5, 60_000), None)
    moved = [mutant.change for mutant in mutants(EXAMPLE, field_table()) if isinstance(mutant.before, Rung)]
    pack = replace(EXAMPLE, campaigns=(off,))
    assert [mutant.change for mutant in mutants(pack, field_table()) if isinstance(mutant.before, Rung)] == moved


def test_a_signal_that_only_rules_read_that_are_off_is_left_out() -> None:
    pack = replace(EXAMPLE, rules=tuple(replace(rule, mode=Mode.OFF) for rule in EXAMPLE.rules))
    assert not [mutant.number for mutant in mutants(pack, field_table()) if isinstance(mutant.before, Signal)]


def test_the_ladder_stays_in_order() -> None:
    for mutant in mutants(EXAMPLE, field_table()):
        scores = [rung.score for rung in mutant.pack.ladder]
        assert scores == sorted(scores)
