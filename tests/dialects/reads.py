"""Notes how much of a document is read at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def counted(reads: Callable[..., Any], seen: list[int]) -> Callable[..., Any]:
    """Return what reads alike and notes the size of all that it is given."""

    def counting(data: bytes, **how: Any) -> Any:
        seen.append(len(data))
        return reads(data, **how)

    return counting
