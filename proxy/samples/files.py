"""The files of samples: one for each day and worker, so that a day is deleted as a whole.

Laws: a line is written whole or not at all; what cannot be read is skipped and counted, and never ends the reading. A
file is opened for each sample and closed again, so that a deleted one is not written to.
"""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from proxy.decisions.reading import readable
from proxy.errors import ConfigurationError
from proxy.samples.envelope import Envelope

_NAME: Final = re.compile(r"samples-[0-9]+-([0-9]{4}-[0-9]{2}-[0-9]{2})\.jsonl")
_LINE_BYTES: Final = 16 << 20  # far more than a sample may have


class DayFile(NamedTuple):
    """A file of samples, and the day (UTC) that they were taken on."""

    path: Path
    day: dt.date


def append(folder: Path, worker: int, day: dt.date, line: bytes, most_bytes: int) -> bool:
    """Put a line into a worker's file of a day; return False if the file would be larger than `most_bytes` then.

    Raises OSError with nothing put in, if the disk allows even that.
    """
    path = folder / f"samples-{worker}-{day.isoformat()}.jsonl"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        if size + len(line) > most_bytes:
            return False
        # A process that was killed may have left the beginning of a line.
        torn = size and os.pread(descriptor, 1, size - 1) != b"\n"
        _write(descriptor, b"\n" + line if torn else line, size)
    finally:
        os.close(descriptor)
    return True


def _write(descriptor: int, data: bytes, size: int) -> None:
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def day_files(folder: Path) -> list[DayFile]:
    """Return the files in a folder, the oldest first; none if there is no folder. Raises OSError."""
    try:
        found = [DayFile(path, day) for path in folder.iterdir() if (day := _day_of(path.name)) is not None]
    except FileNotFoundError:
        return []
    return sorted(found, key=lambda file: (file.day, file.path))


def _day_of(name: str) -> dt.date | None:
    named = _NAME.fullmatch(name)
    try:
        return dt.date.fromisoformat(named[1]) if named else None
    except ValueError:
        return None


class Reader:
    """Reads files of samples; `malformed` counts the lines that are none."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.malformed = 0
        self._files = files

    @classmethod
    def of(cls, places: Sequence[Path]) -> Reader:
        """Read files, and those in folders. Raises ConfigurationError for a place where there are none."""
        files: list[Path] = []
        for place in places:
            with readable(place):
                found = [file.path for file in day_files(place)] if place.is_dir() else [place]
                there = bool(found) and all(path.is_file() for path in found)
            if not there:
                raise ConfigurationError(f"{place}: holds no samples, which would be samples-*.jsonl")
            files += found
        return cls(files)

    def envelopes(self, exchange: str = "") -> Iterator[Envelope]:
        """Yield every sample, or those of one exchange. Raises ConfigurationError for a file that cannot be read."""
        wanted = exchange.encode()
        for path in self._files:
            try:
                with path.open("rb") as file:
                    while line := file.readline(_LINE_BYTES):
                        if wanted in line:
                            yield from self._read(line, exchange)
            except OSError as error:
                raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None

    def _read(self, line: bytes, exchange: str) -> Iterator[Envelope]:
        try:
            envelope = Envelope.read(line)
        except ValueError:
            self.malformed += 1
            return
        if exchange in ("", envelope.exchange):
            yield envelope
