"""Writes decisions, one line for each line of traffic in its order, and findings.

A decision: `line` (from 0), `account`, `effect`, `actions` (what was really changed), `by` (`quota:ID`, `rung:NAME` or
null), and those of `rung`, `score`, `template`, `cluster`, `fired`, `shadow_rung`, `shadow_fired`, `reasons`,
`duplicate` and `error` that are not empty.
A finding, each time a campaign is reported or grows: `ts`, `campaign`, `accounts` (those that joined), `members` (how
many it has now), `rule`, `confidence`, `sought`, `evidence` (sentences), `exposure`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any, Final

import orjson

from proxy.deciding.decider import Decision
from proxy.decision import Effect
from proxy.exchange import Exchange
from proxy.replay.hunting import Grown
from proxy.rules.engine import NO_JUDGEMENT

_REASONS: Final = 4
_FEW: Final = 1_000  # lines gathered for one write


def _by_of(decision: Decision) -> str | None:
    """Return what decided, None for a plain allow: see `by` above."""
    if decision.denial is not None:
        return f"quota:{decision.denial.quota.id}"
    return f"rung:{decision.by}" if decision.by else None


def decision_row(exchange: Exchange, decision: Decision) -> dict[str, Any]:
    """Return the row of a decision, without its line's number."""
    row: dict[str, Any] = {
        "account": exchange.principal.account,
        "effect": decision.effect.value,
        "actions": decision.applied,
        "by": _by_of(decision),
    }
    if exchange.template:
        row["template"] = exchange.template
    if exchange.cluster:
        row["cluster"] = exchange.cluster
    judgement = decision.judgement
    if judgement is not NO_JUDGEMENT:
        said = (
            ("rung", judgement.enforced.rung),
            ("score", judgement.enforced.score),
            ("fired", judgement.fired),
            ("shadow_rung", judgement.shadow.rung),
            ("shadow_fired", judgement.shadow_fired),
            ("reasons", _reasons(decision)),
        )
        row |= {name: value for name, value in said if value}
    return row


def error_row(account: str, why: str) -> dict[str, Any]:
    """Return the row of a line that could not be decided."""
    return {"account": account, "effect": Effect.DENY.value, "actions": (), "by": None, "error": why}


def finding_row(grown: Grown) -> dict[str, Any]:
    """Return the row of a finding."""
    finding = grown.finding
    return {
        "ts": grown.at,
        "campaign": finding.id,
        "accounts": grown.joined,
        "members": len(finding.members),
        "rule": finding.rule,
        "confidence": finding.confidence,
        "sought": finding.sought,
        "evidence": [entry.sentence for entry in finding.evidence],
        "exposure": finding.exposure._asdict(),
    }


class InLines:
    """Writes rows in the order of their lines, in whatever order they come."""

    def __init__(self, file: IO[bytes] | None) -> None:
        self._file = file
        self._next = 0
        self._waiting: dict[int, bytes] = {}
        self._ready: list[bytes] = []

    def put(self, line: int, row: Mapping[str, Any] | None) -> None:
        """Take the row of a line; None: the line is no traffic and has no row."""
        if self._file is None:
            return
        self._waiting[line] = b"" if row is None else orjson.dumps({"line": line, **row}) + b"\n"
        if line == self._next:
            self._advance()

    def finish(self) -> None:
        """Write what is left."""
        if self._file is not None:
            self._file.write(b"".join(self._ready))
            self._file.flush()
        self._ready = []

    def _advance(self) -> None:
        waiting, ready = self._waiting, self._ready
        line = self._next
        while (row := waiting.pop(line, None)) is not None:
            ready.append(row)
            line += 1
        self._next = line
        if len(ready) >= _FEW:
            self.finish()


def _reasons(decision: Decision) -> list[str]:
    """Return the reasons of the rules that fired, and of the flags that act."""
    judgement = decision.judgement
    flags = judgement.enforced.flags if decision.rung is not None else ()
    return list(dict.fromkeys([*judgement.reasons, *[flag.reason for flag in flags if flag.reason]]))[:_REASONS]
