"""Actions that wait for an answer, in the tests of a pack: the exchange counts as degraded, whatever the answer will be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from proxy.actions.mark import Mark
from proxy.actions.pace import Pace
from proxy.actions.withhold import Withhold
from proxy.policy_testing.running import cases_of
from proxy.rules.pack.pack import Rung
from proxy.rules.pack.words import Approval
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
      - {as: paid, send: plain, expect: {effect: allow, rung: none, actions: []}}
"""
    [result] = runner().run(PACK, cases_of([suite(steps, PACK)]))
    assert result.failure is None, result.failure.sentence()


@pytest.mark.parametrize(
    ("send", "actions"),
    [
        ("plain", ("withhold", "pace", "mark")),  # no figures were asked for, and it is short enough already
        ("probe", ("drop", "withhold", "pace", "mark")),
    ],
)
def test_a_case_lists_every_action_on_the_call_and_on_the_answer(send: str, actions: tuple[str, ...]) -> None:
    rungs = [
        rung
        if rung.name != "withhold"
        else replace(rung, do=(Withhold(), Pace(1.0, None), Mark(words=True, style=False)))
        for rung in PACK.ladder
        if rung.name != "clamp"
    ]
    pack = replace(PACK, ladder=tuple(rungs))
    case = """
  - name: what is done to whoever sweeps
    steps:
      - {{as: "fresh#1", send: probe, times: 49, every: 20s}}
      - {{as: "fresh#1", send: probe, first: 49, expect: {{fired: [logprob-probe]}}}}
      - {{as: "fresh#1", send: {send}, first: 50, expect: {{fired: [logprob-probe], actions: {actions}}}}}
"""

    def run(listed: Sequence[str]) -> str:
        steps = case.format(send=send, actions=f"[{', '.join(listed)}]")
        [result] = runner().run(pack, cases_of([suite(steps, pack)]))
        return "" if result.failure is None else result.failure.sentence()

    assert run(actions) == ""
    for left_out in actions:
        shown = f"got [{', '.join(sorted(actions))}]"
        assert run([name for name in actions if name != left_out]).endswith(shown)
