"""The running mark: a small locked file that exists while a writer runs, so that the next start knows how it ended.

Laws: the mark is removed only after a clean stop; one process holds its lock at a time, and the kernel frees a dead
process's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import NamedTuple

import orjson

from proxy.errors import ConfigurationError


class Gap(NamedTuple):
    """The end of an earlier process that did not stop cleanly, as wall times in seconds.

    `started` is when it began; `last` is when it was last seen writing, a second early at most.
    """

    started: float
    last: float


class RunningMark:
    """A mark that was taken; its owner alone may use it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path, wall: float) -> tuple[RunningMark, Gap | None]:
        """Take the mark at `path`, making its folder if need be, and return what an earlier process left.

        Raises ConfigurationError if another process holds it, OSError if it cannot be made.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        existed = path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its holder may have removed it between our opening and our locking.
            held = path.stat().st_ino == os.fstat(descriptor).st_ino
        except (BlockingIOError, FileNotFoundError):
            held = False
        if not held:
            os.close(descriptor)
            raise ConfigurationError(f"another process is writing this decision log: it holds {path}")
        gap = _read_gap(descriptor) if existed else None
        # On a full disk the mark stays empty, which the next start also reads as a gap.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, orjson.dumps({"started": wall, "pid": os.getpid()}), 0)
        mark = cls(path, descriptor)
        mark.touch(wall)
        return mark, gap

    def touch(self, wall: float) -> None:
        """Note that lines were written up to now."""
        os.utime(self._descriptor, (wall, wall))

    def stay(self, wall: float) -> RunningMark:
        """Note that lines are written up to now, and return the mark, a new one if its folder was moved or deleted.

        Raises as `take` does, since another process may write in the new folder by now.
        """
        if not self._lies_there():
            taken, _ = RunningMark.take(self._path, wall)
            os.close(self._descriptor)
            return taken
        with contextlib.suppress(OSError):  # it is enough if the disk takes lines
            self.touch(wall)
        return self

    def release(self, *, clean: bool) -> None:
        """Release the mark; after a clean stop its file is removed, if the folder is writable."""
        with contextlib.suppress(OSError):
            if clean and self._lies_there():
                self._path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def _lies_there(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except FileNotFoundError:
            return False


def _read_gap(descriptor: int) -> Gap:
    last = os.fstat(descriptor).st_mtime
    try:
        started = float(orjson.loads(os.pread(descriptor, 4096, 0))["started"])
    except (ValueError, TypeError, KeyError):
        started = last
    return Gap(started, last)
