"""Imports a library as if another one were not there, where it would load that for what nobody asks of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(name: str) -> Iterator[None]:
    """Let an import of `name` fail meanwhile, as None there makes it do; whoever has it keeps it."""
    there = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if there is None:
            del sys.modules[name]
        else:
            sys.modules[name] = there
