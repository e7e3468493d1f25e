"""In which hours how many accounts were active; an account counts once an hour, however much it does.

Laws: rows of the ledger are taken in once each, in whatever order of time; of what was taken in before nothing is
looked at again but what a search for the new takes.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from proxy.hunter.chance import Floats
from proxy.hunter.ids import Numbers

_HOUR_S = 3600.0
_RECENT_PART = 8

Cells = NDArray[np.int64]  # an hour since the epoch, and in the lower half an account


def hour_of(at: Floats) -> NDArray[np.int64]:
    """Return the hours since the epoch."""
    return np.floor_divide(at, _HOUR_S).astype(np.int64)


class ActiveHours:
    """Pairs of hour and account, each once, as two sorted arrays: most are in the one that is seldom made anew."""

    def __init__(self) -> None:
        self.rows = 0  # of the ledger, that were taken in
        self._settled: Cells = np.zeros(0, np.int64)
        self._recent: Cells = np.zeros(0, np.int64)
        self._counts: Counter[int] = Counter()

    def take(self, at: Floats, accounts: Numbers) -> None:
        """Take in the next rows of the ledger."""
        self.rows += len(at)
        cells = np.unique(_cells(at, accounts))
        for known in (self._settled, self._recent):
            if len(known):
                cells = cells[known[np.minimum(np.searchsorted(known, cells), len(known) - 1)] != cells]
        hours, counts = np.unique(cells >> 32, return_counts=True)
        self._counts.update(dict(zip(hours.tolist(), counts.tolist(), strict=True)))
        self._recent = _merged(self._recent, cells)
        if len(self._recent) * _RECENT_PART > len(self._settled):
            self._settled, self._recent = _merged(self._settled, self._recent), np.zeros(0, np.int64)

    def without(self, at: Floats, accounts: Numbers, first: int, last: int) -> tuple[Floats, int]:
        """Return active accounts by the hour, and the first hour of these, between two hours and both included.

        What is taken out are the accounts of these rows, which must be all rows of theirs.
        """
        hours, out = np.unique(np.unique(_cells(at, accounts)) >> 32, return_counts=True)
        left = self._counts - Counter(dict(zip(hours.tolist(), out.tolist(), strict=True)))
        kept = {hour: count for hour, count in left.items() if first <= hour <= last}
        if not kept:
            return np.zeros(1), 0
        begin = min(kept)
        found = np.zeros(max(kept) - begin + 1)
        for hour, count in kept.items():
            found[hour - begin] = count
        return found, begin


def _cells(at: Floats, accounts: Numbers) -> Cells:
    cells: Cells = hour_of(at) << 32 | accounts
    return cells


def _merged(into: Cells, cells: Cells) -> Cells:
    """Return two sorted arrays as one."""
    return np.insert(into, np.searchsorted(into, cells), cells)
