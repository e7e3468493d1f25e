"""Waiting for what nothing in this process is woken by: another process, a thread, the kernel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 0.02  # to ask another process takes time from it


async def until(true: Callable[[], bool | Awaitable[bool]], within: float = 60.0) -> None:
    """Return once it is true; it is looked at again and again. Raises TimeoutError after `within` seconds."""
    pause = _FIRST_PAUSE_S
    async with asyncio.timeout(within):
        while not (await found if isawaitable(found := true()) else found):
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
