"""The values of the rows of flags and campaigns: one JSON object each."""

from __future__ import annotations

import json
from typing import Any


def written(**members: object) -> bytes:
    """Return the value of a row."""
    return json.dumps(members, separators=(",", ":")).encode()


def read_value(value: bytes) -> dict[str, Any]:
    """Return the object in a row. Raises ValueError for anything else."""
    found = json.loads(value)
    if not isinstance(found, dict):
        raise ValueError("is not an object")  # noqa: TRY004 - of the row, not of a caller's argument
    return found
