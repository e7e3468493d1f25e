"""Which limits callers are told of, and of each measure the one that binds them most.

Laws:
- Callers are told only of their own limits: those of their key, account or organisation. A count over a template or a
  cluster would tell a campaign that it is known, and one over everybody what others use. So ties to a campaign, in
  either world, change nothing in what is told.
- What is told is what this process last heard from the store, less its own use since; nobody asks the store for it.
"""

from __future__ import annotations

from collections.abc import Iterable

from proxy.rules.pack.pack import Limit, Quota
from proxy.rules.pack.words import OF_CALLER, Measure
from proxy.rules.quotas.reservation import Amounts, Denial, Measured, Plan, Shown

_NONE = float("inf")
_MEASURES = tuple(Measure)
# No header has a word for money. How many more may run now has changed before anybody reads it.
_UNTOLD = frozenset({_MEASURES.index(Measure.COST_USD), _MEASURES.index(Measure.CONCURRENCY)})

# The share of a limit that is left, its measure's index into Amounts, the limit, the units left, and the seconds until
# all is back. A plain tuple: some are made for every exchange, and a named one takes eight times as long.
Binding = tuple[float, int, Limit, int, float]


def shown(enforced: Iterable[Measured]) -> Shown:
    """Return the limits, of those that apply to a caller, that the caller is told of."""
    own = [
        (measure, tuple((counter.lease, counter.limit) for counter in counters if _is_own(counter.quota)))
        for measure, _, counters in enforced
        if measure not in _UNTOLD
    ]
    return tuple((measure, limits) for measure, limits in own if limits)


def binding(plan: Plan, asked: Amounts, now: float, met: Denial | None = None) -> list[Binding]:
    """Return, of each measure that an exchange `asked` for, the limit with the least share left.

    The least share comes first, but before all a limit that the exchange `met`. `now` is monotonic seconds.
    """
    found: list[Binding] = []
    met_measure = -1
    if met is not None and _is_own(met.quota) and met.limit.measure is not Measure.COST_USD:
        met_measure = _MEASURES.index(met.limit.measure)
        found.append((-1.0, met_measure, met.limit, max(0, met.refusal.remaining), max(0.0, met.refusal.reset)))
    for measure, limits in plan.shown:
        if not asked[measure] or measure == met_measure:
            continue  # not asked for now, so what is known may be out of date
        least = _NONE
        for lease, limit in limits:
            if now < lease.all_back and (share := (lease.left + lease.spare) / limit.max) < least:
                least, tightest, its_lease = share, limit, lease
        if least < _NONE:
            # More than the limit can be left where the lease follows a newer pack.
            left = its_lease.left + its_lease.spare if least <= 1.0 else tightest.max
            found.append((least, measure, tightest, left, its_lease.all_back - now))
    found.sort()
    return found


def _is_own(quota: Quota) -> bool:
    return quota.disclose and quota.per in OF_CALLER
