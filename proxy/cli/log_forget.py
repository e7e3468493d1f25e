"""`stillgate log forget`: nobody can tell any more whose the records of a month are."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from proxy.cli.admin_client import AdminClient
from proxy.cli.options import AsJson, Config, Data, Why, told_plainly
from proxy.cli.printing import print_json
from proxy.errors import ConfigurationError


def forget(
    epoch: Annotated[str, typer.Argument(metavar="EPOCH", help="A month that is over, such as 2026-11.")],
    why: Why,
    as_json: AsJson = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Destroy the key of a month's pseudonyms, for good: its records stay and verify, and name nobody any more.

    Earlier backups of the store still hold the key, and so do a shared store's own files until it writes them anew.
    """
    with told_plainly():
        if not re.fullmatch(r"[0-9-]{7}", epoch):
            raise ConfigurationError(f"{epoch!r} is not an epoch, which is a month such as 2026-11")
        done = AdminClient.of(config, data).ask("POST", f"/epochs/{epoch}/forget", {"reason": why})
        if as_json:
            print_json(done)
        else:
            typer.echo(f"The key of the pseudonyms of {epoch} is destroyed.")
