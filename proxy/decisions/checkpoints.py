"""Signed checkpoints: every so many lines or seconds, they say where a chain and those of other writers stand.

Laws:
- A checkpoint is a line of its chain. Its columns say only what its signed note says, so it vouches for itself, too.
- It also goes to a place that the log's owner cannot reach, if there is one: a file, standard output. If that fails,
  the failure is told and the log goes on, even if a reader has stopped or a disk does not answer.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from proxy.clock import Clock
from proxy.decisions.chain import Chain, Head, HeadFile
from proxy.decisions.columns import SCHEMA
from proxy.decisions.signing import handover_file, load_signer
from proxy.errors import ConfigurationError
from proxy.files.outlet import Outlet, write_all
from proxy.log import get

_BODY: Final = "stillgate.log/v1"
_HEADS: Final = "*.head"
# Twice so many heads of up to 170 bytes still fit into a line that is written to a pipe in one piece.
_OTHERS: Final = 12
_PATIENCE_S: Final = 0.5
_MOST_WAITING: Final = 10  # checkpoints that wait for a slow place; more count as not taken


class Terms(NamedTuple):
    """How often a checkpoint is made, and where it goes besides the log."""

    lines: int = 1000
    seconds: float = 10.0
    file: Path | None = None
    descriptor: int | None = None


class Checkpoints:
    """Makes the checkpoints of one chain; belongs to the thread that writes it.

    `key` is the file of the signing key, which may be replaced at any time; `folder` is where other writers here keep
    their heads. `elsewhere` are the heads of writers elsewhere; any thread may replace them.
    """

    elsewhere: tuple[Head, ...] = ()

    def __init__(self, key: Path, folder: Path, version: str, clock: Clock, terms: Terms) -> None:
        self._key = key
        self._folder = folder
        self._version = version
        self._clock = clock
        self._terms = terms
        self._signer = load_signer(key)
        self._handover = _read(handover_file(key))
        self._seen = _identity(key)
        self._covered = 0  # number of the last line that needs no checkpoint
        self._since: float | None = None  # when the first line after it was seen
        self._turn = 0
        self.unkept = 0  # checkpoints that a place elsewhere did not take
        self._places = self._opened(terms)

    def due_in(self, chain: Chain) -> float | None:
        """Return in how many seconds a checkpoint is due, 0 for now; None if no line needs one."""
        if chain.seq == self._covered:
            return None
        now = self._clock.monotonic()
        if self._since is None:
            self._since = now
        if chain.seq - self._covered >= self._terms.lines:
            return 0.0
        return max(0.0, self._since + self._terms.seconds - now)

    def line(self, chain: Chain) -> bytes:
        """Return a checkpoint as the chain's next line, after sending it to the other places."""
        self._follow_key()
        head, wall = chain.head, self._clock.wall()
        stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(wall))}.{int(wall * 1000) % 1000:03d}Z"
        facts = [_BODY, f"writer {chain.writer}", f"seq {chain.seq + 1}", f"prev {head.digest}", f"time {stamp}"]
        facts.append(f"version {self._version}")
        facts += [f"other {other.writer} {other.seq} {other.digest}" for other in self._others(chain)]
        note = self._signer.sign("\n".join(facts) + "\n")
        row = {
            "v": SCHEMA,
            "kind": "checkpoint",
            "time": stamp,
            "writer": chain.writer,
            "stillgate": self._version,
            "note": note,
            "handover": self._handover,
        }
        self._send(note)
        line = chain.link(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
        self.covered(chain)
        return line

    def covered(self, chain: Chain) -> None:
        """Note that the chain's lines so far need no checkpoint."""
        self._covered, self._since = chain.seq, None

    def _others(self, chain: Chain) -> Sequence[Head]:
        """Return the heads of other writers; if there are many, the next part of them each time."""
        here: list[Head] = []
        with suppress(OSError):  # perhaps no more files can be opened; the heads are named the next time
            here = [head for path in sorted(self._folder.glob(_HEADS)) if (head := HeadFile(path).read()) is not None]
        found = {head.writer: head for head in (*self.elsewhere, *here)}
        others = [head for writer, head in sorted(found.items()) if writer != chain.writer]
        if len(others) > _OTHERS:
            self._turn = (self._turn + _OTHERS) % len(others)
            others = (others[self._turn :] + others[: self._turn])[:_OTHERS]
        return others

    def _follow_key(self) -> None:
        identity = _identity(self._key)
        if identity == self._seen:
            return
        try:
            self._signer = load_signer(self._key)
        except ConfigurationError as error:
            get("decisions").error("the log's new key cannot be used; the old one goes on", error=str(error))
        self._handover, self._seen = _read(handover_file(self._key)), identity

    def _send(self, note: str) -> None:
        for place in self._places:
            if not place.put(note.encode()):
                self._tell("the place takes nothing any more")

    def _opened(self, terms: Terms) -> list[Outlet]:
        puts: list[Callable[[bytes], object]] = []
        if terms.file is not None:
            puts.append(partial(_append, terms.file))
        if terms.descriptor is not None:
            puts.append(partial(_print, terms.descriptor))
        return [Outlet(partial(self._put, put), "checkpoints", _MOST_WAITING, _PATIENCE_S) for put in puts]

    def _put(self, put: Callable[[bytes], object], note: bytes) -> None:
        try:
            put(note)
        except OSError as error:
            self._tell(error.strerror)

    def _tell(self, why: str | None) -> None:
        self.unkept += 1
        get("decisions").error("a checkpoint could not be kept elsewhere", error=why)


def _append(path: Path, note: bytes) -> None:
    """Append a note, whole or not at all, and on a line of its own even after one torn by a crash."""
    data = b"\n" + note
    with path.open("ab", buffering=0) as file:
        with suppress(OSError):  # some network file systems know no locks
            fcntl.flock(file, fcntl.LOCK_EX)  # other processes append to it too
        end = os.fstat(file.fileno()).st_size
        if file.write(data) < len(data):
            os.ftruncate(file.fileno(), end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _print(descriptor: int, note: bytes) -> None:
    write_all(descriptor, orjson.dumps({"checkpoint": note.decode()}, option=orjson.OPT_APPEND_NEWLINE))


def _identity(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        facts = path.stat()
        return facts.st_ino, facts.st_mtime_ns
    return None


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8")
    return ""
