"""Puts a hunter together and keeps it running, whichever process it is in."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from proxy.clock import Clock
from proxy.hunting.campaigns import CampaignRegistry
from proxy.hunting.chase import Parts
from proxy.hunting.checkpoints import Checkpoints, FileCheckpoints, StoreCheckpoints
from proxy.hunting.core import Kind
from proxy.hunting.decisions import Decisions
from proxy.hunting.hunter import Hunter, Pace
from proxy.hunting.lease import Lease
from proxy.hunting.publishing import Publisher
from proxy.rules.flags.book import FlagBook
from proxy.rules.flags.store import FlagRegistry
from proxy.rules.flags.sync import FlagSync
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Mode
from proxy.store.base import Store
from proxy.store.feed_follower import follow_feed
from proxy.telemetry.metered_store import MeteredStore
from proxy.telemetry.tally import Tally

CHECKPOINT_FILE = Path("hunter") / "state"


def checkpoints_for(store: Store, data: Path, *, shared: bool) -> Checkpoints:
    """Return where checkpoints are kept: in a shared store, so that another machine can go on, else in a file."""
    return StoreCheckpoints(store) if shared else FileCheckpoints(data / CHECKPOINT_FILE)


@asynccontextmanager
async def hunting(
    store: Store,
    pack: Pack,
    clock: Clock,
    *,
    kind: Kind,
    max_mode: Mode,
    pace: Pace,
    checkpoints: Checkpoints | None = None,
) -> AsyncIterator[Hunter]:
    """Hunt while the context lasts; at its end the hunter stops and its state is saved.

    Without `checkpoints` the state is saved in the store. Raises StoreUnavailable if the flags cannot be read, and on
    exit whatever made the hunter end early.
    """
    tally = Tally(())
    metered = MeteredStore(store, tally)
    book = FlagBook(shared=True)
    flags = FlagSync(book, metered, clock)
    await flags.begin()
    registry = CampaignRegistry(metered, FlagRegistry(metered, clock), clock)
    decisions = Decisions(registry)
    parts = Parts(
        store=metered,
        clock=clock,
        tally=tally,
        lease=Lease(metered, secrets.token_hex(8), clock),
        checkpoints=checkpoints or StoreCheckpoints(metered),
        registry=registry,
        decisions=decisions,
        publisher=Publisher(metered, book, pack, max_mode, clock),
        flags=flags,
        max_mode=max_mode,
        kind=kind,
    )
    hunter = Hunter(parts, pack, pace)
    async with asyncio.TaskGroup() as tasks:
        following = follow_feed(metered, clock, decisions, by_wall=True)
        background = [tasks.create_task(work) for work in (flags.run(), following)]
        running = tasks.create_task(hunter.run())
        try:
            yield hunter
        finally:
            hunter.stop()
            await asyncio.wait([running])
            for task in background:
                task.cancel()
    await flags.flush()
