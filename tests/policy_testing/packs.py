"""The example pack of the author's page as values, and a file of tests for it."""

from __future__ import annotations

from pathlib import Path

from proxy.actions.clamp import Clamp
from proxy.actions.drop import Drop
from proxy.actions.reject import Reject
from proxy.detectors import field_table
from proxy.detectors.account import AccountFacts
from proxy.detectors.request_shape import RequestShape
from proxy.documents.strict_yaml import parse
from proxy.policy_testing.loading import Suite, check_suite
from proxy.policy_testing.running import Runner
from proxy.policy_testing.world import Minds
from proxy.rules.conditions.condition import AllOf, AnyOf, Comparison, Operator
from proxy.rules.pack.pack import ClientMessage, Exemption, FlagSpec, Limit, Pack, Quota, Rule, Rung, Signal
from proxy.rules.pack.words import Approval, Measure, Mode, OnError, Scope, Severity, Subject
from tests.rules.books import ExactFlags, ExactSignals

HOUR = 3_600_000
PATH = Path("tests/example.yaml")

PROBES = AllOf(
    (Comparison("request.logprobs", Operator.EQ, True), Comparison("request.logit_bias_size", Operator.GTE, 1))
)

EXAMPLE = Pack(
    name="example",
    version="1.0.0",
    owner="tests",
    digest="0" * 64,
    quotas=(
        Quota(
            "key-quota",
            Scope.KEY,
            Mode.ENFORCE,
            (Limit(Measure.REQUESTS, 80, 60_000, exact=False),),
            ClientMessage(429, "quota_exceeded", "no"),
        ),
    ),
    signals=(
        Signal("probe_requests", "", Scope.ACCOUNT, HOUR, PROBES, "probes"),
        Signal("probe_tokens", "request.logit_bias_keys", Scope.ACCOUNT, HOUR, PROBES, "tokens"),
    ),
    rules=(
        Rule(
            id="logprob-probe",
            severity=Severity.HIGH,
            mode=Mode.ENFORCE,
            when=AllOf(
                (
                    Comparison("signals.probe_requests", Operator.GTE, 50),
                    Comparison("signals.probe_tokens", Operator.GTE, 300),
                )
            ),
            flag=FlagSpec("logprob_probe", (Subject.ACCOUNT,), 65, 72 * HOUR),
            reason="{signals.probe_requests} probes in 1h",
            on_error=OnError.SKIP,
        ),
        Rule(
            id="young-and-long",
            severity=Severity.LOW,
            mode=Mode.SHADOW,
            when=AllOf(
                (
                    Comparison("account.age_days", Operator.LT, 60),
                    AnyOf(
                        (
                            Comparison("request.turns", Operator.GTE, 9),
                            Comparison("request.temperature", Operator.GT, 1.5),
                        )
                    ),
                )
            ),
            flag=FlagSpec("young", (Subject.TENANT,), 20, HOUR),
            reason="{account.age_days} days",
            on_error=OnError.SKIP,
        ),
    ),
    ladder=(
        Rung("observe", 20, (), disclose=False, approval=Approval.NONE, client=None),
        Rung("strip", 40, (Drop(("logprobs", "logit_bias")),), disclose=True, approval=Approval.NONE, client=None),
        Rung("clamp", 60, (Clamp(512, 1),), disclose=True, approval=Approval.NONE, client=None),
        Rung(
            "block",
            140,
            (Reject(403),),
            disclose=False,
            approval=Approval.NONE,
            client=ClientMessage(403, "access_paused", "Access paused."),
        ),
    ),
    exemptions=(
        Exemption(
            id="research-access",
            match=Comparison("account.tenant", Operator.EQ, "org-university"),
            rules=("logprob-probe",),
            max_rung="observe",
            why="A programme.",
            owner="trust@example.com",
            expires=4e9,
        ),
    ),
)

HEAD = """\
apiVersion: stillgate/v1
kind: PolicyTest
pack: example.yaml
start: 2026-01-15T12:00:00Z
fixtures:
  accounts:
    paid:  {tenant: org-acme, plan: pro, age_days: 400}
    fresh: {tenant: "org-{i}", plan: free, age_days: 2}
    fleet: {account: shared, key: "key-{i}"}
    research: {tenant: org-university}
  requests:
    plain: {model: large, output_tokens: 300}
    probe: {model: large, logprobs: true, output_tokens: 1, logit_bias_keys: ["{n}a", "{n}b", "{n}c", "{n}d", "{n}e", "{n}f"]}
    hot:   {model: large, temperature: 1.6}
cases:
"""


def suite(cases: str, pack: Pack = EXAMPLE, head: str = HEAD) -> Suite:
    found, problems = check_suite(parse((head + cases).encode(), "tests/example.yaml"), PATH, pack, field_table())
    assert found is not None, [problem.render() for problem in problems]
    return found


def faults(cases: str, head: str = HEAD, pack: Pack = EXAMPLE) -> list[str]:
    _, problems = check_suite(parse((head + cases).encode(), "t.yaml"), PATH, pack, field_table())
    return [f"{problem.line}:{problem.column}: {problem.sentence()}" for problem in problems]


def runner() -> Runner:
    return Runner(exact_minds())


def exact_minds() -> Minds:
    return Minds(field_table(), lambda _, __: [RequestShape(), AccountFacts()], ExactSignals, ExactFlags)
