"""`stillgate worker`: what the parent starts; nothing for people."""

from __future__ import annotations

from typing import Annotated

import typer


def worker(descriptor: Annotated[int, typer.Argument(help="The inherited control line.")]) -> None:
    """Serve as a child of `stillgate serve`."""
    from proxy.worker import main  # noqa: PLC0415 - what serving needs takes longer to load than other verbs run

    raise typer.Exit(main(descriptor))
