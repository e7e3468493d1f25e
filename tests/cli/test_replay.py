"""`stillgate replay`: files in, files out, exit codes and what is printed."""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from proxy.cli import app
from proxy.errors import ConfigurationError
from proxy.replay.lines import STDIN, Files
from tests.replay.traffic import PACK, as_bytes, line

# The verb needs no hunter where the pack has no campaigns.
QUIET = PACK.partition("campaigns:")[0] + "ladder:" + PACK.partition("ladder:")[2]


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    file = tmp_path / "example.yaml"
    file.write_text(QUIET)
    return file


def run(*words: str | Path, given: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["replay", *map(str, words)], input=given)


def test_standard_input_is_read_and_both_files_are_written(tmp_path: Path, pack: Path) -> None:
    decisions, findings = tmp_path / "d.jsonl", tmp_path / "f.jsonl"
    given = as_bytes([line(at=second) for second in range(4)])
    result = run("-", "--pack", pack, "--decisions", decisions, "--findings", findings, "--jobs", "1", given=given)
    assert result.exit_code == 0, result.output
    assert [json.loads(row)["effect"] for row in decisions.read_bytes().splitlines()] == ["allow"] * 3 + ["deny"]
    assert findings.read_bytes() == b""
    assert "by quota:key-quota" in result.stdout
    assert result.stderr == ""  # no progress where nobody watches


@pytest.mark.parametrize(
    ("given", "said"), [(b"", "0 lines in "), (b"{\n", "1 lines in "), (as_bytes([line()]), "from 20")]
)
def test_no_time_is_told_of_traffic_that_has_none(pack: Path, given: bytes, said: str) -> None:
    assert said in run("-", "--pack", pack, "--jobs", "1", given=given).stdout
    document = json.loads(run("-", "--pack", pack, "--jobs", "1", "--json", given=given).stdout)
    assert ([document["began"], document["ended"]] == [None, None]) is (said != "from 20")


def test_a_pipe_is_read_by_its_name(tmp_path: Path, pack: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writing = threading.Thread(target=pipe.write_bytes, args=[as_bytes([line()])])
    writing.start()
    result = run(pipe, "--pack", pack, "--json", "--jobs", "1")
    writing.join()
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["effects"] == {"allow": 1}


def test_where_there_is_no_standard_input_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ConfigurationError, match="no standard input"):
        Files([STDIN]).check()


def test_json_has_every_number(tmp_path: Path, pack: Path) -> None:
    file = tmp_path / "traffic.jsonl"
    file.write_bytes(as_bytes([line()]) + b"nonsense\n")
    result = run(file, "--pack", pack, "--json", "--jobs", "1")
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert (said["lines"], said["effects"], said["unreadable_lines"]) == (2, {"allow": 1}, 1)
    assert said["unreadable"][0]["line"] == 2


def test_what_could_not_be_read_is_said_in_words(tmp_path: Path, pack: Path) -> None:
    file = tmp_path / "traffic.jsonl"
    file.write_bytes(b"nonsense\n" + as_bytes([line(at=9), line(at=9), line(at=3), line(at=9e6), line(path="/v1/x")]))
    result = run(file, "--pack", pack, "--jobs", "1")
    assert result.exit_code == 1
    for words in (
        "1 lines could not be read",
        f"{file}:1: is not JSON from column 1 on; each line must be an object",
        "1 repeated exchanges, answered as the first time",
        "came late and were put where they belong",
        "clock jumps",
        f"{file}:5: ",
        "minutes ahead",
        "no dialect takes",
    ):
        assert words in result.stdout


def test_a_line_that_cannot_be_read_is_named_by_its_file_and_its_number_there(tmp_path: Path, pack: Path) -> None:
    first, empty, second = tmp_path / "first.jsonl", tmp_path / "empty.jsonl", tmp_path / "second.jsonl"
    first.write_bytes(as_bytes([line(at=1), line(at=2)]))
    empty.touch()
    second.write_bytes(as_bytes([line(at=3)]) + b"[1]\n{}\n")
    result = run(first, empty, second, "--pack", pack, "--jobs", "1", "--json")
    assert [(fault["place"], fault["line"]) for fault in json.loads(result.stdout)["unreadable"]] == [
        (f"{second}:2", 4),
        (f"{second}:3", 5),
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["missing.jsonl"],
        ["."],
        ["-", "-"],
        ["traffic.jsonl", "--decisions", "no/such/folder"],
        ["traffic.jsonl", "--decisions", "traffic.jsonl"],
        ["traffic.jsonl", "--decisions", "d", "--findings", "d"],
        ["traffic.jsonl", "--pack", "missing.yaml"],
        ["traffic.jsonl", "--judge-every", "often"],
        ["traffic.jsonl", "--judge-every", "0s"],
        ["traffic.jsonl", "--jobs", "-1"],
        [],
    ],
)
def test_wrong_usage_and_unusable_files_are_2(
    words: list[str], tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("traffic.jsonl").write_bytes(as_bytes([line()]))
    result = run(*words, *(() if "--pack" in words else ("--pack", str(pack))))
    assert result.exit_code == 2
    assert Path("traffic.jsonl").read_bytes() == as_bytes([line()])


def test_a_folder_is_not_said_to_be_missing(tmp_path: Path, pack: Path) -> None:
    result = run(tmp_path, "--pack", pack)
    assert (result.exit_code, result.stderr) == (2, f"{tmp_path}: is a folder; name the files in it\n")


def test_a_file_that_may_not_even_be_looked_for_is_told_in_words(
    tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden, look = tmp_path / "traffic.jsonl", Path.stat

    def stat(path: Path, **how: bool) -> os.stat_result:
        if path == hidden:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return look(path, **how)

    monkeypatch.setattr(Path, "stat", stat)
    for words in ([hidden], [hidden, "--decisions", tmp_path / "d"]):
        result = run(*words, "--pack", pack)
        assert (result.exit_code, result.stderr) == (2, f"{hidden}: cannot be read: Permission denied\n")


def test_an_output_that_takes_no_more_is_2(tmp_path: Path, pack: Path) -> None:
    file = tmp_path / "traffic.jsonl"
    file.write_bytes(as_bytes([line()]))
    result = run(file, "--pack", pack, "--decisions", "/dev/full", "--jobs", "1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "/dev/full: cannot be written: No space left on device\n"
