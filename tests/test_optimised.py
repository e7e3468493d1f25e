"""Nothing depends on assertions that `python -O` takes out: what runs in process is tested under it as well (C-07)."""

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
    *("tests/test_intake.py", "tests/test_deciding.py", "tests/test_listener.py", "tests/test_upstream_connection.py"),
]
FAILING = """
import sys

def test_that_assertions_of_tests_are_still_there():
    assert sys.flags.optimize == 0
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
