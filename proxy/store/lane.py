"""One connection to a Redis or Valkey server that many callers share.

Laws:
- Commands handed over in one turn of the event loop leave in one write; more may leave before the replies come.
- Replies are matched to commands by order alone. A cancelled caller's reply is still read, and dropped, so nobody ever
  gets another's.
- A late reply breaks the lane: everything in flight fails and the connection is not used again.
- Nothing is sent twice, and nothing but `StoreUnavailable` reaches a caller.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from itertools import chain
from typing import Any, Protocol

from redis.exceptions import InvalidResponse, ResponseError

from proxy.errors import StoreUnavailable, forget_origin
from proxy.store.resp import raise_first_error

# Between two checks for late replies: event loops run timers before they read sockets, so after a long turn replies
# that have arrived would count as missing.
_LOOK_S = 0.005


class Wire(Protocol):
    """What a lane needs of redis-py's connection: the handshake, framing, the hiredis parser."""

    async def connect(self) -> None:
        """Open the connection and authenticate."""
        ...

    async def send_packed_command(self, command: bytes, check_health: bool = True) -> None:
        """Write bytes and wait until the socket has room again."""
        ...

    async def read_response(self) -> object:
        """Return the next reply, or raise it if it is an error."""
        ...

    async def disconnect(self) -> None:
        """Close the connection."""
        ...


class _Batch:
    """The commands of one call, and its replies as they come in."""

    __slots__ = ("commands", "expected", "expires", "future", "replies", "since")

    def __init__(
        self, commands: Sequence[bytes], since: float, expires: float, future: asyncio.Future[list[Any]]
    ) -> None:
        self.commands = commands
        self.expected = len(commands)
        self.since = since
        self.expires = expires
        self.future = future
        self.replies: list[Any] = []


class Watcher(Protocol):
    """Is told which calls of a lane were answered and which failed."""

    def answered(self, seconds: float) -> None:
        """Note that a call was answered so many seconds after it came."""
        ...

    def failed(self, cause: BaseException | None) -> None:
        """Note that a call was not answered in time, or that the lane broke before it answered any, and the cause.

        `cause` is None if nothing came at all.
        """
        ...


