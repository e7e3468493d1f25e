"""What a process holds of a limit and may use without asking the store: already subtracted there.

Laws:
- Nothing over-admits: a unit is used only if the store granted it.
- Nothing is lost for long: what is idle or expired goes back, and a crash costs at most what was then held.
- One question per lease is on its way at a time; whoever needs more meanwhile waits for that answer.
- Times are the clock's monotonic seconds: uvloop's own are whole milliseconds, read once a turn of the loop.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from proxy.errors import StoreUnavailable

# How long a refusal is believed without asking again: a storm of refused calls becomes 20 questions a second.
_REFUSAL_S = 0.05
# A question takes back at least one waiter or learns that less is left; the bound ends a store that contradicts itself.
_MAX_ROUNDS = 64


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a lease gave nothing: what is left, and when to come back, in seconds (negative: never)."""

    remaining: int
    retry_after: float
    reset: float


# The slot that the units were taken from, to be named when they go back; or why there are none.
Answer = int | Refusal
NO_SLOT = -1


class Lease(ABC):
    """Units of one limit for one key, account or whatever it counts; the two kinds say how the store is asked."""

    __slots__ = ("__weakref__", "_now", "_refused", "_refused_until", "_task", "_waiting", "watched")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.watched = False  # whether the owner's sweep knows of this lease
        self._waiting: list[tuple[int, asyncio.Future[Answer]]] = []
        self._task: asyncio.Task[None] | None = None
        self._refused: Refusal | None = None
        self._refused_until = 0.0

    @abstractmethod
    def take(self, units: int, now: float) -> int | None:
        """Use `units` of what is held and return their slot. None: not enough is held, ask with `want`."""

    @abstractmethod
    def give(self, units: int, slot: int, now: float) -> None:
        """Return unused units, or charge more than was taken (negative)."""

    @abstractmethod
    def settle_down(self, now: float, *, closing: bool = False) -> bool:
        """Give back what is idle or expired, renew what is not; True if nothing is held any more."""

    @abstractmethod
    def _serve(self, units: int, now: float) -> int | None:
        """Take units for one who waits; None if not enough is held."""

    @abstractmethod
    async def _ask(self, least_units: int, all_units: int) -> Refusal | None:
        """Ask the store for those who wait: the first needs `least_units`, all together `all_units`."""

    def want(self, units: int, now: float) -> asyncio.Future[Answer]:
        """Ask the store; the future gives the slot once the units are taken, a Refusal, or raises StoreUnavailable."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        if self._refused is not None and now < self._refused_until and units > self._refused.remaining:
            future.set_result(self._refused)
            return future
        self._waiting.append((units, future))
        if self._task is None:
            self._task = loop.create_task(self._ask_until_served())
        return future

    async def quiet(self) -> None:
        """Wait until no question is on its way."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _ask_until_served(self) -> None:
        try:
            for _ in range(_MAX_ROUNDS):
                self._serve_waiting(self._now())
                if not self._waiting:
                    return
                refusal = await self._ask(self._waiting[0][0], sum(units for units, _ in self._waiting))
                if isinstance(refusal, Refusal):
                    self._refuse_waiting(refusal, self._now())
            self._fail_waiting(StoreUnavailable("the store keeps granting less than it said it had"))
        except StoreUnavailable as error:
            self._fail_waiting(error)
        finally:
            self._task = None

    def _serve_waiting(self, now: float) -> None:
        """Serve in order of arrival until somebody needs more than is held."""
        served = 0
        for units, future in self._waiting:
            if not future.done():  # done: whoever asked has left
                slot = self._serve(units, now)
                if slot is None:
                    break
                future.set_result(slot)
            served += 1
        del self._waiting[:served]

    def _refuse_waiting(self, refusal: Refusal, now: float) -> None:
        """Refuse the first and everybody who needs more than is left; who needs less stays for the next round."""
        self._refused = refusal
        self._refused_until = now + (min(_REFUSAL_S, refusal.retry_after) if refusal.retry_after > 0 else _REFUSAL_S)
        staying = []
        for position, (units, future) in enumerate(self._waiting):
            if future.done():
                continue
            if position == 0 or units > refusal.remaining:
                future.set_result(refusal)
            else:
                staying.append((units, future))
        self._waiting = staying

    def _fail_waiting(self, error: StoreUnavailable) -> None:
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(error)
        self._waiting = []
