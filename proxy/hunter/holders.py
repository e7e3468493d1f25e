"""Which of many groups have accounts or tokens of another one, without comparing each with each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from proxy.hunter.columns import Columns
from proxy.hunter.grouped import Grouped
from proxy.hunter.ids import Numbers


class Holders:
    """The numbers that groups have, each once in a group; groups are numbered by whoever adds them."""

    def __init__(self) -> None:
        self._rows = Columns({"number": np.int32, "group": np.int32})
        self._by_number = Grouped()
        self._end = 0  # beyond the highest number

    def add(self, group: int, numbers: Numbers) -> None:
        """Note what a group has."""
        self._rows.add(len(numbers), number=numbers, group=group)
        self._end = max(self._end, int(numbers.max(initial=-1)) + 1)

    def counts(self, numbers: Numbers) -> NDArray[np.int64]:
        """Return how many of these numbers each group has, by group; those after the last that has any are left out."""
        wanted = np.zeros(self._end, np.bool_)
        wanted[numbers[numbers < self._end]] = True
        return np.bincount(self._rows["group"][self._by_number.rows_of(self._rows["number"], wanted)])
