"""How a verb reads a decision log line by line, and what all verbs say of what they could not read of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.cli.printing import cell
from proxy.cli.progress import reading_log
from proxy.decisions.reading import LogReader, log_files

if TYPE_CHECKING:  # it needs an extra
    from proxy.review.log import Log


@contextmanager
def read_with_progress(places: Sequence[Path]) -> Iterator[LogReader]:
    """Yield what reads a log. Raises ConfigurationError for a place that holds none."""
    files = log_files(places)
    with reading_log(files) as on_bytes:
        yield LogReader(files, on_bytes)


def unread(log: LogReader | Log) -> list[str]:
    """Return in words what could not be read of a log; nothing if all could."""
    said = [f"{cell(file)}: ends in the middle of its compressed data" for file in log.broken]
    if log.malformed:
        said.append(f"{log.malformed:,} of {log.lines:,} lines are not records of this version and were passed over")
    return said
