"""Pack tests decide with the production engine on a virtual clock, and say exactly where they fail."""

from __future__ import annotations

import pytest

from proxy.policy_testing.running import cases_of
from tests.policy_testing.packs import EXAMPLE, HEAD, runner, suite

EXAMPLE_CASES = """\
  - name: a burst over the per-minute quota is refused, then recovers
    steps:
      - {as: paid, send: plain, times: 80, every: 100ms, expect: {effect: allow}}
      - {as: paid, send: plain, expect: {effect: deny, status: 429, code: quota_exceeded, by: key-quota}}
      - {advance: 61s}
      - {as: paid, send: plain, expect: {effect: allow}}
  - name: a logprob sweep loses logprobs
    steps:
      - {as: "fresh#1", send: probe, times: 49, every: 20s, expect: {rung: none}}
      - {as: "fresh#1", send: probe, first: 49, expect: {rung: clamp, fired: [logprob-probe], effect: degrade, by: clamp}}
"""


def run(cases: str) -> list[str]:
    results = runner().run(EXAMPLE, cases_of([suite(cases)]))
    return ["pass" if result.failure is None else result.failure.sentence() for result in results]


def one(*steps: str) -> str:
    [outcome] = run("  - name: one\n    steps:\n" + "".join(f"      - {step}\n" for step in steps))
    return outcome


def test_the_example_of_the_authors_page_passes() -> None:
    assert run(EXAMPLE_CASES) == ["pass", "pass"]


@pytest.mark.parametrize(
    ("steps", "outcome"),
    [
        pytest.param(
            ["{as: paid, send: plain, times: 81, expect: {effect: allow}}"],
            "step 1, send 81 of 81, at 2026-01-15T12:00:00.000Z: effect: expected allow, got deny - by key-quota",
            id="the send that differs is named",
        ),
        pytest.param(
            ["{advance: 90s}", "{as: paid, send: plain, expect: {rung: strip}}"],
            "step 2, at 2026-01-15T12:01:30.000Z: rung: expected strip, got none",
            id="virtual time is shown",
        ),
        pytest.param(
            ["{as: fresh, send: probe, times: 50, every: 2s}"],
            "step 1, send 50 of 50, at 2026-01-15T12:01:38.000Z: fired: expected [], got [logprob-probe] - a rule that fires has to be listed",
            id="a rule that fires and is not listed fails the case",
        ),
        pytest.param(
            ["{as: fresh, send: hot}"],
            "step 1, at 2026-01-15T12:00:00.000Z: shadow_fired: expected [], got [young-and-long] - a rule that fires has to be listed",
            id="so does one in shadow",
        ),
        pytest.param(
            ["{as: paid, send: plain, expect: {fired: [logprob-probe]}}"],
            "step 1, at 2026-01-15T12:00:00.000Z: fired: expected [logprob-probe], got []",
            id="a rule that is listed and does not fire fails the case",
        ),
        pytest.param(
            ["{as: fresh, send: hot, expect: {fired: [young-and-long]}}"],
            "step 1, at 2026-01-15T12:00:00.000Z: fired: expected [young-and-long], got [] - "
            "young-and-long is in shadow and fires there: it belongs in shadow_fired",
            id="a rule that fires in the other world is named",
        ),
    ],
)
def test_the_first_difference_is_shown_with_its_place(steps: list[str], outcome: str) -> None:
    assert one(*steps) == outcome


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(
            ["{as: fresh, send: hot, expect: {shadow_fired: [young-and-long], score: 0, shadow_score: 20, shadow_rung: observe, rung: none}}"],
            id="the shadow world is reported apart",
        ),
        pytest.param(
            ["{as: research, send: probe, times: 49}", "{as: research, send: probe, first: 49, expect: {exempt: [research-access]}}"],
            id="an exemption that was used",
        ),
        pytest.param(
            [
                "{as: fresh, send: probe, times: 49, every: 10s}",
                "{as: fresh, send: probe, first: 49, expect: {fired: [logprob-probe], flags: [logprob_probe], score: 65, actions: [drop, clamp]}}",
                "{advance: 71h, as: fresh, send: plain, expect: {rung: clamp}}",
                "{advance: 1h, as: fresh, send: plain, expect: {rung: none, flags: []}}",
            ],
            id="a flag ends with its time to live",
        ),
        pytest.param(
            [
                "{as: \"fleet#{n}\", send: probe, times: 49}",
                "{as: \"fleet#99\", send: probe, first: 49, expect: {fired: [logprob-probe]}}",
            ],
            id="several keys of one account count together",
        ),
        pytest.param(["{as: paid, send: plain, expect: {status: 200, code: \"\", by: \"\"}}"], id="an allow is decided by nobody"),
    ],
)  # fmt: skip
def test_what_is_expected_is_what_production_does(steps: list[str]) -> None:
    assert one(*steps) == "pass"


def test_a_body_that_cannot_be_read_is_denied_as_the_gateway_does() -> None:
    cases = """\
  - name: nonsense
    steps:
      - {as: paid, send: broken, expect: {effect: deny, status: 400, by: request}}
"""
    head_with_broken = HEAD.replace("    hot:", "    broken: {body: {model: large}}\n    hot:")
    results = runner().run(EXAMPLE, cases_of([suite(cases, head=head_with_broken)]))
    assert [result.failure for result in results] == [None]


def test_fields_set_directly_reach_the_rules_whatever_the_detectors_say() -> None:
    head = HEAD.replace(
        "    hot:", "    long: {text: short, fields: {request.turns: 9, account.age_days: 1}}\n    hot:"
    )
    cases = "  - name: one\n    steps: [{as: paid, send: long, expect: {shadow_fired: [young-and-long]}}]\n"
    results = runner().run(EXAMPLE, cases_of([suite(cases, head=head)]))
    assert [result.failure for result in results] == [None]
