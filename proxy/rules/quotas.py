"""Holds callers to the quotas of a pack: reserve before, settle after, refund on failure.

Laws:
- An exchange is admitted only if every enforced limit granted its reserve; what the others granted then goes back.
- A limit in shadow never refuses, never fails an exchange, and is asked after the enforced ones.
- `settle` and `refund` do not await, so they cannot be cut short by a client that leaves.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from proxy.clock import Clock
from proxy.errors import StoreUnavailable
from proxy.exchange import Principal
from proxy.rules.leases import NO_SLOT, Lease, Questions, Refusal
from proxy.rules.pack import Limit, Measure, Mode, Pack, Quota, Scope
from proxy.rules.returns import Returns
from proxy.rules.slot_lease import SlotLease
from proxy.rules.window_lease import WindowLease
from proxy.store.base import Ask, Grant, Held, Hold, Store

_PLANS_LIMIT = 10_000  # some 3 kB each
_SWEEP_S = 0.25
_SWEEP_BATCH = 2_000  # leases looked at in one go, about a millisecond
_MEASURES = tuple(Measure)

AnyLease = Lease[Any, Any]


class Amounts(NamedTuple):
    """Units of each measure, in the order of `Measure`; cost in micro-dollars."""

    requests: int
    input_tokens: int
    output_tokens: int
    total_tokens: int
    cost_usd: int
    concurrency: int

    @classmethod
    def of(cls, input_tokens: int, output_tokens: int, cost_microusd: int, *, requests: int = 1) -> Amounts:
        """Return what one exchange takes; its concurrency slot is given back whole, whatever it settles."""
        return cls(requests, input_tokens, output_tokens, input_tokens + output_tokens, cost_microusd, 1)


NOTHING = Amounts(0, 0, 0, 0, 0, 0)


class Counter(NamedTuple):
    """One limit as it applies to one caller: the lease that counts it."""

    quota: Quota
    limit: Limit
    measure: int  # index into Amounts
    lease: AnyLease


class Plan(NamedTuple):
    """What applies to one caller and model; made once, so that the record of an exchange can share its parts."""

    enforced: tuple[Counter, ...]
    shadow: tuple[Counter, ...]
    quotas: tuple[str, ...]  # ids
    units: tuple[tuple[str, int], ...]  # the measures counted, by name and index into Amounts

    def by_unit(self, amounts: Amounts) -> dict[str, int]:
        """Return what is counted of `amounts`, by the measure's name."""
        return {unit: amounts[index] for unit, index in self.units}


class Denial(NamedTuple):
    """The limit that refuses, and what its lease said."""

    quota: Quota
    limit: Limit
    refusal: Refusal


# What one limit granted to an exchange: the counter, the units, and the slot they have to go back to. A plain tuple:
# ten of them are made for every exchange, and a named one takes eight times as long to make.
Touched = tuple[Counter, int, int]


class Reservation:
    """What one exchange holds until it is settled or refunded, once."""

    __slots__ = ("amounts", "plan", "settled", "shadow", "touched")

    def __init__(self, plan: Plan, amounts: Amounts) -> None:
        self.plan = plan
        self.amounts = amounts
        self.touched: list[Touched] = []
        self.shadow: list[Denial] = []  # limits in shadow that would have refused
        self.settled: Amounts | None = None


