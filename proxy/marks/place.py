"""What a place in a text is, and how a wording is chosen for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Place(NamedTuple):
    """Where a text could read otherwise: wording number `stands`, from 0, of `sides` wordings, is there now."""

    row: str
    context: str
    stands: int
    sides: int


Choose = Callable[[Place], int]
