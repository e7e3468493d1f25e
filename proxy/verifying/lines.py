"""Reads the lines of logs, plain or compressed, as bytes: what links them, and what kind they are."""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple, cast

LINE_BYTES: Final = 65_536  # far more than a line may have
_GZIP: Final = b"\x1f\x8b"
_LINK: Final = re.compile(rb',"seq":([1-9]\d{0,18}),"prev":"([0-9a-f]{64})"\}\Z')
_LINK_BYTES: Final = 110
_KIND: Final = re.compile(rb'\{"v":1,"kind":"(exchange|begin|start|stop|gap|repair|checkpoint|admin)"')
_WRITER: Final = b'"writer":"'
_EXCHANGE: Final = b'{"v":1,"kind":"exchange",'
_WRITER_AT: Final = len(_EXCHANGE) + len('"time":"2026-01-01T00:00:00.000Z",')


class Line(NamedTuple):
    """One line: its number in the file, its bytes without the newline, and what it says of itself.

    `writer` is empty and `seq` 0 for a line that belongs to no chain. `ended` is false for a last one without newline.
    `late` is true for a checkpoint that was written after the files were first looked at.
    """

    number: int
    data: bytes
    digest: bytes
    kind: str
    writer: bytes
    seq: int
    prev: bytes
    ended: bool
    late: bool = False


def read_lines(path: Path, on_bytes: Callable[[int], None], size: int) -> Iterator[Line]:
    """Yield the lines of a file, which had `size` bytes when the files were first looked at.

    Raises OSError; compressed data that breaks off ends it like a torn line.
    """
    sha256, link = hashlib.sha256, _LINK.search
    with path.open("rb") as raw:
        packed = raw.peek(2)[:2] == _GZIP
        stream = cast("IO[bytes]", gzip.GzipFile(fileobj=raw) if packed else raw)
        told, writer, quoted = 0, b"", b"\0"
        for number, (data, ended) in enumerate(_pieces(stream), start=1):
            found = link(data, len(data) - _LINK_BYTES if len(data) > _LINK_BYTES else 0)
            kind = "exchange" if data.startswith(_EXCHANGE) else _kind(data)
            if not data.startswith(quoted, _WRITER_AT):  # in most lines it stands there, and is that of the line before
                writer = _writer(data)
                quoted = b'"writer":"%b"' % writer
            if found is None or not kind or not writer or not ended:
                yield Line(number, data, b"", "", b"", 0, b"", ended)
                quoted = b"\0"
            else:
                prev = bytes.fromhex(found[2].decode())
                late = kind == "checkpoint" and raw.tell() > size
                yield Line(number, data, sha256(data).digest(), kind, writer, int(found[1]), prev, ended, late)
            if number % 1024 == 0:
                on_bytes(raw.tell() - told)
                told = raw.tell()
        on_bytes(raw.tell() - told)


def _kind(data: bytes) -> str:
    found = _KIND.match(data)
    return found[1].decode() if found else ""


def _writer(data: bytes) -> bytes:
    start = data.find(_WRITER)
    if start < 0:
        return b""
    start += len(_WRITER)
    return data[start : data.find(b'"', start)]


def _pieces(stream: IO[bytes]) -> Iterator[tuple[bytes, bool]]:
    try:
        while line := stream.readline(LINE_BYTES):
            yield (line[:-1], True) if line.endswith(b"\n") else (line, len(line) == LINE_BYTES)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        yield f"compressed data that cannot be read: {error}".encode(), False
