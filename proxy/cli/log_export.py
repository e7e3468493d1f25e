"""`stillgate log export`: a decision log as one Parquet file, which is small and quickly asked."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from proxy.cli.ending import cleared_on_sigterm
from proxy.cli.log_opening import MEMORY, Memory, Paths, Temp, Threads, leave, opened_log
from proxy.cli.options import told_unusable
from proxy.cli.reading_logs import unread
from proxy.errors import ConfigurationError
from proxy.review.schema import COLUMNS


@cleared_on_sigterm()
def export(
    paths: Paths,
    *,
    to: Annotated[
        Path, typer.Option("--to", metavar="FILE", help="The Parquet file to write; one that is there is replaced.")
    ],
    memory: Memory = MEMORY,
    threads: Threads = 0,
    temp: Temp = None,
) -> None:
    """Write every record into one Parquet file with every column that a log has, readable by its owner only.

    The rows are in no particular order. Exit: 0 done, 1 done but some lines could not be read, 2 wrong usage, or a
    file cannot be used, which leaves FILE as it was.
    """
    with told_unusable():
        part = _begun(to.absolute())
        try:
            with opened_log(paths, COLUMNS, memory, threads, temp, written=[part]) as log:
                log.write(part)
                not_read, records = unread(log), log.lines - log.malformed
            _finish(part, to)
        finally:
            part.unlink(missing_ok=True)
    typer.echo(f"wrote {records:,} records to {to}")
    leave(not_read)


def _begun(to: Path) -> Path:
    """Make an empty file beside it, under a name of its own: one that a killed export left is in nobody's way."""
    try:
        descriptor, part = tempfile.mkstemp(prefix=f".{to.name}.", suffix=".part", dir=to.parent)
    except OSError as error:
        raise ConfigurationError(f"{to}: cannot be written: {error.strerror}") from None
    os.close(descriptor)
    return Path(part)


def _finish(part: Path, to: Path) -> None:
    try:
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(to)
    except OSError as error:
        raise ConfigurationError(f"{to}: cannot be written: {error.strerror}") from None
