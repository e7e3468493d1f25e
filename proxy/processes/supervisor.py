"""The parent process: it owns the store, the admin side and the workers, and ends them in the right order.

Laws: readiness goes first when a stop is asked for, then new work, then what runs, the store last. After kill -9 of the
parent the children end by themselves, and the store's server waits for the next start.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from proxy.admin import open_admin
from proxy.admin_side.side import AdminSide
from proxy.auth.admin import TokenRegistry
from proxy.auth.key_registry import KeyRegistry
from proxy.clock import Clock
from proxy.config import Settings
from proxy.decisions.epochs import Epochs
from proxy.files.data_folder import announced, held
from proxy.hunting.campaigns import CampaignRegistry
from proxy.log import get
from proxy.machine.memory import Memory
from proxy.machine.memory_watch import MemoryWatch
from proxy.packs.archive import PACKS_FOLDER, PackArchive
from proxy.packs.keeper import PackKeeper
from proxy.packs.pattern_copy import copy_patterns
from proxy.packs.watch import look, pack_of
from proxy.processes.children import StandIn
from proxy.processes.fleet import Fleet
from proxy.processes.hunter_keeper import HunterKeeper
from proxy.processes.snapshot_keeper import SnapshotKeeper
from proxy.processes.store_opening import opened
from proxy.processes.store_watch import StoreWatch
from proxy.recording import open_change_log
from proxy.rules.flags.store import FlagRegistry
from proxy.rules.pack.pack import hunts
from proxy.rules.pack.words import Mode
from proxy.samples.retention import Retention
from proxy.secrets import Purpose
from proxy.start import Start, held_address, listed_models, url_of
from proxy.store.base import Store
from proxy.store.embedded import EmbeddedServer
from proxy.telemetry.exposition import render
from proxy.telemetry.snapshot import merge

STATE_FILE = "serve.json"


class Launch(NamedTuple):
    """How to start: the settings as read, and how a worker reads them again, from `text` if it is there."""

    settings: Settings
    config: Path | None
    overrides: Mapping[str, Any]
    log_level: str
    text: bytes | None = None


class Watches(NamedTuple):
    """Those who look from time to time at what all need."""

    store: StoreWatch
    memory: MemoryWatch


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
        self.stand_in = stand_in  # whether the stand-in model answers
        self.data_url = self.admin_url = ""
        self._fleet = fleet
        self._hunter = hunter
        self._watches = watches
        self._drain_seconds = settings.limits.drain_seconds
        self._delay_seconds = settings.limits.stop_delay_seconds
        self._hurried = asyncio.Event()
        self._stopping = self._draining = False
        self._hurrying: asyncio.Future[None] | None = None  # kept, or it could be collected before it has run

    def stop(self, seconds: float | None) -> None:
        """Turn readiness off; when the context ends, what runs has `seconds` more (None: as the settings say)."""
        self._stopping = True
        self._drain_seconds = self._drain_seconds if seconds is None else seconds

    async def linger(self) -> None:
        """Go on for a while with readiness off: whoever sends work here has to see that before the door closes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._delay_seconds):
                await self._hurried.wait()

    def hurry(self) -> None:
        """End what still runs at once; for a signal handler."""
        self._drain_seconds = 0
        self._hurried.set()
        if self._draining:
            self._hurrying = asyncio.ensure_future(self._fleet.hurry())

    def missing(self) -> list[str]:
        """Return what keeps the proxy from taking requests."""
        store, memory = self._watches
        away = ["store"] * store.away + ["memory"] * memory.full
        return ["stopping"] * self._stopping + away + self._fleet.missing()

    async def metrics(self) -> bytes:
        """Return the numbers of every worker and of the hunter together."""
        await asyncio.gather(self._fleet.refresh(), self._hunter.refresh())
        # Both at one moment: a process that ends meanwhile is among the living or in the past, and in one of them only.
        fleet, hunter = self._fleet.counted(), self._hunter.counted()
        past = merge([*fleet.past, *hunter.past])
        ours = (self.packs.snapshot(), *(watch.snapshot() for watch in self._watches))
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
        """Return which pack is in force where, and how it got there, for a person."""
        return {**self.packs.status(), "workers": {str(pid): digest for pid, digest in self._fleet.packs.items()}}

    async def close(self) -> None:
        """Drain the workers, and let the hunter make safe what it knows."""
        self._stopping = self._draining = True
        await asyncio.gather(self._fleet.close(self._drain_seconds), self._hunter.close(self._drain_seconds))


