"""What `stillgate trace` says of its findings, for machines and for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer
from rich.table import Table

from proxy.cli.printing import cell, print_table
from proxy.marks.suspects import Match, Trace

_TOP = 20


def trace_document(trace: Trace, names: Sequence[str]) -> dict[str, Any]:
    """Return everything as JSON; chances are those after all tests."""
    return {
        "found": trace.found,
        "keys": trace.keys,
        "tests": trace.tests,
        "rate": trace.rate,
        "places_needed": trace.needed,
        "places_needed_if_damaged": trace.needed_damaged,
        "tokens": trace.tokens,
        "tokens_needed": trace.tokens_needed or None,
        "tokens_needed_if_damaged": trace.tokens_needed_damaged or None,
        "habits": trace.habits,
        "together": _match(trace.together, trace.rate),
        "style": _match(trace.style, trace.rate) or None,
        "texts": [{"text": name, **_match(match, trace.rate)} for name, match in zip(names, trace.texts, strict=True)],
    }


def print_trace(trace: Trace, names: Sequence[str]) -> None:
    """Print what was found: all texts together, then the surest of them."""
    rows = list(zip(names, trace.texts, strict=True))
    hits = sum(match.chance <= trace.rate for _, match in rows)
    typer.echo(f"{len(rows)} texts, {trace.keys} keys; at most {trace.rate:.2%} of such runs find a mark where none is")
    table = Table("text", "places", "agree", "by chance", "campaign")
    if trace.together is not None and len(rows) > 1:
        table.add_row(*_cells("all together", trace.together, trace.rate))
    if trace.style is not None:
        table.add_row(*_cells("style of all together" if len(rows) > 1 else "style", trace.style, trace.rate))
    rows.sort(key=lambda row: row[1].chance)
    for name, match in rows[:_TOP]:
        table.add_row(*_cells(name, match, trace.rate))
    print_table(table)
    if len(rows) > _TOP:
        typer.echo(f"{len(rows) - _TOP} more texts; --json has all")
    if len(rows) > 1:
        typer.echo(f"{hits} texts bear a mark by themselves")
    typer.echo(
        f"a finding needs {trace.needed} places if all agree, some {trace.needed_damaged} after a fifth of the words "
        "were replaced"
    )
    if trace.tokens_needed:
        typer.echo(
            f"in texts like these that is some {trace.tokens_needed:,} tokens, or {trace.tokens_needed_damaged:,}; "
            f"they have some {trace.tokens:,}"
        )
    else:
        typer.echo(f"nothing in some {trace.tokens:,} tokens could bear a mark")
    if trace.style is None:
        typer.echo(f"{trace.habits} habits of style are too few to tell anything")


def _match(match: Match | None, rate: float) -> dict[str, Any]:
    if match is None:
        return {}
    found = match.chance <= rate
    return {
        "found": found,
        "campaign": match.key if found else None,
        "agree": match.seen.agree,
        "places": match.seen.places,
        "chance": match.chance,
    }


def _cells(name: str, match: Match, rate: float) -> list[Any]:
    found = match.key if match.chance <= rate else "-"
    values = (name, match.seen.places, match.seen.agree, f"{match.chance:.2g}", found)
    return [cell(value) for value in values]
