"""`stillgate serve`: the proxy itself, from an empty machine to a guarded model API in one command."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from proxy.cli.ending import window_watch
from proxy.cli.options import Config, Data, told_plainly
from proxy.cli.welcome import first_key, welcome
from proxy.clock import SystemClock
from proxy.config import load_settings
from proxy.files.outlet import Outlet, write_all
from proxy.log import configure
from proxy.machine.collecting import collect_briefly
from proxy.machine.runtime import check_runtime, leave_no_core
from proxy.processes.supervisor import Launch, deploy
from proxy.threads import share_threads

_INTERACTIVE_DRAIN_S = 2.0
_STDERR = 2
_PATIENCE_S = 0.5
_YIELD_S = 0.0005  # a thread that checks a pack lets the loop go on as soon as one of a worker does
_THREADS = 4  # the pack, the store's files, a snapshot and a reviewer may each wait for the disk


class LogLevel(StrEnum):
    """The least severe messages that are shown."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def serve(
    config: Config = None,
    data: Data = None,
    host: Annotated[str | None, typer.Option(help="The address that customers connect to.")] = None,
    port: Annotated[int | None, typer.Option(help="Its port; 0 takes a free one.")] = None,
    admin_port: Annotated[
        int | None, typer.Option(help="The loopback port of health and metrics; 0 takes a free one.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that serve customers.")] = None,
    pack: Annotated[Path | None, typer.Option(help="The policy pack.")] = None,
    log_level: Annotated[LogLevel, typer.Option(help="The least severe messages to show.")] = LogLevel.INFO,
) -> None:
    """Start the proxy; with no upstream configured, in front of a stand-in model that comes with it.

    Ctrl-C gives running answers two seconds, SIGTERM as long as the settings say; a second signal ends them at once.
    SIGHUP reads the pack again, which also happens by itself within two seconds of a change.
    """
    overrides = {
        "data": data,
        "host": host,
        "port": port,
        "admin.port": admin_port,
        "workers": workers,
        "pack": pack,
    }
    with told_plainly():
        check_runtime()
        leave_no_core()
        launch = Launch(load_settings(config, overrides), log_level)
        configure(log_level, sys.stderr)
        sys.setswitchinterval(_YIELD_S)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(launch))


def _show(page: str) -> None:
    """Print it on standard error, as messages are: nobody waits for one who does not read."""

    def write(data: bytes) -> None:
        with suppress(OSError):
            write_all(_STDERR, data)

    Outlet(write, "welcome", most=1, patience=_PATIENCE_S).put(page.encode() + b"\n")


async def _serve(launch: Launch) -> None:
    share_threads(_THREADS)
    stop = asyncio.Event()
    interactive = False
    loop = asyncio.get_running_loop()

    def on_interrupt() -> None:
        nonlocal interactive
        interactive = True
        stop.set()

    loop.add_signal_handler(signal.SIGINT, on_interrupt)
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)  # while it starts, the pack is new anyway
    starting = asyncio.ensure_future(stop.wait())
    window_closed = window_watch()
    async with deploy(launch, SystemClock()) as deployment:

        def on_hangup() -> None:
            if window_closed():
                stop.set()
            else:
                deployment.packs.ask()

        loop.add_signal_handler(signal.SIGHUP, on_hangup)
        collect_briefly()
        if deployment.stand_in:
            key = await first_key(launch.settings.data, deployment.registry)
            _show(welcome(deployment.data_url, key))
        await starting
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, deployment.hurry)
        deployment.stop(_INTERACTIVE_DRAIN_S if interactive else None)
        if not interactive:
            await deployment.linger()