class Quotas:
    """The quotas of one pack in one process; `run` must run as long as it is used."""

    def __init__(self, pack: Pack, store: Store, clock: Clock, holder: str, op: Callable[[], str]) -> None:
        self._quotas = tuple(quota for quota in pack.quotas if quota.mode is not Mode.OFF)
        self._now = clock.monotonic
        self._holder = holder
        self._windows: Questions[Ask, Grant] = Questions(lambda asks: store.reserve(asks, op()), clock.monotonic)
        self._slots: Questions[Hold, Held] = Questions(store.hold, clock.monotonic)
        self.returns = Returns(store, clock, op)
        self._plans: OrderedDict[tuple[str, str], Plan] = OrderedDict()
        # One lease a name, for as long as a plan, an exchange or the sweep holds on to it: two would each renew the
        # same concurrency slots with half the total.
        self._leases: WeakValueDictionary[str, AnyLease] = WeakValueDictionary()
        self._watched: deque[AnyLease] = deque()

    def __len__(self) -> int:
        return len(self._watched)

    async def reserve(self, principal: Principal, model: str, amounts: Amounts) -> Reservation | Denial:
        """Reserve `amounts` with every limit that applies, or say which one refuses.

        Raises StoreUnavailable when an enforced limit had to ask the store and could not. Whenever this does not
        return a reservation, nothing is held.
        """
        plan = self._plan(principal, model)
        reservation = Reservation(plan, amounts)
        try:
            denial = await self._reserve_enforced(plan.enforced, amounts, reservation)
            if (
                plan.shadow
                and denial is None
                and (missing := _take_held(plan.shadow, amounts, reservation, self._now()))
            ):
                reservation.shadow, _ = await self._ask(missing, amounts, reservation)
        except BaseException:
            self.refund(reservation)
            raise
        if denial is not None:
            self.refund(reservation)
            return denial
        return reservation

    async def _reserve_enforced(
        self, counters: Sequence[Counter], amounts: Amounts, reservation: Reservation
    ) -> Denial | None:
        now = self._now()
        missing = _take_held(counters, amounts, reservation, now)
        if not missing:
            return None
        for counter in missing:  # what is more than a limit is never held
            if (refusal := counter.lease.never(amounts[counter.measure], now)) is not None:
                return Denial(counter.quota, counter.limit, refusal)
        denials, failed = await self._ask(missing, amounts, reservation)
        if failed and not denials:
            raise StoreUnavailable("a limit could not be asked for")
        return max(denials, key=_severity, default=None)

    def settle(self, reservation: Reservation, used: Amounts) -> None:
        """Replace the reserve by what was really used; a second call does nothing."""
        if reservation.settled is not None:
            return
        reservation.settled = used
        now = self._now()
        for counter, reserved, slot in reservation.touched:
            # A concurrency slot comes back whole, whatever was used.
            unused = reserved if slot == NO_SLOT else reserved - used[counter.measure]
            if unused:
                counter.lease.give(unused, slot, now)

    def refund(self, reservation: Reservation) -> None:
        """Give everything back."""
        self.settle(reservation, NOTHING)

    async def run(self) -> None:
        """Return idle leases, renew slots and send what waits, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.returns.run())
            tasks.create_task(self._sweep_again_and_again())

    async def close(self) -> None:
        """Give every lease back to the store, as far as it can be reached."""
        now = self._now()
        for lease in self._watched:
            lease.settle_down(now, closing=True)
        await self._slots.quiet()
        with contextlib.suppress(StoreUnavailable):
            await self.returns.flush()

    def sweep(self) -> None:
        """Return idle leases and renew slots, once, for a part of the leases if there are many."""
        now = self._now()
        for _ in range(min(len(self._watched), _SWEEP_BATCH)):
            lease = self._watched.popleft()
            lease.watched = not lease.settle_down(now)
            if lease.watched:
                self._watched.append(lease)

    async def _sweep_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.sweep()

    async def _ask(
        self, counters: Sequence[Counter], amounts: Amounts, reservation: Reservation
    ) -> tuple[list[Denial], bool]:
        """Ask for all at once; what was granted joins the reservation. Return the refusals, and whether one failed."""
        now = self._now()
        asked = []
        for counter in counters:
            asked.append((counter, counter.lease.want(amounts[counter.measure], now)))
            if not counter.lease.watched:
                counter.lease.watched = True
                self._watched.append(counter.lease)
        denials: list[Denial] = []
        failed = False
        try:
            await asyncio.wait([future for _, future in asked])
        finally:
            # Also when the client leaves at this very moment: the reservation knows all that was granted by now.
            for counter, future in asked:
                if not future.done():
                    future.cancel()
                elif future.exception() is not None:
                    failed = True
                else:
                    answer = future.result()
                    if isinstance(answer, Refusal):
                        denials.append(Denial(counter.quota, counter.limit, answer))
                    else:
                        reservation.touched.append((counter, amounts[counter.measure], answer))
        return denials, failed

    def _plan(self, principal: Principal, model: str) -> Plan:
        key = (principal.key_id, model)
        plan = self._plans.get(key)
        if plan is None:
            counters = [
                Counter(
                    quota=quota,
                    limit=limit,
                    measure=_MEASURES.index(limit.measure),
                    lease=self._lease(quota, limit, principal, model),
                )
                for quota in self._quotas
                for limit in quota.limits
            ]
            measures = {counter.measure for counter in counters}
            plan = Plan(
                enforced=tuple(counter for counter in counters if counter.quota.mode is Mode.ENFORCE),
                shadow=tuple(counter for counter in counters if counter.quota.mode is Mode.SHADOW),
                quotas=tuple(quota.id for quota in self._quotas),
                units=tuple((str(measure), index) for index, measure in enumerate(_MEASURES) if index in measures),
            )
            self._plans[key] = plan
            if len(self._plans) > _PLANS_LIMIT:
                self._plans.popitem(last=False)
        return plan

    def _lease(self, quota: Quota, limit: Limit, principal: Principal, model: str) -> AnyLease:
        # The name leaves `max` out, so that raising a limit keeps its count.
        parts = (quota.id, quota.per, limit.measure, str(limit.window_ms), _scope_value(quota.per, principal, model))
        name = hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()
        lease: AnyLease | None = self._leases.get(name)
        if lease is None:
            if limit.measure is Measure.CONCURRENCY:
                lease = SlotLease(name, limit.max, exact=limit.exact, ask=self._slots.add, holder=self._holder)
            else:
                lease = WindowLease(
                    name,
                    limit.max,
                    limit.window_ms,
                    exact=limit.exact,
                    ask=self._windows.add,
                    on_return=self.returns.add,
                )
            self._leases[name] = lease
        return lease


def _take_held(counters: Sequence[Counter], amounts: Amounts, reservation: Reservation, now: float) -> list[Counter]:
    """Take what is held already; return the counters that have to ask."""
    missing = []
    touch = reservation.touched.append
    for counter in counters:
        _, _, measure, lease = counter
        if units := amounts[measure]:
            slot = lease.take(units, now)
            if slot is None:
                missing.append(counter)
            else:
                touch((counter, units, slot))
    return missing


def _severity(denial: Denial) -> float:
    """Order refusals by how long they last; one that never ends lasts longest."""
    return denial.refusal.retry_after if denial.refusal.retry_after >= 0 else float("inf")


def _scope_value(scope: Scope, principal: Principal, model: str) -> str:
    match scope:
        case Scope.KEY:
            return principal.key_id
        case Scope.ACCOUNT:
            return principal.account
        case Scope.TENANT:
            return principal.tenant
        case Scope.MODEL:
            return model
        case Scope.GLOBAL:
            return ""
