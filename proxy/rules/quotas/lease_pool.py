"""The leases of one process, one for each limit and caller; they outlive changes of the pack.

Laws:
- A lease is named by its quota's id, scope, measure and window, so a reloaded pack goes on with its count; `max` and
  `exact` follow the newest pack.
- A lease of a limit that the newest pack lacks goes back to the store as soon as no exchange holds it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakValueDictionary

from proxy.clock import Clock
from proxy.errors import StoreUnavailable
from proxy.rules.pack.pack import Limit, Pack, Quota
from proxy.rules.pack.words import Measure, Mode
from proxy.rules.quotas.leases import Lease
from proxy.rules.quotas.ledger import Ledger
from proxy.rules.quotas.local_limits import LocalLimits, LocalSlots
from proxy.rules.quotas.questions import Questions
from proxy.rules.quotas.returns import Returns
from proxy.rules.quotas.slot_lease import SlotLease
from proxy.rules.quotas.store_time import StoreTime
from proxy.rules.quotas.window_lease import WindowLease
from proxy.store.base import Ask, Grant, Held, Hold, Store

_SWEEP_S = 0.5  # a worker may hold thousands of leases, and looks at each
_SWEEP_BATCH = 2_000  # leases looked at in one go, about a millisecond
_RETIRED_BATCH = 50  # plans dropped in one go, with some ten leases each that only they hold: 2 milliseconds

AnyLease = Lease[Any, Any]


class LeasePool:
    """The leases of one process; `run` must run as long as they are used."""

    def __init__(self, store: Store, clock: Clock, holder: str, op: Callable[[], str], processes: int) -> None:
        self._now = clock.monotonic
        self._holder = holder
        self._store = store
        self._op = op
        time = StoreTime(clock)
        self.returns = Returns(store, clock, op, time)
        self.ledger = Ledger(time)
        self.local = LocalLimits(clock, processes, self.returns, time, self.ledger)
        self._windows: Questions[Ask, Grant] = Questions(self._reserve, clock.monotonic, self.local)
        self._slots: Questions[Hold, Held] = Questions(
            store.hold, clock.monotonic, LocalSlots(processes, self.local.counts)
        )
        # One lease a name, while a plan, an exchange or the sweep refers to it: two would renew the same concurrency
        # slots, each with only half of the total.
        self._leases: WeakValueDictionary[str, AnyLease] = WeakValueDictionary()
        self._watched: deque[AnyLease] = deque()
        self._retired: deque[OrderedDict[Any, Any]] = deque()
        self._pack: Pack | None = None
        self._kept: frozenset[tuple[str, ...]] = frozenset()

    def __len__(self) -> int:
        return len(self._watched)

    def follow(self, pack: Pack) -> None:
        """Take a pack as the newest: leases are held to its limits."""
        self._pack = pack
        self._kept = frozenset(
            _key(quota, limit) for quota in pack.quotas if quota.mode is not Mode.OFF for limit in quota.limits
        )

    def lease(self, pack: Pack, quota: Quota, limit: Limit, value: str) -> AnyLease:
        """Return the lease of a limit for one caller, held to the newest pack's limit even if `pack` is older."""
        key = _key(quota, limit)
        name = hashlib.blake2b("\0".join((*key, value)).encode(), digest_size=16).hexdigest()
        lease: AnyLease | None = self._leases.get(name)
        if lease is not None:
            if pack is self._pack:
                lease.adapt(limit.max, exact=limit.exact)
            return lease
        if limit.measure is Measure.CONCURRENCY:
            lease = SlotLease(name, limit.max, exact=limit.exact, ask=self._slots.add, holder=self._holder)
        else:
            lease = WindowLease(
                name, limit.max, limit.window_ms, exact=limit.exact, ask=self._windows.add, on_return=self._give_back
            )
        lease.key = key
        self._leases[name] = lease
        return lease

    def retire(self, plans: OrderedDict[Any, Any]) -> None:
        """Drop an older pack's plans bit by bit: ten thousand at once would stop the loop for half a second."""
        self._retired.append(plans)

    def watch(self, lease: AnyLease) -> None:
        """Have the sweep look after a lease that holds something, or will."""
        if not lease.watched:
            lease.watched = True
            self._watched.append(lease)

    def sweep(self) -> None:
        """Return idle leases and renew slots, once; if there are many leases, for a part of them."""
        now = self._now()
        for _ in range(min(len(self._watched), _SWEEP_BATCH)):
            lease = self._watched.popleft()
            lease.watched = not lease.settle_down(now, closing=lease.key not in self._kept)
            if lease.watched:
                self._watched.append(lease)
        self._drop_retired()

    async def run(self) -> None:
        """Return idle leases, renew slots and send what waits for the store, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.returns.run())
            tasks.create_task(self._sweep_again_and_again())

    async def tend(self) -> None:
        """Do one round of `run`, and wait until the store has it. Raises StoreUnavailable."""
        self.sweep()
        await self._slots.quiet()
        await self.returns.flush()

    async def rebuild(self) -> None:
        """Tell a store that lost everything what this process was granted and has not given back.

        Charges that wait to be sent are part of that.
        """
        self.returns.forget()
        for number, (bucket, window_ms, slot, units) in enumerate(self.ledger.take(), 1):
            self.returns.add(bucket, window_ms, slot, -units)
            self.ledger.note(bucket, window_ms, slot, units)
            if number % _SWEEP_BATCH == 0:
                await asyncio.sleep(0)
        self.local.owes = True
        for lease in list(self._leases.values()):
            if isinstance(lease, SlotLease):
                lease.alone = True

    async def close(self) -> None:
        """Give every lease back to the store, as far as it can be reached."""
        now = self._now()
        for lease in self._watched:
            lease.settle_down(now, closing=True)
        await self._slots.quiet()
        with contextlib.suppress(StoreUnavailable):
            await self.returns.flush()

    async def _reserve(self, asks: Sequence[Ask]) -> Sequence[Grant]:
        """Ask the store, after telling it what was admitted without it."""
        if self.local.owes:
            self.local.owes = False
            try:
                await self.returns.flush()
            except BaseException:
                self.local.owes = True
                raise
        return await self._store.reserve(asks, self._op())

    def _give_back(self, bucket: str, window_ms: int, slot: int, units: int) -> None:
        self.returns.add(bucket, window_ms, slot, units)
        self.local.give_back(bucket, slot, units)
        self.ledger.note(bucket, window_ms, slot, -units)

    async def _sweep_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.sweep()

    def _drop_retired(self) -> None:
        for _ in range(_RETIRED_BATCH if self._retired else 0):
            if self._retired[0]:
                self._retired[0].popitem()
        if self._retired and not self._retired[0]:
            self._retired.popleft()


def _key(quota: Quota, limit: Limit) -> tuple[str, ...]:
    # Without `max`, so that raising a limit keeps its count.
    return quota.id, quota.per, limit.measure, str(limit.window_ms)
