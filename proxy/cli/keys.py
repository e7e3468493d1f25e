"""`stillgate keys`: the keys of customers, through the admin side of a running proxy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table

from proxy.cli.admin_client import AdminClient, AdminError
from proxy.cli.key_file import read_lines
from proxy.cli.moments import ago, day, end, period, state
from proxy.cli.options import AsJson, Config, Data, Why, told_plainly
from proxy.cli.printing import cell, print_json, print_minted, print_row, print_table
from proxy.errors import ConfigurationError

keys = typer.Typer(help="Make, list, show, revoke, rotate and import keys.", no_args_is_help=True)

_BATCH = 500
_ID_COLUMNS = 18  # an id is for copying, so it is never cut

KeyId = Annotated[str, typer.Argument(help="The key's id, such as key_1a2b3c.")]


@keys.command()
def create(  # noqa: PLR0913, PLR0917 - one argument an option
    account: Annotated[str, typer.Option(help="The account the key belongs to.")],
    tenant: Annotated[
        str | None, typer.Option(help="The account's organisation; the account itself by default.")
    ] = None,
    plan: Annotated[str, typer.Option(help="The account's plan.")] = "default",
    created_at: Annotated[
        str | None,
        typer.Option(help="When the account was opened: a date, or how long ago, such as 90d; else when first seen."),
    ] = None,
    expires: Annotated[str | None, typer.Option(help="When the key ends: a date, or from now such as 90d.")] = None,
    attribute: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE that links accounts, such as payment=card-123; repeatable.")
    ] = None,
    as_json: AsJson = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Make a key and print its secret, which is shown this once only."""
    with told_plainly():
        request: dict[str, Any] = {"account": account, "plan": plan, "attributes": _attributes(attribute or [])}
        if tenant is not None:
            request["tenant"] = tenant
        if created_at is not None:
            request["created_at"] = ago(created_at)
        if expires is not None:
            request["expires_at"] = end(expires)
        print_minted(AdminClient.of(config, data).ask("POST", "/keys", request), as_json=as_json)


@keys.command("list")
def list_all(
    account: Annotated[str | None, typer.Option(help="Only this account's keys.")] = None,
    as_json: AsJson = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """List the keys, oldest first, without their secrets."""
    with told_plainly():
        found = AdminClient.of(config, data).ask("GET", "/keys")["keys"]
        found = [key for key in found if account is None or key["account"] == account]
        if as_json:
            print_json(found)
            return
        table = Table(Column("id", min_width=_ID_COLUMNS), "account", "tenant", "plan", "ends in", "issued", "state")
        for key in found:
            whose = (key["id"], key["account"], key["tenant"], key["plan"])
            table.add_row(*map(cell, (*whose, key["hint"], day(key["issued_at"]), state(key))))
        print_table(table)


@keys.command()
def show(key_id: KeyId, as_json: AsJson = False, config: Config = None, data: Data = None) -> None:
    """Show everything that is known of a key, except its secret."""
    with told_plainly():
        print_row(AdminClient.of(config, data).ask("GET", f"/keys/{_checked(key_id)}"), as_json=as_json)


@keys.command()
def revoke(key_id: KeyId, why: Why, as_json: AsJson = False, config: Config = None, data: Data = None) -> None:
    """End a key everywhere, within five seconds and for good."""
    with told_plainly():
        path = f"/keys/{_checked(key_id)}/revoke"
        print_row(AdminClient.of(config, data).ask("POST", path, {"reason": why}), as_json=as_json)


@keys.command()
def rotate(
    key_id: KeyId,
    grace: Annotated[str, typer.Option(help="How long the old key still works, such as 24h.")] = "24h",
    as_json: AsJson = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Make a second key for the same account and let the old one end after a while."""
    with told_plainly():
        path = f"/keys/{_checked(key_id)}/rotate"
        print_minted(AdminClient.of(config, data).ask("POST", path, {"grace_seconds": period(grace)}), as_json=as_json)


@keys.command("import")
def import_file(
    file: Annotated[
        Path, typer.Argument(help="JSON lines: account, tenant, plan, created_at, expires, attributes, secret.")
    ],
    config: Config = None,
    data: Data = None,
) -> None:
    """Make a key for every line of a file and print each with its secret, one JSON object a line.

    A line with a `secret` takes over the key of another system, so that customers need not change theirs. `created_at`
    and `expires` are dates or periods such as 90d, as for `keys create`; or Unix seconds, as `created_at` and
    `expires_at`. Nothing is made if a line is wrong, and all such lines are named, up to 20.
    """
    with told_plainly():
        lines = read_lines(file)
        client = AdminClient.of(config, data)
        batches = [lines[start : start + _BATCH] for start in range(0, len(lines), _BATCH)]
        console = Console(stderr=True)
        for batch in track(batches, "importing keys", console=console, disable=not console.is_terminal):
            try:
                made = client.ask("POST", "/keys/import", {"keys": [line.row for line in batch]})
            except AdminError as error:
                place = f"{file}, lines {batch[0].number} to {batch[-1].number}"
                before = "" if batch is batches[0] else "; the lines before these were imported"
                raise AdminError(f"{place}: {error}{before}") from None
            for key in made["keys"]:
                print_json(key)


def _attributes(pairs: list[str]) -> dict[str, str]:
    attributes = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigurationError(f"--attribute {pair!r}: must be NAME=VALUE")
        if name in attributes:
            raise ConfigurationError(f"--attribute {name}: is given twice, and an account has one of each name")
        attributes[name] = value
    return attributes


def _checked(key_id: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_]{1,64}", key_id):
        raise ConfigurationError(f"{key_id!r} is not the id of a key")
    return key_id
