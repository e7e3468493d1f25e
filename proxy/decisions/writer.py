"""The bounded writer of the decision log: the event loop queues lines, and one thread of its own writes them.

Laws:
- The loop never waits for a disk or a reader: it queues lines, and wakes the thread once in `_WAKE_SECONDS` at most.
- Lines are written whole and in order. After a short write it goes on at the exact byte; if another file took the old
  one's place meanwhile, the unfinished line is written there again from its start.
- A line that finds no room is refused and counted as lost; so is what cannot be made into a line.
- Lines are bound into a chain as they are taken out of the queue, so that a lost line does not break the chain.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from proxy.clock import Clock
from proxy.decisions.binding import Binding
from proxy.decisions.chain import LINK_BYTES
from proxy.decisions.running import Gap, RunningMark
from proxy.decisions.target import Happened, Target
from proxy.decisions.waiting import Unmade, Waiting
from proxy.errors import ConfigurationError, StillgateError
from proxy.log import get

_BOUND_BYTES: Final = 32 * 1024 * 1024
DURABLE_SECONDS: Final = 2.0
CLOSE_SECONDS: Final = 5.0
_WAKE_SECONDS: Final = 0.02
_LOOK_SECONDS: Final = 1.0
_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 1.0


class LogUnavailable(StillgateError):
    """A line that had to be written first could not be written, or not in time."""


class Found(NamedTuple):
    """What was found at the start: an earlier process's unclean end, and the length of an unfinished last line."""

    gap: Gap | None
    torn_bytes: int


class DecisionLog:
    """One log and its thread; made by `open` in a running event loop, ended by `close`."""

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
        self._waiting = Waiting(bound)
        self._loop = asyncio.get_running_loop()
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._wake_due = False
        self._failing = False
        self._closing = False
        self._awake = threading.Event()
        self._abandoned = threading.Event()
        self._ended: asyncio.Future[bool] = self._loop.create_future()
        self._batch = b""
        self._remembering = False  # whether to call `remember` once the batch is written
        self._taken = 0  # bytes of the queue that the batch is made of
        self._offset = 0
        self._looked = clock.monotonic()
        self._operators = get("decisions")
        self._thread = threading.Thread(target=self._run, name="decision-log", daemon=True)

    @classmethod
    def open(cls, target: Target, binding: Binding, clock: Clock, *, bound: int = _BOUND_BYTES) -> DecisionLog:
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
    def unkept_checkpoints(self) -> int:
        """How many checkpoints could not be kept elsewhere."""
        return self._binding.unkept

    @property
    def waiting_bytes(self) -> int:
        """How many bytes are queued or being written."""
        return self._waiting.size

    def append(self, line: bytes | Unmade) -> bool:
        """Queue a line to be written soon. Returns False, and counts it as lost, if there is no room."""
        if not self._waiting.put(line):
            self.lost += 1
            return False
        if not self._wake_due:
            self._wake_due = True
            self._loop.call_later(_WAKE_SECONDS, self._wake)
        return True

    async def append_durable(self, line: bytes, deadline: float = DURABLE_SECONDS) -> None:
        """Queue a line and return once the kernel has taken all of it.

        Raises LogUnavailable if the log is failing or full, which counts the line as lost, or if it takes longer than
        `deadline` seconds: then the line stays queued and may be written later.
        """
        done = self._loop.create_future()
        # The waiter first: the thread may have written the line before `put` returns.
        self._waiters.append((self._waiting.end_of(line), done))
        if self.failing or not self._waiting.put(line):
            self._waiters.pop()
            self.lost += 1
            raise LogUnavailable("the decision log is failing or full")
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
        self._waiting.put_last(last)
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
        while self._waiters and self._waiting.is_written(self._waiters[0][0]):
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
        clean = not self._batch and not self._waiting
        if clean:
            self._binding.remember()
        self._target.close()
        self._mark.release(clean=clean)
        self._on_loop(self._ended.set_result, clean)

    def _drain(self, *, last: bool) -> None:
        """Write waiting lines, and a checkpoint if one is due, as it always is after the last line."""
        pause = _FIRST_PAUSE_SECONDS
        while not self._abandoned.is_set():
            try:
                if not (self._batch or self._next_batch(last=last)):
                    return
                self._look()
                self._offset += self._target.write(memoryview(self._batch)[self._offset :])
            except (OSError, ConfigurationError) as error:
                self._fail(error)
                self._abandoned.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                continue
            pause = _FIRST_PAUSE_SECONDS
            if self._failing:
                self._failing = False
                self._operators.info("decision log is writing again")
            if self._offset == len(self._batch):
                self._waiting.wrote(self._taken)
                self._batch, self._taken, self._offset = b"", 0, 0
                self._binding.written()
                if self._remembering or self._target.forgetful:
                    self._remembering = False
                    self._binding.remember()
                if self._waiters:
                    self._on_loop(self._settle)

    def _next_batch(self, *, last: bool) -> bool:
        """Make the next batch to write; return False if there is nothing."""
        waiting, binding = self._waiting, self._binding
        due = binding.due_in()
        if due == 0 or (last and not waiting and due is not None):
            self._batch, self._remembering = binding.checkpoint(), True
            return True
        batch: list[bytes] = []
        size = 0
        while waiting and (not batch or size + waiting.next_size() + LINK_BYTES <= self._target.batch_bytes):
            line, taken = waiting.take()
            self._taken += taken
            if made := self._made(line):
                batch.append(binding.bind(made, self.lost))
                size += len(batch[-1])
        if not batch:
            waiting.wrote(self._taken)
            self._taken = 0
        self._batch = b"".join(batch)
        return bool(batch)

    def _made(self, line: bytes | Unmade) -> bytes:
        """Return a finished line, empty if it cannot be made."""
        if isinstance(line, bytes):
            return line
        try:
            return line.make()
        except Exception:  # noqa: BLE001 - what one exchange is like must not end the log of all others
            self._operators.exception("a record could not be made")
            self._on_loop(self._lose)
            return b""

    def _lose(self) -> None:
        self.lost += 1

    def _look(self) -> None:
        """Deal with a target that was changed under us: every `_LOOK_SECONDS`, and before a write if the last look
        failed or the target is gone, since writes would be lost. Raises OSError, and ConfigurationError if it is
        another process's now.
        """
        now = self._clock.monotonic()
        if now - self._looked < _LOOK_SECONDS and not self._target.is_gone():
            return
        self._mark = self._mark.stay(self._clock.wall())
        line_start = self._batch.rfind(b"\n", 0, self._offset) + 1
        happened = self._target.look(self._offset - line_start)
        self._looked = now
        if happened is Happened.TRUNCATED:
            self.truncations += 1
            self._operators.error("decision log was cut by somebody else; records are missing")
        if happened is not Happened.NONE and self._offset:
            self._batch, self._offset = self._batch[line_start:], 0
        if happened is Happened.REOPENED:
            self._binding.remember()

    def _fail(self, error: OSError | ConfigurationError) -> None:
        if not self._failing:
            self._failing = True
            self._operators.error("decision log cannot be written", error=str(error))
        self._on_loop(self._refuse_waiters)

    def _on_loop(self, callback: Callable[..., None], *arguments: bool) -> None:
        # If the loop is closed already, nobody waits any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)


def _refuse(done: asyncio.Future[None], why: str) -> None:
    if not done.done():
        done.set_exception(LogUnavailable(why))
