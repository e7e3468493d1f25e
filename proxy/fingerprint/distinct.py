"""Sorted arrays without repeats, and what can be told of sorted values without sorting them again."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


def distinct(values: NDArray[Number]) -> NDArray[Number]:
    """Return the values sorted, each once; `numpy.unique` uses a hash table, which takes ten times as long."""
    ordered = values.copy()
    ordered.sort()
    new = ordered[1:] != ordered[:-1]
    return ordered if new.all() else np.concatenate((ordered[:1], ordered[1:][new]))


def counted(ordered: NDArray[Number]) -> tuple[NDArray[Number], NDArray[np.intp]]:
    """Return each of some sorted values once, and how often it is there."""
    begins = np.ones(len(ordered) + 1, np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=begins[1:-1])
    bounds = np.flatnonzero(begins)
    return ordered[bounds[:-1]], bounds[1:] - bounds[:-1]


def among(values: NDArray[Number], ordered: NDArray[Number]) -> NDArray[np.bool_]:
    """Tell which values are among `ordered`, which are sorted."""
    if not len(ordered):
        return np.zeros(len(values), np.bool_)
    found: NDArray[np.bool_] = ordered[np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)] == values
    return found
