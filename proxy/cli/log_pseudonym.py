"""`stillgate log pseudonym`: what the decision log calls an account, month by month, as the running proxy knows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

from proxy.cli.admin_client import AdminClient
from proxy.cli.options import AsJson, Config, Data, Why, told_plainly
from proxy.cli.printing import print_json


def pseudonym(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account, as keys and tokens name it.")],
    why: Why,
    as_json: AsJson = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Print the account's pseudonym in each month whose key is still there; the question is recorded.

    For a month whose key was destroyed, nobody can tell it any more.
    """
    with told_plainly():
        names = names_of(account, why, config, data)
    if as_json:
        print_json({"account": account, "names": names})
        return
    for epoch, name in names.items():
        typer.echo(f"{epoch}  {name or 'forgotten: its key was destroyed'}")


def names_of(account: str, why: str, config: Path | None, data: Path | None) -> dict[str, str | None]:
    """Ask the admin side. Raises AdminError, or ConfigurationError as `AdminClient.of` does."""
    answer = AdminClient.of(config, data).ask("POST", "/pseudonyms", {"account": account, "reason": why})
    return dict(answer["names"])


def forgotten(names: Mapping[str, str | None]) -> Iterator[str]:
    """Yield in words the months in which an account cannot be found any more."""
    if gone := [epoch for epoch, name in names.items() if name is None]:
        yield f"for {', '.join(gone)} nobody can tell any more which records are this account's: the key was destroyed"
