"""What no record can say of a rule is not made up."""

from __future__ import annotations

from proxy.hindsight.rejudging import judge_again
from proxy.rules.explain import Fate, Outcome
from proxy.rules.pack.words import Mode
from tests.hindsight.traffic import TABLE, Proxy, made

PACK = """\
rules:
  - id: chatty
    when: {request.turns: {gte: 3}}
    flag: {name: chatty, on: account, score: 20, ttl: 1m}
  - id: stopped
    when: {account.name: acme}
    flag: {name: stopped, on: account, score: 50, ttl: 1m}
exemptions:
  - {id: friends, match: {account.tenant: org-bee}, rules: [chatty, stopped], why: w, owner: o, expires: 2027-01-01}
"""


def test_nobody_is_said_to_have_met_a_rule_that_was_spared_along_with_others() -> None:
    both = made(PACK)
    logged = Proxy(both).send("bee", account__name="bee", account__tenant="org-bee", request__turns=3)
    found = judge_again(both, TABLE, logged, Mode.ENFORCE)
    assert (found.differences, logged.exempt) == ((), ("friends",))
    chatty, stopped = found.explanation.rules
    assert (chatty.fate, chatty.step.outcome) == (Fate.SPARED, Outcome.MET)
    assert (stopped.fate, stopped.by, stopped.step.outcome) == (Fate.EITHER, ("friends",), Outcome.UNKNOWN)
    assert "rule stopped reads account.name, which its record does not hold (whole): spared, met or not" in found.notes


def test_a_rule_that_alone_is_spared_was_met() -> None:
    alone = made(PACK.replace("[chatty, stopped]", "[stopped]"))
    logged = Proxy(alone).send("acme", account__name="acme", account__tenant="org-bee")
    found = judge_again(alone, TABLE, logged, Mode.ENFORCE)
    assert (found.differences, found.explanation.rules[1].fate) == ((), Fate.SPARED)


def test_an_exemption_that_was_not_used_is_not_taken_for_used_because_of_a_rule_that_may_not_have_been_met() -> None:
    streams = (
        "  - {id: streams, match: {request.stream: true}, rules: [stopped], why: w, owner: o, expires: 2027-01-01}\n"
    )
    pack = made(PACK + streams)
    logged = Proxy(pack).send("bee", account__tenant="org-bee", request__turns=3, request__stream=True)
    found = judge_again(pack, TABLE, logged, Mode.ENFORCE)
    assert (logged.exempt, found.differences) == (("friends",), ())
    assert found.explanation.rules[1].by == ("friends",)
