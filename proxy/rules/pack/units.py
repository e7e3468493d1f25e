"""The amounts and times that a pack is written with, as whole numbers and back."""

from __future__ import annotations

import contextlib
import re
from decimal import Decimal

from proxy.fingerprint.lengths import LETTERS_LEAST, LETTERS_MOST
from proxy.rules.pack.words import Measure
from proxy.store.base import MAX_UNITS

_MAX_WINDOW_MS = 31 * 24 * 3600 * 1000
_MAX_LIFETIME_MS = 366 * 24 * 3600 * 1000
_MICRODOLLARS = 1_000_000  # in a dollar

_MULTIPLES = {"": 1, "k": 1_000, "M": 1_000_000}
_AMOUNT = re.compile(r"([0-9]{1,16}(?:\.[0-9]{1,12})?)([kM]?)")
_WINDOW_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_WINDOW = re.compile(r"([1-9][0-9]{0,7})([smhd])")


def units(amount: object, measure: Measure) -> int:
    """Return an amount as a pack writes it (80, 400k, 2M, 0.5) in whole units of the measure: micro-dollars for cost.

    Raises ValueError with a sentence for the author.
    """
    # A float's shortest form is what the author wrote, so that 0.1 dollars are exactly 100,000 micro-dollars.
    is_number = isinstance(amount, int | float) and not isinstance(amount, bool)
    match = _AMOUNT.fullmatch(f"{Decimal(repr(amount)):f}" if is_number else str(amount))
    if not match:
        raise ValueError("should be a number such as 80, 400k or 2M")
    in_units = Decimal(match[1]) * _MULTIPLES[match[2]]
    if measure is Measure.COST_USD:
        in_units *= _MICRODOLLARS
    if in_units != int(in_units):
        raise ValueError("should be whole micro-dollars" if measure is Measure.COST_USD else "should be a whole number")
    if not 0 < in_units <= MAX_UNITS:
        raise ValueError(f"should be above 0 and at most {MAX_UNITS} units")
    return int(in_units)


def letters(amount: object) -> int:
    """Return how many letters of a prompt a pack wants fingerprinted. Raises ValueError if that is not allowed."""
    with contextlib.suppress(ValueError):
        if LETTERS_LEAST <= (found := units(amount, Measure.REQUESTS)) <= LETTERS_MOST:
            return found
    raise ValueError("should be a number of letters, 20k to 1M")


def window_ms(window: object) -> int:
    """Return the milliseconds of a window as a pack writes it (30s, 5m, 1h, 7d). Raises ValueError."""
    return _milliseconds(window, _MAX_WINDOW_MS)


def lifetime_ms(lifetime: object) -> int:
    """Return the milliseconds of a lifetime: nothing is counted over it, so it may be longer than a window."""
    return _milliseconds(lifetime, _MAX_LIFETIME_MS)


def window_text(milliseconds: int) -> str:
    """Return a window as a pack would write it: 1h for 3600000; empty for 0, the window of concurrency."""
    for unit, length in reversed(_WINDOW_UNITS_MS.items()):
        if milliseconds and milliseconds % length == 0:
            return f"{milliseconds // length}{unit}"
    return ""


def _milliseconds(time: object, most: int) -> int:
    match = _WINDOW.fullmatch(time) if isinstance(time, str) else None
    if not match:
        raise ValueError("should be a time such as 30s, 5m, 1h or 7d")
    found = int(match[1]) * _WINDOW_UNITS_MS[match[2]]
    if found > most:
        raise ValueError(f"should be at most {window_text(most)}")
    return found
