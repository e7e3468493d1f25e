"""A recorded exchange comes out as it did, or it is said why it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.decision import Effect, Outcome
from proxy.decisions.logged import Logged
from proxy.exchange import NO_TIES, Ties
from proxy.hindsight.rejudging import Again, NotReproducible, judge_again
from proxy.rules.explain import Fate
from proxy.rules.flags import FlagKey, World
from proxy.rules.pack import Mode, Pack, Subject
from tests.hindsight.traffic import PROBING, TABLE, Proxy, made

PACK = made(PROBING)
TWO_SCORES = made(
    """\
rules:
  - id: low
    when: {request.turns: {gte: 3}}
    flag: {name: chatty, on: account, score: 20, ttl: 1h}
  - id: high
    when: {request.turns: {gte: 9}}
    flag: {name: chatty, on: account, score: 50, ttl: 1h}
  - id: greedy
    when: {request.choices: {gte: 3}}
    flag: {name: greedy, on: tenant, score: 30, ttl: 1h}
ladder:
  - {rung: watch, score: 40}
  - {rung: closer, score: 45, approval: one}
"""
)


def again(pack: Pack, logged: Logged, max_mode: Mode = Mode.ENFORCE) -> Again:
    return judge_again(pack, TABLE, logged, max_mode)


SENT = st.fixed_dictionaries(
    {},
    optional={
        "request__logprobs": st.booleans(),
        "request__turns": st.integers(0, 12),
        "request__choices": st.integers(1, 4),
    },
)


@settings(max_examples=50)
@given(
    sent=st.lists(st.tuples(st.sampled_from("ab"), SENT), max_size=12),
    mode=st.sampled_from(list(Mode)),
    pack=st.sampled_from([PACK, TWO_SCORES]),
)
def test_what_the_engine_recorded_is_what_the_engine_says_again(
    sent: list[tuple[str, dict[str, Any]]], mode: Mode, pack: Pack
) -> None:
    """A-11."""
    proxy = Proxy(pack, max_mode=mode)
    for account, members in sent:
        logged = proxy.send(account, **members)
        found = again(pack, logged, mode)
        assert found.differences == ()
        fires = [each.rule.id for each in found.explanation.rules if each.fate is Fate.FIRES and each.mode == "enforce"]
        assert tuple(fires) == logged.fired
        assert (found.judgement.enforced.score, found.judgement.enforced.rung) == (logged.score, logged.rung)


@pytest.mark.parametrize(
    ("ties", "shadow_ties", "scores"),
    [(Ties("t-1"), Ties("t-1"), (60, 60)), (NO_TIES, Ties("t-1"), (0, 60)), (NO_TIES, NO_TIES, (0, 0))],
    ids=["enforced", "shadow", "outsider"],
)
def test_a_flag_on_a_template_counts_again_in_the_worlds_it_counted_in(
    ties: Ties, shadow_ties: Ties, scores: tuple[int, int]
) -> None:
    pack = made(
        """\
rules:
  - id: shared
    when: {request.turns: {gte: 3}}
    flag: {name: shared, on: template, score: 60, ttl: 1h}
ladder:
  - {rung: watch, score: 40}