@asynccontextmanager
async def deploy(launch: Launch, clock: Clock) -> AsyncIterator[Deployment]:
    """Start everything, serve while the context lasts, end everything.

    Raises ConfigurationError or StoreUnavailable, with everything ended that was started.
    """
    settings = launch.settings
    async with AsyncExitStack() as stack:
        sight = look(settings.pack)
        models = listed_models(settings)
        pack = pack_of(sight, settings.pack, models)
        stack.enter_context(held(settings.data))
        host, port = stack.enter_context(held_address(settings.listen.host, settings.listen.port))
        patterns = copy_patterns(settings.pack, settings.data)
        archive = PackArchive.begun_with(settings.data / PACKS_FOLDER, pack, sight.data or b"", clock.wall())
        server = None if settings.store.shared else EmbeddedServer(settings.data)
        store_url = settings.store.url
        if server is not None:
            store_url = await server.start()
            stack.push_async_callback(server.stop)
        store, master = await stack.enter_async_context(opened(settings, store_url, clock))
        registry = KeyRegistry(store, master.derive(Purpose.KEY_DIGEST), clock, secrets.token_bytes)
        stand_in = None
        if settings.uses_stand_in:
            stand_in = await StandIn.spawn()
            stack.push_async_callback(stand_in.end)
        start = Start(
            config=None if launch.config is None else str(launch.config.absolute()),
            overrides=dict(launch.overrides),
            log_level=launch.log_level,
            worker=0,
            store_url=store_url,
            pack_digest=pack.digest,
            patterns_digest=patterns,
            stand_in_url=None if stand_in is None else stand_in.url,
            host=host,
            port=port,
            text=None if launch.text is None else launch.text.decode(),
            secret=master.id,
        )
        fleet = Fleet(start, settings.workers)
        hunter = HunterKeeper(start)

        async def switch(digest: str) -> None:
            wanted = settings.hunter.run and hunts(packs.pack, Mode(settings.max_mode))
            await asyncio.gather(fleet.switch(digest), hunter.switch(digest, wanted=wanted))

        packs = PackKeeper(settings.pack, sight, pack, archive, clock, switch, patterns, models)
        flags = FlagRegistry(store, clock)
        campaigns = CampaignRegistry(store, flags, clock)
        watches = Watches(StoreWatch(store, server), _memory_watch(settings, fleet, (hunter, server, stand_in)))
        deployment = Deployment(
            settings, packs, registry, campaigns, fleet, hunter, watches, stand_in=stand_in is not None
        )
        deployment.data_url = url_of(host, port)
        changes = open_change_log(settings, clock)
        stack.push_async_callback(changes.close)
        samples = Retention(settings, store, changes, clock)
        side = AdminSide(
            registry,
            TokenRegistry(store, master.derive(Purpose.ADMIN_TOKEN_DIGEST), clock, secrets.token_bytes),
            flags,
            campaigns,
            changes,
            Epochs(store, clock, None if server is None else server.compact),
            samples,
            readiness=deployment.missing,
            metrics=deployment.metrics,
            status=deployment.status,
            packs=packs,
            pack_status=deployment.pack_status,
            marks=master.marks(),
        )
        deployment.admin_url = await open_admin(settings, side, stack)
        # Pushed last, so that it ends first: the admin side still tells of a drain.
        stack.push_async_callback(deployment.close)
        await fleet.open()
        async with asyncio.TaskGroup() as tasks:
            work = (
                fleet.keep(),
                hunter.keep(),
                watches.store.run(),
                packs.run(),
                watches.memory.run(),
                samples.run(),
                registry.follow(),
                _keep_snapshot(settings, store, clock),
            )
            background = [tasks.create_task(coroutine) for coroutine in work]
            with announced(settings.data / STATE_FILE, {**deployment.status(), "ready": True}) as missing:
                if missing:
                    get("parent").error("programs cannot be told where this proxy is", error=missing)
                get("parent").info("serving", address=deployment.data_url, workers=settings.workers, pack=pack.name)
                yield deployment
            get("parent").info("stopping")
            for task in background:
                task.cancel()


def _memory_watch(
    settings: Settings, fleet: Fleet, others: Iterable[HunterKeeper | EmbeddedServer | StandIn | None]
) -> MemoryWatch:
    """Return what watches the memory of every process of this deployment, the workers and `others`."""

    def pids() -> list[int]:
        return [os.getpid(), *fleet.pids, *(other.pid for other in others if other is not None and other.pid)]

    return MemoryWatch(Memory(settings.limits.memory_bytes), pids, fleet.note_memory)


async def _keep_snapshot(settings: Settings, store: Store, clock: Clock) -> None:
    if settings.starts_without_store:
        await SnapshotKeeper(store, settings.snapshot_folder, clock).run()
