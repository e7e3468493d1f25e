"""Builds the parts of a worker's gateway as the settings say: one function for each kind of part."""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import NamedTuple

from proxy.auth.jwt import Tokens
from proxy.auth.key_cache import KEYS_TABLE, KeyCache
from proxy.clock import Clock
from proxy.config import Settings
from proxy.deciding.snapshot import Remembered, Unusable
from proxy.deciding.snapshot import read as read_snapshot
from proxy.decisions.journal import Journal
from proxy.decisions.record import Recorder
from proxy.dialects import dialects
from proxy.hunting.telling import Teller
from proxy.keyed.link_names import LinkNames
from proxy.log import get
from proxy.patterns.pattern_set import PatternSet
from proxy.recording import open_recorder, open_sampler
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Mode
from proxy.secrets import Master, Purpose, load_master, read_secret_file
from proxy.settings.upstreams import Upstream as UpstreamSettings
from proxy.start import store_access
from proxy.steps.afterwards import Afterwards
from proxy.steps.helper_model import HelperModels
from proxy.steps.parts import Parts
from proxy.store import open_store
from proxy.store.base import Store
from proxy.telemetry.metered_store import MeteredStore
from proxy.telemetry.tally import Tally
from proxy.telemetry.tracing import spans_of, tracing_of
from proxy.upstream.model_api import Origin, Upstream
from proxy.upstream.served_model import served_models


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker runs: its number, its store, and the address that it shares with the other workers.

    `patterns` are the pattern sets, and `secret` the id of the master secret, that are in force in all of them.
    """

    worker: int
    store_url: str
    host: str
    port: int
    patterns: Sequence[PatternSet]
    secret: str = ""


class Ground(NamedTuple):
    """What a worker's parts are made with; `remembered` is a snapshot of the store if that is away, else None."""

    settings: Settings
    place: Place
    clock: Clock
    tally: Tally
    store: Store
    master: Master
    recorder: Recorder
    remembered: Remembered | None


async def open_ground(settings: Settings, place: Place, clock: Clock, stack: AsyncExitStack) -> Ground:
    """Open the store, or read its snapshot if it is away, and make what depends on it; the stack closes it all."""
    tally = Tally(settings.models)
    required = not settings.starts_without_store
    opened = await open_store(place.store_url, clock=clock, access=store_access(settings), required=required)
    store = MeteredStore(opened, tally)
    stack.push_async_callback(store.close)
    is_away = opened.numbers().get("stillgate_store_breaker_open") == 1
    remembered = await asyncio.to_thread(_remembered, settings, clock) if is_away else None
    recorder = await open_recorder(store, clock, required=required)
    # The parent has made the file if there was none: under any other secret no key would be valid.
    master = load_master(settings.master_secret, place.secret)
    return Ground(settings, place, clock, tally, store, master, recorder, remembered)


def _remembered(settings: Settings, clock: Clock) -> Remembered:
    """Return the snapshot of the store; if it cannot be used, log why and return an empty one, dated 1970."""
    try:
        remembered = read_snapshot(settings.snapshot_folder, clock.wall())
    except Unusable as error:
        get("worker").warning("there is no snapshot of the store to start from", why=str(error))
        return Remembered((), 0.0)
    age = round(clock.wall() - remembered.at)
    get("worker").warning("the store is away; flags, campaigns and keys are those of a snapshot", age_seconds=age)
    return remembered


def open_parts(ground: Ground, pack: Pack, journal: Journal, stack: AsyncExitStack) -> Parts:
    """Return the parts of a gateway; the stack closes them."""
    settings, place, clock, tally, store, master, recorder, _ = ground
    known = dialects(frozenset(settings.allow_parameters))
    # Ids are names, not secrets, so the kernel is asked for a seed only.
    bits = random.Random(secrets.token_bytes(32)).getrandbits  # noqa: S311 - see above
    keys = _keys(ground)
    teller = _teller(ground, pack)
    stack.push_async_callback(teller.close)
    spans = spans_of(settings, place.worker, recorder)
    if spans is not None:
        stack.push_async_callback(spans.close)
    afterwards = Afterwards(teller, journal)
    stack.callback(afterwards.flush)
    sampler = open_sampler(settings, place.worker, master, known.values(), journal, clock)
    if sampler is not None:
        stack.push_async_callback(sampler.close)
    upstreams = {name: Upstream(_origin(name, entry)) for name, entry in settings.upstreams.items()}
    for upstream in upstreams.values():
        stack.callback(upstream.close)
    return Parts(
        dialects=known,
        openai=known["/v1/chat/completions"],
        anthropic=known["/v1/messages"],
        models=served_models(settings, upstreams, tally, clock),
        upstreams=upstreams,
        keys=keys,
        tokens=Tokens(settings.issuers, store, clock, secrets.token_bytes(32), secrets.SystemRandom().random),
        journal=journal,
        tally=tally,
        teller=teller,
        afterwards=afterwards,
        clock=clock,
        new_id=exchange_ids(bits),
        spans=spans,
        tracing=tracing_of(settings.trace, bits),
        trusted_hops=settings.trusted_hops,
        hosts=frozenset(settings.listen.hosts),
        betas=frozenset(settings.allow_betas),
        max_exchanges=settings.limits.exchanges,
        links={"docs_url": settings.docs_url, "appeal_url": settings.appeal_url},
        sampler=sampler,
    )


def _keys(ground: Ground) -> KeyCache:
    digest_key, stale_max_s = ground.master.derive(Purpose.KEY_DIGEST), ground.settings.auth_stale_max_seconds
    keys = KeyCache(ground.store, digest_key, ground.clock, stale_max_s)
    if (remembered := ground.remembered) is not None:
        known = [(row.name, row.value or b"") for row in remembered.of(KEYS_TABLE)]
        keys.recall(known, ground.clock.wall() - remembered.at)
    return keys


def _teller(ground: Ground, pack: Pack) -> Teller:
    holder, numbers = secrets.token_hex(6), itertools.count()
    names = LinkNames(ground.master.derive(Purpose.LINKS))
    keep_bytes, max_mode = ground.settings.hunter.stream_bytes, Mode(ground.settings.max_mode)
    teller = Teller(ground.store, names, ground.clock, lambda: f"{holder}-{next(numbers)}", keep_bytes, max_mode)
    teller.adopt(pack)
    return teller


def _origin(name: str, entry: UpstreamSettings) -> Origin:
    # Without a credential the header still has to say something: the stand-in, like any local server, wants one there.
    secret = read_secret_file(entry.credential_file) if entry.credential_file is not None else "none"
    return Origin(
        name=name,
        url=entry.url,
        secret=secret,
        connect=entry.connect_seconds,
        first_byte=entry.first_byte_seconds,
        idle=entry.idle_seconds,
        total=entry.total_seconds,
        connections=entry.connections,
        connections_of_one=entry.connections_per_tenant,
        waiting_of_one=entry.waiting_per_tenant,
        patience=entry.waiting_seconds,
    )


def exchange_ids(bits: Callable[[int], int]) -> Callable[[], str]:
    """Return a maker of ids of 96 random bits, so that no two exchanges anywhere share one."""

    def new_id() -> str:
        return f"ex_{bits(96):024x}"

    return new_id


def helper_models(settings: Settings, parts: Parts) -> HelperModels:
    """Return the helper models; each is asked for a chat completion, or for a message if its upstream has no chat."""
    speaks = {
        name: parts.anthropic if entry.dialects and parts.openai.name not in entry.dialects else parts.openai
        for name, entry in settings.upstreams.items()
    }
    return HelperModels(parts.models, speaks, parts.tally, parts.clock)
