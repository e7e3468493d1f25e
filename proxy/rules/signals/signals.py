"""Counters over fields and time, for rules: how many exchanges, or how many distinct values, in a sliding window.

Laws:
- A window is counted in SLOTS slots, as the store counts quotas: what was counted leaves late by at most one slot, what
  others counted by two.
- Distinct values are counted exactly up to `SAMPLE`, and beyond with a standard error of `DISTINCT_ERROR` (both in
  proxy/store/distinct.py).
- A counter is known by the digest of its definition, so a pack that is loaded anew goes on with it; what no pack uses
  any more is dropped.
- Nothing here awaits: what this process counts is known at once, what others count arrives with the next exchange of
  totals with the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from proxy.rules.pack.pack import Signal


class Counter(Protocol):
    """The counts of one signal, one for each account, tenant or whatever it counts `per`."""

    def add(self, key: str, members: Sequence[str], now: float) -> int:
        """Count one exchange of `key` and return the count after it; `members` are the values it showed.

        `members` is ignored by a signal that counts exchanges. `now` is Unix seconds.
        """
        ...

    def count(self, key: str, now: float) -> int:
        """Return the count of `key` as it stands."""
        ...


class Signals(Protocol):
    """The counters of one process."""

    def counter(self, signal: Signal) -> Counter:
        """Return the counter of a definition, the same one for the same digest."""
        ...

    def keep_only(self, digests: frozenset[str]) -> None:
        """Drop the counters of definitions that no pack has any more."""
        ...
