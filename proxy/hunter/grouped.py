"""Finds the rows of a table that have certain numbers in a column, by a sorted index that follows the table.

Laws: until `forget`, rows are only added at the end. Rows not yet in the index are searched one by one; they are at
most an eighth of all, so that following costs a few steps a row, however many there are. An indexed row takes four
bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from proxy.hunter.ids import Numbers

_LOOKED_THROUGH_PART = 8
_LOOKED_THROUGH_LEAST = 4096
_FIRST = np.zeros(1, np.int32)
_LOWER = (1 << 32) - 1


class Grouped:
    """The rows of one column by the number in it."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew, because rows were removed or renumbered."""
        self._order = np.zeros(0, np.int32)  # rows by number, and of one number in their order
        self._ends = np.zeros(0, np.int32)  # by number

    def rows_of(self, column: Numbers, wanted: NDArray[np.bool_]) -> Numbers:
        """Return the rows whose number is wanted, by number, and of one number in their order."""
        if len(column) - len(self._order) > max(_LOOKED_THROUGH_LEAST, len(self._order) // _LOOKED_THROUGH_PART):
            self._follow(column)
        numbers = np.flatnonzero(wanted[: len(self._ends)])
        begins = np.concatenate([_FIRST, self._ends])[numbers]
        sizes = self._ends[numbers] - begins
        ends = sizes.cumsum()
        places = np.repeat((begins - (ends - sizes)).astype(np.int32), sizes)
        places += np.arange(len(places), dtype=np.int32)
        rows: Numbers = self._order[places]
        done = len(self._order)
        added = column[done:]
        later = np.flatnonzero(wanted[added])
        if not len(later):
            return rows
        later = later[in_order(added[later])]
        before = np.concatenate([_FIRST, ends])[np.searchsorted(numbers, added[later], side="right")]
        return _inserted(rows, before, (later + done).astype(np.int32))

    def _follow(self, column: Numbers) -> None:
        """Take in what was added."""
        done = len(self._order)
        added = column[done:]
        counts = np.bincount(added, minlength=len(self._ends))
        ends = np.full(len(counts), done, np.int32)
        ends[: len(self._ends)] = self._ends
        rows = in_order(added)
        self._order = _inserted(self._order, ends[added[rows]], (rows + done).astype(np.int32))
        self._ends = ends + counts.cumsum().astype(np.int32)


def in_order(numbers: Numbers) -> NDArray[np.int64]:
    """Return the places that sort non-negative numbers, equal ones in their present order.

    Each number is packed with its place into one and sorted, in a tenth of the time that `argsort` takes.
    """
    ordered = numbers.astype(np.int64) << 32 | np.arange(len(numbers))
    ordered.sort()
    ordered &= _LOWER
    return ordered


def _inserted(into: Numbers, before: NDArray[np.signedinteger[Any]], rows: Numbers) -> Numbers:
    """Return `into` with `rows` inserted before the given places, which are in rising order."""
    found = np.empty(len(into) + len(rows), np.int32)
    places = before + np.arange(len(rows))
    old = np.ones(len(found), np.bool_)
    old[places] = False
    found[places] = rows
    found[old] = into
    return found
