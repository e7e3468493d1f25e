"""What an exchange holds of its caller's quotas, and what they are counted in; `quotas` makes and ends it."""

from __future__ import annotations

from typing import NamedTuple

from proxy.rules.lease_pool import AnyLease
from proxy.rules.leases import Refusal
from proxy.rules.pack import Limit, Quota


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
