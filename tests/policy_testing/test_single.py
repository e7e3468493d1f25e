"""One request is judged as a pack would find it, with counters and flags as somebody says they stand."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from proxy.detectors import field_table
from proxy.errors import ConfigurationError
from proxy.policy_testing.schema import AccountFixture
from proxy.policy_testing.single import Answer, Question, ask, read_given
from proxy.rules.explain import Fate
from proxy.rules.flags.book import FlagBook
from proxy.rules.pack.words import Mode
from tests.policy_testing.packs import EXAMPLE, exact_minds

PLAIN = {"model": "large", "messages": [{"role": "user", "content": "Hello."}]}
NOW = 1_790_000_000.0


def judged(body: dict[str, Any] | None = None, *given: str, flags: tuple[str, ...] = (), **account: Any) -> Answer:
    values = read_given(given, EXAMPLE, field_table())
    question = Question(AccountFixture(**account), body or PLAIN, "openai.chat", NOW, values, flags)
    return ask(EXAMPLE, exact_minds(), question)


def fates(answer: Answer) -> dict[str, Fate]:
    return {explained.rule.id: explained.fate for explained in answer.explanation.rules}


def test_a_plain_request_of_an_old_account_meets_nothing() -> None:
    answer = judged(age_days=400)
    assert set(fates(answer).values()) == {Fate.NOT_MET}
    assert answer.observed.effect == "allow"


def test_signals_stand_where_they_are_said_to_stand() -> None:
    answer = judged({**PLAIN, "logprobs": True}, "signals.probe_requests=50", "signals.probe_tokens=300", age_days=400)
    assert fates(answer)["logprob-probe"] is Fate.FIRES
    assert answer.observed.judgement.enforced.rung == "clamp"
    assert answer.observed.actions == ("drop", "clamp")


def test_a_signal_one_below_its_threshold_is_one_step_away() -> None:
    answer = judged(None, "signals.probe_requests=49", "signals.probe_tokens=300", age_days=400)
    assert [(near.says, near.value, near.rung) for near in answer.explanation.near] == [
        ("signals.probe_requests gte 50", 49, "clamp")
    ]


def test_a_flag_that_is_said_to_be_there_counts() -> None:
    answer = judged(flags=("logprob_probe",), age_days=400)
    assert answer.observed.judgement.enforced.score == 65
    assert answer.explanation.next_rung == ("block", 75)


def test_a_rule_that_raises_a_flag_which_is_said_to_be_there_gives_it_its_score() -> None:
    probe, young = EXAMPLE.rules
    weaker = replace(young, mode=Mode.ENFORCE, flag=replace(probe.flag, score=20))
    pack = replace(EXAMPLE, rules=(probe, weaker))
    given = read_given(["request.turns=9"], pack, field_table())
    question = Question(AccountFixture(age_days=2), PLAIN, "openai.chat", NOW, given, ("logprob_probe",))
    answer = ask(pack, exact_minds()._replace(flags=FlagBook), question)
    assert answer.observed.judgement.enforced.score == 20


def test_a_flag_that_only_rules_in_shadow_raise_is_there_in_shadow_only() -> None:
    judgement = judged(flags=("young",), age_days=400).observed.judgement
    assert (judgement.enforced.score, judgement.shadow.score) == (0, 20)


@pytest.mark.parametrize("turned", [False, True])
def test_a_flag_of_several_rules_counts_as_the_highest_that_its_world_has(*, turned: bool) -> None:
    probe, young = EXAMPLE.rules
    rules = (probe, replace(young, flag=replace(young.flag, name=probe.flag.name, score=90)))
    pack = replace(EXAMPLE, rules=rules[::-1] if turned else rules)
    question = Question(AccountFixture(age_days=400), PLAIN, "openai.chat", NOW, {}, ("logprob_probe",))
    judgement = ask(pack, exact_minds(), question).observed.judgement
    assert (judgement.enforced.score, judgement.shadow.score) == (65, 90)


def test_an_exemption_is_named_with_the_rule_that_it_spares() -> None:
    answer = judged(
        None, "signals.probe_requests=50", "signals.probe_tokens=300", tenant="org-university", age_days=400
    )
    [probe, _] = answer.explanation.rules
    assert (probe.fate, probe.by) == (Fate.SPARED, ("research-access",))


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ("request.turns=3", {"request.turns": 3}),
        ("request.temperature=0.5", {"request.temperature": 0.5}),
        ("request.stream=true", {"request.stream": True}),
        ("request.model=large=x", {"request.model": "large=x"}),
        ("request.logit_bias_keys=a,b", {"request.logit_bias_keys": ("a", "b")}),
        ("signals.probe_requests=7", {"signals.probe_requests": 7}),
    ],
)
def test_what_is_set_is_read_by_its_type(given: str, values: dict[str, Any]) -> None:
    assert read_given([given], EXAMPLE, field_table()) == values


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("request.turn=3", "unknown field or signal 'request.turn' - did you mean 'request.turns'?"),
        ("signals.probe_request=3", "did you mean 'signals.probe_requests'?"),
        ("request.turns=many", "request.turns should be a number, not 'many'"),
        ("request.turns=true", "request.turns should be a number, not 'true'"),
        ("request.stream=1", "request.stream should be a boolean, not '1'"),
        ("time.weekday=monday", "time.weekday is never 'monday' - did you mean 'mon'?"),
        ("request.scripts=latin,runes", "request.scripts is never 'runes'; there are arabic"),
        ("content.rubric_grading=80", "content.rubric_grading is never above 1"),
        ("signals.probe_requests=1.5", "signals.probe_requests should be a whole number, not '1.5'"),
    ],
)
def test_what_cannot_be_set_is_refused_in_words(given: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        read_given([given], EXAMPLE, field_table())


def test_an_unknown_flag_and_an_unreadable_body_are_refused_in_words() -> None:
    with pytest.raises(ConfigurationError, match="unknown flag 'logprob_prob' - did you mean 'logprob_probe'"):
        judged(flags=("logprob_prob",))
    with pytest.raises(ConfigurationError, match="would be refused as it is"):
        judged({"model": "large"})
