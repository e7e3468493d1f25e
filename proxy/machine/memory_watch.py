"""Checks once a second how full memory is, and has new work turned away while it is too full: row D-10.

Turning work away early leaves running exchanges the room to finish; the kernel would kill them all at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from proxy.log import get
from proxy.machine.memory import Memory
from proxy.telemetry.snapshot import Sample, Snapshot

_FULL_SHARE = 0.90
# Lower than the other, so that an exchange that ends does not at once admit one that fills memory again.
_ROOM_SHARE = 0.85
_LOOK_S = 1.0


class MemoryWatch:
    """`pids` returns the processes that count together; `tell` is told every time whether memory is full."""

    def __init__(
        self, memory: Memory, pids: Callable[[], Iterable[int]], tell: Callable[[bool], Awaitable[None]]
    ) -> None:
        self.full = False
        self._memory = memory
        self._pids = pids
        self._tell = tell
        self._share: float | None = None

    async def run(self) -> None:
        """Look and tell until cancelled."""
        while True:
            self.look()
            await self._tell(self.full)
            await asyncio.sleep(_LOOK_S)

    def look(self) -> None:
        """Look once."""
        share = self._share = self._memory.share(self._pids())
        full = share is not None and share >= (_ROOM_SHARE if self.full else _FULL_SHARE)
        if full != self.full:
            say = get("parent").error if full else get("parent").info
            say("memory is full: new work is turned away" if full else "memory has room again", share=share)
        self.full = full

    def snapshot(self) -> Snapshot:
        """Return its numbers, by the names of the metrics."""
        return {
            "stillgate_memory_share": [Sample((), self._share or 0.0)],
            "stillgate_memory_full": [Sample((), float(self.full))],
        }
