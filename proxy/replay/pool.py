"""Spreads blocks of lines over processes and returns what they hold, in the order of the lines.

Laws: processes are spawned, so they have nothing of this one but what they are told; few blocks are on their way at
once, so a slow consumer slows the reading down and does not fill memory.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain, islice
from typing import Final

from proxy.errors import StillgateError
from proxy.machine.collecting import collect_briefly
from proxy.patterns.sets import load_pattern_sets
from proxy.replay.reading import Reader, Wants
from proxy.replay.seen import Batch

_AHEAD: Final = 4  # blocks on their way, for each process
# How long a thread that feeds readers, or hears from them, waits for its turn, up to ten times for each block: with
# Python's own interval, readers would have to wait for their next block.
_TURN_S: Final = 0.0005
_SAFE_PATH: Final = "PYTHONSAFEPATH"
_FEW: Final = 8  # blocks that are read faster than other processes start

_readers: list[Reader] = []  # in a reading process: its only reader


class ReadingFailed(StillgateError):
    """A reading process has ended: it was killed, or had too little memory."""


def batches(blocks: Iterable[bytes], wants: Wants, jobs: int) -> Iterator[Batch]:
    """Yield what each block holds, in order; with one job, or little to read, this process reads by itself.

    Raises ReadingFailed, and ConfigurationError for patterns that cannot be used.
    """
    blocks = iter(blocks)
    begun = list(islice(blocks, _FEW)) if jobs > 1 else []
    if len(begun) < _FEW or jobs <= 1:
        reader = Reader(wants)
        for block in chain(begun, blocks):
            yield reader.read(block)
        return
    if wants.patterns is not None:
        load_pattern_sets(wants.patterns)  # so that an unusable one is reported here, once
    waiting: deque[Future[bytes]] = deque()
    with _readers_of(wants, jobs) as pool:
        for block in chain(begun, blocks):
            waiting.append(pool.submit(_read, block))
            if len(waiting) >= jobs * _AHEAD:
                yield _taken(waiting.popleft().result())
        while waiting:
            yield _taken(waiting.popleft().result())


@contextmanager
def _readers_of(wants: Wants, jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Yield other processes that read; they end with the context. Raises ReadingFailed."""
    # Leave out the folder that this process was started in, whose modules could shadow ours and Python's.
    path = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    turn = sys.getswitchinterval()
    sys.setswitchinterval(_TURN_S)
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _begin, (wants,))
    try:
        yield pool
    except BrokenProcessPool:
        raise ReadingFailed("a process that reads the traffic has ended: is there enough memory?") from None
    finally:
        sys.setswitchinterval(turn)
        pool.shutdown(cancel_futures=True)
        if path is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = path


def _begin(wants: Wants) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends them
    _readers.append(Reader(wants))
    collect_briefly()


def _read(block: bytes) -> bytes:
    return pickle.dumps(_readers[0].read(block), pickle.HIGHEST_PROTOCOL)


def _taken(packed: bytes) -> Batch:
    """Return the batch from another process, frozen for the garbage collector: it lives long and has no cycles."""
    gc.collect(0)  # so that no garbage is frozen with it
    gc.disable()
    try:
        batch: Batch = pickle.loads(packed)  # noqa: S301 - a process of ours has made it
        gc.freeze()
    finally:
        gc.enable()
    return batch
