"""Imports a library as if another one were not there, where it would load that for what nobody asks of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(name: str) -> Iterator[None]:
    """Let an import of `name`, or a part of it, fail meanwhile, as None there makes it do; whoever has it keeps it."""
    there = {found: sys.modules[found] for found in [*sys.modules] if found == name or found.startswith(f"{name}.")}
    for found in there:
        del sys.modules[found]
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
        sys.modules.update(there)
