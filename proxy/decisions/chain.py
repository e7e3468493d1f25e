"""The chain of a log: each line carries its number and the digest of the line before it, so that none can be changed,
removed, inserted or moved without rewriting every line after it.

A line's digest is SHA-256 of its bytes without the newline, in hexadecimal; the first line's predecessor is `GENESIS`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

GENESIS: Final = "0" * 64
LINK_BYTES: Final = 100  # at most, of number and digest
_LINK: Final = re.compile(rb',"seq":(\d{1,19}),"prev":"([0-9a-f]{64})"\}')
_WRITER: Final = re.compile(rb'"writer":"([\w.-]{1,80})"', re.ASCII)
_NAME: Final = re.compile(r"[\w.-]{1,80}", re.ASCII)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_SEQ_MAX: Final = 2**63 - 1


class Head(NamedTuple):
    """The last line of a chain: its writer, number and digest."""

    writer: str
    seq: int
    digest: str

    @classmethod
    def of_line(cls, line: bytes) -> Head | None:
        """Return the head of a chain that ends with this line; None for a line that belongs to no chain."""
        line = line.removesuffix(b"\n")
        link, writer = _LINK.search(line, max(0, len(line) - LINK_BYTES)), _WRITER.search(line)
        if link is None or link.end() != len(line) or writer is None:
            return None
        return cls(writer[1].decode(), int(link[1]), hashlib.sha256(line).hexdigest())

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Head:
        """Return the head that was kept as JSON. Raises ValueError, KeyError or TypeError for anything else."""
        writer, seq, digest = facts["writer"], facts["seq"], facts["digest"]
        if (
            not _NAME.fullmatch(writer)
            or not _DIGEST.fullmatch(digest)
            or type(seq) is not int
            or not 0 <= seq <= _SEQ_MAX
        ):
            raise ValueError("is not the head of a chain")
        return cls(writer, seq, digest)

    @classmethod
    def begun(cls, writer: str) -> Head:
        """Return the head of a chain without lines."""
        return cls(writer, 0, GENESIS)


class Chain:
    """Links lines; belongs to the thread that writes them."""

    def __init__(self, head: Head) -> None:
        self.writer = head.writer
        self.seq = head.seq
        self._digest = head.digest.encode()

    @property
    def head(self) -> Head:
        """The line that was linked last."""
        return Head(self.writer, self.seq, self._digest.decode())

    def skip(self, lines: int) -> None:
        """Skip the numbers of lines that were lost before they came here."""
        self.seq += lines

    def link(self, line: bytes) -> bytes:
        """Return a line, a JSON object with columns and a newline, with its number and its predecessor's digest."""
        self.seq += 1
        linked = b'%b,"seq":%d,"prev":"%b"}' % (line[:-2], self.seq, self._digest)
        self._digest = hashlib.sha256(linked).hexdigest().encode()
        return linked + b"\n"


class HeadFile:
    """Remembers where a chain ends: for a start that finds the file gone, and for the notes of other writers."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, head: Head) -> None:
        """Replace the kept head by this one, as a whole. Raises OSError."""
        draft = self._path.with_name(f".{self._path.name}.draft")
        draft.write_bytes(orjson.dumps(head._asdict()))
        draft.replace(self._path)

    def read(self) -> Head | None:
        """Return the kept head, None if there is none that can be read."""
        try:
            return Head.read(orjson.loads(self._path.read_bytes()))
        except (OSError, ValueError, KeyError, TypeError):
            return None


def take_up(last_line: bytes, remembered: Head | None, new_name: Callable[[], str]) -> Head:
    """Return where a chain goes on: after the log's last line, else at the remembered head, else a new chain."""
    return Head.of_line(last_line) or remembered or Head.begun(new_name())
