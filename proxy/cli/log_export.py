"""`stillgate log export`: a decision log as one Parquet file, which is small and quickly asked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from proxy.cli.log_opening import MEMORY, Memory, Paths, Temp, Threads, give_up, leave, opened_log, unread
from proxy.errors import ConfigurationError
from proxy.review.schema import COLUMNS


def export(
    paths: Paths,
    *,
    to: Annotated[
        Path, typer.Option("--to", metavar="FILE", help="The Parquet file to write, over one that is there.")
    ],
    memory: Memory = MEMORY,
    threads: Threads = 0,
    temp: Temp = None,
) -> None:
    """Write every record into one Parquet file with every column that a log has, readable by its owner only.

    The rows are in no particular order. Exit: 0 done, 1 done but some lines could not be read, 2 wrong usage, or a
    file cannot be used; then FILE is as it was.
    """
    part = to.absolute().with_name(f".{to.name}.part")
    try:
        _begin(part)
        try:
            with opened_log(paths, COLUMNS, memory, threads, temp, written=[part]) as log:
                log.write(part)
                not_read, records = unread(log), log.rows - log.malformed
            _finish(part, to)
        finally:
            part.unlink(missing_ok=True)
    except ConfigurationError as error:
        give_up(error)
    typer.echo(f"wrote {records:,} records to {to}")
    leave(not_read)


def _begin(part: Path) -> None:
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise ConfigurationError(f"{part}: cannot be written: {error.strerror}") from None


def _finish(part: Path, to: Path) -> None:
    try:
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(to)
    except OSError as error:
        raise ConfigurationError(f"{to}: cannot be written: {error.strerror}") from None
