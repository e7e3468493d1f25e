"""Keeps Python's collector of cyclic garbage from holding up the event loop, however much a process remembers.

What a collection finds alive is set aside and not looked at again: the limits of ten thousand callers would take half
a second. What is set aside is freed as soon as nothing refers to it any more, as nearly everything here is; only cycles
that were alive in the moment of a collection stay behind. If memory becomes scarce, those are looked for too.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

# Objects that came in addition since the last collection. Each costs half a microsecond, and the loop waits for it.
_EVERY: Final = 10_000


def collect_briefly() -> None:
    """Set aside what lives by now, and from now on whatever a collection finds alive."""
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
    """Look at everything, which may take a second; return how many objects were found that only refer to each other."""
    gc.unfreeze()
    return gc.collect()  # what lives is set aside again


def _set_aside(phase: str, _info: dict[str, Any]) -> None:
    if phase == "stop":
        gc.freeze()
