"""What a place in a text is, and what chooses how it reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Place(NamedTuple):
    """Where a text could read otherwise: the wording `stands`, of so many `sides` of a coin, counted from 0."""

    row: str
    context: str
    stands: int
    sides: int


Choose = Callable[[Place], int]
