"""Where the decision log goes: a file that may be rotated under us, or an open descriptor such as standard output.

Laws: everything here may block and belongs to the writer's thread; bytes are appended and never taken back, except an
unfinished line in a file that was renamed: it is written again in the next file.
"""

from __future__ import annotations

import enum
import os
import select
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

_TAIL_BYTES: Final = 65_536  # far more than a line may have
_PIPE_WAIT_MS: Final = 500


class Happened(enum.Enum):
    """What happened to a target since it was last looked at."""

    NONE = enum.auto()
    REOPENED = enum.auto()  # renamed or deleted: a new file was opened under its name
    TRUNCATED = enum.auto()  # cut shorter in place, as `copytruncate` does: records are missing


class CutFile(OSError):
    """Somebody else cut the file, and nothing is written to the rest of it."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} was cut by somebody else: move it away, and rotate by renaming")


class Target(Protocol):
    """What the writer needs of a place to write to. All but `mark` may raise OSError."""

    batch_bytes: int  # how much one write may hold
    mark: Path  # where the running mark stands
    last_line: bytes  # the last whole line that `open` found
    forgetful: bool  # whether what was written cannot be read back, so that `last_line` is always empty

    def open(self) -> int:
        """Make ready to write and return the length of an unfinished line at the end."""
        ...

    def is_gone(self) -> bool:
        """Tell quickly whether nobody could read what is written now."""
        ...

    def look(self, unfinished: int = 0) -> Happened:
        """Look whether the file of this name is still the open one, which ends in `unfinished` bytes of a line."""
        ...

    def write(self, data: memoryview) -> int:
        """Write some of `data` and return how much; 0 if a reader is too slow."""
        ...

    def close(self) -> None:
        """Close the target."""
        ...


class FileTarget:
    """A file of our own, mode 0600, in a folder that is made with mode 0700.

    After somebody cuts it, nothing is written until it is renamed or deleted; with `goes_on`, writing goes on at its
    new end.
    """

    batch_bytes = 65_536
    forgetful = False

    def __init__(self, path: Path, *, goes_on: bool = False) -> None:
        self.last_line = b""
        self.mark = path.with_name(path.name + ".running")
        self._path = path
        self._descriptor = -1
        self._inode = (0, 0)
        self._size = 0
        self._torn = False
        self._goes_on = goes_on
        self._cut = False

    def open(self) -> int:
        """Open or make the file; an unfinished last line is ended just before the next write."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            facts = os.fstat(descriptor)
            if self._cut and (facts.st_dev, facts.st_ino) == self._inode:
                raise CutFile(self._path)
            tail = os.pread(descriptor, _TAIL_BYTES, max(0, facts.st_size - _TAIL_BYTES))
        except OSError:
            os.close(descriptor)
            raise
        end = tail.rfind(b"\n") + 1
        self.last_line = tail[tail.rfind(b"\n", 0, max(0, end - 1)) + 1 : end]
        torn_bytes = len(tail) - end
        self._descriptor, self._torn, self._cut = descriptor, torn_bytes > 0, False
        self._inode, self._size = (facts.st_dev, facts.st_ino), facts.st_size
        return torn_bytes

    def is_gone(self) -> bool:
        """Tell whether the file was deleted; moving it to another disk deletes it, too."""
        return os.fstat(self._descriptor).st_nlink == 0

    def look(self, unfinished: int = 0) -> Happened:
        """Reopen after a rename or removal; notice a cut."""
        try:
            facts = self._path.stat()
        except FileNotFoundError:
            facts = None
        if facts is None or (facts.st_dev, facts.st_ino) != self._inode:
            old, size = self._descriptor, self._size
            self.open()  # before closing the old file: if it fails, it is tried again later
            with suppress(OSError):
                if unfinished and os.fstat(old).st_size == size:
                    os.ftruncate(old, size - unfinished)
            os.close(old)
            return Happened.REOPENED
        if facts.st_size < self._size:
            self._size, self._cut = facts.st_size, not self._goes_on
            return Happened.TRUNCATED
        return Happened.NONE

    def write(self, data: memoryview) -> int:
        """Append to the file; short on a disk that is about to be full."""
        if self._cut:
            raise CutFile(self._path)
        if self._torn:
            self._size += os.write(self._descriptor, b"\n")
            self._torn = False
        written = os.write(self._descriptor, data)
        self._size += written
        return written

    def sync(self) -> None:
        """Wait until what was written, and the file's name, are on the disk."""
        os.fsync(self._descriptor)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class DescriptorTarget:
    """A descriptor that somebody else opened and several workers may share, such as standard output."""

    # A write of up to 4,096 bytes (PIPE_BUF) to a pipe is whole or not at all, so lines of several workers do not mix.
    batch_bytes = 4_096
    forgetful = True
    last_line = b""

    def __init__(self, descriptor: int, mark: Path) -> None:
        self.mark = mark
        self._descriptor = descriptor

    def open(self) -> int:
        """Do nothing: what was written before cannot be read."""
        return 0

    def is_gone(self) -> bool:
        """Return False: nobody can take a descriptor away."""
        return False

    def look(self, unfinished: int = 0) -> Happened:  # noqa: ARG002 - as the protocol has it
        """Do nothing: nobody can put another pipe in place of this one."""
        return Happened.NONE

    def write(self, data: memoryview) -> int:
        """Write to the descriptor; if it does not block and is full, wait a little for its reader."""
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            poll = select.poll()
            poll.register(self._descriptor, select.POLLOUT)
            poll.poll(_PIPE_WAIT_MS)
            return 0

    def close(self) -> None:
        """Do nothing: it is not ours."""
