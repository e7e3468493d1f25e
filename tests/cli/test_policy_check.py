"""`stillgate policy check`: exit codes and the three ways to print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from proxy.cli.policy import policy
from proxy.clock import SystemClock
from proxy.packs.archive import Note, PackArchive
from proxy.rules.pack_file.loading import load_pack

ROOT = Path(__file__).parents[2]
DEFAULT = str(ROOT / "policies" / "default.yaml")
BAD = str(ROOT / "tests" / "rules" / "pack_file" / "bad_packs" / "unknown_key.yaml")
WARNED = str(ROOT / "tests" / "rules" / "pack_file" / "bad_packs" / "warning_all_off.yaml")
PROBLEMS_OF_BAD = 2


def run(*words: str) -> Result:
    return CliRunner().invoke(policy, ["check", *words])


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        ([DEFAULT], 0),
        ([WARNED], 0),
        ([BAD], 1),
        ([DEFAULT, BAD, WARNED], 1),
        (["--pack", DEFAULT], 0),
        (["--pack", BAD], 1),
        ([DEFAULT, "--pack", BAD], 1),
        (["missing.yaml"], 2),
        ([str(ROOT)], 2),
        (["missing.yaml", BAD], 2),
        ([], 2),
        ([DEFAULT, "--format", "xml"], 2),
        (["--pak", DEFAULT], 2),
    ],
)
def test_the_exit_code_tells_a_script_what_happened(words: list[str], exit_code: int) -> None:
    assert run(*words).exit_code == exit_code


@pytest.mark.parametrize("form", ["text", "json", "github"])
def test_the_exit_code_does_not_depend_on_the_format(form: str) -> None:
    assert [run(path, "--format", form).exit_code for path in (DEFAULT, BAD, "missing")] == [0, 1, 2]


def test_a_good_pack_is_summed_up_in_a_line() -> None:
    lines = run(DEFAULT).output.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"{DEFAULT}: default 2.4.0, quotas: 4 enforce, rules: 7 shadow, sha256 ")


def test_text_shows_the_place_the_sentence_the_line_and_a_caret() -> None:
    output = run(BAD).output
    assert f"{BAD}:11:38: error: unknown key 'windw' - did you mean 'window'?\n" in output
    assert output.count("\n    ") == 2 * PROBLEMS_OF_BAD


def test_json_is_one_list_over_all_packs() -> None:
    found = json.loads(run(BAD, WARNED, "--format", "json").output)
    assert [(entry["file"], entry["severity"]) for entry in found] == [(BAD, "error")] * PROBLEMS_OF_BAD + [
        (WARNED, "warning")
    ]
    assert found[1] == {
        "file": BAD,
        "line": 11,
        "column": 38,
        "severity": "error",
        "message": "unknown key 'windw'",
        "suggestion": "window",
    }
    assert json.loads(run(DEFAULT, "--format", "json").output) == []


def test_github_gets_one_annotation_a_line() -> None:
    lines = run(BAD, WARNED, "--format", "github").output.splitlines()
    assert len(lines) == PROBLEMS_OF_BAD + 1
    assert lines[1] == f"::error file={BAD},line=11,col=38::unknown key 'windw' - did you mean 'window'?"
    assert lines[2].startswith(f"::warning file={WARNED},line=")
    assert run(DEFAULT, "--format", "github").output == ""


def test_a_file_name_cannot_forge_an_annotation(tmp_path: Path) -> None:
    path = tmp_path / "a,b:c%\n::error ::forged.yaml"
    path.parent.mkdir(exist_ok=True)
    output = run(str(path), "--format", "github").output
    assert output.count("\n") == 1
    assert "a%2Cb%3Ac%25%0A%3A%3Aerror" in output


@pytest.mark.parametrize(
    ("file", "saying"),
    [
        ("policies/tests/strict.yaml", "this is not a pack: a file of tests, which `stillgate policy test PACK` runs"),
        ("policies/patterns/rubric-grading.yaml", "this is not a pack: a set of patterns"),
    ],
)
def test_a_file_of_another_kind_is_told_as_one_mistake(file: str, saying: str) -> None:
    result = run(str(ROOT / file))
    assert result.exit_code == 1
    assert result.output.count("error:") == 1
    assert saying in result.output


READS_PATTERNS = """\
apiVersion: stillgate/v1
kind: PolicyPack
metadata: {name: example, version: 1.0.0, owner: tests}
rules:
  - {id: judge, when: {content.rubric_grading: {gte: 0.8}}, flag: {name: judge, on: account, score: 20, ttl: 1d}}
ladder:
  - {rung: observe, score: 20}
"""


def test_a_field_that_no_set_of_patterns_feeds_is_warned_of(tmp_path: Path) -> None:
    pack = tmp_path / "example.yaml"
    pack.write_text(READS_PATTERNS)
    result = run(str(pack))
    assert result.exit_code == 0
    assert f"warning: no set of patterns in {tmp_path / 'patterns'} feeds content.rubric_grading" in result.output
    (tmp_path / "patterns").mkdir()
    (tmp_path / "patterns" / "judge.yaml").write_text(
        (ROOT / "policies" / "patterns" / "rubric-grading.yaml").read_text()
    )
    assert "warning" not in run(str(pack)).output


@pytest.mark.parametrize(("old", "new"), [("patterns:", "patern:"), ("content.rubric_grading", "content.rubric")])
def test_a_set_of_patterns_that_cannot_be_used_is_a_problem_of_the_pack_beside_it(
    tmp_path: Path, old: str, new: str
) -> None:
    (tmp_path / "patterns").mkdir()
    shipped = (ROOT / "policies" / "patterns" / "rubric-grading.yaml").read_text()
    (tmp_path / "patterns" / "judge.yaml").write_text(
        shipped.replace(f"\n{old}", f"\n{new}").replace(f": {old}", f": {new}")
    )
    pack = tmp_path / "example.yaml"
    pack.write_text(READS_PATTERNS)
    result = run(str(pack))
    assert result.exit_code == 1
    assert "did you mean" in result.output


@pytest.mark.parametrize(("days", "warned"), [(29, False), (31, True)])
def test_what_is_in_shadow_for_long_is_warned_of_with_its_place(tmp_path: Path, days: int, warned: bool) -> None:
    data = (ROOT / "policies" / "observe.yaml").read_bytes()
    file = tmp_path / "pack.yaml"
    file.write_bytes(data)
    pack = load_pack(file)
    since = SystemClock().wall() - days * 86_400
    PackArchive(tmp_path / "data" / "packs").keep(pack, data, Note(since, "start"))
    result = run(str(file), "--data", str(tmp_path / "data"))
    assert result.exit_code == 0
    assert (f"has been in shadow for {days} days: enforce it, or take it out" in result.output) is warned
    assert "in shadow for" not in run(str(file)).output
    assert run(str(file), "--data", str(tmp_path)).exit_code == 2
