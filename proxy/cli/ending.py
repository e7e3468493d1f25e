"""How verbs end that are not at their own end: by SIGTERM as by Ctrl-C, and with the window that they run in."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, NoReturn

EXIT_TERMINATED: Final = 128 + signal.SIGTERM  # what a shell says of a process that it ended


@contextmanager
def cleared_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM into an exception where it is met, in the main thread; before a verb that leaves files behind."""
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def window_watch() -> Callable[[], bool]:
    """Return what tells of a SIGHUP whether it came since the window was closed; else it asks to read a pack."""
    had_terminal = sys.stdin is not None and os.isatty(0)
    return lambda: had_terminal and not os.isatty(0)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(EXIT_TERMINATED)
