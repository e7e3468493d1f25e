"""The lines of a log that wait to be written: the event loop puts them in, the writer's thread takes them out.

Laws:
- At most `bound` bytes wait.
- Each counter has one writer: `_queued` and `_held` belong to the loop, `_written` and `_let_go` to the thread. There
  is no other locking.
- Lines that can be made later are made by the thread, many in a row: that takes half as long as making each amid other
  work. If the thread falls behind, the loop makes them, since an unmade line holds more memory than a made one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

_HELD_BYTES: Final = 1024 * 1024


class Unmade(NamedTuple):
    """Something that will be made into a line of at most `size` bytes, and needs about as much memory till then."""

    make: Callable[[], bytes]
    size: int


class Waiting:
    """The queue of one log."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._lines: deque[bytes | Unmade] = deque()
        self._queued = 0
        self._written = 0
        self._held = 0
        self._let_go = 0

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def size(self) -> int:
        """How many bytes wait or are being written."""
        return self._queued - self._written

    def put(self, line: bytes | Unmade) -> bool:
        """Take a line; return False if there is no room."""
        holds = 0
        if isinstance(line, Unmade):
            holds = line.size
            if self._held - self._let_go + holds > _HELD_BYTES:
                line, holds = line.make(), 0
        size = _size(line)
        if self._queued - self._written + size > self.bound:
            return False
        self._held += holds
        self._queued += size
        self._lines.append(line)
        return True

    def put_last(self, line: bytes) -> None:
        """Take a line, unless it is empty, even if there is no room, and accept none after it."""
        if line:
            self._lines.append(line)
            self._queued += len(line)
        self.bound = 0

    def end_of(self, line: bytes) -> int:
        """Return the place in the queue where this line would end if it is put in next."""
        return self._queued + len(line)

    def is_written(self, place: int) -> bool:
        """Tell whether everything up to a place is written."""
        return place <= self._written

    def next_size(self) -> int:
        """Return how long the next line is at most; the queue must not be empty."""
        return _size(self._lines[0])

    def take(self) -> tuple[bytes | Unmade, int]:
        """Return the next line, and the number of bytes to tell `wrote` once it is written."""
        line = self._lines.popleft()
        if isinstance(line, Unmade):
            self._let_go += line.size
        return line, _size(line)

    def wrote(self, taken: int) -> None:
        """Note that so many bytes of what was taken are written."""
        self._written += taken


def _size(line: bytes | Unmade) -> int:
    return len(line) if isinstance(line, bytes) else line.size
