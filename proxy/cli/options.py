"""Options that several verbs share, and how a verb ends when something is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from proxy.errors import StillgateError

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="STILLGATE_CONFIG", help="The settings file; all defaults without one."),
]
Data = Annotated[
    Path | None, typer.Option("--data", help="The folder for everything that is kept; overrides the settings.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@contextmanager
def told_plainly() -> Iterator[None]:
    """Turn an error that has words for the operator into those words and exit code 1."""
    try:
        yield
    except StillgateError as error:
        typer.echo(f"stillgate: {error}", err=True)
        raise typer.Exit(1) from None
