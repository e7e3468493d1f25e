"""Reads the lines of logs, plain or compressed, as bytes: what links them, and what kind they are.

Laws:
- No line is parsed as JSON here. The writer's bytes are vouched for by the digest that the line behind them names and,
  in the end, by a signature; where one bit of them differs, the link is broken, whether or not it still is JSON.
- What a line is stands at its start and its end. `follow` knows a short way for what most lines are; what it takes, the
  long way would take for the same.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final, Self, cast

from proxy.verifying.chains import DIGEST_BYTES, Chain, Line, Stray
from proxy.verifying.findings import Place

_LINE_BYTES: Final = 65_536  # far more than a line may have
RUN_LINES: Final = 1_024  # taken at a time, between two reports of how far the reading is
_BUFFER_BYTES: Final = 65_536
_LOOKED_AT: Final = 16  # lines of a file, to see where it begins
_SEQ_MAX: Final = 2**63 - 1
_GZIP: Final = b"\x1f\x8b"
_BROKEN: Final = (EOFError, gzip.BadGzipFile, zlib.error)
_LINK: Final = re.compile(rb',"seq":([1-9]\d{0,18}),"prev":"([0-9a-f]{64})"\}\Z')
_LINK_BYTES: Final = 110
_KIND: Final = re.compile(rb'\{"v":1,"kind":"(exchange|begin|sample|start|stop|gap|repair|checkpoint|admin)"')
_WRITER: Final = b'"writer":"'
_ID: Final = b'"id":"'
_EXCHANGE: Final = b'{"v":1,"kind":"exchange",'
_BEGIN: Final = b'{"v":1,"kind":"begin",'
_WRITER_AT: Final = len(_EXCHANGE) + len('"time":"2026-01-01T00:00:00.000Z",')
_BEGIN_WRITER_AT: Final = _WRITER_AT + len(_BEGIN) - len(_EXCHANGE)


class Reading:
    """One pass over the lines of a file, which had `size` bytes when the files were first looked at.

    Raises OSError; compressed data that breaks off ends it like a torn line.
    """

    def __init__(self, path: Path, size: int, on_bytes: Callable[[int], None]) -> None:
        self._raw = io.BufferedReader(io.FileIO(path), _BUFFER_BYTES)
        self._readline: Callable[[int], bytes] = self._raw.readline
        self._size = size
        self._on_bytes = on_bytes
        self._told_bytes = self._told_lines = 0
        self._number = 0  # of the last line that was taken
        self._ahead: bytes | None = None  # what `follow` read and did not take
        self._error: Exception | None = None  # what it met
        self._heads: dict[bytes, bytes] = {}  # by writer, what stands in its terminal records from there to their ids

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()

    def __iter__(self) -> Iterator[tuple[Line, bytes] | Stray]:
        """Yield the lines that nobody took by `follow`, those of chains with their bytes."""
        if self._raw.peek(2)[:2] == _GZIP:
            self._readline = cast("IO[bytes]", gzip.GzipFile(fileobj=self._raw)).readline
        try:
            while data := self._next():
                self._number += 1
                yield self._stray(data) if not data.endswith(b"\n") else self._parsed(data[:-1])
                if self._number >= self._told_lines + RUN_LINES:
                    self._tell()
        except _BROKEN as error:
            yield Stray(self._number + 1, len(str(error)), ended=False)
        self._tell()

    def follow(self, chain: Chain) -> None:
        """Take records of exchanges as long as each hangs on to the line before it, which is the chain's last one."""
        stretch, begun, kept = chain.stretches[-1], chain.begun, chain.digests
        head = self._heads.get(stretch.first.writer)
        if head is None:
            return
        readline, sha256 = self._readline, hashlib.sha256
        end_id, begin_id = _WRITER_AT + len(head), _BEGIN_WRITER_AT + len(head)
        digest = stretch.last_digest
        first = seq = stretch.last_seq + 1
        behind = min(first + RUN_LINES, _SEQ_MAX + 1)
        try:
            for seq in range(first, behind):
                data = readline(_LINE_BYTES)
                if not data.endswith(b',"seq":%d,"prev":"%b"}\n' % (seq, digest.hex().encode())):
                    self._ahead = data
                    break
                if data.startswith(head, _WRITER_AT) and data.startswith(_EXCHANGE):
                    if begun:
                        begun.pop(data[end_id : data.find(b'"', end_id)], None)
                elif data.startswith(head, _BEGIN_WRITER_AT) and data.startswith(_BEGIN):
                    place = Place(stretch.place.file, self._number + seq - first + 1)
                    begun[data[begin_id : data.find(b'"', begin_id)]] = place, seq
                else:
                    self._ahead = data
                    break
                digest = sha256(data[:-1]).digest()
                kept += digest[:DIGEST_BYTES]
            else:
                seq = behind
        except (OSError, *_BROKEN) as error:
            self._error = error
        self._number += seq - first
        stretch.extend(seq - 1, digest, self._number)

    def _next(self) -> bytes:
        if self._error is not None:
            raise self._error
        data, self._ahead = self._ahead, None
        return self._readline(_LINE_BYTES) if data is None else data

    def _stray(self, data: bytes) -> Stray:
        """Pass what has no end over: it is the file's last line, or longer than any."""
        size, begun = len(data), data
        while data and not data.endswith(b"\n"):
            data = self._readline(_LINE_BYTES)
            size += len(data)
        whole = not data and size == len(begun)
        return Stray(self._number, size - len(data[-1:]), ended=bool(data), begun=begun if whole else b"")

    def _parsed(self, data: bytes) -> tuple[Line, bytes] | Stray:
        found = _LINK.search(data, max(0, len(data) - _LINK_BYTES))
        kind, writer = _KIND.match(data), _quoted(data, _WRITER)
        if found is None or kind is None or not writer or (seq := int(found[1])) > _SEQ_MAX:
            return Stray(self._number, len(data), ended=True)
        if kind[1] == b"exchange" and data.startswith(b'%b%b"' % (_WRITER, writer), _WRITER_AT):
            before, name, _ = data[_WRITER_AT:].partition(_ID)
            self._heads[writer] = before + name
        late = kind[1] == b"checkpoint" and self._raw.tell() > self._size
        digest, prev = hashlib.sha256(data).digest(), bytes.fromhex(found[2].decode())
        return Line(self._number, digest, kind[1].decode(), writer, seq, prev, late), data

    def _tell(self) -> None:
        at = self._raw.tell()
        self._on_bytes(at - self._told_bytes)
        self._told_bytes, self._told_lines = at, self._number


def beginning(path: Path) -> tuple[bytes, int]:
    """Return the writer and the number of a file's first line that belongs to a chain; nothing if none soon does."""
    try:
        with Reading(path, 0, lambda _: None) as reading:
            for found, _ in zip(reading, range(_LOOKED_AT), strict=False):
                if not isinstance(found, Stray):
                    return found[0].writer, found[0].seq
    except OSError:  # that it cannot be read is told when it should be
        pass
    return b"", 0


def exchange_id(data: bytes) -> bytes:
    """Return the id of the exchange that a line is about."""
    return _quoted(data, _ID)


def _quoted(data: bytes, name: bytes) -> bytes:
    """Return what stands in quotes behind a name where it first comes; empty if it does not."""
    start = data.find(name)
    if start < 0:
        return b""
    start += len(name)
    return data[start : data.find(b'"', start)]
