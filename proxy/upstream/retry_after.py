"""Reads for how long an upstream asks to be left alone, in whichever way it says so; pure."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

# On an upstream's word nothing is left alone, and nobody is sent away, for longer than this.
MOST_S: Final = 60.0
_NUMBER = re.compile(r"[0-9]{1,60}(?:\.[0-9]{1,60})?")
_DATE_CHARS = 64


def wait_asked(seconds_or_date: str, milliseconds: str, now: float) -> float | None:
    """Return how many seconds an answer asks for, at most `MOST_S`; None if it does not ask, or for nothing sensible.

    The first text is a `Retry-After` (RFC 9110, 10.2.3), also with a fraction; the second a `retry-after-ms`, which
    goes first as it does with the official clients. `now` is Unix seconds; a date that has passed asks for 0.
    """
    for text, scale in ((milliseconds, 1000), (seconds_or_date, 1)):
        if _NUMBER.fullmatch(text.strip()):
            return min(float(text) / scale, MOST_S)
    if not 0 < len(seconds_or_date) <= _DATE_CHARS:
        return None
    try:
        date = parsedate_to_datetime(seconds_or_date)
        moment = (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(0.0, moment - now), MOST_S)
