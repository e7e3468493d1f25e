"""What the hunter must see before it reports a campaign: an entry of `campaigns:` without what a report does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from math import inf
from typing import NamedTuple

LIKELY = 0.5


class Terms(NamedTuple):
    """The thresholds of one entry; `rule` is its id, `window_s` the time in which its accounts were seen.

    What a report leaves lasts `lasts_s`, unless it is told again.
    """

    rule: str
    min_accounts: int
    min_tenants: int
    window_s: float
    min_confidence: float
    lasts_s: float = inf


class Going(NamedTuple):
    """A finding that was told: by which rule, how sure it is now, and whether people confirmed it."""

    rule: str
    confidence: float
    confirmed: bool


def first_met(
    entries: Sequence[Terms], accounts: int, tenants: int, going: Going | None, anew: Callable[[], float]
) -> str | None:
    """Return the first rule whose terms so many accounts meet, None if there is none.

    A finding goes on growing by its rule as long as it is more likely than not, though it was told on better evidence.
    For another rule it has to be as sure as if it were new, which `anew` returns; what people confirmed goes on by any
    if its own is gone. `anew`, which takes long, is asked once at most.
    """
    as_new = cache(anew)
    gone = going is not None and all(terms.rule != going.rule for terms in entries)
    for terms in entries:
        if accounts < terms.min_accounts or tenants < terms.min_tenants:
            continue
        if going is not None and (terms.rule == going.rule or gone):
            sure = going.confidence >= min(LIKELY, terms.min_confidence) and not gone
            if sure or going.confirmed:
                return terms.rule
        if (going is None or terms.rule != going.rule) and as_new() >= terms.min_confidence:
            return terms.rule
    return None