"""
    )
    logged = Proxy(pack).send(request__turns=4, ties=ties, shadow_ties=shadow_ties)
    assert (logged.score, logged.shadow.score) == scores
    found = again(pack, logged)
    assert (found.judgement.enforced.score, found.judgement.shadow.score) == scores
    assert found.differences == ()


def test_a_flag_from_before_is_known_by_name_and_scored_by_the_pack_and_that_is_said() -> None:
    proxy = Proxy(PACK)
    for _ in range(3):
        proxy.send(request__logprobs=True)
    quiet = proxy.send("other")
    assert again(PACK, quiet).notes == ()
    proxy.now += 3_000
    proxy.signals.keep_only(frozenset())
    proxy.load(PACK)
    logged = proxy.send()
    assert (logged.fired, logged.flags, logged.score) == ((), ("probing",), 45)
    found = again(PACK, logged)
    assert (found.differences, found.judgement.enforced.rung) == ((), "strip")
    assert found.notes == ("live before, by name in the record; scores are those of the pack's rules: probing",)


def test_which_of_two_rules_raised_a_flag_is_told_by_the_sum() -> None:
    proxy = Proxy(TWO_SCORES)
    proxy.send(request__turns=3, request__choices=3)
    logged = proxy.send()
    assert logged.score == 50
    assert {flag.name: flag.score for flag in again(TWO_SCORES, logged).judgement.enforced.flags} == {
        "chatty": 20,
        "greedy": 30,
    }


def test_a_flag_that_no_rule_of_the_pack_raises_has_what_is_missing_from_the_sum() -> None:
    proxy = Proxy(PACK)
    logged = proxy.send()._replace(flags=("older", "probing"), score=100)
    found = again(PACK, logged)
    assert {flag.name: flag.score for flag in found.judgement.enforced.flags} == {"older": 55, "probing": 45}
    assert any("no rule of the pack raises older: its score is what is missing" in note for note in found.notes)
    several = again(PACK, logged._replace(flags=("old", "older", "probing"), score=145))
    assert any("no rule of the pack raises old, older: their scores are not known" in note for note in several.notes)
    assert any("the score in the record is 145" in note for note in several.notes)


def test_a_flag_that_was_confirmed_then_takes_the_rung_it_took() -> None:
    proxy = Proxy(TWO_SCORES)
    waiting = proxy.send(request__turns=9)
    assert (waiting.rung, waiting.waiting) == ("watch", ("closer",))
    assert again(TWO_SCORES, waiting).judgement.enforced.rung == "watch"
    for world in World:
        proxy.flags.hear_confirmation(FlagKey(world, Subject.ACCOUNT, "acme", "chatty"), "ann", proxy.now)
    confirmed = proxy.send()
    assert (confirmed.rung, confirmed.waiting) == ("closer", ())
    found = again(TWO_SCORES, confirmed)
    assert found.judgement.enforced.rung == "closer"
    assert any("confirmed by 1" in note for note in found.notes)


def test_a_cap_on_modes_of_that_moment_is_found_out() -> None:
    proxy = Proxy(PACK, max_mode=Mode.SHADOW)
    for _ in range(3):
        logged = proxy.send(request__logprobs=True)
    assert (logged.fired, logged.shadow.fired) == ((), ("probing",))
    found = again(PACK, logged, Mode.ENFORCE)
    assert found.differences == ()
    assert any("max_mode was shadow then" in note for note in found.notes)


def test_what_a_detector_failed_to_tell_is_unknown_again() -> None:
    logged = Proxy(PACK).send(unknown=frozenset({"request.turns"}))
    assert logged.failed == ("chatty",)
    found = again(PACK, logged)
    assert found.differences == ()
    assert found.explanation.rules[1].unknown == ("request.turns",)
    assert any("a detector failed: request.turns" in note for note in found.notes)


def test_rules_that_do_not_fire_as_recorded_are_named_with_both() -> None:
    logged = Proxy(PACK).send()._replace(fired=("probing",))
    [difference] = again(PACK, logged).differences
    assert difference == ("fired", ("probing",), ())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"decide_ms": None, "effect": Effect.DENY, "by": "request", "reasons": ("no JSON",)}, "no JSON"),
        ({"decide_ms": None, "outcome": Outcome.LOCAL}, "no pack was asked"),
        ({"cut": True}, "were cut"),
        ({"fields": {"request.turns": "three"}}, "request.turns is no number"),
        ({"fields": {"signals.probes": True}}, "signals.probes is no number"),
    ],
)
def test_what_cannot_be_judged_again_is_said_so(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(NotReproducible, match=why):
        again(PACK, Proxy(PACK).send()._replace(**changes))


def test_flags_of_rules_in_shadow_from_before_are_not_in_the_record_and_that_is_said() -> None:
    proxy = Proxy(PACK)
    proxy.send(request__turns=9)
    found = again(PACK, proxy.send())
    assert found.differences == ()
    assert any("with rules in shadow is 100 in the record and 0 here" in note for note in found.notes)


def test_a_rule_that_is_off_or_over_says_nothing_about_what_was_known() -> None:
    pack = replace(PACK, rules=(replace(PACK.rules[0], mode=Mode.OFF), PACK.rules[1]))
    proxy = Proxy(pack)
    assert again(pack, proxy.send(unknown=frozenset({"request.turns"}))).differences == ()
