"""A pack, lines of traffic, and a hunter that takes accounts of several tenants with one long text for a campaign."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from proxy.config import load_settings
from proxy.hunter.event import Event
from proxy.hunter.finding import Evidence, Exposure, Finding, Member, Reach, Template
from proxy.replay.hunting import Hunter
from proxy.replay.lines import Files
from proxy.replay.pool import batches
from proxy.replay.replaying import Replay
from proxy.replay.setting_up import Scene, stage_of, wants_of
from proxy.replay.summary import Summary
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Mode
from proxy.rules.pack_file.loading import check_pack

NOW = 1_790_000_000.0
PACK = """\
apiVersion: stillgate/v1
kind: PolicyPack
metadata: {name: example, version: 1.0.0, owner: tests}
defaults: {mode: enforce}
quotas:
  - id: key-quota
    per: key
    limits:
      - {measure: requests, max: 3, window: 1m}
signals:
  probes: {count: requests, per: account, window: 1h, where: {request.logprobs: true}}
rules:
  - id: probing
    when: {signals.probes: {gte: 2}}
    flag: {name: probing, on: account, score: 45, ttl: 1h}
    reason: "{signals.probes} probes"
campaigns:
  - id: extraction
    min_accounts: 3
    min_tenants: 3
    window: 7d
    min_confidence: 0.9
    flag: {name: campaign, on: [cluster, template, account], score: 90, ttl: 1h}
    contain: {opened_within: 30d}
ladder:
  - {rung: strip, score: 40, do: [{drop: [logprobs]}], disclose: header}
  - {rung: clamp, score: 80, do: [{clamp: {max_output_tokens: 64}}]}
"""
TEMPLATE = (
    "You are a careful grader of worked solutions. Read the problem, write out every step of the reasoning that leads "
    "to the result, name the rule that each step uses, and end with a line that has the result alone. Problem: "
)


def line(account: str = "acct-a", at: float = 0.0, text: str = "Hello.", **changes: Any) -> dict[str, Any]:
    """Return one exchange `at` seconds after the start; `changes` go into the body, or into the row if they fit."""
    row: dict[str, Any] = {
        "ts": NOW + at,
        "principal": {
            "key_id": f"key-{account}",
            "account": account,
            "tenant": f"org-{account}",
            "attributes": {"plan": "pro", "created_at": NOW - 86_400 * 10, "payment": f"pay-{account}"},
        },
        "peer": "192.0.2.1",
        "headers": {"user-agent": "curl/8"},
        "method": "POST",
        "path": "/v1/chat/completions",
        "body": {"model": "large", "messages": [{"role": "user", "content": text}]},
        "response": {"status": 200, "usage": {"prompt_tokens": 10, "completion_tokens": 20}},
    }
    for name, value in changes.items():
        place = row if name in row else row["body"]
        place[name] = value
    return row


def campaign(rounds: int = 4, accounts: int = 4, step: float = 300.0) -> list[dict[str, Any]]:
    """Return exchanges of several accounts that fill one template, in turn."""
    return [
        line(
            f"acct-{number}",
            (turn * accounts + number) * step,
            f"{TEMPLATE}{turn} plus {number * 17} times {turn * 31}",
        )
        for turn in range(rounds)
        for number in range(accounts)
    ]


def as_bytes(rows: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


class SharedText:
    """A hunter to whom accounts are a campaign that have a good part of their prints in common, three at least."""

    def __init__(self, pack: Pack, max_mode: Mode) -> None:
        del max_mode
        self.rules = [entry.id for entry in pack.campaigns]
        self.events: list[Event] = []
        self.findings: dict[str, Finding] = {}
        self.merged: set[str] = set()

    @property
    def held(self) -> int:
        return len(self.events)

    def see(self, events: Sequence[Event]) -> None:
        self.events += events

    def judge(self, now: float) -> list[Finding]:
        holders: dict[int, set[str]] = {}
        for event in self.events:
            for one in event.prints.tolist():
                holders.setdefault(one, set()).add(event.account)
        shared = sorted(one for one, accounts in holders.items() if len(accounts) >= 3)
        if len(shared) < 3:
            return []
        accounts = set().union(*(holders[one] for one in shared))
        theirs = [event for event in self.events if event.account in accounts]
        before = self.findings.get("camp-1")
        if before is not None and before.members.keys() == accounts:
            self.findings["camp-1"] = _finding(self.rules[0], accounts, shared, theirs, now)
            return []
        found = self.findings["camp-1"] = _finding(self.rules[0], accounts, shared, theirs, now)
        return [found]


def _finding(rule: str, accounts: set[str], shared: Sequence[int], events: Sequence[Event], now: float) -> Finding:
    return Finding(
        id="camp-1",
        rule=rule,
        found_at=now,
        updated_at=now,
        first_at=events[0].at,
        last_at=events[-1].at,
        confidence=0.99,
        sought="graded solutions",
        members={name: Member(name, f"org-{name}", now, 1, 1, 20, 3.0, ()) for name in sorted(accounts)},
        templates=(Template("tpl-1", tuple(shared), 3),),
        evidence=(Evidence("text", 5.0, f"{len(accounts)} accounts share a template", {}),),
        exposure=Exposure(len(events), len(events), 0, 0, len(events)),
        reach=Reach(NOW - 86_400 * 10, NOW - 86_400 * 10, events[0].at, {}),
        hours=(0,) * 24,
    )


def pack_of(text: str = PACK) -> Pack:
    pack, problems = check_pack(text.encode(), "example.yaml")
    assert pack, problems
    return pack


class Outcome:
    """What one replay wrote and counted."""

    def __init__(self, summary: Summary, decisions: bytes, findings: bytes) -> None:
        self.summary = summary
        self.decisions: list[dict[str, Any]] = [json.loads(row) for row in decisions.splitlines()]
        self.findings: list[dict[str, Any]] = [json.loads(row) for row in findings.splitlines()]

    def each(self, name: str) -> list[Any]:
        return [row.get(name) for row in self.decisions]


def replayed(
    files: Sequence[Path],
    *,
    pack: str = PACK,
    hunter: Callable[[Pack, Mode], Hunter] | None = SharedText,
    jobs: int = 1,
    folder: Path = Path(),
) -> Outcome:
    """Replay files by a pack; `folder` is where the pack would lie."""
    scene = Scene(folder / "example.yaml", pack_of(pack), load_settings(None, {}), hunter, 600.0)
    decisions, findings = io.BytesIO(), io.BytesIO()
    wants = wants_of(scene)
    source = Files(files)
    summary = Replay(stage_of(scene, wants, decisions, findings)).run(batches(source.blocks(), wants, jobs))
    summary.broken = [str(file) for file in source.broken]
    return Outcome(summary, decisions.getvalue(), findings.getvalue())
