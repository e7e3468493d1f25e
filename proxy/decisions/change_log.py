"""The log of what people change through the admin side: who, what, why and when, as lines beside the decision log.

Laws:
- A change begins only once the line that announces it is on the disk; a second line with its result is there before
  anybody is answered.
- A checkpoint follows the lines of a change, so that what people did is vouched for at once; they wait for it.
- A change of many things has a line with the result for each of them: one line could not hold all names.
- A line that was not written whole does not count: after a failed write the next one first ends the unfinished line.
- One thread touches the file, and the event loop never waits for it without a deadline.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeVar

from proxy.clock import Clock
from proxy.decisions.binding import Binding
from proxy.decisions.columns import SCHEMA
from proxy.decisions.line import to_line
from proxy.decisions.target import FileTarget, Happened
from proxy.decisions.writer import DURABLE_SECONDS, LogUnavailable
from proxy.errors import StillgateError, StoreUnavailable
from proxy.log import get
from proxy.threads import ready_threads

ADMIN_LOG = "admin.jsonl"

_Made = TypeVar("_Made")


class Change(NamedTuple):
    """What somebody is about to do; `via` says how we know who: by a token, or as the socket's user."""

    who: str
    role: str
    via: str
    action: str
    object: str
    why: str = ""


class ChangeLog:
    """The file and the thread that writes it; the file is opened, and made, by the first change."""

    def __init__(
        self,
        target: FileTarget,
        binding: Binding,
        version: str,
        clock: Clock,
        new_id: Callable[[], str],
        deadline: float = DURABLE_SECONDS,
    ) -> None:
        self._target = target
        self._binding = binding
        self._version = version
        self._writer = ""
        self._clock = clock
        self._new_id = new_id
        self._deadline = deadline
        self._thread = ready_threads(1, "admin-log")
        self._is_open = False
        self._unfinished = 0  # bytes of a line that could not be written whole

    async def make(
        self,
        change: Change,
        do: Callable[[], Awaitable[_Made]],
        named: Callable[[_Made], str | list[str]] | None = None,
    ) -> _Made:
        """Announce a change, make it with `do`, note its result and return what `do` did.

        `named` returns the name, or names, of what was changed, if only the result of `do` tells. Raises
        LogUnavailable, with nothing done, if the change could not be announced, and whatever `do` raises.
        """
        key = self._new_id()
        await self._write(key, [change], "begun")
        try:
            made = await do()
        except BaseException as error:
            # If the store went away, it is not known whether the change took effect.
            refused = isinstance(error, StillgateError | LookupError) and not isinstance(error, StoreUnavailable)
            await self._note(key, [change], "refused" if refused else "failed")
            raise
        names = named(made) if named else change.object
        names = [names] if isinstance(names, str) else names or [change.object]
        await self._note(key, [change._replace(object=name) for name in names], "done")
        return made

    @property
    def unkept_checkpoints(self) -> int:
        """How many checkpoints could not be kept elsewhere."""
        return self._binding.unkept

    async def close(self) -> None:
        """Close the file, once the present write is done."""
        with suppress(OSError):
            async with asyncio.timeout(self._deadline):
                await asyncio.get_running_loop().run_in_executor(self._thread, self._let_go)
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _note(self, key: str, changes: Sequence[Change], result: str) -> None:
        """Write a result; if that fails, the announcement stands alone, which means that the result is not known."""
        try:
            await self._write(key, changes, result)
        except LogUnavailable:
            get("admin").error("the result of a change was not recorded", change=key, result=result)

    async def _write(self, key: str, changes: Sequence[Change], result: str) -> None:
        rows = [{"id": key, **change._asdict(), "result": result} for change in changes]
        try:
            async with asyncio.timeout(self._deadline):
                await asyncio.get_running_loop().run_in_executor(self._thread, self._put, rows)
        except OSError as error:  # a deadline's TimeoutError is one
            get("admin").error("the admin log cannot be written", error=str(error) or "too slow")
            raise LogUnavailable("the admin log cannot be written") from None

    def _put(self, rows: Sequence[dict[str, str]]) -> None:
        try:
            if self._is_open and self._target.look(self._unfinished) is Happened.TRUNCATED:
                get("admin").error("the admin log was cut by somebody else; lines are missing")
            if self._unfinished:
                self._let_go()  # opened again, the file tells whether it ends in the middle of a line
            if not self._is_open:
                torn_bytes = self._target.open()
                self._is_open = True
                self._writer = self._binding.open(self._target.last_line)
                if torn_bytes:
                    self._append(self._line("repair", {"torn_bytes": torn_bytes}))
            for row in rows:
                self._append(self._line("admin", row))
            self._append(self._binding.checkpoint())
            self._target.sync()
            self._binding.written()
            self._binding.remember()
        except OSError:
            if not self._unfinished:  # an unfinished line is cut off first, also if the file is moved away meanwhile
                self._let_go()
            raise

    def _append(self, line: bytes) -> None:
        rest = memoryview(line)
        while rest:
            rest = rest[self._target.write(rest) :]
            self._unfinished = len(line) - len(rest) if rest else 0

    def _line(self, kind: str, columns: dict[str, str] | dict[str, int]) -> bytes:
        moment = dt.datetime.fromtimestamp(self._clock.wall(), dt.UTC)
        time = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        head = {"v": SCHEMA, "kind": kind, "time": time, "writer": self._writer, "stillgate": self._version}
        return self._binding.bind(to_line(head | columns), 0)

    def _let_go(self) -> None:
        self._unfinished = 0
        if self._is_open:
            self._is_open = False
            self._target.close()
