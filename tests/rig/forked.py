"""The product's programs in processes forked from one that has imported them: as if executed, seconds of CPU time cheaper.

The command line is forked, and what it starts: workers, the hunter, the stand-in model.

What it is not: `/proc/PID/environ` and `/proc/PID/cmdline` are those of the process that it was forked from.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

_ROOT = Path(__file__).parent.parent.parent
_END_S = 10.0
_LIMITS = (resource.RLIMIT_CORE, resource.RLIMIT_NOFILE)  # what the product sets for those that it starts


class Forked:
    """A process that was forked, with what asyncio's `Process` has; it belongs to the loop that it was made in."""

    def __init__(self, pid: int, line: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pid = pid
        self.stdin: BinaryIO | None = None
        self.stdout: asyncio.StreamReader | None = None
        self.stderr: asyncio.StreamReader | None = None
        self._ending = asyncio.ensure_future(_end(line, writer))

    @property
    def returncode(self) -> int | None:
        """The exit code, or the number of the signal that ended it as a negative one; None while it runs."""
        return self._ending.result() if self._ending.done() else None

    async def wait(self) -> int:
        """Return the exit code once it has ended."""
        return await asyncio.shield(self._ending)

    async def communicate(self) -> tuple[bytes, bytes]:
        """Return what it wrote, once it has ended."""
        assert self.stdout is not None
        assert self.stderr is not None
        out, err, _ = await asyncio.gather(self.stdout.read(), self.stderr.read(), self.wait())
        return out, err

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if not self._ending.done():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


async def fork(
    module: str,
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str],
    stdin: int = subprocess.DEVNULL,
    stdout: int | None = None,
    stderr: int | None = None,
    pass_fds: Sequence[int] = (),
    through: socket.socket | None = None,
) -> Forked:
    """Run a module as `python -m` would, in a session of its own; streams and descriptors are as `subprocess` has them.

    `through` is for a process that was forked itself, and belongs to the one that it was forked from.
    """
    with ExitStack() as given:
        kept: list[int] = []  # our ends of pipes, by stream; -1 where there is none

        def stream(number: int, wanted: int | None) -> int:
            kept.append(-1)
            if wanted == subprocess.DEVNULL:
                wanted = os.open(os.devnull, os.O_RDWR)
            elif wanted == subprocess.PIPE:
                reading, writing = os.pipe()
                wanted, kept[-1] = (writing, reading) if number else (reading, writing)
            else:
                return number if wanted is None else wanted
            given.callback(os.close, wanted)
            return wanted

        ours, line = socket.socketpair()
        given.enter_context(line)
        streams = [stream(number, wanted) for number, wanted in enumerate((stdin, stdout, stderr))]
        limits = [(limit, resource.getrlimit(limit)) for limit in _LIMITS]
        order = {"module": module, "argv": arguments, "cwd": str(cwd), "env": dict(env), "limits": limits}
        message = json.dumps({**order, "passed": list(pass_fds)}).encode()
        socket.send_fds(through or _control(), [message], [*streams, *pass_fds, line.fileno()])
    pid = b""
    while not pid.endswith(b"\n"):
        pid += ours.recv(1)
    process = Forked(int(pid), *await asyncio.open_connection(sock=ours))
    process.stdin = os.fdopen(kept[0], "wb") if kept[0] >= 0 else None
    process.stdout, process.stderr = [await _reader(own) if own >= 0 else None for own in kept[1:]]
    return process


def living(home: Path) -> set[int]:
    """Return what lives of the processes that were forked, however indirectly, with this HOME."""
    if not _control.cache_info().currsize:
        return set()
    ours, line = socket.socketpair()
    with line:
        socket.send_fds(_control(), [json.dumps({"living": str(home)}).encode()], [line.fileno()])
    with ours, ours.makefile("rb") as answer:
        return set(json.load(answer))


def command(path: Path) -> int:
    """Write a command for a shell that runs `stillgate` in a process that is forked.

    Return the descriptor that has to be passed on to whoever runs it.
    """
    control = _control().fileno()
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {_ROOT}/tests/rig/forked_command.py {control} "$@"\n')
    path.chmod(0o755)
    return control


async def _end(line: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    try:
        return int(await line.readline())
    finally:
        writer.close()


async def _reader(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb"))
    return reader


@cache
def _control() -> socket.socket:
    """Start the process to fork from, once; it ends with this one."""
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONOPTIMIZE": str(sys.flags.optimize or "")}
    command = [sys.executable, "-m", "tests.rig.warm", str(theirs.fileno())]
    with theirs:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            command, cwd=_ROOT, env=environment, pass_fds=[theirs.fileno()], start_new_session=True
        )

    def end() -> None:
        ours.close()
        process.wait(_END_S)

    atexit.register(end)
    return ours
