"""How many accounts were active in each hour; an account counts once an hour, however much it does.

Laws: each row of the ledger is taken in once, in any order of time; what was taken in before is not looked at again,
except by a binary search for each new row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from proxy.fingerprint.distinct import distinct
from proxy.hunter.chance import Floats
from proxy.hunter.ids import Numbers

_HOUR_S = 3600
_RECENT_PART = 8
_AT_ONCE = 1 << 20  # cells that are counted at once, at some 20 bytes each
_LOWER = (1 << 32) - 1

Cells = NDArray[np.int64]  # an hour since the epoch, and in the lower half an account


def hour_of(at: Floats) -> NDArray[np.int64]:
    """Return the hours since the epoch."""
    return moment_of(at, _HOUR_S)


def moment_of(at: Floats, lasting_s: int) -> NDArray[np.int64]:
    """Return times as numbers of spans of `lasting_s` since the epoch; as floats they take ten times as long."""
    moments: NDArray[np.int64] = np.floor(at).astype(np.int64) // lasting_s
    return moments


class ActiveHours:
    """Pairs of hour and account, each once, in two sorted arrays: the large one is seldom made anew."""

    def __init__(self) -> None:
        self.rows = 0  # of the ledger that were taken in
        self._settled: Cells = np.zeros(0, np.int64)
        self._recent: Cells = np.zeros(0, np.int64)

    def take(self, at: Floats, accounts: Numbers) -> None:
        """Take in the next rows of the ledger."""
        self.rows += len(at)
        cells = distinct(_cells(at, accounts))
        for known in (self._settled, self._recent):
            if len(known):
                cells = cells[known[np.minimum(np.searchsorted(known, cells), len(known) - 1)] != cells]
        self._recent = _merged(self._recent, cells)
        if len(self._recent) * _RECENT_PART > len(self._settled):
            self._settled, self._recent = _merged(self._settled, self._recent), np.zeros(0, np.int64)

    def without(self, left_out: NDArray[np.bool_], first: int, last: int) -> tuple[Floats, int]:
        """Return the number of active accounts in each hour from `first` to `last`, and the first hour returned.

        `left_out` says of each account whether it does not count.
        """
        begin = max(first, min((int(cells[0] >> 32) for cells in self._parts() if len(cells)), default=first))
        end = min(last, max((int(cells[-1] >> 32) for cells in self._parts() if len(cells)), default=first))
        found = np.zeros(max(0, end - begin + 1))
        for cells in self._parts():
            inside = cells[slice(*np.searchsorted(cells, [begin << 32, (end + 1) << 32]))]
            for start in range(0, len(inside), _AT_ONCE):
                part = inside[start : start + _AT_ONCE]
                counted = ~left_out[part & _LOWER]
                found += np.bincount((part >> 32) - begin, counted, minlength=len(found))
        active = np.flatnonzero(found)
        if not len(active):
            return np.zeros(1), 0
        return found[active[0] : active[-1] + 1], begin + int(active[0])

    def _parts(self) -> tuple[Cells, Cells]:
        return self._settled, self._recent


def _cells(at: Floats, accounts: Numbers) -> Cells:
    cells: Cells = hour_of(at) << 32 | accounts
    return cells


def _merged(into: Cells, cells: Cells) -> Cells:
    """Return two sorted arrays as one."""
    return np.insert(into, np.searchsorted(into, cells), cells)
