"""Interruptible work in a thread, so that the thread that started it can show progress and handle signals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from threading import Thread
from typing import Final

LOOK_SECONDS: Final = 0.1  # how often the waiting thread checks


@contextmanager
def done_apart(work: Callable[[], object], interrupt: Callable[[], None]) -> Iterator[Future[object]]:
    """Do work in a thread of its own, which has ended when the context ends, even by a signal's exception.

    The future is made before the thread: if a signal comes while that starts, it is cancelled and no work begins.
    """
    done: Future[object] = Future()

    def run() -> None:
        if done.set_running_or_notify_cancel():
            try:
                done.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
                done.set_exception(error)

    try:
        Thread(target=run).start()
        yield done
        done.result()
    except BaseException:
        while not (done.done() or done.cancel()):
            interrupt()  # of no effect before the work has begun
            wait([done], LOOK_SECONDS)
        raise
