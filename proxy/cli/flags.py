"""`stillgate flags`: what a reviewer reads and decides about flags, through the admin side of a running proxy."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer
from rich.table import Table

from proxy.cli.admin_client import AdminClient
from proxy.cli.moments import day
from proxy.cli.options import AsJson, Config, Data, Why, told_plainly
from proxy.cli.printing import cell, print_json, print_table
from proxy.errors import ConfigurationError
from proxy.rules.flags.flag import World
from proxy.rules.pack.words import Subject

flags = typer.Typer(help="List, show, lift and confirm flags.", no_args_is_help=True)

SubjectKind = Annotated[Subject, typer.Argument(metavar="SUBJECT", help="account, tenant, template or cluster.")]
Name = Annotated[str, typer.Argument(help="Which one, such as acme-7.")]
FlagName = Annotated[str, typer.Argument(metavar="FLAG", help="The flag's name, such as trace_elicitation.")]


@flags.command("list")
def list_all(
    account: Annotated[str | None, typer.Option(help="Only flags on this account.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only flags on this tenant.")] = None,
    world: Annotated[
        World | None, typer.Option(help="Only flags that enforced rules raised, or only those of rules in shadow.")
    ] = None,
    as_json: AsJson = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """List the live flags, the highest score first."""
    with told_plainly():
        asked = {"account": account, "tenant": tenant, "world": world}
        given = urlencode({name: value for name, value in asked.items() if value is not None}, errors="surrogateescape")
        _print(AdminClient.of(config, data).ask("GET", f"/flags?{given}" if given else "/flags"), as_json=as_json)


@flags.command()
def show(subject: SubjectKind, name: Name, as_json: AsJson = False, config: Config = None, data: Data = None) -> None:
    """Show every live flag on one account, tenant, template or cluster."""
    with told_plainly():
        _print(AdminClient.of(config, data).ask("GET", _path(subject, name)), as_json=as_json)


@flags.command()
def lift(subject: SubjectKind, name: Name, flag: FlagName, why: Why, config: Config = None, data: Data = None) -> None:
    """Take a flag away at once. A rule that still finds its reason may raise it again."""
    with told_plainly():
        AdminClient.of(config, data).ask("POST", _path(subject, name, flag, "lift"), {"reason": why})
        typer.echo(f"lifted {flag} from {subject} {name}")


@flags.command()
def confirm(
    subject: SubjectKind, name: Name, flag: FlagName, why: Why, config: Config = None, data: Data = None
) -> None:
    """Say that a flag is right. Rungs that ask for approval count a flag once enough people have confirmed it."""
    with told_plainly():
        AdminClient.of(config, data).ask("POST", _path(subject, name, flag, "confirm"), {"reason": why})
        typer.echo(f"confirmed {flag} on {subject} {name}")


def _path(subject: Subject, *rest: str) -> str:
    if "" in rest:
        raise ConfigurationError("a name is empty")
    return "/".join(["/flags", subject, *(quote(part, safe="", errors="surrogateescape") for part in rest)])


def _print(answer: dict[str, Any], *, as_json: bool) -> None:
    found = answer["flags"]
    if as_json:
        print_json(found)
        return
    table = Table("on", "flag", "score", "severity", "ends", "times", "why", "confirmed by")
    for row in found:
        flag = row["flag"] if row["world"] == World.ENFORCED else f"{row['flag']} (in shadow)"
        said = f"{row['rule']}: {row['reason']}"
        ends, people = day(row["expires_at"]), ", ".join(row["confirmed_by"])
        on = f"{row['subject']} {row['name']}"
        table.add_row(*map(cell, (on, flag, row["score"], row["severity"], ends, row["times"], said, people)))
    print_table(table)
