"""Leases: the part of a limit that a process may use without asking the store, which has already subtracted it.

Laws:
- Nothing over-admits: a unit is used only if the store granted it.
- Nothing is lost for long: idle or expired units go back, and a crash costs at most what was then held.
- One question per lease is on its way at a time; whoever needs more meanwhile waits for that answer.
- A request for more than the limit itself is refused without a question, and nobody else gets that refusal.
- Times are the clock's monotonic seconds: uvloop's own are whole milliseconds, read once a turn of the loop.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from proxy.errors import StoreUnavailable

# A lease holds idle at most an eighth of what is left, so that near the limit every unit is asked for one by one.
SHARE_OF_REST = 8
IDLE_S = 5.0
# How long a refusal is repeated without asking again: a storm of refused calls becomes 20 questions a second.
_REFUSAL_S = 0.05
# Each question serves a waiter or learns that less is left; the bound is for a store that contradicts itself.
_MAX_ROUNDS = 64

Question = TypeVar("Question")
Reply = TypeVar("Reply")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a lease gave nothing: units left, seconds until a retry helps (negative: never) and until all is back."""

    remaining: int
    retry_after: float
    reset: float


# The slot that the units were taken from, to be named when they go back; or the reason why there are none.
Answer = int | Refusal
_NO_SLOT = -1


class Lease(ABC, Generic[Question, Reply]):
    """Units of one limit for one key, account or other caller; its two subclasses say how the store is asked."""

    __slots__ = (
        "__weakref__",
        "_ask",
        "_exact",
        "_limit",
        "_refused",
        "_refused_until",
        "_rounds",
        "_waiting",
        "all_back",
        "busy",
        "key",
        "left",
        "slot",
        "spare",
        "touched",
        "until",
        "watched",
    )

    def __init__(self, limit: int, ask: Callable[[Any], None], *, exact: bool) -> None:
        self.key: tuple[str, ...] = ()  # the quota's id, scope, measure and window that it belongs to
        self.watched = False  # whether the owner's sweep knows of this lease
        self.busy = False  # whether a question is on its way: then nobody overtakes those who wait for the answer
        self.spare = 0  # units that may be used,
        self.slot = _NO_SLOT  # of this slot,
        self.until = float("-inf")  # before this moment
        self.touched = 0.0  # when it was used last
        # Units that the store had left for everybody when last asked, less later charges beyond what is held. Returned
        # units count as used until the store is asked again. From `all_back` on it means nothing.
        self.left = 0
        self.all_back = float("-inf")
        self._exact = exact
        self._limit = limit
        self._ask = ask
        self._waiting: list[tuple[int, asyncio.Future[Answer]]] = []
        self._rounds = 0
        self._refused: Refusal | None = None
        self._refused_until = 0.0

    @property
    def measure(self) -> str:
        """What is counted."""
        return self.key[2] if self.key else ""

    @property
    def exact(self) -> bool:
        """Whether only the store counts it."""
        return self._exact

    @abstractmethod
    def give(self, units: int, slot: int, now: float) -> None:
        """Return unused units, or charge more than was taken (negative)."""

    @abstractmethod
    def settle_down(self, now: float, *, closing: bool = False) -> bool:
        """Give back idle or expired units, renew the others; return True if nothing is held any more."""

    @abstractmethod
    def question(self, now: float) -> Question | None:
        """Return what to ask the store; None if nobody waits any more."""

    @abstractmethod
    def hear(self, reply: Reply, asked: float, now: float) -> None:
        """Take the store's reply to the question of the moment `asked`."""

    @abstractmethod
    def _give_back_spare(self) -> None:
        """Give back idle units, because less may be held now."""

    def adapt(self, limit: int, *, exact: bool) -> None:
        """Hold to another limit from now on; what is counted stays counted.

        If it is lower, or becomes exact, idle units go back first: they were granted on other terms.
        """
        if limit == self._limit and exact == self._exact:
            return
        stricter = limit < self._limit or (exact and not self._exact)
        self._limit, self._exact = limit, exact
        self._refused = None
        if stricter:
            self._give_back_spare()

    def never(self, units: int, now: float) -> Refusal | None:
        """Return the refusal of units beyond the limit itself, where waiting does not help; None if they may fit."""
        if units <= self._limit:
            return None
        if now >= self.all_back:
            return Refusal(self._limit, -1.0, 0.0)
        return Refusal(min(self.left + max(0, self.spare), self._limit), -1.0, self.all_back - now)

    def want(self, units: int, now: float) -> asyncio.Future[Answer]:
        """Ask the store for units; the future gives their slot once taken, or a Refusal, or raises StoreUnavailable."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if (refusal := self.never(units, now) or self._believed(units, now)) is not None:
            future.set_result(refusal)
            return future
        self._waiting.append((units, future))
        if not self.busy:
            self.busy = True
            self._rounds = 0
            self._ask(self)
        return future

    def again(self) -> bool:
        """Tell whether a reply leaves somebody waiting, so that another question is needed; if not, free the lease."""
        if self._waiting:
            self._rounds += 1
            if self._rounds < _MAX_ROUNDS:
                return True
            self.fail(StoreUnavailable("the store keeps granting less than it said it had"))
        self.busy = False
        return False

    def fail(self, error: StoreUnavailable) -> None:
        """Tell everybody who waits that the store could not be asked."""
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(error)
        self._waiting = []
        self.busy = False

    def _believed(self, units: int, now: float) -> Refusal | None:
        refusal = self._refused
        return refusal if refusal is not None and now < self._refused_until and units > refusal.remaining else None

    def _serve(self, units: int, now: float) -> int | None:
        """Take units for one who waits; None if not enough is held."""
        if self.spare < units or now >= self.until:
            return None
        self.spare -= units
        self.touched = now
        return self.slot

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
        """Refuse the first waiter and all who need more than is left; the others stay for the next question."""
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


def take_each(leases: Sequence[Lease[Any, Any]], units: int, now: float) -> list[int | None]:
    """Take `units` from what each lease holds and return their slots; None where not enough is held: then use `want`.

    Every exchange takes from some ten leases, so this reads their attributes instead of calling them.
    """
    slots: list[int | None] = []
    for lease in leases:
        if lease.busy or lease.spare < units or now >= lease.until:
            slots.append(None)
        else:
            lease.spare -= units
            lease.touched = now
            slots.append(lease.slot)
    return slots
