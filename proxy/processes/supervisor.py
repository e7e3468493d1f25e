"""The parent process: it owns the store, the admin side and the workers, and ends them in the right order.

Laws: a stop first ends readiness, then new work, then what runs, and last the store. After kill -9 of the parent the
children end by themselves, and the store's server waits for the next start.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from proxy.admin import open_admin
from proxy.admin_side.side import AdminSide
from proxy.auth.admin import TokenRegistry
from proxy.auth.key_registry import KeyRegistry
from proxy.clock import Clock
from proxy.config import Settings
from proxy.decisions.change_log import ChangeLog
from proxy.decisions.epochs import Epochs
from proxy.files.data_folder import announce, announced, held, known
from proxy.handing import HandedPack, handed
from proxy.hunting.campaigns import CampaignRegistry
from proxy.log import get
from proxy.machine.memory import Memory
from proxy.machine.memory_watch import MemoryWatch
from proxy.packs.archive import PACKS_FOLDER, PackArchive
from proxy.packs.keeper import PackKeeper
from proxy.packs.offered import offered_by
from proxy.packs.patterns import Patterns, read_patterns
from proxy.packs.watch import look, pack_of
from proxy.processes.children import StandIn
from proxy.processes.deployment import Deployment, Watches
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
from proxy.secrets import Master, Purpose
from proxy.settings.upstreams import Model, Upstream
from proxy.standin.catalog import MODELS
from proxy.start import Start, held_address, url_of
from proxy.store.base import Store
from proxy.store.embedded import EmbeddedServer

STATE_FILE = "serve.json"
_ROOM_S = 1.0  # between two checks whether the disk has room again
_STAND_IN = "stand-in"


class Launch(NamedTuple):
    """How to start."""

    settings: Settings
    log_level: str


class Ground(NamedTuple):
    """What workers need: `server` is the store's, if embedded; `stand_in` is there if it is the upstream."""

    store: Store
    store_url: str
    server: EmbeddedServer | None
    master: Master
    stand_in: StandIn | None


@asynccontextmanager
async def deploy(launch: Launch, clock: Clock) -> AsyncIterator[Deployment]:
    """Start everything, serve while the context lasts, then end everything.

    Raises ConfigurationError or StoreUnavailable, after ending everything that was started.
    """
    settings = launch.settings
    async with AsyncExitStack() as stack:
        sight = look(settings.pack)
        offered = offered_by(settings)
        pack = pack_of(sight, settings.pack, offered)
        stack.enter_context(held(settings.data))
        host, port = stack.enter_context(held_address(settings.listen.host, settings.listen.port))
        patterns = read_patterns(settings.pack)
        archive = PackArchive.begun_with(settings.data / PACKS_FOLDER, pack, sight.data or b"", clock.wall())
        ground = await _ground(settings, clock, stack)
        store = ground.store

        async def switch(pack: HandedPack) -> None:
            wanted = settings.hunter.run and hunts(packs.pack, Mode(settings.max_mode))
            await asyncio.gather(fleet.switch(pack), hunter.switch(pack, wanted=wanted))

        packs = PackKeeper(settings.pack, sight, pack, archive, clock, switch, patterns.digest, offered)
        start = _start(launch, host, port, ground, packs.handed, patterns)
        fleet = Fleet(start, settings.workers)
        hunter = HunterKeeper(start)
        registry = KeyRegistry(store, ground.master.derive(Purpose.KEY_DIGEST), clock, secrets.token_bytes)
        flags = FlagRegistry(store, clock)
        campaigns = CampaignRegistry(store, flags, clock)
        changes = open_change_log(settings, clock)
        stack.push_async_callback(changes.close)
        memory = _memory_watch(settings, fleet, (hunter, ground.server, ground.stand_in))
        watch = StoreWatch(store, ground.server, clock)
        watches = Watches(watch, memory, _snapshot_keeper(settings, store, clock), changes)
        stand_in = ground.stand_in is not None
        deployment = Deployment(settings, packs, registry, campaigns, fleet, hunter, watches, stand_in=stand_in)
        deployment.data_url = url_of(host, port)
        samples = Retention(settings, store, changes, clock)
        side = _admin_side(deployment, ground, flags, changes, samples, clock)
        deployment.admin_url = await open_admin(settings, side, stack)
        # Pushed last, so that it ends first: the admin side can still be asked during a drain.
        stack.push_async_callback(deployment.close)
        await fleet.open()
        work = (
            fleet.keep(),
            hunter.keep(),
            watches.store.run(),
            packs.run(),
            watches.memory.run(),
            samples.run(),
            registry.follow(),
            *(() if watches.snapshot is None else (watches.snapshot.run(),)),
        )
        async with _announced(deployment, settings, work):
            yield deployment


