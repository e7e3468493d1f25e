"""Counters over fields and time, for rules: how many exchanges, or how many distinct values, in a sliding window.

Laws:
- A window is counted in SLOTS slots, as quotas are in the store: what was counted here leaves at most one slot late,
  what others counted at most two.
- Distinct values are counted exactly up to `SAMPLE`, and beyond with a standard error of `DISTINCT_ERROR` (both in
  proxy/store/distinct.py).
- A counter is identified by the digest of its definition, so a reloaded pack goes on with it; one that no pack uses any
  more is dropped.
- Nothing here awaits: what this process counts is known at once, what others count when totals are next exchanged with
  the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from proxy.rules.pack.pack import Signal


class Counter(Protocol):
    """The counts of one signal, by key: one for each account, tenant or whatever its `per` says."""

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
