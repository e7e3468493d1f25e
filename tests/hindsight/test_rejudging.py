"""A recorded exchange comes out as it did, or it is said why it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.decision import Effect, Outcome, Shadow
from proxy.decisions.logged import Logged
from proxy.exchange import NO_TIES, Ties
from proxy.hindsight.rejudging import Again, NotReproducible, judge_again
from proxy.rules.explain import Fate
from proxy.rules.flags.flag import FlagKey, Lifted, World
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Mode, Subject
from tests.hindsight.traffic import NOW, PROBING, TABLE, Proxy, made

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


def test_a_flag_from_before_counts_what_it_counted() -> None:
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
    assert [(flag.name, flag.score, flag.reason) for flag in found.judgement.enforced.flags] == [
        ("probing", 45, "live before")
    ]


def test_a_flag_that_several_rules_raise_counts_what_it_counted() -> None:
    proxy = Proxy(TWO_SCORES)
    proxy.send(request__turns=3, request__choices=3)
    logged = proxy.send()
    assert logged.score == 50
    assert {flag.name: flag.score for flag in again(TWO_SCORES, logged).judgement.enforced.flags} == {
        "chatty": 20,
        "greedy": 30,
    }


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
    assert found.differences == ()


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


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"fired": ()}, "fired"),
        ({"score": 20}, "score"),
        ({"rung": ""}, "rung"),
        ({"flags": ()}, "flags"),
        ({"reasons": ("2 probes",)}, "reasons"),
        ({"exempt": ("nobody",)}, "exempt"),
        ({"waiting": ("clamp",)}, "waiting"),
        ({"effect": Effect.DENY, "by": "strip", "actions": ("reject",)}, "effect"),
        ({"effect": Effect.DEGRADE, "by": "strip", "actions": ("clamp",)}, "effect"),
        ({"effect": Effect.DEGRADE, "by": "clamp", "actions": ("drop",)}, "by"),
        ({"effect": Effect.DEGRADE, "by": "strip", "actions": ("drop", "mark")}, "actions"),
        ({"effect": Effect.DENY, "by": "few", "reasons": ("requests over 1 per 1h for this key; 0 left",)}, "by"),
        ({"counted": {"probing": (44, 0)}}, "score"),
        ({"counted": {"probing": (45, 0), "chatty": (100, 0)}}, "flags"),
        ({"shadow": Shadow("clamp", 145, ("probing",), ())}, "rung with rules in shadow"),
        ({"shadow": Shadow("strip", 45, ("probing",), ("few",))}, "denied with quotas in shadow"),
    ],
)
def test_what_does_not_follow_from_the_pack_differs(changes: dict[str, Any], what: str) -> None:
    proxy = Proxy(PACK)
    for _ in range(3):
        logged = proxy.send(request__logprobs=True)
    degraded = logged._replace(effect=Effect.DEGRADE, by="strip", actions=("drop",))
    assert again(PACK, logged).differences == again(PACK, degraded).differences == ()
    assert what in [difference.what for difference in again(PACK, logged._replace(**changes)).differences]


def test_a_rung_that_always_refuses_cannot_have_let_an_exchange_pass() -> None:
    pack = made(
        """\
rules:
  - id: chatty
    when: {request.turns: {gte: 3}}
    flag: {name: chatty, on: account, score: 20, ttl: 1h}
ladder:
  - {rung: block, score: 20, do: [{reject: {}}], client: {code: paused, message: "Paused."}}
"""
    )
    passed = Proxy(pack).send(request__turns=3)
    denied = passed._replace(effect=Effect.DENY, by="block", actions=("reject",))
    assert [difference.what for difference in again(pack, passed).differences] == ["effect", "by", "actions"]
    assert again(pack, denied).differences == ()


PRIVATE = made(
    """\
rules:
  - id: stopped
    when: {account.name: acme}
    flag: {name: stopped, on: account, score: 50, ttl: 1m}
  - id: chatty
    when: {request.turns: {gte: 3}}
    flag: {name: chatty, on: account, score: 20, ttl: 1m}
