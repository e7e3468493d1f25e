"""Quotas for exchanges that end at the moment at which they begin, as in a replay: counted here, without leases.

Laws:
- What `Quotas` on the memory store would say to one exchange after the other, this says, some ten times as fast: nobody
  waits, nothing is held in advance, and what is reserved is only looked for, since `settle` follows at once.
- A window is `UnitWindow`, as in every store. Concurrency is never short, unless the limit is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from proxy.clock import Clock
from proxy.exchange import NO_TIES, Principal, Ties
from proxy.rules.pack.pack import Limit, Pack, Quota
from proxy.rules.pack.words import OF_CALLER, Measure, Mode
from proxy.rules.quotas.leases import Refusal
from proxy.rules.quotas.quotas import scope_value
from proxy.rules.quotas.reservation import Amounts, Denial, Plan, Reservation
from proxy.store.base import MAX_UNITS
from proxy.store.unit_window import UnitWindow

_MEASURES = tuple(Measure)
# Windows beyond which those that ran empty are looked for, at some 300 bytes each; then twice what was left.
_FEW_WINDOWS = 400_000


class _Count(NamedTuple):
    """One limit as it counts one caller; concurrency has no window."""

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
    """What was found free, and the windows that are to be charged."""

    __slots__ = ("at", "charged")

    def __init__(self, plan: Plan, amounts: Amounts, at: int) -> None:
        super().__init__(plan, amounts)
        self.at = at  # in ms
        self.charged: list[tuple[_Count, int]] = []  # with the slot of that moment


class InstantQuotas:
    """The quotas of one pack; what one exchange reserves is to be settled before the next one reserves."""

    def __init__(self, pack: Pack, clock: Clock) -> None:
        self._quotas = tuple(quota for quota in pack.quotas if quota.mode is not Mode.OFF)
        self._now = clock.monotonic
        self._windows: dict[tuple[str, Measure, int, str], UnitWindow] = {}
        self._looked_for = _FEW_WINDOWS
        self._counts: dict[tuple[str, str, Ties, Ties], _Counts] = {}

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
        """Say whether every enforced limit has `amounts` left, or which one refuses for longest."""
        now = self._now_ms()
        plan, enforced, shadow = self._counts_of(principal, model, ties, shadow_ties, now)
        reservation = InstantReservation(plan, amounts, now)
        if denials := _look(enforced, amounts, reservation, now):
            never = [denial for denial in denials if denial.refusal.retry_after < 0]
            return never[0] if never else max(denials, key=_retry_after)
        if shadow:
            reservation.shadow = _look(shadow, amounts, reservation, now)
            if refusing := {denial.quota.id for denial in reservation.shadow}:
                reservation.charged = [each for each in reservation.charged if each[0].quota.id not in refusing]
        return reservation

    def settle(self, reservation: Reservation, used: Amounts) -> None:
        """Count what was really used; a second call does nothing."""
        if reservation.settled is not None or not isinstance(reservation, InstantReservation):
            return
        reservation.settled = used
        now = self._now_ms()
        for count, slot in reservation.charged:
            if count.window is not None:
                present = slot if now == reservation.at else count.window.advance(now)
                count.window.charge(present, used[count.measure])

    def _now_ms(self) -> int:
        # As the memory store: as a float, a moment that is a whole millisecond may lie just under it.
        return round(self._now() * 1_000_000) // 1000

    def _counts_of(self, principal: Principal, model: str, ties: Ties, shadow_ties: Ties, now: int) -> _Counts:
        key = (principal.key_id, model, ties, shadow_ties)
        found = self._counts.get(key)
        if found is None:
            if len(self._windows) >= self._looked_for:
                self._drop_empty(now)
            found = self._counts[key] = self._made(principal, model, ties, shadow_ties)
        return found

    def _made(self, principal: Principal, model: str, ties: Ties, shadow_ties: Ties) -> _Counts:
        counts = [
            _Count(
                quota,
                limit,
                _MEASURES.index(limit.measure),
                min(limit.max, MAX_UNITS),
                self._window(quota, limit, value),
            )
            for quota in self._quotas
            if (value := scope_value(quota, principal, model, ties, shadow_ties)) is not None
            for limit in quota.limits
        ]
        measures = {count.measure for count in counts}
        plan = Plan(
            enforced=(),
            shadow=(),
            quotas=tuple(dict.fromkeys(count.quota.id for count in counts)),
            units=tuple(str(measure) for index, measure in enumerate(_MEASURES) if index in measures),
            places=tuple(sorted(measures)),
        )
        return _Counts(
            plan,
            tuple(count for count in counts if count.quota.mode is Mode.ENFORCE),
            tuple(count for count in counts if count.quota.mode is Mode.SHADOW),
        )

    def _window(self, quota: Quota, limit: Limit, value: str) -> UnitWindow | None:
        if limit.measure is Measure.CONCURRENCY:
            return None
        key = (quota.id, limit.measure, limit.window_ms, value)
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = UnitWindow(limit.window_ms)
        return window

    def _drop_empty(self, now: int) -> None:
        """Let go of the plans of callers of whom nothing is counted any more, and of windows that no plan needs."""
        for window in self._windows.values():
            window.advance(now)
        self._counts = {key: counts for key, counts in self._counts.items() if _counts_something(counts)}
        needed = {id(count.window) for counts in self._counts.values() for count in (*counts.enforced, *counts.shadow)}
        self._windows = {key: each for key, each in self._windows.items() if each.slots or id(each) in needed}
        self._looked_for = max(_FEW_WINDOWS, 2 * len(self._windows))


def _counts_something(counts: _Counts) -> bool:
    """Tell whether anything is counted of the caller himself."""
    return any(
        count.window is not None and count.window.slots and count.quota.per in OF_CALLER
        for count in (*counts.enforced, *counts.shadow)
    )


def _look(counts: Sequence[_Count], amounts: Amounts, reservation: InstantReservation, now: int) -> list[Denial]:
    """Return the refusals; what is free joins the reservation."""
    denials: list[Denial] = []
    charged = reservation.charged.append
    for count in counts:
        units = amounts[count.measure]
        if not units:
            continue
        window = count.window
        present = 0 if window is None else window.advance(now)
        if units <= count.most - (0 if window is None else window.total):
            charged((count, present))
        elif window is None:
            denials.append(Denial(count.quota, count.limit, Refusal(count.most, -1.0, 0.0)))
        else:
            grant = window.refusal(units, count.most, present, now)
            refusal = Refusal(
                grant.remaining, -1.0 if units > count.most else grant.retry_after_ms / 1000, grant.reset_ms / 1000
            )
            denials.append(Denial(count.quota, count.limit, refusal))
    return denials


def _retry_after(denial: Denial) -> float:
    return denial.refusal.retry_after
