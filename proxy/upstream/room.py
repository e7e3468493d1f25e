"""Limits who may be inside at once, in all and of each tenant; whoever waits comes in in fair turns.

Law: a free place goes to the tenant that has the fewest, of equals to the one that was served longest ago; so a tenant
that asks for much makes itself wait, and others for one place at most.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress


class NoRoom(Exception):
    """There was no place in time, or too many of the same tenant wait already."""


class Room:
    """The places; `waiting` is how many of one tenant may wait, and `patience` for how many seconds."""

    def __init__(self, most: int, most_of_one: int, waiting: int, patience: float) -> None:
        self._most_of_one = most_of_one
        self._most_waiting = waiting
        self._patience = patience
        self._free = most
        self._inside: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}  # by tenant, the last one served at the end

    async def enter(self, tenant: str) -> None:
        """Take a place, to `leave` it again. Raises NoRoom."""
        inside = self._inside.get(tenant, 0)
        if self._free and inside < self._most_of_one and tenant not in self._waiting:
            self._free -= 1
            self._inside[tenant] = inside + 1
            return
        queue = self._waiting.setdefault(tenant, deque())
        if len(queue) >= self._most_waiting:
            if not queue:
                del self._waiting[tenant]
            raise NoRoom
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            async with asyncio.timeout(self._patience):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.leave(tenant)  # it was given a place but has left
            else:
                self._give_up(tenant, turn)
            if isinstance(error, TimeoutError):
                raise NoRoom from None
            raise

    def leave(self, tenant: str) -> None:
        """Free a place and give it to whoever is next."""
        self._free += 1
        if self._inside[tenant] == 1:
            del self._inside[tenant]
        else:
            self._inside[tenant] -= 1
        while self._waiting and self._free and (chosen := self._next()) is not None:
            queue = self._waiting.pop(chosen)
            turn = queue.popleft()
            if queue:
                self._waiting[chosen] = queue
            if not turn.done():  # else it has just stopped waiting
                self._free -= 1
                self._inside[chosen] = self._inside.get(chosen, 0) + 1
                turn.set_result(None)

    def _next(self) -> str | None:
        inside = {tenant: self._inside.get(tenant, 0) for tenant in self._waiting}
        may = [tenant for tenant, count in inside.items() if count < self._most_of_one]
        return min(may, key=inside.__getitem__, default=None)

    def _give_up(self, tenant: str, turn: asyncio.Future[None]) -> None:
        queue = self._waiting.get(tenant, deque())
        with suppress(ValueError):
            queue.remove(turn)
            if not queue:
                del self._waiting[tenant]
