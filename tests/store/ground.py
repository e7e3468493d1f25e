"""What the contract suite stands on: a store of some kind, a second object on the same data, and its time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from proxy.clock import VirtualClock
from proxy.store.base import Store
from tests.rig.valkey import command

_LOOKS = 1000


class Ground(Protocol):
    """One kind of store under test."""

    store: Store
    other: Store

    async def pass_time(self, ms: int) -> None:
        """Return once the store's own clock has moved on by so much."""
        ...


@dataclass
class MemoryGround:
    """The store in memory; its time is moved by hand."""

    store: Store
    other: Store
    clock: VirtualClock

    async def pass_time(self, ms: int) -> None:
        self.clock.advance(ms / 1000)


@dataclass
class ServerGround:
    """A store on one server or several; the time of the first is watched until it has passed."""

    store: Store
    other: Store
    urls: list[str]

    async def pass_time(self, ms: int) -> None:
        until = self._now_ms() + ms
        for _ in range(_LOOKS):
            if (left := until - self._now_ms()) <= 0:
                return
            await asyncio.sleep(left / 1000)
        raise AssertionError("the store's clock stands still")

    def flush(self) -> None:
        for url in self.urls:
            command(url, "FLUSHALL")

    def _now_ms(self) -> float:
        seconds, micros = (int(part) for part in command(self.urls[0], "TIME").split(b"\r\n")[2::2] if part)
        return seconds * 1000 + micros / 1000
