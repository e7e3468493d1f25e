"""Quotas for exchanges that end at the moment at which they begin, as in a replay: counted here, without leases.

Laws:
- It answers as `Quotas` on the memory store would if exchanges came one after the other, but some ten times as fast:
  nobody waits, nothing is leased, and `reserve` only looks whether there is room, since `settle` follows at once.
- A window is a `UnitWindow`, as in every store. Concurrency refuses only if the limit is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from proxy.clock import Clock
from proxy.exchange import NO_TIES, Principal, Ties
from proxy.rules.pack.pack import Limit, Pack, Quota
from proxy.rules.pack.words import OF_CALLER, Measure, Mode, Scope
from proxy.rules.quotas.leases import Refusal
from proxy.rules.quotas.quotas import scope_value
from proxy.rules.quotas.reservation import Amounts, Denial, Plan, Reservation
from proxy.store.base import MAX_UNITS
from proxy.store.unit_window import UnitWindow

_MEASURES = tuple(Measure)
_Limits = tuple[tuple[Limit, int, int], ...]  # a limit, its measure's index into Amounts, and its most units
# With more windows, at some 300 bytes each, empty ones are dropped; the next time at twice what was left, if more.
_FEW_WINDOWS = 400_000


class _Count(NamedTuple):
    """One limit as it counts one caller; a limit of 0 on concurrency has no window."""

    quota: Quota
    limit: Limit
    measure: int  # index into Amounts
    most: int
    window: UnitWindow | None


class _Counts(NamedTuple):
    plan: Plan
    enforced: tuple[_Count, ...]
    shadow: tuple[_Count, ...]


class InstantReservation(Reservation):
    """A reservation, and the counts to charge when it is settled."""

    __slots__ = ("charged",)

    def __init__(self, plan: Plan, amounts: Amounts, charged: Sequence[_Count]) -> None:
        super().__init__(plan, amounts)
        self.charged = charged


class InstantQuotas:
    """The quotas of one pack; settle each exchange's reservation before the next one reserves."""

    def __init__(self, pack: Pack, clock: Clock) -> None:
        self._quotas = tuple((quota, _counted(quota)) for quota in pack.quotas if quota.mode is not Mode.OFF)
        # Whether more than the caller decides which limits apply.
        self._by_more = any(quota.per not in {*OF_CALLER, Scope.GLOBAL} for quota, _ in self._quotas)
        self._now = clock.monotonic
        self._moment = (-1.0, 0)  # the last time read, in seconds and in ms
        self._windows: dict[tuple[str, int, int, str], UnitWindow] = {}
        self._looked_for = _FEW_WINDOWS
        self._counts: dict[tuple[object, ...], _Counts] = {}
        self._plans: dict[tuple[str, ...], Plan] = {}

    def __len__(self) -> int:
        return len(self._windows)

    async def reserve(
        self,
        principal: Principal,
        model: str,
        amounts: Amounts,
        ties: Ties = NO_TIES,
        shadow_ties: Ties = NO_TIES,
    ) -> InstantReservation | Denial:
        """Return a reservation if every enforced limit has `amounts` left, else the refusal that lasts longest."""
        now = self._now_ms()
        plan, enforced, shadow = self._counts_of(principal, model, ties, shadow_ties, now)
        if denials := _look(enforced, amounts, now):
            never = [denial for denial in denials if denial.refusal.retry_after < 0]
            return never[0] if never else max(denials, key=_retry_after)
        reservation = InstantReservation(plan, amounts, enforced)
        if shadow:
            reservation.shadow = _look(shadow, amounts, now)
            refusing = {denial.quota.id for denial in reservation.shadow}
            reservation.charged = (*enforced, *[each for each in shadow if each.quota.id not in refusing])
        return reservation

    def settle(self, reservation: Reservation, used: Amounts) -> None:
        """Count what was really used, once: a second call does nothing."""
        if reservation.settled is not None or not isinstance(reservation, InstantReservation):
            return
        reservation.settled = used
        now, reserved = self._now_ms(), reservation.amounts
        for count in reservation.charged:
            units, window = used[count.measure], count.window
            if units and reserved[count.measure] and window is not None:
                window.add(now, units)

    def _now_ms(self) -> int:
        now = self._now()
        if now != self._moment[0]:
            # As the memory store does it: a float may lie just under the whole millisecond that it stands for.
            self._moment = now, round(now * 1_000_000) // 1000
        return self._moment[1]

    def _counts_of(self, principal: Principal, model: str, ties: Ties, shadow_ties: Ties, now: int) -> _Counts:
        key: tuple[object, ...] = (principal.key_id, principal.account, principal.tenant)
        if self._by_more:
            key = (*key, model, ties, shadow_ties)
        found = self._counts.get(key)
        if found is None:
            if len(self._windows) >= self._looked_for:
                self._drop_empty(now)
            found = self._counts[key] = self._made(principal, model, ties, shadow_ties)
        return found

    def _made(self, principal: Principal, model: str, ties: Ties, shadow_ties: Ties) -> _Counts:
        quotas: list[Quota] = []
        counts: list[_Count] = []
        for quota, limits in self._quotas:
            value = scope_value(quota, principal, model, ties, shadow_ties)
            if value is not None:
                quotas.append(quota)
                counts += [
                    _Count(quota, limit, measure, most, self._window(quota, limit, measure, value))
                    for limit, measure, most in limits
                ]
        enforced = tuple([count for count in counts if count.quota.mode is Mode.ENFORCE])
        shadow = tuple([count for count in counts if count.quota.mode is Mode.SHADOW])
        return _Counts(self._plan(tuple(quotas)), enforced, shadow)

    def _plan(self, quotas: tuple[Quota, ...]) -> Plan:
        """Return the plan for these quotas, shared by all callers to whom they apply."""
        ids = tuple([quota.id for quota in quotas])
        plan = self._plans.get(ids)
        if plan is None:
            places = tuple(sorted({_MEASURES.index(limit.measure) for quota in quotas for limit in quota.limits}))
            units = tuple(str(_MEASURES[place]) for place in places)
            plan = self._plans[ids] = Plan(enforced=(), shadow=(), quotas=ids, units=units, places=places)
        return plan

    def _window(self, quota: Quota, limit: Limit, measure: int, value: str) -> UnitWindow | None:
        if limit.measure is Measure.CONCURRENCY:
            return None
        key = (quota.id, measure, limit.window_ms, value)
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = UnitWindow(limit.window_ms)
        return window

    def _drop_empty(self, now: int) -> None:
        """Drop the counts of callers who have used nothing lately, and empty windows that no other counts need."""
        for window in self._windows.values():
            window.advance(now)
        self._counts = {key: counts for key, counts in self._counts.items() if _counts_something(counts)}
        needed = {id(count.window) for counts in self._counts.values() for count in (*counts.enforced, *counts.shadow)}
        self._windows = {key: each for key, each in self._windows.items() if each.slots or id(each) in needed}
        self._looked_for = max(_FEW_WINDOWS, 2 * len(self._windows))


