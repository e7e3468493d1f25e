"""Hands values that the parent process has made and checked to its children: pickled, then as base64 in a line of JSON.

Law: only what came over the line from a process's own parent is unpickled. A pickle can hold code, but that line is a
socket pair which nobody else has an end of: nothing that was stored, or that anybody else sent, is ever unpickled.
"""

from __future__ import annotations

import pickle
from base64 import b64decode, b64encode
from typing import Any, NamedTuple

from proxy.errors import ConfigurationError


class HandedPack(NamedTuple):
    """A pack on its way to a child: its digest, and the pack as `handed` returns it."""

    digest: str
    text: str


def handed(value: object) -> str:
    """Return a value as `taken` reads it. Raises ConfigurationError for one with a part that cannot be pickled."""
    try:
        data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # what joined may raise anything
        raise ConfigurationError(f"a {type(value).__name__.lower()} cannot be handed to workers: {error!r}") from error
    return b64encode(data).decode()


def taken(text: str) -> Any:  # noqa: ANN401 - of the kind that was handed
    """Return the value that was handed over. Raises ConfigurationError if it cannot be had here."""
    try:
        return pickle.loads(b64decode(text))  # noqa: S301 - its parent made it, see above
    except Exception as error:  # what joined may raise anything
        raise ConfigurationError(f"what the parent handed over cannot be had: {error!r}") from error
