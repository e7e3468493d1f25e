"""`stillgate secrets show | rotate | retire`: the master secret's file, which a start reads.

Law: no secret is printed, only what each is called by.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table

from proxy.cli.moments import now
from proxy.cli.options import AsJson, Config, Data, told_plainly
from proxy.cli.printing import print_json, print_table
from proxy.config import load_settings
from proxy.keyed import master_rotation
from proxy.secrets import Kept, State, read_master_file

secrets = typer.Typer(help="Show, replace and retire the master secret.", no_args_is_help=True)

_USES = {
    State.NEXT: "accepts what replicas that have it in force make under it",
    State.IN_FORCE: "makes marks, tags of ids, handles of reasoning, noise",
    State.OLD: "accepts earlier ids and handles; finds marks",
    State.RETIRED: "finds marks",
}
_FIRST = "names keys, tokens, prints, counts"


@secrets.command()
def show(*, as_json: AsJson = False, config: Config = None, data: Data = None) -> None:
    """Show each secret's state, since when it has it, and what it is used for; never a secret itself.

    Exit code 1 if there is none, or it cannot be used.
    """
    with told_plainly():
        _print(read_master_file(load_settings(config, {"data": data}).master_secret), as_json=as_json)


@secrets.command()
def rotate(
    *,
    ahead: Annotated[
        bool,
        typer.Option("--ahead", help="Only make the next one: every replica has to know it before any uses it."),
    ] = False,
    as_json: AsJson = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Put a new secret in force from the next start on, or the one made ahead; the present one becomes old.

    Customers' keys and all else in the store go on as they were. Keep a backup of the file. Exit code 1 if it cannot be
    replaced.
    """
    with told_plainly():
        path = load_settings(config, {"data": data}).master_secret
        kept = master_rotation.rotate(path, _moment(), ahead=ahead)
        _print(kept, as_json=as_json)
        typer.echo("Every proxy that has this file uses it at its next start.", err=True)
        if any(each.state is State.OLD for each in kept):
            said = "What was made under an old one is accepted until it is retired, with: stillgate secrets retire"
            typer.echo(said, err=True)


@secrets.command()
def retire(*, as_json: AsJson = False, config: Config = None, data: Data = None) -> None:
    """Refuse, from the next start on, ids of stored responses and handles of reasoning made under old secrets.

    Marks made under them are still found. Exit code 1 if there is no old one, or the file cannot be replaced.
    """
    with told_plainly():
        path = load_settings(config, {"data": data}).master_secret
        _print(master_rotation.retire(path, _moment()), as_json=as_json)
        typer.echo("Every proxy that has this file uses it at its next start.", err=True)


def _moment() -> str:
    return f"{dt.datetime.fromtimestamp(now(), dt.UTC):%Y-%m-%dT%H:%M:%SZ}"


def _print(kept: Sequence[Kept], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"id": each.id, "state": each.state, "since": None if each.since == "-" else each.since, "first": not at}
            for at, each in enumerate(kept)
        ]
        print_json(rows)
        return
    table = Table("secret", "state", "since", "what it does")
    for at, each in enumerate(kept):
        uses = _USES[each.state] if at else f"{_FIRST}; {_USES[each.state]}"
        table.add_row(each.id, each.state, "" if each.since == "-" else each.since, uses)
    print_table(table)
