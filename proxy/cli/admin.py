"""`stillgate admin`: who may use the admin side, through the admin side of a running proxy."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer
from rich.table import Table

from proxy.auth.admin import Role
from proxy.cli.admin_client import AdminClient
from proxy.cli.moments import day, end, state
from proxy.cli.options import AsJson, Config, Data, told_plainly
from proxy.cli.printing import cell, print_json, print_minted, print_row, print_table
from proxy.errors import ConfigurationError

admin = typer.Typer(help="Manage who may use the admin side.", no_args_is_help=True)
tokens = typer.Typer(no_args_is_help=True)
admin.add_typer(tokens, name="tokens", help="Make, list and revoke the tokens of people, each with a role.")


@tokens.command()
def create(
    name: Annotated[str, typer.Option(help="Whom the token is for; what they do is recorded under this name.")],
    role: Annotated[
        Role,
        typer.Option(
            help="reviewer: reads all, decides about flags and campaigns; author: also changes policies; operator: all."
        ),
    ],
    expires: Annotated[str | None, typer.Option(help="When the token ends: a date, or from now such as 90d.")] = None,
    why: Annotated[str | None, typer.Option(help="The reason, for the log of changes.")] = None,
    as_json: AsJson = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Make a token and print its secret, which is shown this once only.

    Whoever it is for keeps it in a file, and names the file in STILLGATE_TOKEN_FILE and the admin port in
    STILLGATE_ADMIN_URL.
    """
    with told_plainly():
        request: dict[str, Any] = {"name": name, "role": role}
        if expires is not None:
            request["expires_at"] = end(expires)
        if why is not None:
            request["reason"] = why
        print_minted(AdminClient.of(config, data).ask("POST", "/tokens", request), as_json=as_json)


@tokens.command("list")
def list_all(as_json: AsJson = False, config: Config = None, data: Data = None) -> None:
    """List the tokens by name, without their secrets."""
    with told_plainly():
        found = AdminClient.of(config, data).ask("GET", "/tokens")["tokens"]
        if as_json:
            print_json(found)
            return
        table = Table("name", "role", "created", "state")
        for token in found:
            table.add_row(*map(cell, (token["name"], token["role"], day(token["created_at"]), state(token))))
        print_table(table)


@tokens.command()
def revoke(
    name: Annotated[str, typer.Argument(help="Whose token.")],
    why: Annotated[str | None, typer.Option(help="The reason; needed unless the token is your own.")] = None,
    as_json: AsJson = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """End a token at once and for good."""
    with told_plainly():
        if not re.fullmatch(r"[A-Za-z0-9._@-]{1,64}", name):
            raise ConfigurationError(f"{name!r} is not the name of a token")
        document = None if why is None else {"reason": why}
        print_row(AdminClient.of(config, data).ask("POST", f"/tokens/{name}/revoke", document), as_json=as_json)
