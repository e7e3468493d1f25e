"""Threads that run before there is work for them, so that a process which may start no more still gets it done.

The standard library starts a thread when work comes. If the limit of processes is reached by then, whoever used it up,
that raises RuntimeError in the midst of the work: a watch over a file, for example, would end.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from proxy.errors import ConfigurationError


def ready_threads(count: int, name: str) -> ThreadPoolExecutor:
    """Return an executor with `count` running threads. Raises ConfigurationError if so many cannot be started."""
    threads, together = ThreadPoolExecutor(count, name), Barrier(count)
    try:
        for _ in range(count):  # no thread is free before all run, so each task starts another
            threads.submit(together.wait)
    except RuntimeError:
        together.abort()
        threads.shutdown(wait=False, cancel_futures=True)
        raise ConfigurationError("no more threads can be started here: the limit of processes is reached") from None
    return threads


def share_threads(count: int) -> None:
    """Have `asyncio.to_thread` use `count` threads, which are started now. Raises ConfigurationError.

    Each takes 70 MB of address space, which may have a limit.
    """
    asyncio.get_running_loop().set_default_executor(ready_threads(count, "shared"))
