"""How the verbs that review a decision log open it, and how they end."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import TaskProgressColumn, TimeElapsedColumn

from proxy.cli.progress import watched
from proxy.errors import ConfigurationError
from proxy.review.files import sources

if TYPE_CHECKING:
    from proxy.review.log import Log

_EXIT_UNREAD = 1
_EXTRA = "this needs the extra: pip install 'stillgate[review]'"

Paths = Annotated[
    list[Path],
    typer.Argument(metavar="PATHS...", help="Decision logs, plain, .gz or exported as Parquet, or folders of them."),
]
Memory = Annotated[
    str, typer.Option("--memory", metavar="SIZE", help="The memory to use at most; the rest is spilled to disk.")
]
Threads = Annotated[int, typer.Option("--threads", min=0, max=64, help="Threads to use; 0: one for each core.")]
Temp = Annotated[
    Path | None,
    typer.Option(
        "--temp", metavar="FOLDER", help="Where a private folder for temporary files is made, and removed at the end."
    ),
]
MEMORY = "2GB"


@contextmanager
def opened_log(
    paths: Sequence[Path],
    wanted: Collection[str],
    memory: str,
    threads: int,
    temp: Path | None,
    *,
    parts: Mapping[str, str] | None = None,
    written: Sequence[Path] = (),
    apart: bool = False,
) -> Iterator[Log]:
    """Yield a log; see `open_log`. Progress shows on stderr, if that is a terminal."""
    try:
        from proxy.review.log import Bounds, open_log  # noqa: PLC0415 - only who asks a log needs the extra
    except ImportError:
        raise ConfigurationError(_EXTRA) from None
    files = sources(paths)
    bounds = Bounds(memory, threads or os.cpu_count() or 1, temp)
    with watched(TaskProgressColumn(), TimeElapsedColumn()) as progress:
        task = progress.add_task("decision log", total=1.0)
        with open_log(
            files,
            wanted,
            bounds,
            lambda share: progress.update(task, completed=share),
            parts=parts,
            written=written,
            apart=apart,
        ) as log:
            progress.stop()
            yield log


def leave(log_unread: Sequence[str]) -> None:
    """Say what could not be read, and end with the exit code for that if there was something."""
    for line in log_unread:
        typer.echo(line, err=True)
    if log_unread:
        raise typer.Exit(_EXIT_UNREAD)
