"""How far a command is, shown where somebody watches: on stderr, if that is a terminal, and gone at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn


@contextmanager
def watched(*columns: ProgressColumn) -> Iterator[Progress]:
    """Yield what shows progress, with these columns behind each task's name and bar."""
    console = Console(stderr=True)
    named = (TextColumn("{task.description}"), BarColumn())
    with Progress(*named, *columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield progress


@contextmanager
def reading_log(files: Sequence[Path]) -> Iterator[Callable[[int], None]]:
    """Yield what is to be told how many bytes more of a decision log's files were read."""
    with watched(DownloadColumn(), TimeRemainingColumn()) as progress:
        task = progress.add_task("decision log", total=sum(file.stat().st_size for file in files))
        yield lambda read: progress.advance(task, read)
