"""Coverage names whatever no case brings about, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.policy_testing.coverage import Coverage
from proxy.policy_testing.running import cases_of
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Mode
from tests.policy_testing.packs import EXAMPLE, runner, suite

NOTHING = [
    "rule logprob-probe: never fires",
    "rule young-and-long: never fires",
    "quota key-quota: never refuses",
    "rung observe: never reached",
    "rung strip: never reached",
    "rung clamp: never reached",
    "rung block: never reached",
]


def gaps(pack: Pack, *steps: str) -> list[str]:
    cases = "  - name: one\n    steps:\n" + "".join(f"      - {step}\n" for step in steps)
    coverage = Coverage(pack)
    for _ in runner().run(pack, cases_of([suite(cases)]), lambda _, observed: coverage.see(observed)):
        pass
    return list(coverage.gaps())


@pytest.mark.parametrize(
    ("steps", "filled"),
    [
        pytest.param(["{as: paid, send: plain}"], [], id="a plain request brings nothing about"),
        pytest.param(
            ["{as: paid, send: plain, times: 80}", "{as: paid, send: plain, expect: {effect: deny}}"],
            ["quota key-quota: never refuses"],
            id="a refusal",
        ),
        pytest.param(
            ["{as: paid, send: plain}", "{as: fresh, send: hot, expect: {shadow_fired: [young-and-long]}}"],
            ["rule young-and-long: never fires", "rung observe: never reached"],
            id="a rule in shadow, and a rung that only the shadow world reaches",
        ),
        pytest.param(
            ["{as: fresh, send: probe, times: 49, every: 2s}", "{as: fresh, send: probe, first: 49, expect: {fired: [logprob-probe]}}"],
            ["rule logprob-probe: never fires", "rung observe: never reached", "rung strip: never reached", "rung clamp: never reached"],
            id="the rungs below the highest",
        ),
    ],
)  # fmt: skip
def test_what_happened_is_no_gap(steps: list[str], filled: list[str]) -> None:
    assert gaps(EXAMPLE, *steps) == [gap for gap in NOTHING if gap not in filled]


def test_a_rule_that_always_fires_is_a_gap() -> None:
    found = gaps(EXAMPLE, "{as: fresh, send: hot, expect: {shadow_fired: [young-and-long]}}")
    assert "rule young-and-long: always fires, no case shows that it can stay quiet" in found


def test_what_is_off_is_no_gap() -> None:
    off = replace(
        EXAMPLE,
        quotas=tuple(replace(quota, mode=Mode.OFF) for quota in EXAMPLE.quotas),
        rules=tuple(replace(rule, mode=Mode.OFF) for rule in EXAMPLE.rules),
        ladder=(),
    )
    assert gaps(off, "{as: paid, send: plain}") == []
