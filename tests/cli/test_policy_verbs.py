"""`stillgate policy fields`, `schema` and `diff`: what they print, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from proxy.cli import app
from proxy.cli.policy import policy
from proxy.detectors import field_table
from proxy.rules.pack_file.json_schema import pack_json_schema
from proxy.rules.pack_file.loading import load_pack
from tests.hindsight.traffic import HEAD, PROBING, Proxy

ROOT = Path(__file__).parents[2]
PACK = ROOT / "tests" / "rules" / "packs" / "specification.yaml"
BAD = ROOT / "tests" / "rules" / "pack_file" / "bad_packs" / "unknown_key.yaml"


def run(*words: str) -> Result:
    return CliRunner().invoke(policy, list(words), env={"COLUMNS": "200"})


def test_fields_are_a_table_of_all_fields() -> None:
    result = run("fields")
    assert result.exit_code == 0
    for field in field_table().values():
        assert field.name in result.output


def test_fields_in_json_say_everything_that_the_table_knows() -> None:
    found = json.loads(run("fields", "--json").output)
    assert [entry["name"] for entry in found] == list(field_table())
    assert found[0] == {
        "name": "request.model",
        "type": "text",
        "default": "",
        "cost": "free",
        "when": "request",
        "unit": "",
        "description": "The model asked for, by the name the settings list.",
    }


def test_schema_prints_the_schema() -> None:
    assert json.loads(run("schema").output) == pack_json_schema(field_table())


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    path = tmp_path / "new.yaml"
    path.write_text(PACK.read_text().replace("score: 65", "score: 70").replace("rung: clamp", "rung: cap"))
    return path


def test_diff_prints_one_line_a_change_and_exits_with_1(changed: Path) -> None:
    result = run("diff", str(PACK), str(changed))
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "rules logprob-probe: tightened: score 65 -> 70",
        "ladder cap: added",
        "ladder clamp: removed",
    ]


def test_diff_in_json_is_a_list_of_changes(changed: Path) -> None:
    result = run("diff", str(PACK), str(changed), "--json")
    assert result.exit_code == 1
    assert json.loads(result.output)[0] == {
        "section": "rules",
        "id": "logprob-probe",
        "kind": "tightened",
        "detail": "score 65 -> 70",
    }


def test_diff_of_a_pack_with_itself_prints_nothing_and_exits_with_0() -> None:
    result = run("diff", str(PACK), str(PACK))
    assert (result.exit_code, result.output) == (0, "")
    assert run("diff", str(PACK), str(PACK), "--json").output == "[]\n"


@pytest.mark.parametrize("other", [str(BAD), "missing.yaml", str(ROOT)])
def test_diff_of_a_pack_that_cannot_be_used_says_why_and_exits_with_2(other: str) -> None:
    for pair in ((str(PACK), other), (other, str(PACK))):
        result = run("diff", *pair)
        assert result.exit_code == 2
        assert other in result.output


def test_check_warns_of_what_has_expired(tmp_path: Path) -> None:
    path = tmp_path / "old.yaml"
    path.write_text(PACK.read_text().replace("2027-06-30", "2020-06-30"))
    result = run("check", str(path))
    assert result.exit_code == 0
    assert "warning: the rule silent-relay has expired: it is off" in result.output


def test_diff_with_a_log_says_whose_rung_would_change_and_what_it_cannot_know(tmp_path: Path) -> None:
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(HEAD + PROBING)
    new.write_text((HEAD + PROBING).replace("gte: 3", "gte: 2"))
    proxy = Proxy(load_pack(old))
    for account in ("a", "b", "b"):
        proxy.send(account, request__logprobs=True)
    log = proxy.write(tmp_path / "log.jsonl")
    log.write_bytes(log.read_bytes() + b"no record\n")
    result = run("diff", str(old), str(new), "--log", str(log), "--data", str(tmp_path))
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "rules probing: tightened: when holds more often",
        "log: 3 exchanges: 1 fire other rules, 2 the same, 0 unknown, 0 not judged by a pack",
        "  probing: fires in 1 more and 0 fewer",
        "log: 2 accounts: 1 reach another rung, 0 uncertain",
        "  none -> strip: 1 account",
        "note: flags are those that rules raise within the log: none from before it, none of the hunter, none lifted by people",
        "note: quotas are not asked",
        "note: callers are assumed to send the same, whatever they are answered",
        "1 of 4 lines are not records of this version and were passed over",
    ]
    result = run("diff", str(old), str(new), "--log", str(log), "--data", str(tmp_path), "--json")
    assert result.exit_code == 1
    found = json.loads(result.output)
    assert found["changes"][0]["kind"] == "tightened"
    assert found["log"]["moves"] == [{"old": "", "new": "strip", "accounts": 1}]
    assert found["log"]["rules"][0] == {"rule": "probing", "world": "enforced", "starts": 1, "stops": 0}
    assert found["log"]["notes"][0] == "1 of 4 lines are not records of this version and were passed over"


def test_diff_takes_packs_that_were_in_force_meanwhile_from_the_archive(tmp_path: Path) -> None:
    packs = tmp_path / "packs"
    packs.mkdir()
    third = (HEAD + PROBING).replace("score: 45", "score: 50")
    old = tmp_path / "old.yaml"
    old.write_text(HEAD + PROBING)
    (tmp_path / "third.yaml").write_text(third)
    proxy = Proxy(load_pack(tmp_path / "third.yaml"))
    proxy.send(request__logprobs=True)
    proxy.write(tmp_path / "log.jsonl")
    words = ("diff", str(old), str(old), "--log", str(tmp_path / "log.jsonl"), "--data", str(tmp_path))
    assert "recorded by a pack that is not here: 1 exchange" in run(*words).output
    (packs / f"{proxy.pack.digest}.yaml").write_text(third)
    result = run(*words)
    assert (result.exit_code, "0 fire other rules, 1 the same" in result.output) == (0, True)


def test_diff_with_a_log_that_is_not_there_exits_with_2() -> None:
    result = run("diff", str(PACK), str(PACK), "--log", "missing")
    assert (result.exit_code, "there is no such file" in result.output) == (2, True)


def test_fields_in_a_pipe_are_one_whole_line_each() -> None:
    lines = run("fields").output.splitlines()
    assert [line.partition(":")[0] for line in lines] == list(field_table())
    assert lines[0] == (
        'request.model: text, default "", cost free, known at request. '
        "The model asked for, by the name the settings list."
    )


@pytest.mark.parametrize("verb", ["check", "test", "rollback"])
def test_the_usage_shows_each_argument_in_one_pair_of_brackets(verb: str) -> None:
    usage = CliRunner().invoke(app, ["policy", verb, "--help"]).output
    assert "[[" not in usage
    assert "]...]" not in usage
    assert "...]..." not in usage
