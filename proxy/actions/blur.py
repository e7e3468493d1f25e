"""How much detail a pack leaves in embeddings; `vector_filter` takes out the rest."""

from __future__ import annotations

from typing import Any, NamedTuple

from proxy.actions.reading import members, number, whole

_MOST_DECIMALS = 8  # a 32-bit float between -1 and 1 has no more
_MOST_DEGREES = 45


class Blur(NamedTuple):
    """How much of a vector is left: decimals of its figures, and degrees by which it is turned; None: no change."""

    decimals: int | None
    degrees: float | None


def read_blur(value: Any) -> Blur:  # noqa: ANN401 - a value of a YAML file
    """Make a blur from its value in the pack. Raises ValueError."""
    given = members(value, Blur._fields)
    blur = Blur(whole(given, "decimals", 1, _MOST_DECIMALS), number(given, "degrees", 0.1, _MOST_DEGREES))
    if blur == (None, None):
        raise ValueError("should have decimals, degrees or both")
    return blur
