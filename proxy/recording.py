"""Opens the logs of a deployment, as the settings say: a worker's decisions and samples, and what people change."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Iterable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.clock import Clock
from proxy.config import Settings
from proxy.decisions.change_log import ADMIN_LOG, ChangeLog
from proxy.decisions.epochs import CHECK_S, KEY_BYTES, EpochForgotten, ensure_epoch, epoch_of
from proxy.decisions.journal import Journal
from proxy.decisions.pseudonyms import Pseudonyms
from proxy.decisions.record import Recorder
from proxy.decisions.sealing import Seal, seal_of
from proxy.decisions.target import DescriptorTarget, FileTarget, Target
from proxy.dialects.base import Dialect
from proxy.errors import StoreUnavailable
from proxy.secrets import Master, Purpose
from proxy.store.base import Store

if TYPE_CHECKING:  # as few want samples
    from proxy.samples.envelope import Envelope
    from proxy.samples.sampler import Sampler

_STORELESS, _FORGOTTEN = " without the store", " forgotten"


async def open_recorder(store: Store, clock: Clock, *, required: bool) -> Recorder:
    """Return what writes records, under the pseudonyms of this month.

    Raises StoreUnavailable if their key is `required` and cannot be had.
    """
    epoch = epoch_of(clock.wall())
    try:
        pseudonyms = await _shared(store, epoch)
    except StoreUnavailable:
        if required:
            raise
        pseudonyms = _passing(epoch + _STORELESS)
    return Recorder(version("stillgate"), pseudonyms, clock)


def open_journal(
    settings: Settings, worker: int, recorder: Recorder, clock: Clock, pack_digest: str
) -> tuple[Journal, Seal]:
    """Open a worker's decision log, and return it with the seal that chains its lines. Raises ConfigurationError."""
    target: Target
    if settings.decision_log.to == "stdout":
        path = settings.decisions_folder / f"stdout-{worker}.running"
        target = DescriptorTarget(sys.stdout.fileno(), path)
    else:
        path = settings.decisions_folder / f"decisions-{worker}.jsonl"
        target = _file(settings, path)
    seal = seal_of(settings, path, str(worker), clock)
    return Journal.open(target, seal, recorder, clock, pack_digest), seal


def open_change_log(settings: Settings, clock: Clock) -> ChangeLog:
    """Return the log of what people change. Raises ConfigurationError if its key cannot be used."""
    path = settings.decisions_folder / ADMIN_LOG
    binding = seal_of(settings, path, "admin", clock)
    return ChangeLog(_file(settings, path), binding, version("stillgate"), clock, partial(secrets.token_hex, 8))


def _file(settings: Settings, path: Path) -> FileTarget:
    return FileTarget(path, goes_on=settings.decision_log.when_cut == "go_on")


def open_sampler(
    settings: Settings, worker: int, master: Master, dialects: Iterable[Dialect], journal: Journal, clock: Clock
) -> Sampler | None:
    """Return what takes a worker's samples, None if the settings want none. Raises ConfigurationError."""
    wanted = settings.decision_log.samples
    if wanted.public_key is None:
        return None
    from proxy.samples.sampler import Place, Sampler  # noqa: PLC0415 - see above

    def on_kept(kept: Envelope) -> None:
        journal.sampled(kept.exchange, kept.key, kept.digest, len(kept.sealed))

    texts = {dialect.name: dialect.texts for dialect in dialects}
    place = Place(settings.samples_folder, worker)
    return Sampler(wanted, place, master.derive(Purpose.SAMPLES), texts, clock, on_kept)


async def follow_epochs(recorder: Recorder, store: Store, clock: Clock) -> None:
    """Change the pseudonyms' key when a new month begins, until cancelled."""
    while True:
        await asyncio.sleep(CHECK_S)
        await follow_epoch(recorder, store, clock)


async def follow_epoch(recorder: Recorder, store: Store, clock: Clock) -> None:
    """Have the recorder name callers under this month's key and drop any other; without the store, a passing key."""
    epoch = epoch_of(clock.wall())
    if recorder.pseudonyms.epoch in {epoch, epoch + _FORGOTTEN}:
        return
    try:
        recorder.pseudonyms = await _shared(store, epoch)
    except StoreUnavailable:
        if recorder.pseudonyms.epoch != epoch + _STORELESS:
            recorder.pseudonyms = _passing(epoch + _STORELESS)


async def _shared(store: Store, epoch: str) -> Pseudonyms:
    """Return the pseudonyms of all writers; passing ones if the clock was set back to a month that is forgotten."""
    try:
        return Pseudonyms(epoch, await ensure_epoch(store, epoch, secrets.token_bytes))
    except EpochForgotten:
        return _passing(epoch + _FORGOTTEN)


def _passing(epoch: str) -> Pseudonyms:
    """Return pseudonyms under a key that nobody else has or keeps: nobody can tell later whom they stand for."""
    return Pseudonyms(epoch, secrets.token_bytes(KEY_BYTES))