exemptions:
  - {id: friends, match: {account.tenant: org-bee}, rules: [chatty], why: w, owner: o, expires: 2027-01-01}
"""
)


def test_what_reads_names_that_no_record_holds_is_as_it_came_out_then_and_that_is_said() -> None:
    proxy = Proxy(PRIVATE)
    cases = (("acme", ("stopped", "chatty"), ()), ("bee", (), ("friends",)), ("cat", ("chatty",), ()))
    for account, fired, exempt in cases:
        logged = proxy.send(account, account__name=account, account__tenant=f"org-{account}", request__turns=3)
        assert (logged.fired, logged.exempt) == (fired, exempt)
        found = again(PRIVATE, logged)
        assert (found.differences, found.judgement.fired, found.judgement.exempt) == ((), fired, exempt)
        words = "which its record does not hold (whole): taken as it came out"
        assert f"rule stopped reads account.name, {words}" in found.notes
        assert f"exemption friends reads account.tenant, {words}" in found.notes
        assert found.explanation.rules[0].step.says == "a condition on account.name"


def test_a_text_that_was_shortened_in_the_record_is_no_reason_to_differ() -> None:
    pack = made(
        """\
rules:
  - id: long-name
    when: {request.model: {matches: "^m{300}$"}}
    flag: {name: odd, on: account, score: 20, ttl: 1h}
"""
    )
    proxy = Proxy(pack)
    for model in ("m" * 300 + "\u00e9", "m" * 300):
        logged = proxy.send(request__model=model, request__scripts=("\u00e9",))
        found = again(pack, logged)
        assert (found.differences, found.judgement.fired) == ((), logged.fired)


def test_a_rule_that_expired_while_it_was_decided_comes_out_as_it_did() -> None:
    pack = replace(PACK, rules=(PACK.rules[0], replace(PACK.rules[1], expires=NOW + 1.0005)))
    for decided, fired in ((NOW + 1.0004, ("chatty",)), (NOW + 1.3, ())):
        proxy = Proxy(pack, now=NOW)
        logged = proxy.send(request__turns=9, until=decided)
        assert logged.shadow.fired == fired
        for took in (0.2, 400.0):
            assert again(pack, logged._replace(decide_ms=took)).differences == ()


def test_a_flag_that_was_lifted_ahead_of_the_exchange_that_raised_it_did_not_count_and_does_not_again() -> None:
    proxy = Proxy(TWO_SCORES)
    for world in World:
        proxy.flags.hear_lift(
            FlagKey(world, Subject.ACCOUNT, "acme", "chatty"), Lifted(proxy.now + 60, proxy.now + 3600)
        )
    logged = proxy.send(request__turns=3)
    assert (logged.fired, logged.flags) == (("low",), ())
    found = again(TWO_SCORES, logged)
    assert (found.differences, found.notes) == ((), ("raised by it, but lifted in that moment: chatty",))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"decide_ms": None, "effect": Effect.DENY, "by": "request", "reasons": ("no JSON",)}, "no JSON"),
        ({"decide_ms": None, "outcome": Outcome.LOCAL}, "no pack was asked"),
        ({"cut": True}, "were cut"),
        ({"fields": {"request.turns": "three"}}, "request.turns is not of type number"),
        ({"fields": {"signals.probes": True}}, "signals.probes is not of type number"),
    ],
)
def test_what_cannot_be_judged_again_is_said_so(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(NotReproducible, match=why):
        again(PACK, Proxy(PACK).send()._replace(**changes))


def test_flags_of_rules_in_shadow_from_before_count_again() -> None:
    proxy = Proxy(PACK)
    proxy.send(request__turns=9)
    found = again(PACK, proxy.send())
    assert (found.differences, found.notes, found.judgement.shadow.score) == ((), (), 100)


def test_a_rule_that_is_off_or_over_says_nothing_about_what_was_known() -> None:
    pack = replace(PACK, rules=(replace(PACK.rules[0], mode=Mode.OFF), PACK.rules[1]))
    proxy = Proxy(pack)
    assert again(pack, proxy.send(unknown=frozenset({"request.turns"}))).differences == ()
