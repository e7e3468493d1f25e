"""Notices that the store lost everything, and has this process tell it again what it knows of quotas.

`FlagSync` tells flags again; nobody can tell keys again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from proxy.log import get
from proxy.store.base import Store
from proxy.store.mark import MARK, read_mark


class StoreLoss:
    """A follower of the store's feed; awaits `rebuild` after the store lost everything."""

    def __init__(self, store: Store, rebuild: Callable[[], Awaitable[None]]) -> None:
        self.lost = False  # whether the store lost everything and has no new mark yet
        self.losses = 0
        self.rewinds = 0  # how often the feed had lost its place while the store was still the same
        self._store = store
        self._rebuild = rebuild
        self._known: bytes | None = None
        self._begun = False

    async def begin(self) -> None:
        """Look whether the store still has the mark that it had."""
        found = await read_mark(self._store)
        if self._known is not None and found != self._known:
            self.losses += 1
            get("worker").error("the store has lost everything it held; keys have to be made or imported again")
            await self._rebuild()
        elif self._begun and not self.lost:
            self.rewinds += 1
            get("worker").warning("the store's last changes may be lost")
        self._begun = True
        self.lost = found is None and (self.lost or self._known is not None)
        self._known = found

    async def hear(self, rows: Sequence[tuple[str, str]]) -> None:
        """Note a new mark: it was written by whoever looks after the store."""
        if MARK in rows:
            self._known = await read_mark(self._store)
            self.lost = self._known is None and self.lost

    def caught_up(self, at: float) -> None:
        """Do nothing: losses are dealt with at once."""

    def numbers(self) -> dict[str, float]:
        """Return how often the store lost everything or its feed, by the names of the metrics."""
        return {
            "stillgate_store_lost": float(self.lost),
            "stillgate_store_losses_total": self.losses,
            "stillgate_store_rewinds_total": self.rewinds,
        }
