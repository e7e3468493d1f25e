"""`stillgate log`: what a reviewer or a judge is told about a decision log, and the keys that vouch for it."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
from pathlib import Path
from typing import NoReturn

import pytest
from typer.testing import CliRunner, Result

from proxy.cli import app
from tests.decisions.chained import write_log


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["log", *map(str, arguments)])


@pytest.fixture
async def log(tmp_path: Path) -> tuple[Path, str]:
    folder = tmp_path / "decisions"
    folder.mkdir()
    return folder, await write_log(folder / "decisions-0.jsonl", 60)


def test_a_whole_log_is_said_to_be_one(log: tuple[Path, str]) -> None:
    folder, key = log
    result = run("verify", folder, "--key", key)
    assert (result.exit_code, "nothing wrong" in result.stdout) == (0, True)
    found = json.loads(run("verify", folder, "--key", key, "--json").stdout)
    assert (found["findings"], [chain["tail"] for chain in found["chains"]]) == ([], [0])


def test_damage_is_told_with_its_file_and_line_and_ends_with_1(log: tuple[Path, str], tmp_path: Path) -> None:
    folder, key = log
    file = folder / "decisions-0.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:9], *lines[12:]]))
    public = tmp_path / "public"
    public.write_text(key + "\n")
    result = run("verify", file, "--key", public)
    assert result.exit_code == 1
    assert f"{file}:10: deleted: numbers 10 to 12 are missing before this line" in result.stdout
    (finding,) = json.loads(run("verify", file, "--key", public, "--json").stdout)["findings"]
    assert (finding["damage"], finding["line"], finding["seq"]) == ("deleted", 10, 13)


def test_a_file_of_a_key_may_have_any_name_and_none_passes_for_another_key(
    log: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, key = log
    monkeypatch.chdir(tmp_path)
    for name in ("c++.pub", "a+b/log.pub"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(key + "\n")
        assert run("verify", folder, "--key", name).exit_code == 0
    made = run("keygen", "another.key")
    other = made.stdout.strip()
    Path(other).parent.mkdir(parents=True, exist_ok=True)
    Path(other).write_text(key + "\n")
    assert run("verify", folder, "--key", other).exit_code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "nowhere", "--key", "x"],
        ["verify", ".", "--key", "x"],
        ["verify", "."],
        ["verify", ".", "--key", "x+y+z"],
    ],
)
def test_what_cannot_be_verified_is_no_verdict(arguments: list[str], tmp_path: Path) -> None:
    result = run(*(tmp_path if argument == "." else argument for argument in arguments))
    assert result.exit_code == 2
    assert result.stdout == ""


def test_a_terminal_obeys_nothing_of_a_files_name_and_none_passes_for_a_line_of_ours(log: tuple[Path, str]) -> None:
    """A-07: who can put a file there chooses its name."""
    folder, key = log
    hostile = "\x1b[2J\n60 lines, nothing wrong\udcff.jsonl"
    (folder / hostile).write_text("nothing of the kind\n")
    shown = run("verify", folder, "--key", key)
    assert shown.exit_code == 1
    assert "/\\x1b[2J\\n60 lines, nothing wrong\\udcff.jsonl:1: inserted" in shown.stdout
    assert "\n60 lines" not in shown.stdout
    (finding,) = json.loads(run("verify", folder, "--key", key, "--json").stdout)["findings"]
    assert finding["file"] == f"{folder}/\\x1b[2J\\n60 lines, nothing wrong\\udcff.jsonl"


def test_files_that_cannot_be_read_are_named_and_no_verdict(
    log: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, key = log
    closed = folder / "decisions-0.jsonl"
    opened = io.FileIO

    def open_it(path: Path) -> io.FileIO:
        if path == closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path)

    monkeypatch.setattr(io, "FileIO", open_it)
    result = run("verify", folder, "--key", key)
    assert f"{closed}: unreadable: it cannot be read: Permission denied" in result.stdout
    assert result.exit_code == 2
    (folder / "decisions-1.jsonl").write_text("nothing of the kind\n")
    result = run("verify", folder, "--key", key)
    assert ("inserted" in result.stdout, result.exit_code) == (True, 1), "this one is damaged"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["verify", "HIDDEN", "--key", "x"], 2),
        (["query", "HIDDEN"], 2),
        (["export", "HIDDEN", "--to", "out"], 2),
        (["samples", "list", "HIDDEN"], 1),
        (["keygen", "HIDDEN"], 1),
        (["keygen", "HIDDEN", "--samples"], 1),
    ],
)
def test_a_place_that_may_not_even_be_looked_for_is_told_in_words(
    arguments: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As what is in the data folder, to whoever is not its owner."""
    hidden = tmp_path / "data" / "decisions"
    look = Path.stat

    def stat(path: Path, **how: bool) -> os.stat_result:
        if path == hidden:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return look(path, **how)

    monkeypatch.setattr(Path, "stat", stat)
    monkeypatch.chdir(tmp_path)
    result = run(*(hidden if argument == "HIDDEN" else argument for argument in arguments))
    assert (result.exit_code, result.stdout) == (code, "")
    assert isinstance(result.exception, SystemExit)
    assert str(hidden) in "".join(result.stderr.split()).replace("│", ""), result.stderr


@pytest.mark.parametrize("arguments", [["verify", "CLOSED", "--key", "x"], ["query", "CLOSED"]])
def test_a_folder_that_may_not_be_listed_is_not_said_to_hold_no_log(
    arguments: list[str], log: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def may_not(folder: Path) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    monkeypatch.setattr(os, "listdir", may_not)
    monkeypatch.setattr(os, "scandir", may_not)
    result = run(*(log[0] if argument == "CLOSED" else argument for argument in arguments))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Permissiondenied" in "".join(result.stderr.split()).replace("│", ""), result.stderr


def test_keys_are_made_shown_and_replaced(tmp_path: Path) -> None:
    key = tmp_path / "log.key"
    made = run("keygen", key, "--name", "acme/log").stdout.strip()
    assert made.startswith("acme/log+")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    for option, instead in ((), "log rotate"), (("--samples",), "another file"):
        again = run("keygen", key, *option)
        assert (again.exit_code, instead in again.stderr) == (1, True)
    assert run("key", "--data", tmp_path).stdout.strip() == made
    replaced = run("rotate", "--data", tmp_path).stdout.strip()
    assert replaced != made
    assert run("key", "--data", tmp_path).stdout.strip() == replaced
    secret = key.read_text().strip().split("+", 4)[4]
    assert secret not in made + replaced
    key.write_text(key.read_text().replace("acme/log", "evil/log"))
    refused = run("rotate", "--data", tmp_path)
    assert refused.exit_code == 1
    assert secret not in refused.output
