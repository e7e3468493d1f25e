"""`stillgate trace` without a proxy: files in, a verdict out, and exit codes."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from proxy.admin_side.trace import _ANSWERS_MAX
from proxy.cli import app
from proxy.cli.trace import _batches
from proxy.marks.keys import CampaignKey
from proxy.marks.marking import Marking
from proxy.marks.place import Place
from proxy.secrets import Purpose, load_or_create_master
from tests.marks.texts import PROSE


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    secret = folder / "master.secret"
    secret.touch(mode=0o600)
    # Always the same: with one in a hundred, a text that bears no mark seems to bear one.
    secret.write_bytes(base64.b64encode(bytes(range(32))))
    return folder


def marks(data: Path) -> bytes:
    return load_or_create_master(data / "master.secret").derive(Purpose.MARKS)


def marked(data: Path, name: str) -> str:
    marking = Marking(CampaignKey(marks(data), name))
    return marking.feed(PROSE) + marking.end()


def jsonl(file: Path, *texts: str) -> Path:
    file.write_text("".join(json.dumps({"text": text, "id": 7}) + "\n" for text in texts))
    return file


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["trace", *map(str, words)])


def test_a_marked_text_is_found_without_a_proxy(tmp_path: Path, data: Path) -> None:
    file = jsonl(tmp_path / "texts.jsonl", PROSE, marked(data, "c-2"))
    words = ("--texts", file, "--offline", "--key", "c-1", "--key", "c-2", "--data", data)
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert (said["found"], said["keys"], said["tests"]) == (True, 2, 6)
    assert [entry["campaign"] for entry in said["texts"]] == [None, "c-2"]
    assert said["texts"][1]["text"] == f"{file}:2"
    assert said["texts"][1]["places"] > said["places_needed_if_damaged"] > said["places_needed"]
    assert said["texts"][1]["chance"] <= said["rate"] == 0.01
    assert said["tokens"] > said["tokens_needed_if_damaged"] > said["tokens_needed"] > 0
    assert (said["habits"] < 8, said["style"]) == (True, None)
    told = run(*words)
    assert told.exit_code == 0
    for part in (
        "2 texts, 2 keys",
        "all together",
        "c-2",
        "1 texts bear a mark by themselves",
        "a finding needs",
        "in texts like these that is some",
        "habits of style are too few",
    ):
        assert part in told.stdout
    assert told.stderr == ""  # no progress where nobody watches


def test_whatever_characters_texts_have_each_line_is_one(tmp_path: Path, data: Path) -> None:
    file = tmp_path / "texts.jsonl"
    lines = ['{"text": "It is so.\u2028\x85 It is."}', '{"text": "\\ud83d", "score": NaN}', '{"text": "So it is."}']
    file.write_text("\r\n".join(lines), "utf-8-sig")
    said = json.loads(run("--texts", file, "--offline", "--key", "c-1", "--data", data, "--json").stdout)
    assert [entry["text"] for entry in said["texts"]] == [f"{file}:{number}" for number in (1, 2, 3)]


def test_a_reference_is_read_and_not_tested(tmp_path: Path, data: Path) -> None:
    suspects = jsonl(tmp_path / "texts.jsonl", "It is 60% and not 60 percent.", "Of 60%.", "Of 60 percent.")
    reference = jsonl(tmp_path / "reference.jsonl", "Of 60%.", "Of 70%.", "Of 80 percent.", marked(data, "c-2"))
    words = ("--texts", suspects, "--offline", "--key", "c-1", "--data", data, "--json")
    alone, against = (json.loads(run(*words, *more).stdout) for more in ((), ("--reference", reference)))
    assert (alone["habits"], against["habits"]) == (0, 1), "one and one of those who show it, and two and one"
    assert (len(against["texts"]), against["found"], against["tokens"]) == (3, False, alone["tokens"])
    missing = run(*words, "--reference", tmp_path / "none.jsonl")
    assert (missing.exit_code, "none.jsonl: cannot be read" in missing.stderr) == (2, True)


def test_nothing_found_is_exit_code_1(tmp_path: Path, data: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text(PROSE)
    result = run("--texts", file, "--offline", "--key", "c-1", "--data", data)
    assert result.exit_code == 1
    assert "1 texts, 1 keys" in result.stdout
    file.write_text("Nothing.")
    empty = run("--texts", file, "--offline", "--key", "c-1", "--data", data)
    assert "nothing in some 3 tokens could bear a mark" in empty.stdout


@pytest.mark.parametrize(
    ("content", "words", "says"),
    [
        ('{"text": 3}\n', [], 'should be an object such as {"text": "..."}'),
        ("nonsense\n", [], "texts.jsonl:1: should be an object"),
        ("", [], "there is no text in these files"),
        (None, [], "texts.jsonl: cannot be read: No such file or directory"),
        ('{"text": "x"}', ["no key"], "--offline: which campaigns?"),
        ('{"text": "x"}', ["no secret"], "there is no master secret"),
    ],
)
def test_what_cannot_be_used_is_exit_code_2(
    tmp_path: Path, data: Path, content: str | None, words: list[str], says: str
) -> None:
    file = tmp_path / "texts.jsonl"
    if content is not None:
        file.write_text(content)
    folder = tmp_path / "none" if words == ["no secret"] else data
    keys = [] if words == ["no key"] else ["--key", "c-1"]
    result = run("--texts", file, "--offline", *keys, "--data", folder)
    assert result.exit_code == 2
    assert says in result.stderr


def test_without_a_proxy_and_without_offline_it_says_so(tmp_path: Path, data: Path) -> None:
    result = run("--texts", jsonl(tmp_path / "t.jsonl", PROSE), "--data", data)
    assert result.exit_code == 2
    assert "no proxy answers" in result.stderr


@pytest.mark.parametrize("sizes", [[0] * 1_000, [3] * 450, [12_000, 0, 1], [5_000], [0], []])
def test_many_texts_are_asked_about_so_many_at_a_time(sizes: list[int]) -> None:
    lists = [[Place("row", f"{at}-{number}", 0, 2) for number in range(size)] for at, size in enumerate(sizes)]
    together: dict[int, list[Place]] = {at: [] for at in range(len(lists))}
    batches = list(_batches(lists))
    for batch in batches:
        assert len(batch) <= _ANSWERS_MAX // (2 * 20_000), "of twenty thousand ids under two secrets"
        assert sum(len(places) for _, places in batch) <= 5_000
        for at, places in batch:
            together[at] += places
    assert list(together.values()) == lists
    assert {at for batch in batches for at, _ in batch} == set(range(len(lists)))
