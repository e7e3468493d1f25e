"""One worker process: it serves customers until its parent says `drain` or is gone.

The parent first says how to start (`Start`), then asks `beat` each second, `snapshot` as often as it likes, `switch`
when another pack comes into force, `drain` once and perhaps `hurry`. A SIGTERM also drains it; Ctrl-C and SIGHUP of the
terminal are left to the parent.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from functools import partial
from typing import Any

from proxy.app import serve
from proxy.assembling import Place
from proxy.clock import SystemClock
from proxy.config import Settings
from proxy.errors import StillgateError
from proxy.handing import HandedPack, taken
from proxy.log import configure, get
from proxy.machine.collecting import collect_briefly
from proxy.machine.event_loop import EventLoop
from proxy.machine.huge_pages import use_huge_pages
from proxy.processes.control import FROM_PARENT, Line, LineClosed, answer_parent, answer_to_the_end
from proxy.rules.pack.pack import Pack
from proxy.serving import Serving
from proxy.start import Start
from proxy.threads import share_threads

_DRAIN_AS_ORPHAN_S = 2.0
# How soon a thread that reads a body or loads a pack lets the loop go on. Python's own five milliseconds are as long as
# an exchange, and every turn of the loop would wait for them.
_YIELD_S = 0.0005
_THREADS = 2  # while one loads a pack, the other does what takes too long for the loop


def main(descriptor: int) -> int:
    """Run a worker whose control line is an inherited descriptor; return its exit code."""
    end = socket.socket(fileno=descriptor)
    sys.setswitchinterval(_YIELD_S)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=EventLoop) as runner:
        return runner.run(_run(end))


async def _run(end: socket.socket) -> int:
    line = await Line.open(end, FROM_PARENT)
    try:
        told = await line.receive()
    except LineClosed:
        return 0
    configure(told["log_level"], sys.stderr)
    try:
        start = Start.told(told)
        share_threads(_THREADS)
        settings: Settings = taken(start.settings)
        place = Place(start.worker, start.store_url, start.host, start.port, taken(start.patterns), start.secret)
        pack: Pack = taken(start.pack)
        del told, start  # megabytes, with a large pack
        async with serve(settings, pack, place, SystemClock()) as serving:
            collect_briefly()
            use_huge_pages()
            await line.send({"ready": True, "pid": os.getpid()})
            return await _obey(line, serving, settings.limits.drain_seconds)
    except LineClosed:  # an OSError too
        return 0
    except (StillgateError, OSError) as error:
        get("worker").error("the worker cannot go on", error=str(error))
        return os.EX_CONFIG  # starting again would not help
    finally:
        line.close()


async def _obey(line: Line, serving: Serving, drain_seconds: float) -> int:
    """Answer the parent until it says drain or is gone, a SIGTERM comes, or a background task fails.

    A SIGTERM while draining, or the parent's `hurry`, cuts the drain short.
    """
    stop, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    listening = asyncio.create_task(
        answer_parent(line, serving.snapshot, partial(_switch, serving), serving.note_memory)
    )
    stopping = asyncio.create_task(stop.wait())
    first: set[asyncio.Future[Any]] = {listening, stopping, serving.failed}
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    loop.add_signal_handler(signal.SIGTERM, hurry.set)
    stopping.cancel()
    if listening.done():
        asked = listening.result()
        drain_seconds = _DRAIN_AS_ORPHAN_S if asked is None else asked
    listening.cancel()
    answering = asyncio.create_task(answer_to_the_end(line, serving.snapshot, hurry.set))
    await serving.drain(drain_seconds, hurry)
    answering.cancel()
    return int(serving.failed.done())


async def _switch(serving: Serving, pack: HandedPack) -> str:
    """Bring a pack into force; if it cannot be used, for whatever reason, the old one stays.

    Return the digest of the pack in force.
    """
    digest, text = pack
    if digest == serving.pack.digest:  # asked again by a parent that gave up waiting
        return digest
    try:
        await serving.switch(await asyncio.to_thread(taken, text))
    except Exception as error:  # noqa: BLE001 - it serves customers with the old one
        get("worker").error("the pack in force cannot be loaded; the old one goes on", digest=digest, error=repr(error))
    return serving.pack.digest


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