async def _ground(settings: Settings, clock: Clock, stack: AsyncExitStack) -> Ground:
    """Start what workers need to start; the stack ends it."""
    server, store_url = None, settings.store.url
    if not settings.store.shared:
        server = EmbeddedServer(settings.data)
        store_url = await server.start()
        stack.push_async_callback(server.stop)
    store, master = await stack.enter_async_context(opened(settings, store_url, clock))
    stand_in = None
    if settings.uses_stand_in:
        stand_in = await StandIn.spawn()
        stack.push_async_callback(stand_in.end)
    return Ground(store, store_url, server, master, stand_in)


def _start(launch: Launch, host: str, port: int, ground: Ground, pack: HandedPack, patterns: Patterns) -> Start:
    """Return what the children are told."""
    settings, stand_in = launch.settings, ground.stand_in
    return Start(
        settings=handed(settings if stand_in is None else _with_stand_in(settings, stand_in.url)),
        log_level=launch.log_level,
        worker=0,
        store_url=ground.store_url,
        pack_digest=pack.digest,
        pack=pack.text,
        patterns=handed(patterns.sets),
        host=host,
        port=port,
        secret=ground.master.id,
    )


def _with_stand_in(settings: Settings, url: str) -> Settings:
    """Return the settings of a proxy in front of the stand-in model."""
    models = {
        name: Model(upstream=_STAND_IN, max_output_tokens=model.max_output_tokens) for name, model in MODELS.items()
    }
    return settings.model_copy(update={"upstreams": {_STAND_IN: Upstream(url=url)}, "models": models})


def _admin_side(
    deployment: Deployment, ground: Ground, flags: FlagRegistry, changes: ChangeLog, samples: Retention, clock: Clock
) -> AdminSide:
    store, server, master = ground.store, ground.server, ground.master
    return AdminSide(
        deployment.registry,
        TokenRegistry(store, master.derive(Purpose.ADMIN_TOKEN_DIGEST), clock, secrets.token_bytes),
        flags,
        deployment.campaigns,
        changes,
        Epochs(store, clock, None if server is None else server.compact),
        samples,
        readiness=deployment.missing,
        metrics=deployment.metrics,
        status=deployment.status,
        packs=deployment.packs,
        pack_status=deployment.pack_status,
        marks=master.marks(),
    )


@asynccontextmanager
async def _announced(
    deployment: Deployment, settings: Settings, work: Iterable[Coroutine[Any, Any, None]]
) -> AsyncIterator[None]:
    """While the context lasts, do the work in the background and announce in a file where the deployment is."""
    log = get("parent")
    async with asyncio.TaskGroup() as tasks:
        background = [tasks.create_task(coroutine) for coroutine in work]
        place, status = settings.data / STATE_FILE, {**deployment.status(), "ready": True}
        with announced(place, status) as missing:
            if missing:
                log.error("serve.json cannot be written: programs do not find this proxy", error=missing)
                background.append(tasks.create_task(_announced_later(place, status)))
            pack = deployment.packs.pack.name
            log.info("serving", address=deployment.data_url, workers=settings.workers, pack=pack)
            yield
        log.info("stopping")
        for task in background:
            task.cancel()


async def _announced_later(place: Path, status: Mapping[str, object]) -> None:
    """Announce where the deployment is once the disk has room; not in a folder made anew, which is another's."""
    with suppress(FileNotFoundError), known(place.parent) as same:
        while True:
            await asyncio.sleep(_ROOM_S)
            if not same():
                return
            with suppress(OSError):
                announce(place, status)
                return


def _memory_watch(
    settings: Settings, fleet: Fleet, others: Iterable[HunterKeeper | EmbeddedServer | StandIn | None]
) -> MemoryWatch:
    """Return the watch over the memory of all processes of this deployment: the workers and `others`."""

    def pids() -> list[int]:
        return [os.getpid(), *fleet.pids, *(other.pid for other in others if other is not None and other.pid)]

    return MemoryWatch(Memory(settings.limits.memory_bytes), pids, fleet.note_memory)


def _snapshot_keeper(settings: Settings, store: Store, clock: Clock) -> SnapshotKeeper | None:
    """Return the keeper of the snapshot, None if the settings do not start without the store."""
    return SnapshotKeeper(store, settings.snapshot_folder, clock) if settings.starts_without_store else None
