"""Stands in for the store while it is away: each process admits up to its own share of a limit, or closes the limit.

Laws:
- All processes together admit no more in a window than the limit: each has an equal share of it, less an equal share of
  what was used when it last heard of the limit. Only what others used after that may come on top.
- Tokens and money are not admitted where it is unknown how much is left, nor from the last 5 % of a limit.
- An `exact` limit is counted by the store alone, so it is closed.
- What is admitted here is charged to the store before the store is asked again.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from proxy.clock import Clock
from proxy.rules.pack.words import Measure
from proxy.rules.quotas.ledger import Ledger
from proxy.rules.quotas.returns import Returns
from proxy.rules.quotas.slot_lease import SlotLease
from proxy.rules.quotas.store_time import StoreTime
from proxy.rules.quotas.window_lease import Known, WindowLease
from proxy.store.base import MAX_UNITS, SLOTS, Ask, Grant, Held, Hold
from proxy.store.unit_window import UnitWindow

GRANTED, REFUSED, CLOSED = "granted", "refused", "closed"
_SPENT: Final = frozenset({Measure.INPUT_TOKENS, Measure.OUTPUT_TOKENS, Measure.TOTAL_TOKENS, Measure.COST_USD})
# Of a limit on tokens or money, one part in 20, which is 5 %, is given to nobody.
_LAST_PART: Final = 20
# The most limits counted here, at up to 10 kB each for one that is used all the time.
_SHARES_MAX: Final = 50_000


class _Share:
    """What this process admitted of a limit, and its share of what was used before, all counted in `before_slot`."""

    __slots__ = ("before", "before_slot", "window")

    def __init__(self, window_ms: int, before: int, before_slot: int) -> None:
        self.window = UnitWindow(window_ms)
        self.before = before
        self.before_slot = before_slot


class LocalLimits:
    """One process's shares; each of `processes` has as much. `owes`: the store has yet to be told of their use."""

    def __init__(self, clock: Clock, processes: int, returns: Returns, time: StoreTime, ledger: Ledger) -> None:
        self.owes = False
        self.counts: Counter[tuple[str, str]] = Counter()  # answers by measure and result
        self._now = clock.monotonic
        self._processes = processes
        self._returns = returns
        self._time = time
        self._ledger = ledger
        self._shares: dict[str, _Share] = {}  # by bucket, until the store answers about it again

    def heard(self, lease: WindowLease, reply: Grant, asked: float) -> None:
        """Note the store's answer about a limit, which includes what was counted here meanwhile."""
        self._time.hear(reply, lease.window_ms, asked)
        lease.known = Known(reply.remaining, reply.slot, asked)
        if reply.granted:
            self._ledger.note(lease.name, lease.window_ms, reply.slot, reply.granted)
        if self._shares:
            self._shares.pop(lease.name, None)

    def answer(self, lease: WindowLease, question: Ask) -> Grant | None:
        """Answer a lease's question from this process's share; None if the limit is closed."""
        spent, limit = lease.measure in _SPENT, min(question.limit, MAX_UNITS)
        share = None if lease.exact else self._share(lease, limit, spent=spent)
        if share is None:
            self.counts[lease.measure, CLOSED] += 1
            return None
        now, window = int(self._time.monotonic() * 1000), share.window
        slot = window.advance(now)
        most = self._part(limit, spent=spent) - (share.before if share.before_slot >= slot - SLOTS else 0)
        granted = min(most - window.total, question.most)
        if granted < question.least:
            self.counts[lease.measure, CLOSED if spent else REFUSED] += 1
            return None if spent else window.refusal(question.least, most, slot, now)
        window.charge(slot, granted)
        self._returns.add(lease.name, lease.window_ms, slot, -granted)
        self._ledger.note(lease.name, lease.window_ms, slot, granted)
        self.owes = True
        self.counts[lease.measure, GRANTED] += 1
        lease_ms = max((slot + 1) * lease.window_ms // SLOTS - now - 1, 0)
        return Grant(granted, slot, most - window.total, lease_ms, 0, window.begins(slot + SLOTS + 1) - now)

    def give_back(self, bucket: str, slot: int, units: int) -> None:
        """Take back unused units of a grant, or count what was used beyond it (negative)."""
        share = self._shares.get(bucket)
        if share is not None:
            share.window.charge(slot, -units)

    def _share(self, lease: WindowLease, limit: int, *, spent: bool) -> _Share | None:
        """Return this process's share of a limit, a new one if needed; None if too little is known, or no room left."""
        share = self._shares.get(lease.name)
        if share is None:
            known = lease.known
            if known is not None and self._now() - known.at > lease.window_ms / 1000:
                known = None
            if (spent and known is None) or len(self._shares) >= _SHARES_MAX or self._returns.full:
                return None
            used = 0 if known is None else max(0, limit - known.remaining)
            share = _Share(lease.window_ms, -(-used // self._processes), -1 if known is None else known.slot)
            self._shares[lease.name] = share
        return share

    def _part(self, limit: int, *, spent: bool) -> int:
        """Return this process's part of a limit; of requests at least one, unless the limit is 0."""
        if spent:
            return (limit - limit // _LAST_PART) // self._processes
        return max(1, limit // self._processes) if limit else 0


class LocalSlots:
    """One process's shares of concurrency."""

    def __init__(self, processes: int, counts: Counter[tuple[str, str]]) -> None:
        self._processes = processes
        self._counts = counts

    def heard(self, lease: SlotLease, reply: Held, asked: float) -> None:
        """Note that the store knows what this process holds."""
        del reply, asked
        lease.alone = False

    def answer(self, lease: SlotLease, question: Hold) -> Held | None:
        """Answer a question from this process's share; None if the limit is closed."""
        offered = min(question.most, max(1, question.limit // self._processes) if question.limit else 0)
        mine = offered if offered >= question.least else lease.mine
        if question.least:  # otherwise nobody waits for an answer
            result = CLOSED if lease.exact else GRANTED if mine >= question.least else REFUSED
            self._counts[lease.measure, result] += 1
        if lease.exact:
            return None
        lease.alone = True
        return Held(mine, mine)
