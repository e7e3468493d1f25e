"""Mutation lists exactly the numbers that no case pins."""

from __future__ import annotations

from proxy.detectors import field_table
from proxy.policy_testing.mutation import Pinning
from proxy.policy_testing.running import cases_of
from tests.policy_testing.packs import EXAMPLE, runner, suite

QUOTA = """\
  - name: the quota
    steps:
      - {as: paid, send: plain, times: 80, expect: {effect: allow}}
      - {as: paid, send: plain, expect: {effect: deny}}
      - {advance: 60999ms}
      - {as: paid, send: plain, expect: {effect: deny}}
      - {advance: 1ms}
      - {as: paid, send: plain, expect: {effect: allow}}
"""
YOUNG = """\
  - name: young and long
    steps:
      - {as: fresh, send: hot, expect: {shadow_fired: [young-and-long], shadow_score: 20, shadow_rung: observe}}
      - {advance: 3599s, as: fresh, send: plain, expect: {shadow_score: 20}}
      - {advance: 1s, as: fresh, send: plain, expect: {shadow_score: 0}}
"""


def unpinned(text: str) -> dict[str, tuple[str, ...]]:
    cases = cases_of([suite(text)])
    pinning = Pinning(EXAMPLE, cases, field_table(), lambda _: True)
    assert [result.failure for result in runner().run(EXAMPLE, cases, pinning.see)] == [None] * len(cases)
    return dict(pinning.unpinned(runner()))


def test_a_quota_is_pinned_from_both_sides() -> None:
    found = unpinned(QUOTA)
    assert not [number for number in found if number.startswith("quota")]


def test_without_cases_for_a_number_both_directions_are_listed() -> None:
    found = unpinned("  - name: nothing\n    steps: [{as: paid, send: plain}]\n")
    assert found["quota key-quota: requests per 1m, max 80"] == ("79", "81")
    assert found["quota key-quota: requests per 1m, window"] == ("59s", "61s")
    assert found["rule logprob-probe: signals.probe_requests gte 50"] == ("49", "51")
    assert found["rule young-and-long: request.temperature gt 1.5"] == ("1.49", "1.51")
    assert found["rung clamp: score 60"] == ("20", "66")


def test_a_number_pinned_from_one_side_is_listed_with_the_other() -> None:
    found = unpinned(YOUNG)
    assert "rule young-and-long: score 20" not in found
    assert "rule young-and-long: ttl 1h" not in found
    assert "rung observe: score 20" not in found
    assert found["rung clamp: score 60"] == ("66",)
    assert found["rule young-and-long: account.age_days lt 60"] == ("59", "61")
