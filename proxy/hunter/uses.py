"""The uses of some prints at once, and which of them count or repeat: without a sort of all, where few are in question.

To sort these with their places was most of a first look at the prints that are due.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from proxy.hunter.ids import Numbers

_USES_BITS = 21  # there are fewer uses at once: a million, or one print's by all accounts


class Uses(NamedTuple):
    """Every use of some prints, in their order: the numbers of these, where each begins and how many it has.

    `rows` has the place of its print for each use; `once` the uses by which a tenant counts, with its first account:
    many keys of one customer are no coincidence.
    """

    numbers: Numbers
    starts: NDArray[np.intp]
    sizes: NDArray[np.intp]
    rows: NDArray[np.intp]
    owners: Numbers
    times: Numbers
    once: NDArray[np.intp]

    @property
    def ends(self) -> NDArray[np.intp]:
        """Where the uses of each print end."""
        return self.starts + self.sizes

    def by_print(self, marked: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return how many of the uses that are marked each print has."""
        return np.bincount(self.rows[marked], minlength=len(self.numbers))


def uses_in_order(
    prints: Numbers, owners: Numbers, times: Numbers, tenants: Numbers, several: NDArray[np.bool_]
) -> Uses:
    """Return uses that are in the order of their prints; `several` tells who is one of several accounts of a tenant."""
    starts = np.flatnonzero(np.diff(prints, prepend=-1))
    sizes = np.diff(starts, append=len(prints))
    rows = np.repeat(np.arange(len(starts)), sizes)
    counts = ~several[owners]
    asked = np.flatnonzero(~counts)
    if len(asked):
        _, first = np.unique(rows[asked] << 32 | tenants[owners[asked]], return_index=True)
        counts[asked[first]] = True
    return Uses(prints[starts], starts, sizes, rows, owners, times, np.flatnonzero(counts))


def of_several(numbers: Numbers) -> NDArray[np.bool_]:
    """Tell which of these numbers are there more than once."""
    found: NDArray[np.bool_] = np.bincount(numbers)[numbers] > 1
    return found


def repeated(rows: NDArray[np.intp], tokens: Numbers) -> NDArray[np.bool_]:
    """Tell which have their token in common with another of the same row; 0 is none.

    Row, token and place are sorted as one number.
    """
    has = np.flatnonzero(tokens > 0)
    beyond = int(tokens.max(initial=0)) + 1
    ordered = np.sort((rows[has] * beyond + tokens[has]) << _USES_BITS | np.arange(len(has)))
    values = ordered >> _USES_BITS
    again = values[1:] == values[:-1]
    common = np.zeros(len(tokens), np.bool_)
    for part in (ordered[1:], ordered[:-1]):
        common[has[part[again] & (1 << _USES_BITS) - 1]] = True
    return common
