"""Work in a thread that can be interrupted, so that the thread that started it can show progress and meet signals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from threading import Thread
from typing import Final

LOOK_SECONDS: Final = 0.1  # how often somebody who waits looks up


@contextmanager
def done_apart(work: Callable[[], object], interrupt: Callable[[], None]) -> Iterator[Future[object]]:
    """Do work in a thread of its own, which is over at the end whatever happens meanwhile, a signal's exception too.

    The future is there before the thread, since a signal may come while that is started: cancelled, it never begins.
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
