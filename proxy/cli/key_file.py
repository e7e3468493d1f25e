"""The file that `keys import` takes: a JSON object a line, each checked before the first key is made."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from proxy.auth.api_key import KeyRequest
from proxy.cli.moments import now
from proxy.errors import ConfigurationError

_EXPECTED = 'each line must be an object such as {"account": "acme-prod", "tenant": "acme", "plan": "pro"}'


class Line(NamedTuple):
    """What one line asks for; lines are counted from 1."""

    number: int
    row: dict[str, Any]


def read_lines(file: Path) -> list[Line]:
    """Return every line that is not empty. Raises ConfigurationError with file and line of the first that is wrong."""
    try:
        texts = file.read_bytes().splitlines()
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from None
    lines = []
    secrets: dict[str, int] = {}  # each with the line that brought it
    for number, text in enumerate(texts, 1):
        if not text.strip():
            continue
        try:
            row = _row(text)
            request = KeyRequest.read(row)
            request.check_opened(now())
        except ConfigurationError as error:
            raise ConfigurationError(f"{file}:{number}: {error}") from None
        secret = request.secret
        if secret is not None and secrets.setdefault(secret, number) != number:
            raise ConfigurationError(f"{file}:{number}: secret: is the same as on line {secrets[secret]}")
        lines.append(Line(number, row))
    return lines


def _row(text: bytes) -> dict[str, Any]:
    try:
        row = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ConfigurationError(f"is no JSON from column {error.colno} on; {_EXPECTED}") from None
    if not isinstance(row, dict):
        raise ConfigurationError(f"is no object; {_EXPECTED}")
    json.loads(text, object_pairs_hook=_once)  # of a member that comes twice the other parser takes the last
    return row


def _once(pairs: list[tuple[str, Any]]) -> None:
    for name, times in Counter(name for name, _ in pairs).items():
        if times > 1:
            raise ConfigurationError(f"the field {name!r} stands there twice")
