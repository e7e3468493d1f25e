"""The files of a log, and how each is written."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

from proxy.decisions.reading import log_files, readable
from proxy.errors import ConfigurationError

_PIECE_BYTES: Final = 65_536  # of the last piece of a broken file nothing is kept


class Form(Enum):
    """How a file is written, by how it begins."""

    LINES = ".jsonl"
    GZIP = ".jsonl.gz"
    PARQUET = ".parquet"


_BEGINNINGS: Final = {b"\x1f\x8b": Form.GZIP, b"PAR1": Form.PARQUET}


class Source(NamedTuple):
    """One file of a log."""

    path: Path
    form: Form


def sources(places: Sequence[Path]) -> list[Source]:
    """Return the files of logs that were named as files or as folders.

    A folder stands for the lines in it; only one that has none stands for its Parquet files, for they are most likely
    made of those lines, and an exchange is to count once. Raises ConfigurationError for a place where there are none.
    """
    files: list[Path] = []
    for place in places:
        with readable(place):
            exported = sorted(place.glob("*.parquet")) if place.is_dir() else []
            files += exported if exported and not any(place.glob("*.jsonl*")) else log_files([place])
    return [_source(file) for file in dict.fromkeys(file.absolute() for file in files)]


def _source(file: Path) -> Source:
    try:
        with file.open("rb") as opened:
            began = opened.read(4)
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from None
    form = next((form for start, form in _BEGINNINGS.items() if began.startswith(start)), Form.LINES)
    return Source(file, form)


def salvage(packed: Path, to: Path) -> bool:
    """Unpack of a gzip file what can be unpacked; return whether that was all of it."""
    with gzip.open(packed) as stream, to.open("wb") as out:
        try:
            while piece := stream.read(_PIECE_BYTES):
                out.write(piece)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            return False
    return True
