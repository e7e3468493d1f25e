"""`stillgate policy explain EXCHANGE_ID`: what it prints, what it cannot reproduce, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from proxy.cli import app
from proxy.decision import Effect, Verdict
from proxy.exchange import Ties
from proxy.rules.pack_file.loading import load_pack
from tests.hindsight.traffic import HEAD, PROBING, Proxy


class Place:
    """A data folder with a log and an archive of packs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "packs").mkdir()
        (folder / "decisions").mkdir()
        draft = folder / "draft.yaml"
        draft.write_text(HEAD + PROBING)
        self.proxy = Proxy(load_pack(draft))
        self.archived = draft.rename(folder / "packs" / f"{self.proxy.pack.digest}.yaml")

    def explain(self, *words: str, noise: bytes = b"") -> Result:
        log = self.proxy.write(self.folder / "decisions" / "worker.jsonl")
        log.write_bytes(noise + log.read_bytes())
        return CliRunner().invoke(app, ["policy", "explain", *words, "--data", str(self.folder)])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_recorded_exchange_is_shown_condition_by_condition(place: Place) -> None:
    for _ in range(3):
        place.proxy.send(request__logprobs=True)
    result = place.explain("x1")
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        f"x1: 2026-09-21T14:13:22.000Z, by example 1.0.0 ({place.proxy.pack.digest})",
        "allow; score 0, rung none; 40 more reach strip",
        "",
        "probing (enforce): not met",
        "  - signals.probes gte 3: it is 2",
        "",
        "chatty (shadow): not met",
        "  - request.turns gte 9: it is 0",
        "",
        "one step more:",
        "  signals.probes gte 3 (it is 2): probing fires, score 45, rung strip",
        "  request.turns gte 9 (it is 0): chatty fires in shadow, score 100, rung clamp",
        "",
        "reproduced: the rules that fire are those of the record: none",
    ]


def test_lines_that_are_no_records_are_counted_and_do_no_harm(place: Place) -> None:
    place.proxy.send()
    result = place.explain("x0", noise=b"{\n\xff\n")
    assert result.exit_code == 0
    assert "2 of 3 lines are not records" in result.output


def test_programs_get_the_tree_and_what_was_recorded(place: Place) -> None:
    place.proxy.send(request__turns=9)
    document = json.loads(place.explain("x0", "--json").stdout)
    assert (document["reproduced"], document["shadow_fired"], document["differences"]) == (True, ["chatty"], [])
    assert document["fields"]["request.turns"] == document["recorded"]["fields"]["request.turns"] == 9
    assert [rule["fate"] for rule in document["rules"]] == ["not met", "fires"]


def test_the_campaign_whose_flags_counted_is_named(place: Place) -> None:
    place.proxy.send(ties=Ties("c-1-t", "c-1"), shadow_ties=Ties("c-2-t", "c-1"))
    shown = place.explain("x0").output
    assert "\ncluster: c-1\ntemplate: c-1-t\ntemplate in shadow: c-2-t\n" in shown
    recorded = json.loads(place.explain("x0", "--json").stdout)["recorded"]
    assert recorded["ties"] == {"template": "c-1-t", "cluster": "c-1"}
    assert recorded["shadow"]["ties"] == {"template": "c-2-t", "cluster": "c-1"}


