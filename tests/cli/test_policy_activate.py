"""A pack's tests run before it is activated, and what fails is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from proxy.cli import app
from tests.cli.tested_pack import write_pack, write_tests


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return write_pack(tmp_path)


def refusal(pack: Path) -> str:
    """Return why a pack is not activated: where nothing is wrong with it, since no proxy runs there."""
    words = ["policy", "activate", str(pack), "--why", "x", "--data", str(pack.parent / "data")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    return result.stderr


def test_a_pack_without_tests_passes(pack: Path) -> None:
    assert "no proxy" in refusal(pack)


@pytest.mark.parametrize(("times", "passes"), [(2, True), (3, False)])
def test_what_fails_is_told(pack: Path, times: int, passes: bool) -> None:
    write_tests(pack, times)
    said = refusal(pack)
    assert ("no proxy" in said) is passes
    assert ("its tests fail and it was not activated" in said) is not passes
    assert passes or "step 1, send 3 of 3, at 2026-01-15T12:00:00.000Z: effect: expected allow, got deny" in said


def test_tests_of_another_pack_are_left_alone(pack: Path) -> None:
    write_tests(pack, 3, of="other.yaml")
    assert "no proxy" in refusal(pack)


def test_tests_that_cannot_be_read_are_no_tests_that_pass(pack: Path) -> None:
    write_tests(pack, 0)
    assert "should be at least 1" in refusal(pack)