class Lane:
    """A connection that opens itself when it is made; when it breaks, make another lane.

    `open_seconds` bounds connecting and the handshake. Calls wait for that, each no longer than its own deadline.
    """

    def __init__(self, wire: Wire, open_seconds: float, watcher: Watcher | None = None) -> None:
        self.answered = False
        self.broken_at: float | None = None
        self.opened_in = 0.0  # seconds that connecting and the handshake took, once they are done
        self._cause: BaseException | None = None
        self._why = ""
        self._wire = wire
        self.watcher = watcher
        self._open_seconds = open_seconds
        self._loop = asyncio.get_running_loop()
        self._looked = False  # whether sockets were read since the first deadline passed
        self._unsent: list[_Batch] = []
        self._sent: deque[_Batch] = deque()
        self._work = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._task = self._loop.create_task(self._run())

    def submit(self, commands: Sequence[bytes], expires: float) -> asyncio.Future[list[Any]]:
        """Hand over packed commands; the future gives one reply each, error replies as values.

        `expires` is on the loop's clock. Cancelling the future is safe at any time.
        """
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        if self.broken_at is not None:
            future.set_exception(self._error())
            return future
        self._unsent.append(_Batch(commands, self._loop.time(), expires, future))
        self._work.set()
        if self._timer is None or expires < self._timer.when():
            self._arm(expires)
        return future

    async def ask(self, commands: Sequence[bytes], expires: float) -> list[Any]:
        """Return one reply for each packed command; an error reply raises StoreUnavailable."""
        replies = await self.submit(commands, expires)
        raise_first_error(replies)
        return replies

    @property
    def ended(self) -> bool:
        """Whether nothing of this lane is left running."""
        return self._task.done()

    async def close(self) -> None:
        """Wait for outstanding replies, at most until their deadlines, and close the connection."""
        due = [batch.future for batch in chain(self._unsent, self._sent) if not batch.future.done()]
        if due:
            await asyncio.wait(due)
        await self.abort()

    async def abort(self) -> None:
        """Fail what is in flight and close the connection."""
        self._stop("the connection to the store was closed")
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        began = self._loop.time()
        try:
            async with asyncio.timeout(self._open_seconds):
                await self._wire.connect()
            self.opened_in = self._loop.time() - began
            await self._exchange()
        except Exception as error:  # noqa: BLE001 - sockets, TLS, the parser and the server fail in ways nobody can list
            forget_origin(error)
            if not self.answered:
                self._failed(error)
            self._break("the connection to the store failed" if self.answered else "the store cannot be reached", error)
        except asyncio.CancelledError:
            pass  # by `_stop`; a task that ended so would keep the error, its frames and with them this lane
        finally:
            self._break("the connection to the store was closed")
            # Whatever closing reports, the connection is gone and its callers were told. Over TLS, closing waits for
            # the other end's agreement, which may never come.
            with contextlib.suppress(Exception):
                async with asyncio.timeout(self._open_seconds):
                    await self._wire.disconnect()

    async def _exchange(self) -> None:
        """Write and read until one of them fails; no TaskGroup, as a cancelled one leaves cyclic garbage."""
        both = [self._loop.create_task(self._write()), self._loop.create_task(self._read())]
        try:
            (first, *_), _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            first.result()
        finally:
            for one in both:
                one.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _write(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            batches = [batch for batch in self._unsent if not batch.future.done()]
            self._unsent = []
            if batches:
                self._sent.extend(batches)
                await self._wire.send_packed_command(
                    b"".join([command for batch in batches for command in batch.commands]), check_health=False
                )

    async def _read(self) -> None:
        read, sent = self._wire.read_response, self._sent
        while True:
            try:
                reply: object = await read()
            except ResponseError as error:
                forget_origin(error)
                reply = error
            if not sent:
                raise InvalidResponse("a reply came that nobody asked for")
            self.answered = True
            batch = sent[0]
            batch.replies.append(reply)
            if len(batch.replies) == batch.expected:
                sent.popleft()
                if self.watcher is not None:
                    self.watcher.answered(self._loop.time() - batch.since)
                if not batch.future.done():
                    batch.future.set_result(batch.replies)

    def _expire(self) -> None:
        """Fail late calls, but not because our loop was busy: what arrived meanwhile is read first."""
        now = self._loop.time()
        if not self._looked:
            self._looked = True
            self._timer = self._loop.call_later(_LOOK_S, self._expire)
            return
        if any(batch.expires <= now for batch in self._sent):
            self._failed()
            self._stop("the store did not answer in time")
            return
        for batch in self._unsent:
            if batch.expires <= now and not batch.future.done():
                batch.future.set_exception(StoreUnavailable("the store could not be reached in time"))
                self._failed()
        self._unsent = [batch for batch in self._unsent if not batch.future.done()]
        self._arm(min((batch.expires for batch in chain(self._unsent, self._sent)), default=None))

    def _arm(self, when: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._looked = False
        self._timer = None if when is None else self._loop.call_at(when, self._expire)

    def _failed(self, cause: BaseException | None = None) -> None:
        if self.watcher is not None and self.broken_at is None:
            self.watcher.failed(cause)

    def _stop(self, why: str) -> None:
        self._break(why)
        self._task.cancel()

    def _break(self, why: str, cause: BaseException | None = None) -> None:
        if self.broken_at is not None:
            return
        self.broken_at = self._loop.time()
        self._why, self._cause = why, cause
        self._arm(None)
        for batch in chain(self._unsent, self._sent):
            if not batch.future.done():
                batch.future.set_exception(self._error())
        self._unsent = []
        self._sent.clear()

    def _error(self) -> StoreUnavailable:
        error = StoreUnavailable(self._why)
        error.__cause__ = self._cause
        return error
