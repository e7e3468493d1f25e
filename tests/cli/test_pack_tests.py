"""A pack's tests run before it is activated, and what fails is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.cli.pack_tests import failures_of
from proxy.documents.problem import YamlProblems

PACK = """\
apiVersion: stillgate/v1
kind: PolicyPack
metadata: {name: example, version: 1.0.0, owner: abuse-team}
quotas:
  - {id: few, per: key, mode: enforce, limits: [{measure: requests, max: 2, window: 1m}]}
"""
TESTS = """\
apiVersion: stillgate/v1
kind: PolicyTest
pack: example.yaml
fixtures: {accounts: {paid: {}}, requests: {plain: {}}}
cases:
  - name: three pass
    steps: [{as: paid, send: plain, times: TIMES, expect: {effect: allow}}]
"""


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    file = tmp_path / "example.yaml"
    file.write_text(PACK)
    return file


def test_a_pack_without_tests_has_no_failures(pack: Path) -> None:
    assert failures_of(pack) == []


@pytest.mark.parametrize(("times", "passes"), [(2, True), (3, False)])
def test_what_fails_is_told(pack: Path, times: int, passes: bool) -> None:
    (pack.parent / "tests" / "t.yaml").write_text(TESTS.replace("TIMES", str(times)))
    failures = failures_of(pack)
    assert (not failures) is passes
    assert passes or "step 1, send 3 of 3, at 2026-01-15T12:00:00.000Z: effect: expected allow, got deny" in failures[1]


def test_tests_of_another_pack_are_left_alone(pack: Path) -> None:
    (pack.parent / "tests" / "t.yaml").write_text(TESTS.replace("TIMES", "3").replace("example.yaml", "other.yaml"))
    assert failures_of(pack) == []


def test_tests_that_cannot_be_read_are_no_tests_that_pass(pack: Path) -> None:
    (pack.parent / "tests" / "t.yaml").write_text(TESTS.replace("TIMES", "0"))
    with pytest.raises(YamlProblems, match="should be at least 1"):
        failures_of(pack)
