"""A place outside that may stop taking lines, such as a pipe of standard output or a file on somebody else's disk.

Law: one that takes nothing any more delays its writer once, for a moment, and then not at all. Lines come out in the
order in which they were taken.
"""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Condition, Thread


class Outlet:
    """Hands lines to `write`, which may block and raises nothing, in a thread of its own; `most` may wait for it.

    Whoever brings a line waits for it for `patience` seconds.
    """

    def __init__(self, write: Callable[[bytes], object], name: str, most: int, patience: float) -> None:
        self._write = write
        self._most = most
        self._patience = patience
        self._lines: deque[bytes] = deque()  # the first one is on its way
        self._changed = Condition()
        self._stuck = False
        Thread(target=self._run, name=name, daemon=True).start()

    def put(self, line: bytes) -> bool:
        """Take a line, which is out when this returns unless the place is slow; return False if there is no room."""
        with self._changed:
            if len(self._lines) >= self._most:
                return False
            self._lines.append(line)
            self._changed.notify_all()
            if not self._stuck:
                self._stuck = not self.flush(self._patience)
            return True

    def flush(self, seconds: float) -> bool:
        """Wait at most so many seconds until all taken lines are out, and return whether they are."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._lines, seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines)
                line = self._lines[0]
            self._write(line)
            with self._changed:
                self._lines.popleft()
                self._stuck = self._stuck and len(self._lines) > 0
                self._changed.notify_all()


def write_all(descriptor: int, data: bytes) -> None:
    """Write to a descriptor, also to one that does not block, once there is room. Raises OSError."""
    rest = memoryview(data)
    while rest:
        with suppress(BlockingIOError):
            rest = rest[os.write(descriptor, rest) :]
            continue
        select.select([], [descriptor], [])
