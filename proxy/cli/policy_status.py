"""`stillgate policy status`: which pack is in force, how it got there, and what waits in shadow."""

from __future__ import annotations

import datetime as dt
from typing import Any

import typer
from rich.table import Column, Table

from proxy.cli.admin_client import AdminClient
from proxy.cli.options import AsJson, Config, Data, told_plainly
from proxy.cli.printing import cell, print_json, print_table

_DIGEST_CHARS = 12
_DAY_S = 86_400


def status(*, as_json: AsJson = False, config: Config = None, data: Data = None) -> None:
    """Show the pack in force, since when and from where, the last failed attempt, what is in shadow, the revisions.

    Exit: 0 shown, 1 no proxy answers, 2 usage.
    """
    with told_plainly():
        found = AdminClient.of(config, data).ask("GET", "/policy")
        if as_json:
            print_json(found)
        else:
            _show(found)


def _show(found: dict[str, Any]) -> None:
    pack, since = found["pack"], found["since"]
    table = Table("", Column(overflow="fold"), show_header=False)
    table.add_row("in force", cell(f"{pack['name']} {pack['version']} of {pack['owner']}"))
    table.add_row("digest", pack["digest"])
    table.add_row("since", cell(f"{_moment(since['time'])}, by {_means(since)}"))
    table.add_row("from", cell(found["file"]))
    if found["patterns"]["differ"]:
        table.add_row("patterns", "others lie beside the pack now; they come into force at the next start")
    for pid, digest in found["workers"].items():
        has = "the same" if digest == pack["digest"] else digest[:_DIGEST_CHARS]
        table.add_row(f"worker {pid}", has or "loads it still")
    print_table(table)
    if failure := found["failure"]:
        typer.echo(f"The last attempt failed, {_moment(failure['time'])}; the pack above goes on:")
        typer.echo("\n".join(failure["problems"]))
    if found["shadow"]:
        shadow = Table("in shadow", "what", "since", "days")
        for entry in found["shadow"]:
            shadow.add_row(entry["id"], entry["kind"], _moment(entry["since"]), f"{entry['seconds'] / _DAY_S:.1f}")
        print_table(shadow)
    revisions = Table("revision", "pack", "in force from", "by", "why")
    for entry in found["revisions"]:
        named, by = cell(f"{entry['name']} {entry['version']}"), cell(_means(entry))
        revisions.add_row(entry["digest"][:_DIGEST_CHARS], named, _moment(entry["time"]), by, cell(entry["why"]))
    print_table(revisions)


def _means(note: dict[str, Any]) -> str:
    return f"{note['how']} ({note['who']})" if note["who"] else str(note["how"])


def _moment(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
