"""What the demonstration shows while it runs, and what it says at its end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from rich.columns import Columns
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from proxy.demo.cast import CAMPAIGN, HONEST, MEMBERS
from proxy.demo.play import Progress

_PER_SECOND = 8
_REASONS = 4


class _Screen:
    """Draws the progress as it is at the moment of drawing."""

    def __init__(self, progress: Progress, seconds: Callable[[], float]) -> None:
        self._progress = progress
        self._seconds = seconds

    def __rich_console__(self, _: Console, __: ConsoleOptions) -> RenderResult:
        progress = self._progress
        yield Text.assemble((f"{self._seconds():5.1f} s  ", "dim"), (progress.act, "bold"))
        yield Columns([_customers(progress), _campaign(progress)])


def showing(console: Console, progress: Progress, seconds: Callable[[], float]) -> AbstractContextManager[object]:
    """Show the progress on a terminal as long as the context lasts."""
    return Live(_Screen(progress, seconds), console=console, refresh_per_second=_PER_SECOND)


def document(progress: Progress, seconds: float) -> dict[str, Any]:
    """Return the outcome for machines."""
    finding = progress.finding
    return {
        "good": progress.good,
        "seconds": round(seconds, 1),
        "campaign": None
        if finding is None
        else {
            "id": finding.id,
            "members": progress.members_found,
            "confidence": finding.confidence,
            "sought": finding.sought,
            "evidence": [entry.sentence for entry in finding.evidence],
            "found_after_seconds": progress.found_after_s,
            "held_after_seconds": progress.held_after_s,
            "answered_in_full": progress.before_held,
            "most_requests_of_one_account": _most_asked(progress),
        },
        "newcomer": None if progress.newcomer is None else progress.newcomer._asdict(),
        "contained": progress.contained,
        "honest_accused": progress.accused,
        "honest_touched": sorted(progress.touched),
        "customers": {
            role: {
                "accounts": progress.accounts[role],
                "answered": tally.answered,
                "limited": tally.limited,
                "refused": tally.refused,
            }
            for role, tally in progress.tallies.items()
        },
    }


def summary(progress: Progress) -> str:
    """Return the outcome for people."""
    honest = [progress.tallies[role] for role in HONEST]
    accounts = sum(progress.accounts[role] for role in HONEST)
    lines = [_found_line(progress)]
    if progress.newcomer is not None:
        got = (
            "was answered from the ladder: shortened, without log-probabilities"
            if progress.contained
            else "got through"
        )
        lines.append(f"The first request of an account that it opened afterwards {got}.")
    touched = len(progress.touched | set(progress.accused))
    lines.append(
        f"{accounts} honest accounts got {sum(tally.answered for tally in honest)} answers; limited, refused or taken "
        f"for a member: {touched or 'none'} of them."
    )
    return "\n".join(lines)


def _found_line(progress: Progress) -> str:
    finding = progress.finding
    if finding is None or progress.found_after_s is None:
        return "The campaign was not found."
    return (
        f"A campaign of {MEMBERS} accounts was found {progress.found_after_s:.1f} s after its first request and got "
        f"{progress.before_held} answers in full; no account of it sent more than {_most_asked(progress)} requests."
    )


def _most_asked(progress: Progress) -> int:
    finding = progress.finding
    return 0 if finding is None else max((progress.asked[account] for account in finding.members), default=0)


def _customers(progress: Progress) -> Panel:
    table = Table("", "accounts", "answered", "limited", "refused", box=None, pad_edge=False)
    for role in (*HONEST, CAMPAIGN):
        tally = progress.tallies[role]
        marked = "red" if tally.limited + tally.refused and role != CAMPAIGN else ""
        numbers = (progress.accounts[role], tally.answered, tally.limited, tally.refused)
        table.add_row(role, *map(str, numbers), style=marked or ("cyan" if role == CAMPAIGN else ""))
    return Panel(table, title="what customers get", title_align="left")


def _campaign(progress: Progress) -> Panel:
    finding = progress.finding
    if finding is None:
        return Panel(Text("nothing found yet", "dim"), title="what the hunter sees", title_align="left")
    lines = [
        f"{finding.id}: {progress.members_found} accounts, {min(99.9, 100 * finding.confidence):.1f} % sure",
        f"after {finding.sought}",
        *(f"- {entry.sentence}" for entry in finding.evidence[:_REASONS]),
    ]
    text = Text("\n".join(lines))
    if progress.held_after_s is not None:
        text.append(f"\ncontained after {progress.held_after_s:.1f} s, {progress.before_held} answers in full", "green")
    if progress.newcomer is not None:
        words = "answered from the ladder" if progress.contained else "NOT contained"
        text.append(f"\nfirst request of a brand-new account: {words}", "green" if progress.contained else "red")
    return Panel(text, title="what the hunter sees", title_align="left", width=72)
