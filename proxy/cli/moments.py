"""Moments and periods as people write and read them at a terminal."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping

from proxy.errors import ConfigurationError

_PERIOD = re.compile(r"(\d{1,6})([smhd])")
_LAST = dt.datetime(9999, 12, 31, tzinfo=dt.UTC).timestamp()
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def period(text: str) -> int:
    """Return seconds. Raises ConfigurationError."""
    match = _PERIOD.fullmatch(text)
    if match is None:
        raise ConfigurationError(f"{text!r}: must be a number and a unit, such as 30s, 15m, 24h or 90d")
    return int(match[1]) * _UNITS_S[match[2]]


def moment(text: str) -> float:
    """Return Unix seconds for a date, a time with its zone, or a period from now. Raises ConfigurationError."""
    if _PERIOD.fullmatch(text):
        return now() + period(text)
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{text!r}: must be a date such as 2026-01-31, or a period such as 90d") from None
    return (found if found.tzinfo else found.replace(tzinfo=dt.UTC)).timestamp()


def ago(text: str) -> float:
    """Return Unix seconds for a date, a time with its zone, or a period that ends now. Raises ConfigurationError."""
    return now() - period(text) if _PERIOD.fullmatch(text) else moment(text)


def past(text: str) -> float:
    """Return the same, but what is before or after all that clocks count to is the nearest that they do.

    A log has no line beyond.
    """
    return min(max(ago(text), 0.0), _LAST)


def end(text: str) -> float:
    """Return the moment that `--expires` means. Raises ConfigurationError if it is past."""
    found = moment(text)
    if found <= now():
        raise ConfigurationError(f"--expires {text!r}: is past")
    return found


def now() -> float:
    """Return the time of this machine, which is what a person at a terminal means."""
    return dt.datetime.now(dt.UTC).timestamp()  # noqa: TID251 - see above


def day(seconds: float) -> str:
    """Return a moment to be read, in UTC."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M")


def state(row: Mapping[str, object]) -> str:
    """Return whether a key or token works, from its `disabled` and `expires_at`."""
    expires_at = row["expires_at"]
    if row["disabled"]:
        return "revoked"
    if not isinstance(expires_at, int | float):
        return "active"
    return f"until {day(expires_at)}" if expires_at > now() else "expired"
