"""Keeps Python's garbage collector from stopping the event loop for long, however much a process remembers.

Objects that a collection finds alive are frozen and not looked at again: the limits of ten thousand callers would take
half a second. Frozen objects are still freed when nothing refers to them any more, which is enough for nearly all here;
only cycles that were alive during a collection stay behind. If memory becomes scarce, these are looked for, too.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

# New objects between two collections. Each costs a collection half a microsecond, during which the loop waits.
_EVERY: Final = 10_000


def collect_briefly() -> None:
    """Freeze what lives now, and from now on whatever a collection finds alive."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_EVERY)
    if _set_aside not in gc.callbacks:
        gc.callbacks.append(_set_aside)


@contextmanager
def collecting_briefly() -> Iterator[None]:
    """Do as `collect_briefly` says until the context ends."""
    before = gc.get_threshold()
    collect_briefly()
    try:
        yield
    finally:
        gc.callbacks.remove(_set_aside)
        gc.set_threshold(*before)
        gc.unfreeze()


def collect_all() -> int:
    """Look at all objects, which may take a second; return how many were found that only refer to each other."""
    gc.unfreeze()
    return gc.collect()  # what lives is frozen again


def _set_aside(phase: str, _info: dict[str, Any]) -> None:
    if phase == "stop":
        gc.freeze()
