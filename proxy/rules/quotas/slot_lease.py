"""Concurrency slots: how many exchanges may run at once; held in the store while this process renews them."""

from __future__ import annotations

from collections.abc import Callable

from proxy.rules.quotas.leases import IDLE_S, SHARE_OF_REST, Lease, Refusal
from proxy.store.base import Held, Hold

TTL_S = 15.0  # after a crash, the slots that were in use fall free this much later
_RENEW_S = TTL_S / 3
_RETRY_AFTER_S = 1.0  # nobody knows when somebody else's exchange ends
_MAX_SPARE = 16
# If more than a quarter of the free slots is idle here, it goes back at once; that is twice what is asked in advance.
_MOST_IDLE_PART = SHARE_OF_REST // 2


class SlotLease(Lease[Hold, Held]):
    """The slots of one limit that this process holds, in use and spare.

    While a question is on its way no slot is taken: it tells the store a total, which must still be true on arrival.
    """

    __slots__ = (
        "_holder",
        "_keep",
        "_least",
        "_mine",
        "_name",
        "_renewed",
        "alone",
    )

    def __init__(self, name: str, limit: int, *, exact: bool, ask: Callable[[SlotLease], None], holder: str) -> None:
        super().__init__(limit, ask, exact=exact)
        self._name = name
        self._holder = holder
        self._mine = 0  # granted slots, spare or in use; if the limit was lowered, more than these may be in use
        self._least = 0  # slots that the question on its way needs
        self._keep = 0  # spare slots that it keeps if nobody waits
        self._renewed = float("-inf")
        self.alone = False  # whether the store has not heard of what is held: then tell it as soon as possible

    @property
    def mine(self) -> int:
        """How many slots this process was told that it holds."""
        return self._mine

    def give(self, units: int, slot: int, now: float) -> None:
        """Return slots that were in use; if too many are idle then, they go back to the store at once."""
        del slot
        self.spare = spare = self.spare + units
        self.touched = now
        self._refused = None
        if spare > (0 if self._exact else (self.left + spare) // _MOST_IDLE_PART) and not self.busy:
            self._renew(keep=0)

    def settle_down(self, now: float, *, closing: bool = False) -> bool:
        """Give back idle slots and renew the rest in good time; return True if nothing is held any more."""
        idle = self.spare > 0 and (closing or now - self.touched >= IDLE_S)
        due = self._mine > 0 and (self.alone or now - self._renewed >= _RENEW_S)
        if (idle or due) and not self.busy:
            self._renew(keep=0 if idle else self.spare)
        return self._mine == 0 and self.spare == 0 and not self.busy

    def question(self, now: float) -> Hold | None:
        """Ask for the slots that waiters need; if nobody waits, renew those in use and those to keep."""
        self._serve_waiting(now)
        in_use = self._mine - self.spare
        if self._waiting:
            self._least = in_use + self._waiting[0][0]
            spare = 0 if self._exact else min(_MAX_SPARE, self.left // SHARE_OF_REST)
            wanted = in_use + sum(units for units, _ in self._waiting) + spare
        else:
            self._least = 0
            # If the limit was lowered, more slots may be in use than are granted: tell of them all the same, so that
            # others find them taken when it is raised again.
            wanted = max(in_use, min(self._mine, in_use + self._keep))
        return Hold(self._name, self._limit, self._holder, self._least, max(self._least, wanted), int(TTL_S * 1000))

    def hear(self, reply: Held, asked: float, now: float) -> None:
        """Take what the store says this process holds, and serve or refuse those who wait."""
        self.spare += reply.mine - self._mine
        self._mine = reply.mine
        self.left = max(0, self._limit - reply.total)
        self._renewed = asked
        self.until = self.all_back = asked + TTL_S
        if reply.mine < self._least:
            self._refuse_waiting(Refusal(max(0, self.spare), _RETRY_AFTER_S, _RETRY_AFTER_S), now)
        self._serve_waiting(now)

    def _give_back_spare(self) -> None:
        if self.spare > 0 and not self.busy:
            self._renew(keep=0)

    def _renew(self, keep: int) -> None:
        self._keep = keep
        self.busy = True
        self._rounds = 0
        self._ask(self)
