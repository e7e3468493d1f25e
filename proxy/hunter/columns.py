"""Tables in memory: numpy columns of one length that grow at their end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

_FIRST_ROWS = 1024


class Columns:
    """Columns by name, of the types given; a column may have several numbers in a row, as `(type, how many)`."""

    def __init__(self, types: Mapping[str, DTypeLike | tuple[DTypeLike, int]]) -> None:
        self._types = dict(types)
        self._held = {name: _empty(kind, _FIRST_ROWS) for name, kind in self._types.items()}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a column, to be read or changed in place; valid until rows are added."""
        return self._held[name][: self._count]

    def add(self, count: int, **values: ArrayLike) -> None:
        """Add rows; a column that is not named gets zeros."""
        start, end = self._count, self._count + count
        if end > len(next(iter(self._held.values()))):
            for name, held in self._held.items():  # one by one, so that memory never holds two of all columns
                self._held[name] = _grown(held, start, end)
        self._count = end
        for name, held in self._held.items():
            held[start:end] = values.get(name, 0)

    def keep(self, rows: NDArray[Any]) -> None:
        """Keep these rows only, in the order given, or those where a mask says so."""
        for name, held in self._held.items():
            self._held[name] = held[: self._count][rows]  # by numbers or a mask: a copy
        self._count = len(next(iter(self._held.values())))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return every column, for a checkpoint."""
        return {name: self[name] for name in self._held}

    def part(self, rows: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Return these rows; each column is taken when it is asked for, as most never are. Ask before they change."""
        return _Part(self, rows)

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take what `arrays` returned."""
        self._held = {name: arrays[name].astype(held.dtype) for name, held in self._held.items()}
        self._count = len(next(iter(self._held.values())))


def _empty(kind: DTypeLike | tuple[DTypeLike, int], rows: int) -> NDArray[Any]:
    if isinstance(kind, tuple):
        return np.zeros((rows, kind[1]), kind[0])
    return np.zeros(rows, kind)


def _grown(held: NDArray[Any], filled: int, needed: int) -> NDArray[Any]:
    """Return a longer copy: half as long again, so that growing costs little and spare room is bounded."""
    grown = np.zeros((max(needed, len(held) * 3 // 2), *held.shape[1:]), held.dtype)
    grown[:filled] = held[:filled]
    return grown


class _Part(Mapping[str, NDArray[Any]]):
    """Some rows of a table."""

    def __init__(self, of: Columns, rows: NDArray[Any]) -> None:
        self._of = of
        self._rows = rows
        self._taken: dict[str, NDArray[Any]] = {}

    def __getitem__(self, name: str) -> NDArray[Any]:
        taken = self._taken.get(name)
        if taken is None:
            taken = self._taken[name] = self._of[name][self._rows]
        return taken

    def __iter__(self) -> Iterator[str]:
        return iter(self._of.arrays())

    def __len__(self) -> int:
        return len(self._of.arrays())
