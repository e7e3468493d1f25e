"""What the hunter must see before it reports a campaign: an entry of `campaigns:` without what a report does."""

from __future__ import annotations

from typing import NamedTuple


class Terms(NamedTuple):
    """The thresholds of one entry; `rule` is its id, `window_s` the time in which its accounts were seen."""

    rule: str
    min_accounts: int
    min_tenants: int
    window_s: float
    min_confidence: float
