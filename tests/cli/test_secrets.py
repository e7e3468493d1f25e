"""`stillgate secrets`: what each verb prints and how it ends; no secret is among it."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from proxy.cli import app
from proxy.secrets import Master, load_or_create_master

SECRET = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "master.secret").touch(mode=0o600)
    (tmp_path / "master.secret").write_text(SECRET + "\n")
    return tmp_path


def run(data: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["secrets", *words, "--data", str(data)])


def test_each_verb_shows_what_there_is_now_and_no_secret(data: Path) -> None:
    first = Master(bytes(range(32))).id
    said = [run(data, *words) for words in (["show"], ["rotate", "--ahead"], ["rotate"], ["retire"], ["show"])]
    assert [result.exit_code for result in said] == [0] * 5
    states = [[line.split()[1] for line in result.stdout.splitlines()[1:]] for result in said]
    retired = ["retired", "in-force"]
    assert states == [["in-force"], ["in-force", "next"], ["old", "in-force"], retired, retired]
    assert all(result.stdout.splitlines()[1].startswith(first) for result in said)
    secrets = [line.split()[-1] for line in (data / "master.secret").read_text().splitlines()]
    assert secrets[0] == SECRET
    assert not [each for each in secrets for result in said if each in result.output]
    assert "at its next start" in said[1].stderr
    assert ["stillgate secrets retire" in result.stderr for result in said] == [False, False, True, False, False]


def test_a_program_reads_it(data: Path) -> None:
    (row,) = json.loads(run(data, "show", "--json").stdout)
    assert row == {"id": Master(bytes(range(32))).id, "state": "in-force", "since": None, "first": True}
    rows = json.loads(run(data, "rotate", "--json").stdout)
    assert [row["first"] for row in rows] == [True, False]
    assert rows[1]["id"] == load_or_create_master(data / "master.secret").id


@pytest.mark.parametrize("verb", ["show", "rotate", "retire"])
def test_without_a_secret_there_is_nothing_to_do(tmp_path: Path, verb: str) -> None:
    result = run(tmp_path, verb)
    assert result.exit_code == 1
    assert "the master secret cannot be" in result.stderr
    assert not list(tmp_path.iterdir())
