"""Cuts files of traffic into blocks of whole lines, plain or compressed, one file after the other.

Laws: every line is in exactly one block, even a file's last line without a line feed; only the present block is held.
"""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, cast

from proxy.decisions.reading import readable
from proxy.errors import ConfigurationError

STDIN: Final = Path("-")
_BLOCK_BYTES: Final = 1 << 19  # some 250 exchanges: few enough to spread over processes, enough to be worth sending
_LINE_BYTES: Final = 64 << 20  # several times what a request's body may have
_GZIP_MAGIC: Final = b"\x1f\x8b"
_TOO_LONG: Final = b"too long\n"  # replaces a line that is; it is not JSON


class Files:
    """The files of one replay, read once; `-` is standard input.

    `broken` names files that end in the middle of their compressed data. `on_bytes` is told how many bytes of the files
    were read since its last call.
    """

    def __init__(self, places: Sequence[Path], on_bytes: Callable[[int], None] = lambda _: None) -> None:
        self._places = tuple(places)
        self.broken: list[Path] = []
        self.begun: list[tuple[int, str]] = []  # for each file begun, the number of lines before it, and its name
        self._on_bytes = on_bytes

    def check(self) -> None:
        """Raise ConfigurationError for a missing file, and if standard input is named but cannot be read."""
        for place in self._places:
            if place == STDIN:
                continue
            with readable(place):
                if place.is_dir():
                    raise ConfigurationError(f"{place}: is a folder; name the files in it")
                if not place.exists():
                    raise ConfigurationError(f"{place}: cannot be read: there is no such file")
        if STDIN in self._places and sys.stdin is None:
            raise ConfigurationError(f"{STDIN}: cannot be read: there is no standard input")
        if self._places.count(STDIN) > 1:
            raise ConfigurationError(f"{STDIN}: standard input can be read once only")

    def blocks(self) -> Iterator[bytes]:
        """Yield blocks of lines, each ended by a line feed. Raises ConfigurationError for an unreadable file."""
        lines = 0
        for place in self._places:
            self.begun.append((lines, str(place)))
            try:
                for block in self._blocks_in(place):
                    lines += block.count(b"\n")
                    yield block
            except OSError as error:
                raise ConfigurationError(f"{place}: cannot be read: {error.strerror}") from None

    def _blocks_in(self, place: Path) -> Iterator[bytes]:
        if place == STDIN:
            yield from self._blocks_of(place, io.BufferedReader(cast("io.RawIOBase", sys.stdin.buffer)))
            return
        with place.open("rb") as raw:
            yield from self._blocks_of(place, raw)

    def _blocks_of(self, place: Path, raw: io.BufferedReader) -> Iterator[bytes]:
        packed = raw.peek(len(_GZIP_MAGIC))[: len(_GZIP_MAGIC)] == _GZIP_MAGIC
        stream = gzip.GzipFile(fileobj=raw) if packed else raw
        told = 0
        seekable = raw.seekable()
        begun: list[bytes] = []  # of a line that is longer than a block
        held = 0
        for piece in self._read(place, stream):
            if seekable and (at := raw.tell()) != told:
                self._on_bytes(at - told)
                told = at
            data, end = piece, piece.rfind(b"\n") + 1
            if not data or end:
                if held > _LINE_BYTES:
                    end_of_line = data.find(b"\n") + 1
                    begun, data, end = [_TOO_LONG], data[end_of_line:], end - end_of_line
                block = b"".join((*begun, data[:end]))
                if block:
                    yield block if block.endswith(b"\n") else block + b"\n"
                begun, held = [], 0
            held += len(data) - end
            if held <= _LINE_BYTES:
                begun.append(data[end:])

    def _read(self, place: Path, stream: gzip.GzipFile | io.BufferedReader) -> Iterator[bytes]:
        """Yield a stream's content in parts until it ends or breaks off, and at last an empty part."""
        parts: list[bytes] = []
        room = _BLOCK_BYTES
        try:
            while part := stream.read1(room):  # `read` would lose what comes before a break
                parts.append(part)
                room -= len(part)
                if not room:
                    yield b"".join(parts)
                    parts, room = [], _BLOCK_BYTES
        except (EOFError, gzip.BadGzipFile, zlib.error):
            self.broken.append(place)
        if parts:
            yield b"".join(parts)
        yield b""
