"""The lines of a log that wait to be written: the event loop puts them in, the writer's thread takes them out.

Laws:
- At most `bound` bytes wait.
- Each counter has one writer: `_queued` and `_held` belong to the loop, `_written` and `_let_go` to the thread. There
  is no other locking.
- What may become a line later is made into one by the thread, many at a time: one after the other they take half as
  long as each in the midst of other work. If the thread is behind with that, the loop makes them, since what waits to
  be made holds more memory than its line will.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

_HELD_BYTES: Final = 1024 * 1024


class Unmade(NamedTuple):
    """What becomes a line, `size` bytes long at most; until then it holds about so much memory. It changes no more."""

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
        """How much waits or is on its way."""
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
        """Take a line, if it is one, whether there is room or not, and none after it."""
        if line:
            self._lines.append(line)
            self._queued += len(line)
        self.bound = 0

    def end_of(self, line: bytes) -> int:
        """Return the place where a line ends that is put in next."""
        return self._queued + len(line)

    def is_written(self, place: int) -> bool:
        """Tell whether all up to a place is written."""
        return place <= self._written

    def next_size(self) -> int:
        """Return how long the next line is at most, of which there is one."""
        return _size(self._lines[0])

    def take(self) -> tuple[bytes | Unmade, int]:
        """Return the next line, and how much of the queue it takes until `wrote` is told."""
        line = self._lines.popleft()
        if isinstance(line, Unmade):
            self._let_go += line.size
        return line, _size(line)

    def wrote(self, taken: int) -> None:
        """Take note that so much of what was taken is written."""
        self._written += taken


def _size(line: bytes | Unmade) -> int:
    return len(line) if isinstance(line, bytes) else line.size
