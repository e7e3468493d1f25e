"""Random decisions come out of their records as they were, or the record's word is taken where it must be: A-11.

A record has no call, no answer, no names and not what the store had counted. All else has to follow from it.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from proxy.cli import app
from proxy.decisions.logged import Logged
from proxy.decisions.reading import LogReader, log_files
from proxy.detectors import field_table
from proxy.hindsight.rejudging import Again, NotReproducible, judge_again
from proxy.packs.archive import load_archived
from proxy.rules.conditions.condition import fields_of
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Mode
from tests.hindsight.random_traffic import RandomTraffic, Sent

TABLE = field_table()
# What may be taken from a record, and nothing else: the words of the notes that say so.
TAKEN = (
    "does not hold (whole)",
    "which holds no calls and answers",
    "what was left of quota",
    "not known then, since a detector failed",
    "max_mode was",
    "lifted in that moment",
    "expired while it was decided",
)


async def reproduced(seed: int, count: int, folder: Path) -> Counter[str]:
    """Send exchanges and judge each again by its record; return how many came out wholly, by effect, and how."""
    traffic = RandomTraffic(seed, folder)
    sent = {(each := await traffic.send()).id: each for _ in range(count)}
    await traffic.close()
    reader = LogReader(log_files([folder / "decisions"]))
    packs: dict[str, Pack] = {}
    kinds: Counter[str] = Counter()
    for logged in reader.exchanges():
        one, digest = sent.pop(logged.id), logged.pack_digest
        pack = packs[digest] = packs.get(digest) or load_archived(folder / "packs", digest)
        if one.decision is None:
            with pytest.raises(NotReproducible, match="it was denied by the request, not by the pack"):
                judge_again(pack, TABLE, logged, Mode.ENFORCE)
            kinds["refused unread"] += 1
            continue
        again = judge_again(pack, TABLE, logged, Mode.ENFORCE)
        assert again.differences == (), (seed, logged, again.differences)
        _same(one, again)
        _taken(pack, logged, again)
        kinds[logged.effect] += 1
        kinds["wholly from its record"] += not again.notes
        kinds.update(words for words in TAKEN if any(words in note for note in again.notes))
    assert (sent, reader.malformed) == ({}, 0)
    return kinds


def _same(one: Sent, again: Again) -> None:
    """Compare what was reproduced with what was decided, which the record does not come into."""
    assert one.decision is not None
    then, now = one.decision.judgement, again.judgement
    for was, reproduced in ((then.enforced, now.enforced), (then.shadow, now.shadow)):
        assert (was.score, was.rung, was.waiting) == (reproduced.score, reproduced.rung, reproduced.waiting)
        assert [flag[:2] for flag in was.flags] == [flag[:2] for flag in reproduced.flags]
    for name in ("fired", "shadow_fired", "exempt", "failed", "reasons"):
        assert getattr(then, name) == getattr(now, name)
    if one.verdict.by != "request":
        assert (one.verdict.effect, one.verdict.by, one.verdict.actions) == again.done[:3]
    assert one.verdict.shadow.denied_by == again.done.shadow_denied_by


def _taken(pack: Pack, logged: Logged, again: Again) -> None:
    """Hold what was taken from the record to what a record cannot have."""
    conditions = {
        **{f"rule {rule.id} ": rule.when for rule in pack.rules},
        **{f"exemption {entry.id} ": entry.match for entry in pack.exemptions},
    }
    for note in again.notes:
        assert any(words in note for words in TAKEN), note
        for what, condition in conditions.items():
            if note.startswith(what):
                assert any(TABLE[name].private for name in fields_of(condition) if name in TABLE)
        if "found to change" in note:
            assert any(rung.do for rung in again.judgement.enforced.rungs)
        if "quota" in note:
            assert logged.by in {quota.id for quota in pack.quotas}


async def test_random_decisions_are_reproduced_from_their_records(tmp_path: Path) -> None:
    kinds = await reproduced(4, 150, tmp_path)
    assert kinds.keys() >= {"allow", "degrade", "deny", "refused unread", "wholly from its record", *TAKEN[:5]}
    shown = CliRunner().invoke(app, ["policy", "explain", "x4", "--data", str(tmp_path), "--json"])
    assert (shown.exit_code, json.loads(shown.stdout)["reproduced"]) == (0, True)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
async def test_a_thousand_random_decisions_are_reproduced_exactly(tmp_path: Path, seed: int) -> None:
    kinds = await reproduced(seed, 1000, tmp_path)
    print(seed, dict(kinds))  # noqa: T201 - how many of each kind
    assert sum(kinds[effect] for effect in ("allow", "degrade", "deny", "refused unread")) == 1000
    assert kinds["refused unread"] < 80
