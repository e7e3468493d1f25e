"""Puts a worker's parts together and keeps them running: the one place that knows them all."""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from proxy.auth.jwt import Tokens
from proxy.auth.key_cache import KEYS_TABLE, KeyCache
from proxy.clients.connection import Deadlines
from proxy.clients.listener import Caps, Listener
from proxy.clock import Clock
from proxy.config import Settings
from proxy.deciding.deciders import Deciders
from proxy.deciding.snapshot import Remembered, Unusable
from proxy.deciding.snapshot import read as read_snapshot
from proxy.decisions.journal import Journal
from proxy.decisions.shared_heads import SharedHeads
from proxy.dialects import dialects
from proxy.gateway import Gateway
from proxy.hunting.telling import Teller
from proxy.keyed.link_names import LinkNames
from proxy.log import get
from proxy.machine.descriptors import connections_within
from proxy.patterns.pattern_set import PatternSet
from proxy.recording import follow_epochs, open_journal, open_recorder, open_sampler
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Mode
from proxy.secrets import Master, Purpose, load_master, read_secret_file
from proxy.serving import Serving
from proxy.settings.upstreams import Upstream as UpstreamSettings
from proxy.start import listening_socket, store_access
from proxy.steps.afterwards import Afterwards
from proxy.steps.helper_model import HelperModels
from proxy.steps.idempotency import Claims
from proxy.steps.intake import Reader
from proxy.steps.parts import Parts
from proxy.store import open_store
from proxy.store.base import Store
from proxy.telemetry.metered_store import MeteredStore
from proxy.telemetry.metrics import Refusal
from proxy.telemetry.tally import Tally
from proxy.telemetry.tracing import spans_of, tracing_of
from proxy.upstream.model_api import Origin, Upstream
from proxy.upstream.served_model import served_models

if TYPE_CHECKING:
    from proxy.telemetry.spans import Spans

