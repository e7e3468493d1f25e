"""What an exchange holds of its caller's quotas, and in which units; `quotas` makes and settles it."""

from __future__ import annotations

from collections.abc import Sequence
from operator import sub
from typing import NamedTuple

from proxy.rules.pack.pack import Limit, Quota
from proxy.rules.pack.units import window_text
from proxy.rules.pack.words import Measure
from proxy.rules.quotas.lease_pool import AnyLease
from proxy.rules.quotas.leases import Refusal


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
        """Return the amounts of one exchange, with its one concurrency slot."""
        return cls(requests, input_tokens, output_tokens, input_tokens + output_tokens, cost_microusd, 1)

    def beyond(self, other: Amounts) -> tuple[int, ...]:
        """Return by how much each measure exceeds `other`'s, 0 where it does not."""
        return tuple([max(0, mine - theirs) for mine, theirs in zip(self, other, strict=True)])

    def less(self, used: Amounts) -> tuple[int, ...]:
        """Return what was not used of each measure, negative for overuse; a concurrency slot comes back whole."""
        return *map(sub, self[:-1], used), self.concurrency


NOTHING = Amounts(0, 0, 0, 0, 0, 0)


class Counter(NamedTuple):
    """One limit as it applies to one caller, with the lease that counts it."""

    quota: Quota
    limit: Limit
    measure: int  # index into Amounts
    lease: AnyLease


class Measured(NamedTuple):
    """One measure, as its index into Amounts, and the limits on it with their leases, in the same order."""

    measure: int
    leases: tuple[AnyLease, ...]
    counters: tuple[Counter, ...]


# The limits that a caller is told of, by measure (an index into Amounts), each with the lease that counts it.
Shown = tuple[tuple[int, tuple[tuple[AnyLease, Limit], ...]], ...]


class Plan(NamedTuple):
    """The limits that apply to one caller and model; made once, so that records of exchanges can share its parts."""

    enforced: tuple[Measured, ...]
    shadow: tuple[Measured, ...]
    quotas: tuple[str, ...]  # ids
    units: tuple[str, ...]  # names of the measures counted
    places: tuple[int, ...]  # their indices into Amounts
    shown: Shown = ()

    def by_unit(self, amounts: Amounts) -> dict[str, int]:
        """Return the amounts of the counted measures, by their names."""
        return dict(zip(self.units, map(amounts.__getitem__, self.places), strict=True))


NO_PLAN = Plan((), (), (), (), ())


class Denial(NamedTuple):
    """The limit that refuses, its lease's refusal, and the plan that applies to the caller."""

    quota: Quota
    limit: Limit
    refusal: Refusal
    plan: Plan = NO_PLAN


# What granted an exchange its amount of one measure: the measure's index, the leases asked, and the slots to which the
# amount goes back, None where nothing was granted. A plain tuple: a named one takes eight times as long to make.
Taken = tuple[int, Sequence[AnyLease], list[int | None]]


def limit_words(quota: Quota, limit: Limit) -> str:
    """Return the name of a limit in the record of an exchange that it refused."""
    per = "at once" if limit.measure is Measure.CONCURRENCY else f"per {window_text(limit.window_ms)}"
    return f"{limit.measure} over {limit.max} {per} for this {quota.per}"


class Reservation:
    """What one exchange holds until it is settled or refunded; only the first of these calls counts."""

    __slots__ = ("amounts", "plan", "settled", "shadow", "taken")

    def __init__(self, plan: Plan, amounts: Amounts) -> None:
        self.plan = plan
        self.amounts = amounts
        self.taken: list[Taken] = []
        self.shadow: list[Denial] = []  # limits in shadow that would have refused
        self.settled: Amounts | None = None
