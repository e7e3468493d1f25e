"""Serves customers: opens all that a worker has, keeps it running, and ends it so that nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from typing import Any

from proxy.assembling import Place, helper_models, open_ground, open_parts
from proxy.clients.connection import Deadlines
from proxy.clients.listener import Caps, Listener
from proxy.clock import Clock
from proxy.config import Settings
from proxy.deciding.deciders import Deciders
from proxy.decisions.shared_heads import SharedHeads
from proxy.gateway import Gateway
from proxy.log import get
from proxy.machine.descriptors import connections_within
from proxy.recording import follow_epochs, open_journal
from proxy.rules.pack.pack import Pack
from proxy.secrets import Purpose
from proxy.serving import Serving
from proxy.start import listening_socket
from proxy.steps.idempotency import Claims
from proxy.steps.intake import Reader
from proxy.telemetry.metrics import Refusal
from proxy.telemetry.tally import Tally

# How long a start waits to hear from the store which keys change; once it has, the keys that were used stay known while
# the store is away.
_FIRST_CONTACT_S = 1.0
_BACKLOG = 1024


@asynccontextmanager
async def serve(settings: Settings, pack: Pack, place: Place, clock: Clock) -> AsyncIterator[Serving]:
    """Serve customers while the context lasts.

    At its end every lease goes back and the decision log is complete. Raises ConfigurationError or StoreUnavailable if
    something needed cannot be had.
    """
    async with AsyncExitStack() as stack:
        ground = await open_ground(settings, place, clock, stack)
        store, tally, master = ground.store, ground.tally, ground.master
        journal, seal = open_journal(settings, place.worker, ground.recorder, clock, pack.digest)
        stack.push_async_callback(journal.close)
        tally.put("stillgate_build_info", 1, (version("stillgate"),))
        tally.put("stillgate_pack_info", 1, (pack.digest, pack.name))
        parts = open_parts(ground, pack, journal, stack)
        ask = helper_models(settings, parts).ask
        deciders = Deciders(settings, pack, store, clock, master, place.patterns, ask)
        await deciders.begin(ground.remembered)
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
            parts.keys.follow(),
            *parts.tokens.work(),
            *deciders.work(),
            claims.run(),
            parts.teller.run(),
            listener.sweep(),
            gateway.watch(),
            *(upstream.watch() for upstream in parts.upstreams.values()),
            serving.measure_lag(),
            follow_epochs(ground.recorder, store, clock),
            # With an embedded store all writers share a folder, and see each other's heads there.
            *([SharedHeads(seal, store, clock).run()] if settings.store.shared else []),
        )
        await stack.enter_async_context(_background(work, serving.failed))
        await parts.keys.followed(_FIRST_CONTACT_S)
        yield serving


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
    """Run the background tasks until the context ends; one that fails is logged and sets `failed`."""

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