def test_what_differs_is_shown_with_both_and_exits_with_1(place: Place) -> None:
    place.proxy.send()
    place.proxy.lines[0] = place.proxy.lines[0].replace(b'"fired":[]', b'"fired":["probing"]', 1)
    result = place.explain("x0")
    assert result.exit_code == 1
    assert "differs: fired: probing in the record, none now" in result.output
    assert json.loads(place.explain("x0", "--json").stdout)["differences"] == [
        {"what": "fired", "recorded": ["probing"], "now": []}
    ]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b'"id":"x0"', b'"id":"x1"', "there is no record of x0"),
        (b'"kind":"exchange"', b'"kind":"begin"', "began, degraded, and has no record of its end"),
        (b'"score":0', b'"score":"0"', "the record of x0 is not a valid record: score"),
        (b'"truncated":false', b'"truncated":true', "the fields that the pack read were cut"),
        (b'"pack_digest":"', b'"pack_digest":"../', "the record of x0 is not a valid record: pack_digest"),
    ],
)
def test_what_is_not_found_or_not_reproducible_says_why_and_exits_with_1(
    place: Place, old: bytes, new: bytes, why: str
) -> None:
    place.proxy.send()
    place.proxy.lines[0] = place.proxy.lines[0].replace(old, new)
    result = place.explain("x0")
    assert result.exit_code == 1
    assert why in result.output
    document = json.loads(place.explain("x0", "--json").stdout)
    assert (document["reproduced"], why in document["why"]) == (False, True)


def test_a_pack_that_is_not_archived_or_was_changed_there_is_not_taken(place: Place) -> None:
    place.proxy.send()
    place.archived.write_text(HEAD + PROBING.replace("score: 45", "score: 46"))
    assert "was changed since it was archived" in place.explain("x0").output
    place.archived.unlink()
    result = place.explain("x0")
    assert (result.exit_code, "cannot be read from the archive" in result.output) == (1, True)


def test_a_denial_by_a_quota_is_explained_in_its_own_words(place: Place) -> None:
    text = HEAD + PROBING + "quotas:\n  - {id: few, per: key, limits: [{measure: requests, max: 1, window: 1h}]}\n"
    draft = place.folder / "draft.yaml"
    draft.write_text(text)
    pack = load_pack(draft)
    draft.rename(place.folder / "packs" / f"{pack.digest}.yaml")
    place.proxy.load(pack)
    place.proxy.send()
    denied = Verdict(Effect.DENY, by="few", reasons=("requests over 1 per 1h for this key; 0 left",))
    place.proxy.lines[0] = place.proxy.lines[0].replace(b'"effect":"allow","by":"","reasons":[]', _columns(denied))
    result = place.explain("x0")
    assert result.exit_code == 0
    assert "deny, by few; score 0, rung none" in result.output
    assert "quota few: requests over 1 per 1h for this key; 0 left" in result.output


def _columns(verdict: Verdict) -> bytes:
    shown = {"effect": verdict.effect, "by": verdict.by, "reasons": verdict.reasons}
    return json.dumps(shown, separators=(",", ":"))[1:-1].encode()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "a recorded exchange, or a request"),
        (["x0", "--request", "body.json"], "says nothing about a recorded exchange"),
        (["x0", "--age-days", "2"], "--age-days"),
        (["x0", "--set", "request.turns=2"], "--set"),
        (["x0", "--dialect", "openai.chat"], "--dialect"),
        (["x0", "--log", "missing"], "there is no such file"),
        (["--request", "body.json", "--log", "x"], "says nothing about a request"),
    ],
)
def test_a_command_that_does_not_fit_together_exits_with_2(words: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["policy", "explain", *words], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize("denied", [False, True])
def test_a_terminal_obeys_nothing_of_a_record_that_somebody_made(place: Place, form: list[str], denied: bool) -> None:
    """A-07."""
    place.proxy.send(request__logprobs=True)
    place.explain("x0")
    file = place.folder / "decisions" / "worker.jsonl"
    row = json.loads(file.read_text().splitlines()[0])
    hostile = "\x1b[2J\x9b31m\u202e"
    row |= {"by": "request" if denied else hostile, "reasons": [hostile], "fired": [hostile], "effect": "deny"}
    forged = place.folder / "forged.jsonl"
    forged.write_text(json.dumps(row) + "\n")
    words = ["policy", "explain", row["id"], "--log", str(forged), "--data", str(place.folder), *form]
    result = CliRunner().invoke(app, words, color=True)
    assert result.exit_code == 1, result.output
    assert "u001b[2J" in result.output or "x1b[2J" in result.output
    assert not {"\x1b", "\x9b", "\u202e"} & set(result.output)
