"""Evaluates many expressions in one call of the engine: as a sum that has a bit for each of them.

A call takes some four microseconds, most expressions next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any

from proxy.rules.conditions.cel import MAX_SOURCE_CHARS, CelCondition, ConditionFailed, Givens

_Bits = Callable[[Mapping[str, Any]], int]
# The engine nests a sum one level for each part, and allows some 30. Compiling takes a microsecond a character, and
# nothing else runs meanwhile: so a sum may be no longer than one expression may be.
_AT_ONCE = 24


class Together:
    """Expressions that are evaluated on the same exchanges."""

    def __init__(self, conditions: Sequence[CelCondition]) -> None:
        self._givens = tuple(dict.fromkeys(condition.givens for condition in conditions))
        self._asked: list[tuple[int, _Bits]] = []
        first = 0
        for givens, same in groupby(conditions, attrgetter("givens")):
            for count, bits in _asked(givens, list(same)):
                self._asked.append((first, bits))
                first += count

    def put_up(self, fields: Mapping[str, Any]) -> None:
        """Convert an exchange's fields, also for expressions that are then evaluated one by one."""
        for givens in self._givens:
            givens.put_up(fields)

    def __call__(self, fields: Mapping[str, Any]) -> int:
        """Return a number with a bit set for each expression that is true, the lowest for the first.

        Raises ConditionFailed if any of them comes to anything but true and false.
        """
        found = 0
        for first, bits in self._asked:
            found |= bits(fields) << first
        return found


def _asked(givens: Givens, conditions: Sequence[CelCondition]) -> Iterator[tuple[int, _Bits]]:
    """Yield sums, each with its number of expressions: as many as the engine takes at once."""
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
    """Compile the sum of all; a line break follows each expression, since it may end in a comment."""
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
