"""All workers together: started, restarted when one dies, asked, and ended."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from proxy.errors import ConfigurationError
from proxy.handing import HandedPack
from proxy.log import get
from proxy.processes.children import BEAT_S, WORKER, Counted, Program, Worker, counted
from proxy.start import Start
from proxy.telemetry.snapshot import Sample, Snapshot, merge

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0
_SILENT_S = 10.0  # a hundred times what a loop may stall under any input
_GIVEN_UP_S = 30.0


class Fleet:
    """All workers of one parent; `start` describes the first, the others differ only in their number."""

    def __init__(self, start: Start, count: int, program: Program = WORKER) -> None:
        self._program = program
        self._starts = [replace(start, worker=number) for number in range(count)]
        self._pack = HandedPack(start.pack_digest, start.pack)
        self._workers: dict[int, Worker] = {}
        self._dead: Snapshot | None = None  # what workers counted that have ended
        self._ending = False

    @property
    def _living(self) -> list[Worker]:
        """The running workers, in the order of their numbers."""
        return [worker for _, worker in sorted(self._workers.items()) if worker.alive]

    @property
    def pids(self) -> list[int]:
        """The process ids of the running workers, in the order of their numbers."""
        return [worker.pid for worker in self._living]

    @property
    def packs(self) -> dict[int, str]:
        """The digest of the pack in force in each running worker, by process id."""
        return {worker.pid: worker.pack_digest for worker in self._living}

    def missing(self) -> list[str]:
        """Return which workers do not serve."""
        return [f"worker {start.worker}" for start in self._starts if not self._serves(self._workers.get(start.worker))]

    @staticmethod
    def _serves(worker: Worker | None) -> bool:
        return worker is not None and worker.alive and worker.silent < _SILENT_S

    async def open(self) -> None:
        """Start every worker. Raises ConfigurationError if one does not start; `close` ends the others."""
        for start in self._starts:
            await self._spawn(start)

    async def switch(self, pack: HandedPack) -> None:
        """Have every worker use a pack, also those started later.

        A worker that cannot goes on with the old one; another call for the same digest asks only such workers.
        """
        self._pack = pack
        behind = [
            worker for worker in self._workers.values() if self._serves(worker) and worker.pack_digest != pack.digest
        ]
        await asyncio.gather(*(worker.switch(pack) for worker in behind))

    async def note_memory(self, full: bool) -> None:
        """Tell every running worker whether memory is full."""
        await asyncio.gather(*(worker.note_memory(full=full) for worker in self._living))

    async def keep(self) -> None:
        """Restart workers that die, and kill those that do not answer any more, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            for start in self._starts:
                tasks.create_task(self._keep_one(start))

    async def refresh(self) -> None:
        """Ask every worker for its numbers."""
        await asyncio.gather(*(worker.refresh() for worker in self._living))

    def counted(self) -> Counted:
        """Return the numbers that every worker last told, including workers that have ended."""
        found = counted(self._workers.values(), self._dead)
        # A worker that stands still cannot tell this itself.
        lag = max((worker.silent for worker in self._living), default=0.0)
        found.living.append({"stillgate_loop_lag_seconds": [Sample((), lag)]})
        return found

    async def close(self, seconds: float) -> None:
        """Drain every worker and return once all have ended; kill one that stands still."""
        self._ending = True
        for worker in self._workers.values():
            if worker.silent >= _SILENT_S:
                worker.kill()
        await asyncio.gather(*(worker.drain(seconds) for worker in self._workers.values()))

    async def hurry(self) -> None:
        """Cut a drain short: exchanges that still run end with an error at once."""
        await asyncio.gather(*(worker.hurry() for worker in self._workers.values()))

    async def _listen(self) -> None:
        """Ask every worker each second whether it is there; log once if one does not answer, later kill it."""
        known: set[int] = set()
        while True:
            await asyncio.sleep(BEAT_S)
            living = self._living
            for worker in living:
                worker.beat()
                if worker.silent >= _GIVEN_UP_S:
                    worker.kill()
            silent = {worker.pid for worker in living if not self._serves(worker)}
            for pid in silent - known:
                get("parent").error("a worker does not answer", pid=pid)
            for pid in known & {worker.pid for worker in living} - silent:
                get("parent").info("a worker answers again", pid=pid)
            known = silent

    async def _keep_one(self, start: Start) -> None:
        while True:
            worker = self._workers[start.worker]
            code = await worker.wait()
            if self._ending:
                return
            get("parent").error("a worker ended unexpectedly and is started again", pid=worker.pid, code=code)
            self._dead = merge([worker.last], self._dead)
            worker.last = {}
            await worker.end()
            await self._start_again(start)

    async def _start_again(self, start: Start) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            await asyncio.sleep(pause)
            try:
                return await self._spawn(start)
            except ConfigurationError as error:
                get("parent").error("a worker cannot be started again", error=str(error))
                pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def _spawn(self, start: Start) -> None:
        """Start a worker with the pack in force, which may differ from the file at the settings' path."""
        described = replace(start, pack_digest=self._pack.digest, pack=self._pack.text)
        worker = self._workers[start.worker] = await Worker.spawn(described, self._program)
        if worker.pack_digest != self._pack.digest:  # another came into force meanwhile
            await worker.switch(self._pack)
