"""Threads are there before their work is; products of matrices take none, since those would wait by spinning."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from proxy.errors import ConfigurationError
from proxy.steps.turns import Turns
from proxy.threads import ready_threads, share_threads

_COUNT = """
import proxy, os
import numpy as np
np.ones(200_000) @ np.ones(200_000)
np.ones((400, 400)) @ np.ones((400, 400))
print(len(os.listdir("/proc/self/task")), os.environ["OPENBLAS_NUM_THREADS"])
"""


@pytest.mark.parametrize(("given", "said"), [({}, "1"), ({"OPENBLAS_NUM_THREADS": "2"}, "2")], ids=["ours", "theirs"])
def test_numpy_has_no_threads_of_its_own_unless_somebody_wants_them(given: dict[str, str], said: str) -> None:
    command = [sys.executable, "-c", _COUNT]
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=True)  # noqa: S603 - words of our own
    threads, variable = done.stdout.split()
    assert variable == said
    if not given:
        assert threads == "1"


def no_more(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


async def test_once_no_more_threads_can_be_started_those_that_run_do_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    share_threads(2)
    turns = Turns("read")
    together = threading.Barrier(2)
    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", no_more)
        async with asyncio.timeout(10):
            await asyncio.gather(*(asyncio.to_thread(together.wait) for _ in range(2)))
            assert [await turns.run("acme", 1, len, "abc") for _ in range(2)] == [3, 3]
    turns.close()


def test_a_start_where_threads_cannot_be_had_says_so_and_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    before, start, begun = threading.active_count(), threading.Thread.start, list[threading.Thread]()

    def start_one(thread: threading.Thread) -> None:
        (no_more if begun else start)(thread)
        begun.append(thread)

    monkeypatch.setattr(threading.Thread, "start", start_one)
    with pytest.raises(ConfigurationError, match="the limit of processes is reached"):
        ready_threads(2, "some")
    begun[0].join(10)
    assert threading.active_count() == before
