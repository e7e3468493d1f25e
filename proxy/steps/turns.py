"""One thread for work that takes too long for the event loop, shared fairly among accounts.

Laws: one piece of work at a time; what is costly makes its own account's next work wait, not that of others, who wait
at most for the piece that is being done and for those who asked for as little (self-clocked fair queueing, Golestani
1994).
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

from proxy.threads import ready_threads

_MOST_ACCOUNTS = 10_000  # whose shares are remembered while anybody waits

P = ParamSpec("P")
T = TypeVar("T")


class Turns:
    """The thread, and who waits for it."""

    def __init__(self, name: str) -> None:
        self._thread = ready_threads(1, name)
        self._busy = False
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []  # a heap by finish tag
        self._numbers = itertools.count()
        self._reached = 0  # the virtual time: the finish tag of the last work begun
        self._spent: dict[str, int] = {}  # the finish tag of each account's last work

    async def run(self, account: str, cost: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `work` returns, run in the thread when it is the account's turn; `cost` may be in any unit."""
        loop = asyncio.get_running_loop()
        when = max(self._reached, self._spent.get(account, 0)) + cost
        self._spent[account] = when
        if self._busy:
            turn: asyncio.Future[None] = loop.create_future()
            heapq.heappush(self._waiting, (when, next(self._numbers), turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():  # it was given the turn but has left
                    self._pass_on()
                raise
        self._busy = True

        def done(_: object) -> None:
            with suppress(RuntimeError):  # the loop has ended, and with it all who waited
                loop.call_soon_threadsafe(self._pass_on)

        job = self._thread.submit(work, *args, **kwargs)
        job.add_done_callback(done)
        return await asyncio.wrap_future(job)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _pass_on(self) -> None:
        while self._waiting:
            when, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                self._reached = when
                if len(self._spent) > _MOST_ACCOUNTS:
                    self._spent = {account: spent for account, spent in self._spent.items() if spent > when}
                turn.set_result(None)
                return
        self._busy = False
        self._reached = 0
        self._spent.clear()
