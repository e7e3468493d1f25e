"""The frame of the project: every make target needs an empty machine only, and every library has its reason."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "pyproject.toml").read_text()


def made(target: str, folder: Path) -> str:
    """Return what `make` would do where nothing is installed yet."""
    words = ["make", "--dry-run", f"VENV={folder}", f"NODE={folder}/node", target]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout  # noqa: S603


@pytest.mark.parametrize("target", ["run", "demo", "test", "lint", "bench", "soak", "lock", "sbom"])
def test_a_target_installs_what_it_needs_before_it_does_anything(tmp_path: Path, target: str) -> None:
    lines = made(target, tmp_path / "venv").splitlines()
    steps = [f"-m venv {tmp_path}/venv", "install .*--require-hashes -r requirements-dev.lock", r"install .* -e \.$"]
    steps += [r"\bnpm ci\b"] if target in {"test", "soak"} else []
    found = [next(at for at, line in enumerate(lines) if re.search(step, line)) for step in steps]
    assert found == sorted(found)
    uses = [at for at, line in enumerate(lines) if f"{tmp_path}/venv/bin/" in line and "/bin/pip " not in line]
    assert min(uses) >= found[2]


def test_what_continuous_integration_runs_is_the_gate_and_every_test() -> None:
    assert (ROOT / ".ci" / "run").read_text().endswith('cd "$(dirname "$0")/.."\nexec make lint test\n')
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111 == 0o111


def test_every_library_that_customers_install_has_a_sentence_that_says_what_for() -> None:
    product, _, optional = TEXT.partition("[project.optional-dependencies]")
    listed = product.partition("\ndependencies = [\n")[2].partition("\n]\n")[0].splitlines()
    extras = optional.partition("\ntest = [")[0].strip().splitlines()
    assert len(listed) >= 20
    for lines in (listed, extras):
        assert len(lines) % 2 == 0
        for sentence, library in zip(lines[::2], lines[1::2], strict=True):
            assert re.fullmatch(r" *# [A-Z].*\.", sentence), library
            assert re.fullmatch(r' *("|[a-z]+ = \[").*', library), sentence
