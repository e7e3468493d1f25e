"""Actions that wait for an answer, in the tests of a pack: the exchange counts as degraded, whatever the answer will be."""

from __future__ import annotations

from dataclasses import replace

from proxy.actions.withhold import Withhold
from proxy.policy_testing.running import cases_of
from proxy.rules.pack import Approval, Rung
from tests.policy_testing.packs import EXAMPLE, runner, suite

RUNG = Rung("withhold", 62, (Withhold(),), disclose=True, approval=Approval.NONE, client=None)
PACK = replace(EXAMPLE, ladder=tuple(sorted((*EXAMPLE.ladder, RUNG), key=lambda rung: rung.score)))


def test_a_case_can_say_from_when_on_reasoning_is_withheld() -> None:
    steps = """
  - name: a sweep of log-probabilities costs the reasoning too
    steps:
      - {as: "fresh#1", send: probe, times: 49, every: 20s, expect: {effect: allow}}
      - {as: "fresh#1", send: probe, first: 49, expect: {effect: degrade, rung: withhold, by: withhold, fired: [logprob-probe]}}
      - {as: "fresh#1", send: plain, expect: {effect: degrade, rung: withhold, by: withhold, fired: [logprob-probe]}}
      - {as: paid, send: plain, expect: {effect: allow, rung: none}}
"""
    [result] = runner().run(PACK, cases_of([suite(steps, PACK)]))
    assert result.failure is None, result.failure.sentence()
