"""Values of an answer as people read them."""

from __future__ import annotations

import datetime as dt


def shown(value: object) -> str:
    """Return a value as people read it."""
    match value:
        case None:
            return ""
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.4g}" if abs(value) < 1_000 else f"{value:,.0f}"
        case dt.datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S")
        case list() | tuple():
            return "; ".join(map(shown, value))
        case _:
            return str(value)
