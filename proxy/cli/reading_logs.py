"""Progress while a decision log is read, and how a verb says what it could not read of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from proxy.decisions.reading import LogReader, log_files


@contextmanager
def read_with_progress(places: Sequence[Path]) -> Iterator[LogReader]:
    """Yield what reads a log; progress shows where somebody watches: on stderr, if that is a terminal.

    Raises ConfigurationError for a place that holds no log.
    """
    files = log_files(places)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("decision log", total=sum(file.stat().st_size for file in files))
        yield LogReader(files, lambda read: progress.advance(task, read))


def unread(reader: LogReader) -> list[str]:
    """Return in words what could not be read of a log; nothing if all could."""
    said = [f"{file}: ends in the middle of its compressed data" for file in reader.broken]
    if reader.malformed:
        said.append(f"{reader.malformed} of {reader.lines} lines are not records of this version and were passed over")
    return said
