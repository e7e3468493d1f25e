"""Threads that run before there is work for them, so that a process which may start no more still gets it done.

The standard library starts a thread when work comes. Where a limit of processes is reached by then, whoever else runs
into it, that raises RuntimeError in the midst of what was asked: a watch that looks at a file would end by it.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from proxy.errors import ConfigurationError


def ready_threads(count: int, name: str) -> ThreadPoolExecutor:
    """Return an executor whose threads all run. Raises ConfigurationError if there may not be so many."""
    threads, together = ThreadPoolExecutor(count, name), Barrier(count)
    try:
        for _ in range(count):  # none is free for the next one's work before all are there
            threads.submit(together.wait)
    except RuntimeError:
        together.abort()
        threads.shutdown(wait=False, cancel_futures=True)
        raise ConfigurationError("no more threads can be started here: the limit of processes is reached") from None
    return threads


def share_threads(count: int) -> None:
    """Have `asyncio.to_thread` use so many threads, which run already. Raises ConfigurationError.

    Each takes 70 MB of address space, which may have a limit.
    """
    asyncio.get_running_loop().set_default_executor(ready_threads(count, "shared"))
