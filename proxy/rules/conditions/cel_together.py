"""Asks many expressions at once: one sum has a bit for each of them, and the engine is asked for that.

To ask the engine takes some four microseconds, and most expressions next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any

from proxy.rules.conditions.cel import MAX_SOURCE_CHARS, CelCondition, ConditionFailed, Givens

_Bits = Callable[[Mapping[str, Any]], int]
# The engine nests a sum for each of its parts, and takes some 30. To compile takes it a microsecond a character, during
# which nothing else runs: together they may be as long as one may be.
_AT_ONCE = 24


class Together:
    """Expressions that are asked about the same exchanges."""

    def __init__(self, conditions: Sequence[CelCondition]) -> None:
        self._givens = tuple(dict.fromkeys(condition.givens for condition in conditions))
        self._asked: list[tuple[int, _Bits]] = []
        first = 0
        for givens, same in groupby(conditions, attrgetter("givens")):
            for count, bits in _asked(givens, list(same)):
                self._asked.append((first, bits))
                first += count

    def put_up(self, fields: Mapping[str, Any]) -> None:
        """Take an exchange's fields, for the expressions as well if they are asked by themselves."""
        for givens in self._givens:
            givens.put_up(fields)

    def __call__(self, fields: Mapping[str, Any]) -> int:
        """Return a number that has a bit for each expression that is true, the first one's lowest.

        Raises ConditionFailed if any of them comes to anything but true and false.
        """
        found = 0
        for first, bits in self._asked:
            found |= bits(fields) << first
        return found


def _asked(givens: Givens, conditions: Sequence[CelCondition]) -> Iterator[tuple[int, _Bits]]:
    """Yield sums, and how many expressions each has: as many as the engine takes at once."""
    if len(conditions) == 1:
        yield 1, conditions[0]
        return
    length = sum(len(condition.source) for condition in conditions)
    if len(conditions) <= _AT_ONCE and length <= MAX_SOURCE_CHARS:
        evaluate = _together(givens, conditions)
        if evaluate is not None:
            yield len(conditions), partial(_bits, givens, evaluate)
            return
    half = (len(conditions) + 1) // 2
    yield from _asked(givens, conditions[:half])
    yield from _asked(givens, conditions[half:])


def _together(givens: Givens, conditions: Sequence[CelCondition]) -> Callable[..., Any] | None:
    """Compile the sum of all; each ends with a line, since it may end with a comment."""
    parts = (f"(({condition.source}\n) ? {1 << bit} : 0)" for bit, condition in enumerate(conditions))
    try:
        expression = givens.compile(" + ".join(parts))
    except Exception:  # noqa: BLE001 - each was compiled by itself, so they are too many, or nested too deep
        return None
    evaluate: Callable[..., Any] = expression.eval
    return evaluate


def _bits(givens: Givens, evaluate: Callable[..., Any], fields: Mapping[str, Any]) -> int:
    found = givens.value(evaluate, fields)
    if isinstance(found, int):
        return found
    raise ConditionFailed(str(found))
