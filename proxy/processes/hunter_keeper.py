"""The hunter's process as its parent sees it: started once a pack has campaigns, restarted when it dies or hangs.

Law: nobody waits for it and no request needs it: requests are served even if the hunter cannot start.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from proxy.errors import ConfigurationError
from proxy.handing import HandedPack
from proxy.log import get
from proxy.processes.children import BEAT_S, HUNTER, Counted, Program, Worker, counted
from proxy.start import Start
from proxy.telemetry.snapshot import Snapshot, merge

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_SILENT_S = 10.0  # by then another hunter has its lease
_GIVEN_UP_S = 60.0  # a large state may hold the interpreter for some seconds while it is read


class HunterKeeper:
    """Keeps one hunter running; `start` is the workers' own, of which it needs all but the address."""

    def __init__(self, start: Start, program: Program = HUNTER) -> None:
        self._dead: Snapshot | None = None  # what hunters counted that have ended
        self._start = start
        self._program = program
        self._child: Worker | None = None
        self._wanted = asyncio.Event()
        self._ending = False

    @property
    def pid(self) -> int | None:
        """The process id, None while there is none."""
        return self._child.pid if self._child is not None and self._child.alive else None

    async def switch(self, pack: HandedPack, *, wanted: bool) -> None:
        """Have the hunter look by a pack, and start it if the pack has campaigns; from then on it stays.

        If it does not answer, ask again: customers get the pack without waiting for the hunter.
        """
        self._start = replace(self._start, pack_digest=pack.digest, pack=pack.text)
        if wanted:
            self._wanted.set()
        child = self._child
        if child is not None and child.alive and child.pack_digest != pack.digest and not child.silent:
            await child.switch(pack)

    async def keep(self) -> None:
        """Keep a hunter running, once one is wanted, until cancelled."""
        await self._wanted.wait()
        pause = _FIRST_PAUSE_S
        while not self._ending:
            try:
                child = self._child = await Worker.spawn(self._start, self._program)
            except ConfigurationError as error:
                get("parent").error("the hunter cannot be started", error=str(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
                continue
            pause = _FIRST_PAUSE_S
            listening = asyncio.create_task(self._listen(child))
            try:
                if child.pack_digest != self._start.pack_digest:  # another came into force meanwhile
                    await child.switch(HandedPack(self._start.pack_digest, self._start.pack))
                code = await child.wait()
            finally:
                listening.cancel()
            if self._ending:
                return
            get("parent").error("the hunter ended unexpectedly and is started again", pid=child.pid, code=code)
            self._dead = merge([child.last], self._dead)
            child.last = {}
            await child.end()
            await asyncio.sleep(pause)

    async def _listen(self, child: Worker) -> None:
        """Ask it each second whether it is there; log once if it does not answer, later kill it."""
        silent = False
        while not self._ending:
            await asyncio.sleep(BEAT_S)
            child.beat()
            if child.silent >= _GIVEN_UP_S:
                child.kill()
            if silent != (silent := child.silent >= _SILENT_S):
                logger = get("parent")
                if silent:
                    logger.error("the hunter does not answer", pid=child.pid)
                else:
                    logger.info("the hunter answers again", pid=child.pid)

    async def refresh(self) -> None:
        """Ask the hunter for its numbers."""
        if self._child is not None and self._child.alive:
            await self._child.refresh()

    def counted(self) -> Counted:
        """Return the numbers that this hunter last told, and those of earlier ones."""
        return counted([] if self._child is None else [self._child], self._dead)

    async def close(self, seconds: float) -> None:
        """Let the hunter save its state, and return once it has ended; kill it if it stands still."""
        self._ending = True
        if self._child is None:
            return
        if self._child.silent >= _SILENT_S:
            await self._child.end()
        else:
            await self._child.drain(seconds)
