"""Nothing depends on assertions that `python -O` takes out: much is tested under it as well, the whole program too (C-07)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
QUICK = ["tests/auth/test_api_key.py", "tests/auth/test_credential.py"]
IN_PROCESS = [
    *("tests/actions", "tests/auth", "tests/decisions", "tests/detectors", "tests/dialects", "tests/rules"),
    *("tests/steps/test_intake.py", "tests/deciding/test_decider.py"),
    *("tests/clients/test_listener.py", "tests/upstream/test_connection.py"),
]
STARTED = [
    f"tests/end_to_end/test_{name}.py"
    for name in ("admin", "flow", "hostile_requests", "killed", "ladder", "reload", "settlement", "stopping", "tokens")
]
FAILING = """
import sys

def test_that_assertions_of_tests_are_still_there():
    assert sys.flags.optimize == 0
"""

PASSING = """
import psutil

from tests.rig.process import NOBODY, Stillgate

async def test_that_the_program_has_none_either(tmp_path):
    async with Stillgate.start(tmp_path, upstream_url=NOBODY) as gate:
        for pid in (gate.pid, *gate.workers):
            assert psutil.Process(pid).environ()["PYTHONOPTIMIZE"] == "1"
"""


def optimised(*what: str) -> str:
    # A test that is no file of ours may use assertions of others, which pytest then warns of.
    command = [
        sys.executable,
        "-O",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore::pytest.PytestConfigWarning",
    ]
    done = subprocess.run([*command, *what], cwd=ROOT, capture_output=True, text=True, timeout=1800, check=False)  # noqa: S603 - words of our own
    return done.stdout + done.stderr


def test_credentials_are_judged_alike_without_assertions(tmp_path: Path) -> None:
    (tmp_path / "test_failing.py").write_text(FAILING)
    said = optimised(*QUICK, str(tmp_path))
    # The one that fails is there to be seen to: if it did not, the others would tell nothing.
    assert re.search(r"\n1 failed, \d{2,} passed", said), said


@pytest.mark.soak
def test_everything_in_process_holds_without_assertions() -> None:
    said = optimised(*IN_PROCESS)
    assert re.search(r"\n\d{4} passed", said), said


@pytest.mark.soak
def test_the_program_as_a_whole_holds_without_assertions(tmp_path: Path) -> None:
    (tmp_path / "test_passing.py").write_text(PASSING)
    said = optimised(*STARTED, str(tmp_path))
    assert re.search(r"\n\d{2,} passed", said), said
