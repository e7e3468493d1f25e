"""The file that `keys import` takes: a JSON object a line, each checked before the first key is made."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from proxy.auth.api_key import KeyRequest
from proxy.cli.moments import ago, moment, now
from proxy.errors import ConfigurationError

_EXPECTED = 'each line must be an object such as {"account": "acme-prod", "tenant": "acme", "plan": "pro"}'
_FIELDS = ("account", "tenant", "plan", "created_at", "expires", "expires_at", "attributes", "secret")
_SHOWN = 20  # lines that are wrong, the first ones


class Line(NamedTuple):
    """What one line asks for; lines are counted from 1."""

    number: int
    row: dict[str, Any]


def read_lines(file: Path) -> list[Line]:
    """Return every line that is not empty, with moments in Unix seconds.

    Raises ConfigurationError with file and line of those that are wrong: the first ones, and how many more there are.
    """
    try:
        texts = file.read_bytes().splitlines()
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from None
    lines: list[Line] = []
    wrong: list[str] = []
    secrets: dict[str, int] = {}  # each with the line that brought it
    for number, text in enumerate(texts, 1):
        if not text.strip():
            continue
        try:
            lines.append(Line(number, _checked(text, number, secrets)))
        except ConfigurationError as error:
            wrong.append(f"{file}:{number}: {error}")
    if wrong:
        more = len(wrong) - _SHOWN
        raise ConfigurationError("\n".join([*wrong[:_SHOWN], *([f"and {more:,} more lines are wrong"] * (more > 0))]))
    return lines


def _checked(text: bytes, number: int, secrets: dict[str, int]) -> dict[str, Any]:
    row = _row(text)
    if unknown := row.keys() - set(_FIELDS):
        raise ConfigurationError(f"unknown field {min(unknown)!r}; known are {', '.join(_FIELDS)}")
    _read_moments(row)
    request = KeyRequest.read(row)
    request.check_opened(now())
    secret = request.secret
    if secret is not None and secrets.setdefault(secret, number) != number:
        raise ConfigurationError(f"secret: is the same as on line {secrets[secret]}")
    return row


def _read_moments(row: dict[str, Any]) -> None:
    """Put Unix seconds in the place of what is written as for `keys create`."""
    if isinstance(opened := row.get("created_at"), str):
        row["created_at"] = _told("created_at", ago, opened)
    if "expires" not in row:
        return
    expires = row.pop("expires")
    if "expires_at" in row:
        raise ConfigurationError("expires: cannot stand beside expires_at, which says the same in Unix seconds")
    if not isinstance(expires, str):
        raise ConfigurationError("expires: must be a date such as 2026-01-31, or a period such as 90d")
    row["expires_at"] = _told("expires", moment, expires)
    if row["expires_at"] <= now():
        raise ConfigurationError(f"expires: {expires!r}: is past")


def _told(name: str, read: Callable[[str], float], text: str) -> float:
    try:
        return read(text)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from None


def _row(text: bytes) -> dict[str, Any]:
    try:
        row = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ConfigurationError(f"is not JSON from column {error.colno} on; {_EXPECTED}") from None
    if not isinstance(row, dict):
        raise ConfigurationError(f"is not an object; {_EXPECTED}")
    json.loads(text, object_pairs_hook=_once)  # of a member that comes twice the other parser takes the last
    return row


def _once(pairs: list[tuple[str, Any]]) -> None:
    for name, times in Counter(name for name, _ in pairs).items():
        if times > 1:
            raise ConfigurationError(f"the field {name!r} is given twice")
