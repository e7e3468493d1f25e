"""The bounded writer of the decision log: lines go in on the event loop, one thread of its own puts them out.

Laws:
- The loop never waits for a disk or a reader: it queues lines, and wakes the thread once in `_WAKE_SECONDS` at most.
- Lines come out whole and in the order they went in. After a short write it goes on at the exact byte; if the file was
  changed meanwhile, the unfinished line is written again from its start in the new place.
- At most `bound` bytes wait; a line that finds no room is refused and counted.
- Each counter has one writer: `_queued` belongs to the loop, `_written` to the thread. There is no other locking.
- Lines are bound into a chain as they are taken out of the queue, so that none that was lost leaves a hole in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from proxy.clock import Clock
from proxy.decisions.chain import LINK_BYTES
from proxy.decisions.running import Gap, RunningMark
from proxy.decisions.target import Change, Target
from proxy.errors import ConfigurationError, StillgateError
from proxy.log import get

BOUND_BYTES: Final = 32 * 1024 * 1024
DURABLE_SECONDS: Final = 2.0
CLOSE_SECONDS: Final = 5.0
_WAKE_SECONDS: Final = 0.02
_LOOK_SECONDS: Final = 1.0
_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 1.0


class LogUnavailable(StillgateError):
    """A line that had to be written first could not be, or not in time."""


class Found(NamedTuple):
    """What a start found: the unclean end of an earlier process, and the length of an unfinished last line."""

    gap: Gap | None
    torn_bytes: int


class Binding(Protocol):
    """What makes one chain of the lines, and vouches for it; called at the start, then by the thread only."""

    def open(self, last_line: bytes) -> str:
        """Go on behind the last line of the log, and return the name of its writer."""
        ...

    def bind(self, line: bytes, lost: int) -> bytes:
        """Return a line as it is to be written; so many were lost since the start."""
        ...

    def due_in(self) -> float | None:
        """Return in how many seconds a checkpoint is due, 0 for now; None if there is nothing to vouch for."""
        ...

    def checkpoint(self) -> bytes:
        """Return a checkpoint as it is to be written."""
        ...

    def written(self) -> None:
        """Take note that all that was bound is written."""
        ...

    def remember(self) -> None:
        """Note where what is written ends, for a start that cannot read it, and for others."""
        ...


class DecisionLog:
    """One log and its thread; made by `open` inside a running event loop, ended by `close`."""

    def __init__(
        self, target: Target, mark: RunningMark, binding: Binding, found: Found, clock: Clock, bound: int
    ) -> None:
        self.found = found
        self.writer = binding.open(target.last_line)
        self.lost = 0
        self.truncations = 0
        self._target = target
        self._mark = mark
        self._binding = binding
        self._clock = clock
        self._bound = bound
        self._loop = asyncio.get_running_loop()
        self._lines: deque[bytes] = deque()
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._queued = 0
        self._written = 0
        self._wake_due = False
        self._failing = False
        self._closing = False
        self._awake = threading.Event()
        self._abandoned = threading.Event()
        self._ended: asyncio.Future[bool] = self._loop.create_future()
        self._batch = b""
        self._remembering = False  # once the batch is written
        self._taken = 0  # bytes of the queue that the batch is made of
        self._offset = 0
        self._looked = clock.monotonic()
        self._operators = get("decisions")
        self._thread = threading.Thread(target=self._run, name="decision-log", daemon=True)

    @classmethod
    def open(cls, target: Target, binding: Binding, clock: Clock, *, bound: int = BOUND_BYTES) -> DecisionLog:
        """Open the target and start the thread. Blocks on the disk: called at a start, not while serving.

        Raises ConfigurationError if the place cannot be used or another process writes there.
        """
        try:
            mark, gap = RunningMark.take(target.mark, clock.wall())
            try:
                found = Found(gap, target.open())
            except OSError:
                mark.release(clean=gap is None)
                raise
        except OSError as error:
            raise ConfigurationError(f"the decision log cannot be opened: {error}") from error
        log = cls(target, mark, binding, found, clock, bound)
        log._thread.start()
        return log

    @property
    def failing(self) -> bool:
        """Whether the last write failed; lines wait until one succeeds."""
        return self._failing or not self._thread.is_alive()

    @property
    def waiting_bytes(self) -> int:
        """How much is queued or on its way."""
        return self._queued - self._written

    def append(self, line: bytes) -> bool:
        """Queue a line to be written soon. Returns False, and counts it as lost, if there is no room."""
        size = len(line)
        if self._queued - self._written + size > self._bound:
            self.lost += 1
            return False
        self._lines.append(line)
        self._queued += size
        if not self._wake_due:
            self._wake_due = True
            self._loop.call_later(_WAKE_SECONDS, self._wake)
        return True

    async def append_durable(self, line: bytes, deadline: float = DURABLE_SECONDS) -> None:
        """Queue a line and return once the kernel has taken all of it.

        Raises LogUnavailable if the log is failing or full, which counts the line as lost, or if it takes longer than
        `deadline` seconds: then the line stays queued and may be written later.
        """
        if self.failing or self.waiting_bytes + len(line) > self._bound:
            self.lost += 1
            raise LogUnavailable("the decision log is failing or full")
        done = self._loop.create_future()
        # First the waiter, then the line: the thread may be through with the line before this returns.
        self._waiters.append((self._queued + len(line), done))
        self._lines.append(line)
        self._queued += len(line)
        self._awake.set()
        timer = self._loop.call_later(deadline, _refuse, done, "the decision log is too slow")
        try:
            await done
        finally:
            timer.cancel()

    async def close(self, last: bytes = b"", deadline: float = CLOSE_SECONDS) -> bool:
        """Write what waits, then `last`, and end the thread. Returns whether everything was written in time.

        What was not written by `deadline` seconds is given up, and the next start reports a gap.
        """
        if last:
            self._lines.append(last)
            self._queued += len(last)
        self._bound = 0
        self._closing = True
        self._awake.set()
        await asyncio.wait({self._ended}, timeout=deadline)
        clean = self._ended.done() and self._ended.result()
        self._abandoned.set()
        if self._ended.done():
            self._thread.join()
        self._refuse_waiters()
        if not clean:
            self._operators.error("decision log closed with lines unwritten", bytes=self.waiting_bytes)
        return clean

    def _wake(self) -> None:
        self._wake_due = False
        self._awake.set()

    def _settle(self) -> None:
        while self._waiters and self._waiters[0][0] <= self._written:
            _, done = self._waiters.popleft()
            if not done.done():
                done.set_result(None)

    def _refuse_waiters(self) -> None:
        while self._waiters:
            _refuse(self._waiters.popleft()[1], "the decision log is failing")

    def _run(self) -> None:
        closing = False
        while not closing:
            self._awake.wait(self._binding.due_in())
            self._awake.clear()
            closing = self._closing  # read before draining, so that what was queued before it is drained
            self._drain(last=closing)
        clean = not self._batch and not self._lines
        if clean:
            self._binding.remember()
        self._target.close()
        self._mark.release(clean=clean)
        self._on_loop(self._ended.set_result, clean)

    def _drain(self, *, last: bool) -> None:
        """Write what waits, and a checkpoint if one is due, as it is behind the last line."""
        pause = _FIRST_PAUSE_SECONDS
        while (self._batch or self._next_batch(last=last)) and not self._abandoned.is_set():
            try:
                self._look()
                self._offset += self._target.write(memoryview(self._batch)[self._offset :])
            except OSError as error:
                self._fail(error)
                self._abandoned.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                continue
            pause = _FIRST_PAUSE_SECONDS
            if self._failing:
                self._failing = False
                self._operators.info("decision log is writing again")
            if self._offset == len(self._batch):
                self._written += self._taken
                self._batch, self._taken, self._offset = b"", 0, 0
                self._binding.written()
                if self._remembering or self._target.forgetful:
                    self._remembering = False
                    self._binding.remember()
                if self._waiters:
                    self._on_loop(self._settle)

    def _next_batch(self, *, last: bool) -> bool:
        """Take what is to be written next; return False if there is nothing."""
        lines, binding = self._lines, self._binding
        due = binding.due_in()
        if due == 0 or (last and not lines and due is not None):
            self._batch, self._remembering = binding.checkpoint(), True
            return True
        batch: list[bytes] = []
        size = 0
        while lines and (not batch or size + len(lines[0]) + LINK_BYTES <= self._target.batch_bytes):
            line = lines.popleft()
            self._taken += len(line)
            batch.append(binding.bind(line, self.lost))
            size += len(batch[-1])
        self._batch = b"".join(batch)
        return bool(batch)

    def _look(self) -> None:
        """See to a target that was changed under us, at most once in `_LOOK_SECONDS`."""
        now = self._clock.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        self._mark.touch(self._clock.wall())
        change = self._target.look()
        if change is Change.TRUNCATED:
            self.truncations += 1
            self._operators.error("decision log was cut by somebody else; records are missing")
        if change is not Change.NONE and self._offset:
            line_start = self._batch.rfind(b"\n", 0, self._offset) + 1
            self._batch, self._offset = self._batch[line_start:], 0
        if change is Change.REOPENED:
            self._binding.remember()

    def _fail(self, error: OSError) -> None:
        if not self._failing:
            self._failing = True
            self._operators.error("decision log cannot be written", error=str(error))
        self._on_loop(self._refuse_waiters)

    def _on_loop(self, callback: Callable[..., None], *arguments: bool) -> None:
        # A loop that is closed already has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)


def _refuse(done: asyncio.Future[None], why: str) -> None:
    if not done.done():
        done.set_exception(LogUnavailable(why))
