"""How a verb that leaves files behind while it runs ends by SIGTERM: as by Ctrl-C, with all of them removed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, NoReturn

EXIT_TERMINATED: Final = 128 + signal.SIGTERM  # what a shell says of a process that it ended


@contextmanager
def cleared_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM into an exception where it is met, in the main thread; to be put before a verb."""
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(EXIT_TERMINATED)
