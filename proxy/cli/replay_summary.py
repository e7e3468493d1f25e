"""How what came of a replay is printed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import typer
from rich.table import Table

from proxy.cli.printing import cell, print_table
from proxy.decision import Effect
from proxy.replay.summary import Summary

_MINUTE_S = 60


def summary_document(found: Summary) -> dict[str, Any]:
    """Return everything for programs."""
    return {
        "lines": found.lines,
        "began": found.began or None,  # none has a time
        "ended": found.ended or None,
        "seconds": round(found.seconds, 3),
        "effects": dict(found.effects),
        "by": dict(found.by),
        "actions": dict(found.actions),
        "fired": dict(found.fired),
        "shadow_rungs": dict(found.shadow_rungs),
        "refused": found.refused,
        "duplicates": found.duplicates,
        "late": found.late,
        "jumped": found.jumped,
        "jumps": [jump._replace(line=jump.line + 1)._asdict() for jump in found.jumps],
        "passed": found.passed,
        "unreadable_lines": found.unreadable_lines,
        "unreadable": [{"place": found.place(fault.line - 1), **fault._asdict()} for fault in found.unreadable],
        "broken": found.broken,
        "untold": dict(found.untold),
        "campaigns": {name: campaign._asdict() for name, campaign in found.campaigns.items()},
    }


def print_summary(found: Summary) -> None:
    """Print a table of what was decided, one of what was found, and what there is to say about the lines."""
    table = Table("decided", "exchanges", "share")
    decided = max(1, found.effects.total())
    for effect in Effect:
        table.add_row(effect.value, f"{found.effects[effect]:,}", f"{found.effects[effect] / decided:.2%}")
    for by, count in sorted(found.by.items()):
        table.add_row(cell(f"  by {by}"), f"{count:,}", f"{count / decided:.2%}")
    for rung, count in sorted(found.shadow_rungs.items()):
        table.add_row(cell(f"  in shadow on {rung}"), f"{count:,}", f"{count / decided:.2%}")
    print_table(table)
    if found.campaigns:
        table = Table("campaign", "accounts", "confidence", "reported", "sought")
        for name, campaign in found.campaigns.items():
            table.add_row(
                cell(name),
                f"{campaign.accounts:,}",
                f"{campaign.confidence:.3f}",
                _moment(campaign.reported_at),
                cell(campaign.sought),
            )
        print_table(table)
    for line in _notes(found):
        typer.echo(line)


def _notes(found: Summary) -> Iterator[str]:
    pace = found.lines / max(found.seconds, 1e-9)
    times = f" from {_moment(found.began)} to {_moment(found.ended)}" if found.began else ""
    yield f"{found.lines:,} lines{times} in {found.seconds:.1f} s, {pace:,.0f} a second"
    for count, what in (
        (found.refused, "requests refused before a pack is asked, such as those that no dialect takes"),
        (found.passed, "lines of a decision log that record no exchange"),
        (found.duplicates, "repeated exchanges, answered as the first time"),
        (found.late, "exchanges that came late and were put where they belong"),
        (found.jumped, "lines whose clock jumps"),
    ):
        if count:
            yield f"{count:,} {what}"
    for jump in found.jumps:
        way = "ahead" if jump.seconds > 0 else "back"
        yield f"  {cell(found.place(jump.line))}: {abs(jump.seconds) / _MINUTE_S:,.0f} minutes {way}"
    for rule, count in sorted(found.untold.items()):
        yield f"{rule} was left out for {count:,} records, which do not have what it reads"
    if found.unreadable_lines:
        yield f"{found.unreadable_lines:,} lines could not be read"
    for fault in found.unreadable:
        yield f"  {cell(found.place(fault.line - 1))}: {cell(fault.why)}"
    for file in found.broken:
        yield f"{file}: ends in the middle of its compressed data"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
