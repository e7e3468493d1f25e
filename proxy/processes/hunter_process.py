"""The hunter's process beside the workers of one machine: it hunts until its parent says `drain` or is gone.

The parent first says how to start (`Start`), then asks `snapshot` as often as it likes, and `switch` when another pack
comes into force. A SIGTERM also ends it in order; Ctrl-C and SIGHUP of the terminal are left to the parent.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from functools import partial

import uvloop

from proxy.clock import SystemClock
from proxy.config import Settings
from proxy.errors import StillgateError
from proxy.handing import HandedPack, taken
from proxy.hunting.core import Kind, hunt
from proxy.hunting.hunter import Hunter, Pace
from proxy.hunting.process import checkpoints_for, hunting
from proxy.log import configure, get
from proxy.machine.collecting import collect_briefly
from proxy.processes.control import FROM_PARENT, Line, LineClosed, answer_parent
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Mode
from proxy.start import Start, store_access
from proxy.store import open_store
from proxy.threads import share_threads

THREADS = 2  # a pack may be loaded while a checkpoint is written


def main(descriptor: int, kind: Kind | None = None) -> int:
    """Run a hunter whose control line is an inherited descriptor; return its exit code. `kind` is the core's class."""
    end = socket.socket(fileno=descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(end, kind))


async def _run(end: socket.socket, kind: Kind | None) -> int:
    line = await Line.open(end, FROM_PARENT)
    try:
        told = await line.receive()
    except LineClosed:
        return 0
    configure(told["log_level"], sys.stderr)
    clock = SystemClock()
    try:
        start = Start.told(told)
        share_threads(THREADS)
        settings: Settings = taken(start.settings)
        pack: Pack = taken(start.pack)
        store = await open_store(start.store_url, clock=clock, access=store_access(settings))
        del told, start  # megabytes, with a large pack
        try:
            async with hunting(
                store,
                pack,
                clock,
                kind=kind or hunt(),
                max_mode=Mode(settings.max_mode),
                pace=pace_of(settings),
                checkpoints=checkpoints_for(store, settings.data, shared=settings.store.shared),
            ) as hunter:
                collect_briefly()
                with suppress(LineClosed):  # the parent is gone: here, since out of the context it came as a group
                    await line.send({"ready": True, "pid": os.getpid()})
                    await _obey(line, hunter)
        finally:
            await store.close()
    except (StillgateError, OSError, ImportError) as error:
        get("hunter").error("the hunter cannot go on", error=str(error))
        return os.EX_CONFIG  # starting again would not help
    finally:
        line.close()
    return 0


def pace_of(settings: Settings) -> Pace:
    """Return how often the hunter acts, by the settings."""
    return Pace(judge=settings.hunter.judge_seconds)


async def _obey(line: Line, hunter: Hunter) -> None:
    """Answer the parent until it says drain or is gone, or a SIGTERM comes."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    both = {
        asyncio.create_task(answer_parent(line, hunter.snapshot, partial(_switch, hunter))),
        asyncio.create_task(stop.wait()),
    }
    done, pending = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    for task in done:
        task.result()


async def _switch(hunter: Hunter, pack: HandedPack) -> str:
    """Hunt by a pack; if it cannot be used, for whatever reason, the old one stays.

    Return the digest of the pack that it hunts by.
    """
    digest, text = pack
    if digest == hunter.pack.digest:  # asked again by a parent that gave up waiting
        return digest
    try:
        hunter.adopt(await asyncio.to_thread(taken, text))
    except Exception as error:  # noqa: BLE001 - it hunts by the old one
        get("hunter").error("the pack in force cannot be loaded; the old one goes on", digest=digest, error=repr(error))
    return hunter.pack.digest


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
