"""What a person reads of samples on a terminal."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from proxy.cli import app
from proxy.exchange import Text
from proxy.samples.envelope import Sealer
from proxy.samples.excerpt import Content, Excerpt
from proxy.samples.files import append
from tests.decisions.chained import write_log
from tests.samples.said import SAID, keys

TIME = "2026-11-26T10:00:00.000Z"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["log", "samples", *map(str, arguments)])


def kept(folder: Path, *contents: Content, exchange: str = "ex_1") -> Path:
    """Put samples of one exchange into a folder, and return that."""
    sealer = Sealer(keys(folder)[0])
    for content in contents:
        line = sealer.seal(exchange, TIME, content).line()
        append(folder / "samples", 0, dt.date(2026, 11, 26), line, 1 << 20)
    return folder / "samples"


def test_a_terminal_obeys_nothing_of_what_was_said_and_no_line_passes_for_ours(tmp_path: Path) -> None:
    """A-07."""
    hostile = "one\x1b[2J\x07\nanswer:\n\u202etwo\u2028\r[characters left out]"
    content = SAID._replace(request=Excerpt([Text("user\x1b[1m", "m", hostile)], [], whole=True), answer=hostile)
    shown = run("show", "ex_1", kept(tmp_path, content), "--key", tmp_path / "samples.key")
    assert shown.exit_code == 0, shown.output
    said = ["  one\\x1b[2J\\x07", "  answer:", "  \\u202etwo\\u2028\\r[characters left out]"]
    assert shown.stdout.split("\n")[:-1] == [
        f"ex_1: {TIME}, openai.chat",
        "user\\x1b[1m m:",
        *said,
        "answer:",
        *said,
    ]


def test_a_terminal_obeys_nothing_of_what_a_program_is_given(tmp_path: Path) -> None:
    """A-07."""
    hostile = "\x1b[1m\x7f\x9b2J\x9d0;title\x9c\u202e\u2028\U000e0041"
    content = SAID._replace(request=Excerpt([Text("user", "m", hostile)], [], whole=True), answer=hostile)
    shown = run("show", "ex_1", kept(tmp_path, content), "--key", tmp_path / "samples.key", "--json")
    assert shown.stdout.isascii()
    assert shown.stdout.rstrip("\n").isprintable()
    document = json.loads(shown.stdout)
    assert (document["request"]["beginning"][0][2], document["answer"]) == (hostile, hostile)


async def test_the_log_tells_the_sample_that_was_taken_from_one_that_was_put_in(tmp_path: Path) -> None:
    decisions = tmp_path / "decisions"
    decisions.mkdir()
    await write_log(decisions / "decisions-0.jsonl", 5)
    key, folder = tmp_path / "samples.key", kept(tmp_path, SAID)
    shown = run("show", "ex_1", folder, "--key", key, "--log", decisions)
    assert (shown.exit_code, "the decision log knows no such sample" in shown.stdout) == (1, True)
    assert run("show", "ex_1", folder, "--key", key).exit_code == 0


def test_one_that_does_not_open_hides_none_that_does(tmp_path: Path) -> None:
    folder = kept(tmp_path, SAID)
    path = folder / "samples-0-2026-11-26.jsonl"
    whole = path.read_text()
    path.write_text(whole.replace('"sealed":"', '"sealed":"AAAA') + whole + "no sample\n")
    shown = run("show", "ex_1", folder, "--key", tmp_path / "samples.key")
    assert (shown.exit_code, "  hi\n" in shown.stdout) == (0, True)
    listed = run("list", folder)
    assert listed.stdout.count("ex_1") == 2
    assert "1 lines are not samples and were passed over" in listed.stderr


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    folder = kept(tmp_path, SAID)
    missing = run("show", "ex_2", folder, "--key", tmp_path / "samples.key")
    assert (missing.exit_code, missing.stderr) == (1, "stillgate: there is no sample of ex_2\n")
    nowhere = run("list", tmp_path / "nowhere")
    assert (nowhere.exit_code, "holds no samples" in nowhere.stderr) == (1, True)
    keyless = run("show", "ex_1", folder, "--key", tmp_path / "nokey")
    assert (keyless.exit_code, "cannot be read" in keyless.stderr) == (1, True)
    for words in ((), ("--why", "an appeal")):
        unasked = run("show", "../keys", "--key", tmp_path / "samples.key", *words)
        assert unasked.exit_code == 1
        assert ("is not the id of an exchange" if words else "say --why, or name files") in unasked.stderr


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_a_file_of_something_else_is_no_file_of_samples(tmp_path: Path, as_json: list[str]) -> None:
    assert run("list", kept(tmp_path, SAID), *as_json).exit_code == 0
    (tmp_path / "decisions.jsonl").write_text('{"kind":"exchange"}\n' * 3)
    listed = run("list", tmp_path / "decisions.jsonl", *as_json)
    assert (listed.exit_code, listed.stderr) == (1, "3 lines are not samples and were passed over\n")
