"""The process that forks the product's: it has imported all of it already, which takes longer than most of them run.

Run by `tests.rig.forked` as `python -m tests.rig.warm FD`; that socket, or one that every forked process has, brings what
`tests.rig.forked` asks: for a new process, or who lives. The answer goes to the last descriptor of a message, as lines: a
process's number and, once it has ended, its exit code; or the numbers of those that live.
"""

from __future__ import annotations

import asyncio
import atexit
import fcntl
import gc
import importlib
import json
import os
import pkgutil
import resource
import runpy
import selectors
import signal
import socket
import sys
import threading
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import proxy.cli
from tests.rig.forked import Forked, fork

_MESSAGE_BYTES = 65_536
_DESCRIPTORS = 16
_OUT_OF_THE_WAY = 200
# What programs of the product's import; not the programs, which are run as if nobody had imported them.
_OF_PROGRAMS = (
    "proxy.app",
    "proxy.hunting.process",
    "proxy.hunter.hunt",
    "proxy.standin.server",
    "proxy.store.redis",
    "proxy.store.ways",
    "proxy.store.embedded",
    "cryptography.hazmat.primitives.kdf.hkdf",
    "encodings.idna",
    "encodings.utf_8_sig",
)


class _Child(NamedTuple):
    line: socket.socket
    home: str


def _import_product() -> None:
    for module in pkgutil.iter_modules(proxy.cli.__path__):
        if module.name != "__main__":
            importlib.import_module(f"proxy.cli.{module.name}")
    for name in _OF_PROGRAMS:
        importlib.import_module(name)


def _wait_for_orders(control: socket.socket) -> str | None:
    """Fork what is asked for; return its module in the new process, and None in this one when nobody asks any more."""
    ended, wake = socket.socketpair()
    ended.setblocking(False)
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    asked, asking = socket.socketpair(type=socket.SOCK_SEQPACKET)  # whole messages, whoever else asks at the same time
    children: dict[int, _Child] = {}
    with selectors.DefaultSelector() as selector:
        for each in (control, asked, ended):
            selector.register(each, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if ended in ready:
                ended.recv(_MESSAGE_BYTES)
                _report(children)
            source = control if control in ready else asked
            if source not in ready:
                continue
            message, descriptors, _, _ = socket.recv_fds(source, _MESSAGE_BYTES, _DESCRIPTORS)
            if not message:
                return None
            order = json.loads(message)
            line = socket.socket(fileno=descriptors.pop())
            if (home := order.get("living")) is not None:
                living = [pid for pid, child in children.items() if child.home == home]
                with line:
                    line.sendall(json.dumps(living).encode())
                continue
            if (pid := os.fork()) == 0:
                break
            for descriptor in descriptors:
                os.close(descriptor)
            line.sendall(b"%d\n" % pid)
            children[pid] = _Child(line, order["env"]["HOME"])
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests that a script runs in the background ignore it
    for other in (control, ended, wake, asked, line, *(child.line for child in children.values())):
        other.close()
    own, *descriptors = (_raised(each) for each in (asking.detach(), *descriptors))
    _become(order, descriptors)
    asking = socket.socket(fileno=own)
    vars(asyncio)["create_subprocess_exec"] = partial(_fork_or_execute, asking, asyncio.create_subprocess_exec)
    return str(order["module"])


def _report(children: dict[int, _Child]) -> None:
    """Tell of every process that has ended."""
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            with children.pop(pid).line as line, suppress(OSError):  # its test may have given up
                line.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _raised(descriptor: int) -> int:
    """Return it under a number that no program is told to find its own at."""
    raised = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)
    os.close(descriptor)
    return raised


def _become(order: dict[str, Any], descriptors: list[int]) -> None:
    """Be as if just executed: a session, streams, descriptors, limits, a folder and an environment of its own."""
    os.setsid()
    for number, descriptor in zip((0, 1, 2, *order["passed"]), descriptors, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdout = os.fdopen(1, "w", closefd=False)  # the one before believes that it can seek, as what was there
    for limit, values in order["limits"]:
        resource.setrlimit(limit, values)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    sys.argv = ["stillgate", *order["argv"]]


async def _fork_or_execute(
    asking: socket.socket, execute: Callable[..., Awaitable[Process]], *command: str, **how: Any
) -> Process | Forked:
    """Start a program as `asyncio` would, but forked if it is Python's and gets a session of its own."""
    if command[:3] != (sys.executable, "-P", "-m") or not how.pop("start_new_session", False):
        return await execute(*command, **how)
    return await fork(*command[3:], cwd=Path.cwd(), env=os.environ, through=asking, **how)


def main() -> None:
    """Serve until the socket is closed; in the processes that are forked, run what is asked for."""
    control = socket.socket(fileno=int(sys.argv[1]))
    _import_product()
    gc.collect()
    gc.freeze()
    if (module := _wait_for_orders(control)) is not None:
        _run(module)


def _run(module: str) -> None:
    """Run a program to its end, where nothing is taken down that its end gives back in any case: it is most of what was
    imported, and takes longer than many a program. What its end would tell of, such as tasks that nobody awaited, is told.
    """
    code = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if not isinstance(ended.code, int | None):
            raise
        code = ended.code or 0
    vars(threading)["_shutdown"]()
    atexit._run_exitfuncs()
    gc.collect()
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # it may have none, or one that nobody reads any more
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
