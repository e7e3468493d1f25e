"""What the program needs of where it runs is asked for before it starts."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from proxy.errors import ConfigurationError
from proxy.machine import runtime
from proxy.machine.runtime import check_runtime

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_every_library_that_is_needed_has_a_least_version_that_is_asked_for() -> None:
    """C-02: what pyproject.toml wants is what a start looks at; none of it is written in a way that is not read."""
    assert all(runtime._REQUIREMENT.fullmatch(wanted) for wanted in PROJECT["dependencies"])
    check_runtime()


def installed_but(name: str, found: str | None) -> Callable[[str], str]:
    def installed(asked: str) -> str:
        if asked != name:
            return version(asked)
        if found is None:
            raise PackageNotFoundError(asked)
        return found

    return installed


@pytest.mark.parametrize("wanted", PROJECT["dependencies"])
def test_an_older_library_is_refused(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """C-02."""
    name, least = re.split(r"(?:\[.*\])?>=", wanted)
    for found, refused in ((least, False), ("0.0.1", True), (None, True), ("9999.1rc1", False)):
        monkeypatch.setattr(runtime, "version", installed_but(name, found))
        if not refused:
            check_runtime()
            continue
        with pytest.raises(ConfigurationError, match=rf"{name} {re.escape(least)} or newer is needed"):
            check_runtime()


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("AIOHTTP_NO_EXTENSIONS", "1", "aiohttp runs without its parser in C"),  # H-19
        ("PYTHONHASHSEED", "0", "unset PYTHONHASHSEED"),  # J-07
    ],
)
def test_a_start_that_would_read_requests_otherwise_is_refused(
    tmp_path: Path, variable: str, value: str, says: str
) -> None:
    command = [sys.executable, "-m", "proxy.cli", "serve", "--data", str(tmp_path / "data")]
    environment = {"PATH": os.defpath, "HOME": str(tmp_path), variable: value}
    ended = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - words of our own
    assert ended.returncode == 1
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "data").exists()


def test_a_crash_leaves_no_memory_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """G-15."""
    told: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: told.append((which, limits)))
    runtime.leave_no_core()
    assert told == [(resource.RLIMIT_CORE, (0, 0))]
