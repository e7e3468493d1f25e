"""Holds callers to the quotas of a pack: reserve before, settle after, refund on failure.

Laws:
- An exchange is admitted only if every enforced limit granted its reserve; what the others granted then goes back.
- A limit in shadow never refuses or fails an exchange, and is asked after the enforced ones. If it would have refused,
  what the other limits of its quota granted goes back, as it would if enforced.
- `settle` and `refund` do not await, so a client that leaves cannot cut them short.
- A reservation is settled with the leases it was made with, whichever pack is in force by then.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from proxy.clock import Clock
from proxy.errors import StoreUnavailable
from proxy.exchange import NO_TIES, Principal, Ties
from proxy.rules.pack.pack import Pack, Quota
from proxy.rules.pack.words import Measure, Mode, Scope
from proxy.rules.quotas.lease_pool import AnyLease, LeasePool
from proxy.rules.quotas.leases import Refusal, take_each
from proxy.rules.quotas.reservation import NOTHING, Amounts, Counter, Denial, Measured, Plan, Reservation
from proxy.rules.quotas.returns import Returns
from proxy.rules.quotas.shown_limits import shown
from proxy.store.base import Store

_PLANS_LIMIT = 10_000  # some 3 kB each
_MEASURES = tuple(Measure)


class Quotas:
    """The quotas of one pack in one process; keep `run` running while they, or any that `adopt` made, are used.

    `processes` share the limits: while the store is away each goes on with its part of them, see `local_limits`.
    """

    def __init__(
        self,
        pack: Pack,
        store: Store,
        clock: Clock,
        holder: str,
        op: Callable[[], str],
        *,
        processes: int = 1,
        pool: LeasePool | None = None,
    ) -> None:
        self.pack = pack
        self._quotas = tuple(quota for quota in pack.quotas if quota.mode is not Mode.OFF)
        self._made_of = (store, clock, holder, op)
        self._pool = LeasePool(*self._made_of, processes) if pool is None else pool
        self._pool.follow(pack)
        self._now = clock.monotonic
        self._plans: OrderedDict[tuple[str, str, Ties, Ties], Plan] = OrderedDict()

    def adopt(self, pack: Pack) -> Quotas:
        """Return the quotas of the pack that is in force from now on, with all counts so far.

        The old quotas go on working for exchanges that began with them. A count belongs to a quota's id, scope, measure
        and window. This takes microseconds: a changed limit reaches a caller's lease at the caller's next exchange.
        """
        self._pool.retire(self._plans)
        self._plans = OrderedDict()
        return Quotas(pack, *self._made_of, pool=self._pool)

    def __len__(self) -> int:
        return len(self._pool)

    @property
    def returns(self) -> Returns:
        """What waits to go back to the store."""
        return self._pool.returns

    @property
    def local_answers(self) -> Mapping[tuple[str, str], int]:
        """How often limits were asked for while the store was away, by measure and result."""
        return self._pool.local.counts

    async def reserve(
        self,
        principal: Principal,
        model: str,
        amounts: Amounts,
        ties: Ties = NO_TIES,
        shadow_ties: Ties = NO_TIES,
    ) -> Reservation | Denial:
        """Reserve `amounts` with every limit that applies, or say which one refuses.

        Limits per template or cluster apply to exchanges with `ties` to one; limits in shadow go by `shadow_ties`.

        Raises StoreUnavailable when an enforced limit needs the store's answer, cannot get it, and is closed without
        it. Unless a reservation is returned, nothing is held.
        """
        plan = self._plan(principal, model, ties, shadow_ties)
        reservation = Reservation(plan, amounts)
        denial = None
        try:
            if missing := _take_held(plan.enforced, reservation, self._now()):
                denial = await self._ask_enforced(missing, amounts, reservation)
            if plan.shadow and denial is None and (missing := _take_held(plan.shadow, reservation, self._now())):
                reservation.shadow, _ = await self._ask(missing, amounts, reservation)
                if reservation.shadow:
                    self._give_up(reservation)
        except BaseException:
            self.refund(reservation)
            raise
        if denial is not None:
            self.refund(reservation)
            return denial._replace(plan=plan)
        return reservation

    async def _ask_enforced(
        self, missing: Sequence[Counter], amounts: Amounts, reservation: Reservation
    ) -> Denial | None:
        now = self._now()
        for counter in missing:  # nobody holds more than a limit
            if (refusal := counter.lease.never(amounts[counter.measure], now)) is not None:
                return Denial(counter.quota, counter.limit, refusal)
        denials, failed = await self._ask(missing, amounts, reservation)
        if failed and not denials:
            raise StoreUnavailable("a limit could not be asked for")
        return max(denials, key=_severity, default=None)

    async def rebuild(self) -> None:
        """Tell a store that lost everything what this process has used and holds."""
        await self._pool.rebuild()

    def settle(self, reservation: Reservation, used: Amounts) -> None:
        """Replace the reserved amounts by those really used; a second call does nothing."""
        if reservation.settled is not None:
            return
        reservation.settled = used
        now = self._now()
        unused = reservation.amounts.less(used)
        for measure, leases, slots in reservation.taken:
            if units := unused[measure]:
                self._give(leases, slots, units, now)

    def refund(self, reservation: Reservation) -> None:
        """Give everything back."""
        self.settle(reservation, NOTHING)

    async def run(self) -> None:
        """Return idle leases, renew slots and send what waits for the store, until cancelled."""
        await self._pool.run()

    async def tend(self) -> None:
        """Do one round of `run`, for a clock that is moved by hand. Raises StoreUnavailable."""
        await self._pool.tend()

    async def close(self) -> None:
        """Give every lease back to the store, as far as it can be reached."""
        await self._pool.close()

    async def _ask(
        self, counters: Sequence[Counter], amounts: Amounts, reservation: Reservation
    ) -> tuple[list[Denial], bool]:
        """Ask for all at once, add what was granted to the reservation; return refusals and whether one failed."""
        now = self._now()
        asked = []
        for counter in counters:
            asked.append((counter, counter.lease.want(amounts[counter.measure], now)))
            self._pool.watch(counter.lease)
        denials: list[Denial] = []
        failed = False
        try:
            for _, future in asked:
                try:
                    await future
                except StoreUnavailable:
                    failed = True
        finally:
            # Also if the client leaves at this very moment: the reservation must know all that was granted.
            for counter, future in asked:
                if not future.done():
                    future.cancel()
                elif future.cancelled():  # the one being waited for
                    pass
                elif future.exception() is None:
                    answer = future.result()
                    if isinstance(answer, Refusal):
                        denials.append(Denial(counter.quota, counter.limit, answer))
                    else:
                        reservation.taken.append((counter.measure, (counter.lease,), [answer]))
        return denials, failed

    def _give_up(self, reservation: Reservation) -> None:
        """For each quota in shadow that would have refused, give back what its other limits granted."""
        refusing = {denial.quota.id for denial in reservation.shadow}
        counters = [counter for measured in reservation.plan.shadow for counter in measured.counters]
        given_up = {counter.lease for counter in counters if counter.quota.id in refusing}
        now = self._now()
        for measure, leases, slots in reservation.taken:
            back = [slot if lease in given_up else None for lease, slot in zip(leases, slots, strict=True)]
            self._give(leases, back, reservation.amounts[measure], now)
            slots[:] = [None if lease in given_up else slot for lease, slot in zip(leases, slots, strict=True)]

    def _give(self, leases: Sequence[AnyLease], slots: Sequence[int | None], units: int, now: float) -> None:
        for lease, slot in zip(leases, slots, strict=True):
            if slot is None:
                continue
            lease.give(units, slot, now)
            if not lease.watched:  # perhaps it held nothing before
                self._pool.watch(lease)

    def _plan(self, principal: Principal, model: str, ties: Ties, shadow_ties: Ties) -> Plan:
        key = (principal.key_id, model, ties, shadow_ties)
        plan = self._plans.get(key)
        if plan is None:
            counters = [
                Counter(
                    quota=quota,
                    limit=limit,
                    measure=_MEASURES.index(limit.measure),
                    lease=self._pool.lease(self.pack, quota, limit, value),
                )
                for quota in self._quotas
                if (value := scope_value(quota, principal, model, ties, shadow_ties)) is not None
                for limit in quota.limits
            ]
            measures = {counter.measure for counter in counters}
            enforced = _by_measure([counter for counter in counters if counter.quota.mode is Mode.ENFORCE])
            plan = Plan(
                enforced=enforced,
                shadow=_by_measure([counter for counter in counters if counter.quota.mode is Mode.SHADOW]),
                quotas=tuple(dict.fromkeys(counter.quota.id for counter in counters)),
                units=tuple(str(measure) for index, measure in enumerate(_MEASURES) if index in measures),
                places=tuple(sorted(measures)),
                shown=shown(enforced),
            )
            self._plans[key] = plan
            if len(self._plans) > _PLANS_LIMIT:
                self._plans.popitem(last=False)
        return plan


def _by_measure(counters: Sequence[Counter]) -> tuple[Measured, ...]:
    by_measure: dict[int, list[Counter]] = {}
    for counter in counters:
        by_measure.setdefault(counter.measure, []).append(counter)
    return tuple(
        Measured(measure, tuple(counter.lease for counter in same), tuple(same)) for measure, same in by_measure.items()
    )


def _take_held(measured: Sequence[Measured], reservation: Reservation, now: float) -> list[Counter]:
    """Take units that leases already hold; return the counters that must ask the store."""
    missing: list[Counter] = []
    amounts, taken = reservation.amounts, reservation.taken
    for measure, leases, counters in measured:
        if units := amounts[measure]:
            slots = take_each(leases, units, now)
            taken.append((measure, leases, slots))
            if None in slots:
                missing += [counter for counter, slot in zip(counters, slots, strict=True) if slot is None]
    return missing


def _severity(denial: Denial) -> float:
    """Return a key that orders refusals by how long they last; one that never ends lasts longest."""
    return denial.refusal.retry_after if denial.refusal.retry_after >= 0 else float("inf")


def scope_value(  # noqa: PLR0911 - one return a scope
    quota: Quota, principal: Principal, model: str, ties: Ties, shadow_ties: Ties
) -> str | None:
    """Return the key, account or whatever else a quota counts an exchange for; None without ties to any."""
    template, cluster = ties if quota.mode is Mode.ENFORCE else shadow_ties
    match quota.per:
        case Scope.KEY:
            return principal.key_id
        case Scope.ACCOUNT:
            return principal.account
        case Scope.TENANT:
            return principal.tenant
        case Scope.TEMPLATE:
            return template or None
        case Scope.CLUSTER:
            return cluster or None
        case Scope.MODEL:
            return model
        case Scope.GLOBAL:
            return ""
