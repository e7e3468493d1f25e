"""Reads decision logs as a stream, line by line, from files in use, rotated or compressed.

Laws: a line that cannot be read is counted and never ends the reading; only the present line is held.
"""

from __future__ import annotations

import gzip
import heapq
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, cast

import orjson

from proxy.decisions.columns import SCHEMA
from proxy.decisions.logged import Logged, read_logged
from proxy.errors import ConfigurationError

_LINE_BYTES: Final = 65_536  # far more than a line may have
_GZIP_MAGIC: Final = b"\x1f\x8b"
_MARK: Final = ".running"


class LogReader:
    """Reads the files of one log, once.

    `lines` and `malformed` count what was read so far, `broken` names files that end in the middle of their
    compressed data. `on_bytes` is told how many bytes of the files were read since it was last told.
    """

    def __init__(self, files: Sequence[Path], on_bytes: Callable[[int], None] = lambda _: None) -> None:
        self.files = tuple(files)
        self.lines = 0
        self.malformed = 0
        self.broken: list[Path] = []
        self._on_bytes = on_bytes

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield every readable line, file after file. Raises ConfigurationError for a file that cannot be read."""
        for file in self.files:
            yield from self._rows_of(file)

    def exchanges(self) -> Iterator[Logged]:
        """Yield every terminal record, those of several files by the time at which the exchanges were accepted."""
        yield from heapq.merge(*(self._exchanges_of(file) for file in self.files), key=lambda logged: logged.time)

    def logged(self, row: dict[str, Any]) -> Logged | None:
        """Return a terminal record as a value; None for a bad one, which counts as malformed."""
        try:
            return read_logged(row)
        except ValueError:
            self.malformed += 1
            return None

    def _exchanges_of(self, file: Path) -> Iterator[Logged]:
        for row in self._rows_of(file):
            if row["kind"] == "exchange" and (logged := self.logged(row)) is not None:
                yield logged

    def _rows_of(self, file: Path) -> Iterator[dict[str, Any]]:
        for line in self._lines_of(file):
            self.lines += 1
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError:
                row = None
            if isinstance(row, dict) and row.get("v") == SCHEMA and isinstance(row.get("kind"), str):
                yield row
            else:
                self.malformed += 1

    def _lines_of(self, file: Path) -> Iterator[bytes]:
        try:
            with file.open("rb") as raw:
                packed = raw.peek(len(_GZIP_MAGIC))[: len(_GZIP_MAGIC)] == _GZIP_MAGIC
                told = 0
                stream = cast("IO[bytes]", gzip.GzipFile(fileobj=raw) if packed else raw)
                for line in _whole_lines(stream):
                    yield line
                    if (read := raw.tell()) != told:
                        self._on_bytes(read - told)
                        told = read
        except (EOFError, gzip.BadGzipFile, zlib.error):
            self.broken.append(file)
        except OSError as error:
            raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from None


def _whole_lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield lines; of one longer than any line may be, only its beginning, which is no JSON."""
    while line := stream.readline(_LINE_BYTES):
        yield line
        while len(line) == _LINE_BYTES and not line.endswith(b"\n"):
            line = stream.readline(_LINE_BYTES)


def log_files(places: Sequence[Path]) -> list[Path]:
    """Return the files of logs named as files or folders, rotated and compressed ones too.

    Raises ConfigurationError for a place without any.
    """
    files: list[Path] = []
    for place in places:
        with readable(place):
            files += _files_of(place)
    return list(dict.fromkeys(files))


@contextmanager
def readable(place: Path) -> Iterator[None]:
    """Raise ConfigurationError if a place cannot be looked at, as when a folder on the way may not be searched."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"{place}: cannot be read: {error.strerror}") from None


def _files_of(place: Path) -> list[Path]:
    if place.is_dir():
        named = [file for file in place.iterdir() if ".jsonl" in file.name and not file.name.endswith(_MARK)]
        found = sorted(file for file in named if file.is_file())
        if not found:
            raise ConfigurationError(f"{place}: holds no decision log, which would be *.jsonl")
        return found
    if place.is_file():
        return [place]
    raise ConfigurationError(f"{place}: cannot be read: there is no such file or folder")
