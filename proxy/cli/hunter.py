"""`stillgate hunter`: a hunter on a machine of its own, on the store that the replicas share."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated

import typer
import uvloop
from aiohttp import web

from proxy.admin_side.server import Runner
from proxy.cli.ending import window_watch
from proxy.cli.options import Config, Data, told_plainly
from proxy.cli.serve import LogLevel
from proxy.clock import SystemClock
from proxy.config import Settings, load_settings
from proxy.documents.problem import YamlProblems
from proxy.errors import ConfigurationError
from proxy.hunting.core import hunt
from proxy.hunting.hunter import Hunter
from proxy.hunting.process import checkpoints_for, hunting
from proxy.log import configure, get
from proxy.machine.runtime import check_runtime, leave_no_core
from proxy.packs.watch import POLL_S, look, look_until_still, pack_of
from proxy.processes.hunter_process import THREADS, pace_of
from proxy.rules.pack.words import Mode
from proxy.start import store_access, url_of
from proxy.store import open_store
from proxy.telemetry.exposition import CONTENT_TYPE, render
from proxy.threads import share_threads


def hunter(
    config: Config = None,
    data: Data = None,
    admin_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="A loopback port for health and metrics, 0 for a free one; without it there is none."
        ),
    ] = None,
    log_level: Annotated[LogLevel, typer.Option(help="The least severe messages to show.")] = LogLevel.INFO,
) -> None:
    """Look for campaigns in the exchanges that all replicas on a shared store report.

    Start as many as you like: one is active, another takes over within ten seconds. The pack at the settings' path says
    what to look for, and is read again when it changes. Ctrl-C or SIGTERM ends it once everything is saved.
    """
    with told_plainly():
        check_runtime()
        leave_no_core()
        settings = load_settings(config, {"data": data})
        if not settings.store.shared:
            raise ConfigurationError(
                "the store is the embedded one, whose hunter `stillgate serve` runs itself; name a shared store"
            )
        configure(log_level, sys.stderr)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_hunt(settings, admin_port))


async def _hunt(settings: Settings, port: int | None) -> None:
    share_threads(THREADS)
    stop, clock = asyncio.Event(), SystemClock()
    window_closed = window_watch()

    def on_hangup() -> None:
        if window_closed():  # else the pack is to be read, as it is anyway
            stop.set()

    for number, handler in ((signal.SIGINT, stop.set), (signal.SIGTERM, stop.set), (signal.SIGHUP, on_hangup)):
        asyncio.get_running_loop().add_signal_handler(number, handler)
    async with AsyncExitStack() as stack:
        sight = look(settings.pack)
        store = await open_store(settings.store.url, clock=clock, access=store_access(settings))
        stack.push_async_callback(store.close)
        one = await stack.enter_async_context(
            hunting(
                store,
                pack_of(sight, settings.pack),
                clock,
                kind=hunt(),
                max_mode=Mode(settings.max_mode),
                pace=pace_of(settings),
                checkpoints=checkpoints_for(store, settings.data, shared=True),
            )
        )
        if port is not None:
            await stack.enter_async_context(_listening(one, settings.admin.host, port))
        following = asyncio.create_task(_follow_pack(settings, sight.digest, one))
        await stop.wait()
        following.cancel()


async def _follow_pack(settings: Settings, known: str, one: Hunter) -> None:
    """Have the hunter look by what lies at the pack's path, whenever that is another good pack, until cancelled."""
    while True:
        await asyncio.sleep(POLL_S)
        sight = await look_until_still(settings.pack, known)
        if sight.digest == known:
            continue
        known = sight.digest
        try:
            one.adopt(await asyncio.to_thread(pack_of, sight, settings.pack))
        except YamlProblems as broken:
            problems = [problem.render() for problem in broken.problems]
            get("hunter").error("the new pack is broken; the old one goes on", problems=problems)


@asynccontextmanager
async def _listening(one: Hunter, host: str, port: int) -> AsyncIterator[None]:
    """Serve health and metrics on a loopback port."""

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "active": one.active})

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=render([one.snapshot()]), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/metrics", metrics)
    runner = Runner(app)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise ConfigurationError(f"cannot listen on {host} port {port}: {error.strerror}") from None
        address = runner.addresses[0]
        get("hunter").info("health and metrics", address=url_of(address[0], address[1]))
        yield
    finally:
        await runner.cleanup()
