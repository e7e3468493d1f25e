"""`stillgate policy explain`: what is shown to people and to programs, and what is refused in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from proxy.cli import app

PACK = """\
apiVersion: stillgate/v1
kind: PolicyPack
metadata: {name: example, version: 1.0.0, owner: abuse-team}
signals:
  probes: {count: requests, per: account, window: 1h, where: {request.logprobs: true}}
rules:
  - id: probing
    severity: high
    mode: enforce
    when: {signals.probes: {gte: 20}, account.plan: free}
    flag: {name: probing, on: account, score: 45, ttl: 24h}
    reason: "{signals.probes} probes"
ladder:
  - {rung: strip, score: 40, do: [{drop: [logprobs]}], disclose: header}
"""
REFUSING = """\
  - {rung: block, score: 45, do: [{reject: {}}], approval: one, client: {code: paused, message: Paused.}}
exemptions:
  - {id: partner, match: {account.tenant: acme}, max_rung: strip, why: w, owner: o, expires: 2999-12-31}
"""
BODY = {"model": "large", "messages": [{"role": "user", "content": "Hello."}], "logprobs": True}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    pack, body = tmp_path / "example.yaml", tmp_path / "body.json"
    pack.write_text(PACK)
    body.write_text(json.dumps(BODY))
    return pack, body


def run(files: tuple[Path, Path], *words: str | Path) -> Result:
    pack, body = files
    return CliRunner().invoke(app, ["policy", "explain", "--pack", str(pack), "--request", str(body), *map(str, words)])


def test_each_condition_is_shown_with_its_value_and_what_one_step_more_would_trigger(files: tuple[Path, Path]) -> None:
    result = run(files, "--plan", "free", "--set", "signals.probes=19")
    assert result.exit_code == 0
    assert result.output.splitlines()[1:] == [
        "allow; score 0, rung none; 40 more reach strip",
        "",
        "probing (enforce): not met",
        "  - all of",
        "    - signals.probes gte 20: it is 19",
        '    + account.plan eq "free": it is "free"',
        "",
        "one step more:",
        "  signals.probes gte 20 (it is 19): probing fires, score 45, rung strip",
    ]


def test_a_rule_that_fires_is_shown_with_what_came_of_it(files: tuple[Path, Path]) -> None:
    output = run(files, "--plan", "free", "--set", "signals.probes=20").output
    assert "degrade, by strip; score 45, rung strip" in output
    assert "actions: drop\n" in output
    assert "flag probing: 45, 20 probes" in output
    assert "probing (enforce): fires, probing on account, score 45" in output


def test_what_keeps_a_rung_that_the_score_reaches_from_acting_is_named(files: tuple[Path, Path]) -> None:
    pack, _ = files
    pack.write_text(PACK + REFUSING)
    firing = ("--plan", "free", "--set", "signals.probes=20")
    output = run(files, *firing).output
    assert "degrade, by strip; score 45, rung strip\nwaits until a flag is confirmed: block\n" in output
    assert "exempt" not in output
    assert json.loads(run(files, "--json", *firing).stdout)["waiting"] == ["block"]
    pack.write_text(pack.read_text().replace("approval: one, ", ""))
    assert "deny, by block" in run(files, *firing).output
    output = run(files, *firing, "--tenant", "acme").output
    assert "degrade, by strip; score 45, rung strip\nexempt, by partner\n" in output


def test_counters_stand_at_this_request_if_nobody_says_otherwise(files: tuple[Path, Path]) -> None:
    assert "signals.probes gte 20: it is 1" in run(files).output


@pytest.mark.parametrize("days", ["-1", "nan", "inf", "36601"])
def test_an_account_has_an_age_that_one_can_have(files: tuple[Path, Path], days: str) -> None:
    result = run(files, "--age-days", days)
    assert (result.exit_code, "'--age-days'" in result.stderr) == (2, True)


def test_the_caller_can_stand_in_a_file(files: tuple[Path, Path], tmp_path: Path) -> None:
    caller = tmp_path / "caller.yaml"
    caller.write_text("{plan: free, age_days: 2}")
    assert '+ account.plan eq "free": it is "free"' in run(files, "--as", caller).output


def test_a_caller_of_a_campaign_is_refused_since_none_is_known_here(files: tuple[Path, Path], tmp_path: Path) -> None:
    caller = tmp_path / "caller.yaml"
    caller.write_text("{plan: free, cluster: found}")
    result = run(files, "--as", caller)
    assert result.exit_code == 2
    assert f"{caller}:1:23: error: names a campaign of a test, and there is none here" in result.output


def test_programs_get_the_tree(files: tuple[Path, Path]) -> None:
    document = json.loads(run(files, "--json", "--plan", "free", "--set", "signals.probes=19").stdout)
    [rule] = document["rules"]
    assert rule["fate"] == "not met"
    assert rule["condition"]["parts"][0] == {
        "says": "signals.probes gte 20",
        "outcome": "not met",
        "field": "signals.probes",
        "value": 19,
    }
    assert document["one_step_more"][0]["rung"] == "strip"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "signals.probe=1"], "did you mean 'signals.probes'"),
        (["--flag", "prob"], "unknown flag 'prob'"),
        (["--as", "missing.yaml"], "cannot be read"),
        (["--pack", "missing.yaml"], "cannot be read"),
        (["--request", "missing.json"], "cannot be read"),
        (["--dialect", "smoke.signals"], "openai.embeddings, anthropic.messages or"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(files: tuple[Path, Path], words: list[str], message: str) -> None:
    result = run(files, *words)
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize("text", ["{", "[]", '{"model": "large"}', json.dumps(BODY)[:-1] + ', "logprobs": false}'])
def test_a_request_that_is_none_is_refused(files: tuple[Path, Path], text: str) -> None:
    files[1].write_text(text)
    assert run(files).exit_code == 2


def test_a_request_may_be_as_large_as_pictures_make_it(files: tuple[Path, Path]) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{'A' * 2_000_000}"}}
    files[1].write_text(json.dumps({**BODY, "messages": [{"role": "user", "content": [image]}]}))
    result = run(files, "--set", "signals.probes=19")
    assert result.exit_code == 0, result.output
