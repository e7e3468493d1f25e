"""A deployment while it runs: what it tells the admin side, and how it ends."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from importlib.metadata import version
from typing import Any, NamedTuple

from proxy.auth.key_registry import KeyRegistry
from proxy.config import Settings
from proxy.decisions.change_log import ChangeLog
from proxy.hunting.campaigns import CampaignRegistry
from proxy.machine.memory_watch import MemoryWatch
from proxy.packs.keeper import PackKeeper
from proxy.processes.fleet import Fleet
from proxy.processes.hunter_keeper import HunterKeeper
from proxy.processes.snapshot_keeper import SnapshotKeeper
from proxy.processes.store_watch import StoreWatch
from proxy.telemetry.exposition import render
from proxy.telemetry.snapshot import Sample, merge


class Watches(NamedTuple):
    """The regular checks of what all processes need, and the log of what people change."""

    store: StoreWatch
    memory: MemoryWatch
    snapshot: SnapshotKeeper | None
    changes: ChangeLog


class Deployment:
    """A proxy that runs."""

    def __init__(
        self,
        settings: Settings,
        packs: PackKeeper,
        registry: KeyRegistry,
        campaigns: CampaignRegistry,
        fleet: Fleet,
        hunter: HunterKeeper,
        watches: Watches,
        *,
        stand_in: bool,
    ) -> None:
        self.registry = registry
        self.campaigns = campaigns
        self.packs = packs
        self.stand_in = stand_in  # whether the stand-in model is the upstream
        self.data_url = self.admin_url = ""
        self._fleet = fleet
        self._hunter = hunter
        self._watches = watches
        self._drain_seconds = settings.limits.drain_seconds
        self._delay_seconds = settings.limits.stop_delay_seconds
        self._hurried = asyncio.Event()
        self._stopping = self._draining = False
        self._hurrying: asyncio.Future[None] | None = None  # kept, so that it is not collected before it has run

    def stop(self, seconds: float | None) -> None:
        """Turn readiness off; when the context ends, running exchanges get `seconds` (None: as in the settings)."""
        self._stopping = True
        self._drain_seconds = self._drain_seconds if seconds is None else seconds

    async def linger(self) -> None:
        """Go on for a while with readiness off, so that load balancers see it before the listener closes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._delay_seconds):
                await self._hurried.wait()

    def hurry(self) -> None:
        """End at once what still runs; may be called by a signal handler."""
        self._drain_seconds = 0
        self._hurried.set()
        if self._draining:
            self._hurrying = asyncio.ensure_future(self._fleet.hurry())

    def missing(self) -> list[str]:
        """Return what keeps the proxy from taking requests."""
        store, memory, *_ = self._watches
        away = ["store"] * store.away + ["memory"] * memory.full
        return ["stopping"] * self._stopping + away + self._fleet.missing()

    async def metrics(self) -> bytes:
        """Return the numbers of every worker and of the hunter together."""
        await asyncio.gather(self._fleet.refresh(), self._hunter.refresh())
        # Without awaiting in between: a process that ends meanwhile counts as living or as ended, never as both.
        fleet, hunter = self._fleet.counted(), self._hunter.counted()
        past = merge([*fleet.past, *hunter.past])
        unkept = Sample((), float(self._watches.changes.unkept_checkpoints))
        ours = (
            self.packs.snapshot(),
            {"stillgate_checkpoints_unkept_total": [unkept]},
            *(watch.snapshot() for watch in self._watches[:-1] if watch is not None),
        )
        return render([*ours, *fleet.living, *hunter.living], past)

    def status(self) -> dict[str, Any]:
        """Return what runs, for a person."""
        pack = self.packs.pack
        return {
            "version": version("stillgate"),
            "pid": os.getpid(),
            "data": self.data_url,
            "admin": self.admin_url,
            "pack": {"name": pack.name, "version": pack.version, "digest": pack.digest},
            "workers": self._fleet.pids,
            "hunter": self._hunter.pid,
            "missing": self.missing(),
            "notes": self.packs.notes(),
        }

    def pack_status(self) -> dict[str, Any]:
        """Return which pack is in force in which process, and how it got there, for a person."""
        return {**self.packs.status(), "workers": {str(pid): digest for pid, digest in self._fleet.packs.items()}}

    async def close(self) -> None:
        """Drain the workers, and let the hunter save its state."""
        self._stopping = self._draining = True
        await asyncio.gather(self._fleet.close(self._drain_seconds), self._hunter.close(self._drain_seconds))
