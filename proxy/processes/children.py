"""The processes that the parent starts: workers, and the stand-in model; none of them outlives it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Iterable
from typing import NamedTuple

from proxy.errors import ConfigurationError
from proxy.handing import HandedPack
from proxy.log import get
from proxy.processes.control import Line, LineClosed
from proxy.start import Start
from proxy.telemetry.snapshot import Snapshot

_START_S = 30.0
_SNAPSHOT_S = 2.0
_SWITCH_S = 30.0
_MEMORY_S = 0.5
_END_S = 10.0
BEAT_S = 1.0
# -P leaves out the folder that the parent was started in, whose modules could shadow ours and Python's.
_PYTHON = (sys.executable, "-P", "-m")
_MODEL = (*_PYTHON, "proxy.cli", "model")


class Program(NamedTuple):
    """A kind of process that is told over its line how to start: its name for people, and its command."""

    name: str
    command: tuple[str, ...]


class Counted(NamedTuple):
    """The numbers of processes that run and answer, and of those that ended or do not answer, without gauges."""

    living: list[Snapshot]
    past: list[Snapshot]


# Not started through the command line, whose libraries would cost each worker 10 MB.
WORKER = Program("worker", (*_PYTHON, "proxy.processes.worker"))
HUNTER = Program("hunter", (*_PYTHON, "proxy.processes.hunter_process"))


async def _begun(program: Program) -> tuple[socket.socket, asyncio.subprocess.Process]:
    """Return our end of a line to a new process, and the process. Raises OSError."""
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            return ours, await asyncio.create_subprocess_exec(
                *program.command,
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
    except BaseException:
        ours.close()
        raise


class Worker:
    """One worker process, or another program that answers the same questions, seen from the parent."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, line: Line) -> None:
        self._name = name
        self._process = process
        self._line = line
        self.pid = process.pid
        self.pack_digest = ""  # of the pack that it has in force, if known
        self._told_full = False
        self.last: Snapshot = {}  # its numbers as last told
        self._told = False  # whether it answered when last asked for them
        self._beating: asyncio.Task[bool] | None = None
        self._missed = 0  # beats since the one it has yet to answer

    @classmethod
    async def spawn(cls, start: Start, program: Program = WORKER) -> Worker:
        """Start a worker, return once it serves. Raises ConfigurationError if it does not; cancelled, leaves none."""
        try:
            ours, process = await _begun(program)
        except OSError as error:  # a limit of processes, files or memory, which may be temporary
            what = f"{program.name} {start.worker} cannot be started here"
            raise ConfigurationError(f"{what}: {error.strerror}") from None
        worker = cls(program.name, process, await Line.open(ours))
        try:
            async with asyncio.timeout(_START_S):
                await worker._line.send(start.to_json())  # a large pack is more than the line's buffer holds
                await worker._line.receive()
        except (LineClosed, TimeoutError) as error:
            await worker.drain(0)  # not killed at once, as it may be about to print why
            why = f" in {_START_S:.0f} s" if isinstance(error, TimeoutError) else "; see the messages above"
            raise ConfigurationError(f"{program.name} {start.worker} did not start{why}") from None
        except asyncio.CancelledError:  # a stop: nobody else knows of this worker, and the store ends next
            await worker.drain(0)
            raise
        worker.pack_digest = start.pack_digest
        return worker

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.returncode is None

    @property
    def silent(self) -> float:
        """For how many seconds it has not answered a beat: its event loop, or the whole process, stands still."""
        return self._missed * BEAT_S

    def beat(self) -> None:
        """Ask it whether it is there, unless it has yet to answer that; call this every `BEAT_S`.

        Calls are counted, not time: if parent and worker were suspended together, none was missed.
        """
        if self._beating is None or (self._beating.done() and self._beating.result()):
            self._missed = 0
            self._beating = asyncio.create_task(self._ask_beat())
        else:
            self._missed += 1

    async def _ask_beat(self) -> bool:
        """Return whether it answers; once it has begun to end it does not any more, and may hang doing so."""
        try:
            await self._line.ask("beat")
        except LineClosed:
            return False
        return True

    @property
    def tells(self) -> bool:
        """Whether the process runs and answered when last asked for its numbers."""
        return self.alive and self._told

    async def refresh(self) -> None:
        """Ask the worker for its numbers; the last ones stay if it does not answer in time."""
        if self.silent > _SNAPSHOT_S:
            self._told = False
            return
        try:
            async with asyncio.timeout(_SNAPSHOT_S):
                answer = await self._line.ask("snapshot")
        except (LineClosed, TimeoutError):
            self._told = False
            return
        self._told, self.last = True, answer["snapshot"]

    async def switch(self, pack: HandedPack) -> None:
        """Have the worker use a pack for new exchanges; it keeps the old one if it cannot.

        A slow pack may come into force after this returns: until `pack_digest` shows it, ask again.
        """
        try:
            async with asyncio.timeout(_SWITCH_S):
                answer = await self._line.ask("switch", pack_digest=pack.digest, pack=pack.text)
        except LineClosed:
            return
        except TimeoutError:
            self.pack_digest = ""
            return
        self.pack_digest = answer["pack_digest"]

    async def note_memory(self, *, full: bool) -> None:
        """Tell the worker each time that memory is full, so that it frees what it can, and once when that is over.

        A worker that stands still delays no other: it reads this later, as after a pack.
        """
        if full or self._told_full:
            self._told_full = full
            with contextlib.suppress(LineClosed, TimeoutError):
                async with asyncio.timeout(_MEMORY_S):
                    await self._line.send({"ask": "memory", "full": full})

    async def drain(self, seconds: float) -> None:
        """Ask the worker to end, and return once it has."""
        try:
            async with asyncio.timeout(seconds + _END_S):
                with contextlib.suppress(LineClosed):
                    await self._line.send({"ask": "drain", "seconds": seconds})  # perhaps queued after a pack
                await self._process.wait()
        except TimeoutError:
            get("parent").error(f"a {self._name} did not end in time and is killed", pid=self.pid)
        await self.end()

    async def hurry(self) -> None:
        """Cut short a drain that is under way."""
        with contextlib.suppress(LineClosed):
            await self._line.send({"ask": "hurry"})

    async def wait(self) -> int:
        """Return the exit code once the process has ended."""
        return await self._process.wait()

    async def end(self) -> None:
        """Kill the process if it still runs, and close its line."""
        self._line.close()
        self.kill()
        await self._process.wait()

    def kill(self) -> None:
        """Kill the process if it still runs."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()


def counted(workers: Iterable[Worker], dead: Snapshot | None) -> Counted:
    """Sort the numbers that each worker last told; `dead` are the numbers of workers no longer known."""
    found = Counted([], [dead] if dead else [])
    for worker in workers:
        (found.living if worker.tells else found.past).append(worker.last)
    return found


class StandIn:
    """The stand-in model server as a child process."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self._process = process
        self.pid = process.pid
        self.url = url

    @classmethod
    async def spawn(cls) -> StandIn:
        """Start it on a free loopback port. Raises ConfigurationError if it does not tell its port in time."""
        ours, theirs = socket.socketpair()
        with theirs:
            announced, line = await asyncio.open_unix_connection(sock=ours)
            process = await asyncio.create_subprocess_exec(
                *_MODEL,
                "--port",
                "0",
                "--announce-fd",
                str(theirs.fileno()),
                "--until-stdin-closes",
                stdin=asyncio.subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        url = ""
        with contextlib.closing(line), contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_S):
                url = (await announced.readline()).decode().strip()
        stand_in = cls(process, url)
        if not url:
            await stand_in.end()
            raise ConfigurationError("the stand-in model did not start; see the messages above")
        return stand_in

    async def end(self) -> None:
        """End the process."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_END_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