# For the store to say which keys have changed: from then on whoever has asked is known while it is away.
_FIRST_CONTACT_S = 1.0
_BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker runs: its number, its store, the address that it shares with the others, and what is in force
    with all of them: the pattern sets, and the id of the master secret.
    """

    worker: int
    store_url: str
    host: str
    port: int
    patterns: Sequence[PatternSet]
    secret: str = ""


@asynccontextmanager
async def serve(settings: Settings, pack: Pack, place: Place, clock: Clock) -> AsyncIterator[Serving]:
    """Serve customers while the context lasts.

    At its end every lease goes back and the decision log is complete. Raises ConfigurationError or StoreUnavailable if
    something needed cannot be had.
    """
    async with AsyncExitStack() as stack:
        tally = Tally(settings.models)
        required = not settings.starts_without_store
        opened = await open_store(place.store_url, clock=clock, access=store_access(settings), required=required)
        store = MeteredStore(opened, tally)
        stack.push_async_callback(store.close)
        is_away = opened.numbers().get("stillgate_store_breaker_open") == 1
        remembered = await asyncio.to_thread(_remembered, settings, clock) if is_away else None
        recorder = await open_recorder(store, clock, required=required)
        # Made by the parent: with another one no key would open anything.
        master = load_master(settings.master_secret, place.secret)
        journal, seal = open_journal(settings, place.worker, recorder, clock, pack.digest)
        stack.push_async_callback(journal.close)
        tally.put("stillgate_build_info", 1, (version("stillgate"),))
        tally.put("stillgate_pack_info", 1, (pack.digest, pack.name))
        digest_key = master.derive(Purpose.KEY_DIGEST)
        keys = KeyCache(store, digest_key, clock, settings.auth_stale_max_seconds, marked=True)
        if remembered is not None:
            known = [(row.name, row.value or b"") for row in remembered.of(KEYS_TABLE)]
            keys.recall(known, clock.wall() - remembered.at)
        tokens = Tokens(settings.issuers, store, clock, secrets.token_bytes(32), secrets.SystemRandom().random)
        teller = _teller(settings, pack, store, clock, master)
        stack.push_async_callback(teller.close)
        spans = spans_of(settings, place.worker, recorder)
        if spans is not None:
            stack.push_async_callback(spans.close)
        parts = _parts(settings, clock, tally, journal, keys, tokens, teller, spans)
        stack.callback(parts.afterwards.flush)
        sampler = open_sampler(settings, place.worker, master, parts.dialects.values(), journal, clock)
        if sampler is not None:
            stack.push_async_callback(sampler.close)
            parts = replace(parts, sampler=sampler)
        for upstream in parts.upstreams.values():
            stack.callback(upstream.close)
        ask = _helper_models(settings, parts).ask
        deciders = await Deciders.open(settings, pack, store, clock, master, place.patterns, ask, remembered)
        stack.push_async_callback(deciders.close)
        claims = Claims(store, master.derive(Purpose.IDEMPOTENCY))
        stack.push_async_callback(claims.close)
        deadlines = _deadlines(settings)
        reader = Reader(deadlines, settings.limits.body_bytes)
        stack.callback(reader.close)
        gateway = Gateway(parts, reader, claims, deciders.put_to_work(deciders.compile(pack)))
        listener = _listener(settings, gateway, deadlines, tally)
        server = await asyncio.get_running_loop().create_server(
            listener, sock=listening_socket(place.host, place.port), backlog=_BACKLOG
        )
        stack.callback(server.close)
        serving = Serving(parts, deciders, gateway, listener, server)
        work = (
            keys.follow(),
            *tokens.work(),
            *deciders.work(),
            claims.run(),
            teller.run(),
            listener.sweep(),
            gateway.watch(),
            *(upstream.watch() for upstream in parts.upstreams.values()),
            serving.measure_lag(),
            follow_epochs(recorder, store, clock),
            # Writers on an embedded store share a folder, where they see each other's heads.
            *([SharedHeads(seal, store, clock).run()] if settings.store.shared else []),
        )
        await stack.enter_async_context(_background(work, serving.failed))
        await keys.followed(_FIRST_CONTACT_S)
        yield serving


def _teller(settings: Settings, pack: Pack, store: Store, clock: Clock, master: Master) -> Teller:
    holder, numbers = secrets.token_hex(6), itertools.count()
    names = LinkNames(master.derive(Purpose.LINKS))
    keep_bytes, max_mode = settings.hunter.stream_bytes, Mode(settings.max_mode)
    teller = Teller(store, names, clock, lambda: f"{holder}-{next(numbers)}", keep_bytes, max_mode)
    teller.adopt(pack)
    return teller


def _parts(
    settings: Settings,
    clock: Clock,
    tally: Tally,
    journal: Journal,
    keys: KeyCache,
    tokens: Tokens,
    teller: Teller,
    spans: Spans | None,
) -> Parts:
    known = dialects(frozenset(settings.allow_parameters))
    # Ids are names, not secrets, so the kernel is asked for a seed only.
    bits = random.Random(secrets.token_bytes(32)).getrandbits  # noqa: S311 - see above
    upstreams = {name: Upstream(_origin(name, entry)) for name, entry in settings.upstreams.items()}
    return Parts(
        dialects=known,
        openai=known["/v1/chat/completions"],
        anthropic=known["/v1/messages"],
        models=served_models(settings, upstreams, tally, clock),
        upstreams=upstreams,
        keys=keys,
        tokens=tokens,
        journal=journal,
        tally=tally,
        teller=teller,
        afterwards=Afterwards(teller, journal),
        clock=clock,
        new_id=exchange_ids(bits),
        spans=spans,
        tracing=tracing_of(settings.trace, bits),
        trusted_hops=settings.trusted_hops,
        hosts=frozenset(settings.listen.hosts),
        betas=frozenset(settings.allow_betas),
        max_exchanges=settings.limits.exchanges,
        links={"docs_url": settings.docs_url, "appeal_url": settings.appeal_url},
    )


def _helper_models(settings: Settings, parts: Parts) -> HelperModels:
    """Return the models as helpers, each asked for a chat completion, or for a message if its upstream has no such."""
    speaks = {
        name: parts.anthropic if entry.dialects and parts.openai.name not in entry.dialects else parts.openai
        for name, entry in settings.upstreams.items()
    }
    return HelperModels(parts.models, speaks, parts.tally, parts.clock)


def _remembered(settings: Settings, clock: Clock) -> Remembered:
    """Return what is remembered of the store; nothing of 1970, and a message, if that cannot be used."""
    try:
        remembered = read_snapshot(settings.snapshot_folder, clock.wall())
    except Unusable as error:
        get("worker").warning("there is no snapshot of the store to start from", why=str(error))
        return Remembered((), 0.0)
    age = round(clock.wall() - remembered.at)
    get("worker").warning("the store is away; flags, campaigns and keys are those of a snapshot", age_seconds=age)
    return remembered


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
    """Return a maker of ids that meet nowhere."""

    def new_id() -> str:
        return f"ex_{bits(96):024x}"

    return new_id


def _deadlines(settings: Settings) -> Deadlines:
    limits = settings.limits
    return Deadlines(
        header=limits.header_seconds,
        body=limits.body_seconds,
        body_bytes_per_second=limits.body_bytes_per_second,
        idle=limits.idle_seconds,
        write_stall=limits.write_stall_seconds,
    )


def _listener(settings: Settings, gateway: Gateway, deadlines: Deadlines, tally: Tally) -> Listener:
    limits = settings.limits

    def on_refused(why: str) -> None:
        tally.refused(Refusal.TOO_MANY_CONNECTIONS if why == "too_many_connections" else Refusal.TOO_SLOW)

    total = connections_within(limits.connections, sum(entry.connections for entry in settings.upstreams.values()))
    if total < limits.connections:
        get("worker").warning("the limit of open files leaves fewer client connections than are allowed", most=total)
    return Listener(
        gateway.handle,
        on_error=gateway.on_error,
        on_refused=on_refused,
        deadlines=deadlines,
        # Behind a trusted proxy every connection comes from the same few addresses.
        caps=Caps(total, total if settings.trusted_hops else limits.connections_per_peer),
    )


@asynccontextmanager
async def _background(work: Iterable[Coroutine[Any, Any, None]], failed: asyncio.Future[None]) -> AsyncIterator[None]:
    """Run what goes on until the context ends; a task that fails is told of and sets `failed`."""

    def look(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and not failed.done():
            get("worker").error("a background task failed", error=repr(task.exception()))
            failed.set_result(None)

    tasks = [asyncio.create_task(coroutine) for coroutine in work]
    for task in tasks:
        task.add_done_callback(look)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
