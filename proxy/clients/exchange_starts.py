"""Lets few exchanges begin in one turn of the loop: the answers that are on their way go first.

Laws: to begin an exchange costs as much as some twenty pieces of answers, so many beginners at once would hold up all
answers. Where turns are long, fewer may begin. Those who have waited for `LONGEST_S` get some more places, unless turns
are so long that answers seem to stall: with fewer that begin, turns get shorter again. Where few run, turns are not
even watched, since watching costs one more turn for each that begins.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

MANY = 16  # a fiftieth of a second's work
SOME = 6
FEW = 2
LONG_TURN_S = 0.02  # a fast model's pace: in longer turns its pieces come two by two
LONGER_TURN_S = 0.04  # a reader takes two or three of these for a stall
LONGEST_S = 0.5


class Starts:
    """Those who begin in one process; `now` gives seconds that never go back."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()  # when each came, in the order of coming
        self._begun = 0  # in this turn
        self._most = MANY  # in this turn
        self._most_overdue = MANY  # of those too who waited long
        self._turn_began = 0.0
        self._watching = False

    async def turn(self, running: int) -> None:
        """Return when the caller may begin, with `running` that have begun and not ended."""
        if not self._watching:
            if running < MANY:
                return  # nobody can be held up by more than these
            self._watching, self._begun, self._most = True, 0, MANY
            self._turn_began = self._now()
            asyncio.get_running_loop().call_soon(self._next_turn)
        if not self._waiting and self._begun < self._most:
            self._begun += 1
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append((self._now(), waiter))
        await waiter

    def _next_turn(self) -> None:
        """See how long the last turn was and let begin who may; stop watching once nobody comes any more."""
        self._watching = bool(self._begun or self._waiting)
        now = self._now()
        took = now - self._turn_began
        self._most = FEW if took > LONG_TURN_S else MANY
        self._most_overdue = FEW if took > LONGER_TURN_S else max(SOME, self._most)
        self._turn_began = now
        self._begun = 0
        while self._waiting:
            since, waiter = self._waiting[0]
            if self._begun >= (self._most_overdue if now - since >= LONGEST_S else self._most):
                break
            self._waiting.popleft()
            if not waiter.done():  # it may have left
                waiter.set_result(None)
                self._begun += 1
        if self._watching:
            asyncio.get_running_loop().call_soon(self._next_turn)
