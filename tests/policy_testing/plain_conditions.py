"""What conditions, windows and amounts of a pack's plain document mean, in the fewest words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

Values = Mapping[str, Any]

_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_TIMES = {"k": 1_000, "M": 1_000_000}
_SLOTS = 60


class Fails(Exception):
    """An expression that divides by zero."""


def _quotient(top: int, bottom: int) -> int:
    if bottom == 0:
        raise Fails
    return top // bottom


# What a pack may say in CEL, and what that means.
EXPRESSIONS: dict[str, Callable[[Values], bool]] = {
    'request.choices > 1 && account.plan == "free"': lambda of: (
        of["request.choices"] > 1 and of["account.plan"] == "free"
    ),
    "account.tenant in lists.partners || signals.asks >= 4": (
        lambda of: of["account.tenant"] == "org-1" or of["signals.asks"] >= 4
    ),
    "request.choices / request.top_logprobs >= 1": (
        lambda of: _quotient(of["request.choices"], of["request.top_logprobs"]) >= 1
    ),
    "!(request.temperature < 1) // as usual": lambda of: of["request.temperature"] >= 1,
    "size(request.logit_bias_keys) > 1 && request.stream": (
        lambda of: len(of["request.logit_bias_keys"]) > 1 and of["request.stream"]
    ),
}

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda value, operand: value == operand,
    "ne": lambda value, operand: value != operand,
    "in": lambda value, operand: value in operand,
    "not_in": lambda value, operand: value not in operand,
    "contains": lambda value, operand: operand in value,
    "starts_with": lambda value, operand: value[: len(operand)] == operand,
    "matches": lambda value, operand: re.search(operand, value) is not None,
    "gt": lambda value, operand: value > operand,
    "gte": lambda value, operand: value >= operand,
    "lt": lambda value, operand: value < operand,
    "lte": lambda value, operand: value <= operand,
    "has": lambda value, operand: operand in value,
    "any_of": lambda value, operand: bool(set(operand) & set(value)),
    "size_gte": lambda value, operand: len(value) >= operand,
}


def holds(condition: Values, fields: Values, lists: Values) -> bool:
    """Tell whether all of a map holds."""
    return all(_holds(name, value, fields, lists) for name, value in condition.items())


def _holds(name: str, value: Any, fields: Values, lists: Values) -> bool:
    if name == "any":
        return any(holds(part, fields, lists) for part in value)
    if name == "all":
        return all(holds(part, fields, lists) for part in value)
    if name == "not":
        return not holds(value, fields, lists)
    compared = value if isinstance(value, dict) else {"eq": value}
    return all(
        _OPERATORS[operator](fields[name], _named(operator, operand, lists)) for operator, operand in compared.items()
    )


def _named(operator: str, operand: Any, lists: Values) -> Any:
    return lists[operand[1:]] if operator in ("in", "not_in", "any_of") and isinstance(operand, str) else operand


def seconds(window: str) -> int:
    """Return what a window says."""
    return int(window[:-1]) * _UNITS_S[window[-1]]


def amount(most: Any) -> int:
    """Return what a maximum says."""
    return int(float(most[:-1]) * _TIMES[most[-1]]) if isinstance(most, str) else int(most)


def texts(one_or_more: Any) -> list[str]:
    """Return one text or a list of them as a list."""
    return [one_or_more] if isinstance(one_or_more, str) else one_or_more


def after(date: str) -> float:
    """Return the moment at which a day ends."""
    return (datetime.fromisoformat(date).replace(tzinfo=UTC) + timedelta(days=1)).timestamp()


def counts(moment: float, window: str, now: float) -> bool:
    """Tell whether a moment is within a window: its slot counts until all of it is older."""
    slot_s = seconds(window) / _SLOTS
    return math.floor(now / slot_s) - math.floor(moment / slot_s) <= _SLOTS
