"""Options that several verbs share, and how a verb ends when something is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from proxy.errors import StillgateError

_EXIT_UNUSABLE = 2
Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="STILLGATE_CONFIG", help="The settings file; without one, all defaults."),
]
Data = Annotated[
    Path | None, typer.Option("--data", help="The folder for everything that is kept; overrides the settings.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Why = Annotated[str, typer.Option("--why", help="The reason, for the log of changes.")]


def one_of(**given: bool) -> None:
    """Refuse more than one of the ways in which something can be printed."""
    if sum(given.values()) > 1:
        raise typer.BadParameter("name one of them", param_hint=", ".join(f"--{way}" for way in given))


@contextmanager
def told_plainly() -> Iterator[None]:
    """Turn an error that has words for the operator into those words and exit code 1."""
    try:
        yield
    except StillgateError as error:
        raise _told([error]) from None
    except ExceptionGroup as group:  # what ended while background tasks ran
        ours, others = group.split(StillgateError)
        if ours is None or others is not None:
            raise
        raise _told(ours.exceptions) from None


@contextmanager
def told_unusable() -> Iterator[None]:
    """Turn an error over what a verb was given, or what it needs, into its words and exit code 2."""
    try:
        yield
    except StillgateError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(_EXIT_UNUSABLE) from None


def _told(errors: Iterable[Exception]) -> typer.Exit:
    for error in errors:
        typer.echo(f"stillgate: {error}", err=True)
    return typer.Exit(1)