def _counted(quota: Quota) -> _Limits:
    """Return the limits that can refuse an exchange that takes no time; of those on concurrency only a limit of 0."""
    return tuple(
        (limit, _MEASURES.index(limit.measure), min(limit.max, MAX_UNITS))
        for limit in quota.limits
        if limit.measure is not Measure.CONCURRENCY or limit.max < 1
    )


def _counts_something(counts: _Counts) -> bool:
    """Tell whether any of the caller's own limits has something in its window."""
    return any(
        count.window is not None and count.window.slots and count.quota.per in OF_CALLER
        for count in (*counts.enforced, *counts.shadow)
    )


def _look(counts: Sequence[_Count], amounts: Amounts, now: int) -> list[Denial]:
    """Return the refusals of limits that do not have `amounts` left."""
    denials: list[Denial] = []
    for count in counts:
        units, window = amounts[count.measure], count.window
        # Units that are too old only make the total too high, so a closer look is seldom needed.
        if units and (window is None or units > count.most - window.total):
            denials += _refusals(count, units, now)
    return denials


def _refusals(count: _Count, units: int, now: int) -> list[Denial]:
    """Return the refusal if a window, brought up to now, is too full."""
    quota, limit, _, most, window = count
    if window is None:
        return [Denial(quota, limit, Refusal(most, -1.0, 0.0))]
    present = window.advance(now)
    if units <= most - window.total:
        return []
    grant = window.refusal(units, most, present, now)
    retry_after = -1.0 if units > most else grant.retry_after_ms / 1000
    return [Denial(quota, limit, Refusal(grant.remaining, retry_after, grant.reset_ms / 1000))]


def _retry_after(denial: Denial) -> float:
    return denial.refusal.retry_after
