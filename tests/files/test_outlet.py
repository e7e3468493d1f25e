"""A place that takes nothing any more holds nobody up, and gets what waited once it does."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import cast

import pytest

from proxy.files.outlet import Outlet, write_all
from proxy.log import configure, get


@pytest.fixture(params=[True, False], ids=["blocking", "non-blocking"])
def full_pipe(request: pytest.FixtureRequest) -> Iterator[tuple[int, int, int]]:
    """Yield both ends of a pipe that is full, and how much is in it."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    size = 0
    try:
        while True:
            size += os.write(writer, b"." * 4096)
    except BlockingIOError:
        os.set_blocking(writer, request.param)
    yield reader, writer, size
    os.close(writer)
    os.close(reader)


def test_lines_wait_for_a_reader_who_stopped_and_come_in_their_order(full_pipe: tuple[int, int, int]) -> None:
    reader, writer, size = full_pipe
    outlet = Outlet(partial(write_all, writer), "lines", 3, 0.05)
    began = time.monotonic()
    assert [outlet.put(b"%d" % number) for number in range(1, 6)] == [True, True, True, False, False]
    assert time.monotonic() - began < 1
    while size:
        size -= len(os.read(reader, size))
    got = b""
    while len(got) < 3:
        got += os.read(reader, 3)
    assert got == b"123"
    while not outlet.put(b"6"):  # the last one may just be on its way out still
        time.sleep(0.01)
    assert os.read(reader, 1) == b"6"


def test_what_is_on_its_way_at_the_end_is_waited_for() -> None:
    free, out = threading.Event(), list[bytes]()

    def write(line: bytes) -> None:
        free.wait(10)
        out.append(line)

    outlet = Outlet(write, "lines", 1, 0.01)
    assert outlet.put(b"last")
    assert not outlet.flush(0.01)
    free.set()
    assert outlet.flush(10)
    assert out == [b"last"]


def test_messages_that_found_no_room_are_counted(
    full_pipe: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer, size = full_pipe
    monkeypatch.setattr("proxy.log._MOST_WAITING", 1)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        with os.fdopen(writer, "w", closefd=False) as stream:
            configure("info", stream)
        for number in range(4):
            get("store").info("a message", number=number)
        while size:
            size -= len(os.read(reader, size))
        with os.fdopen(reader, closefd=False) as said:
            assert json.loads(said.readline())["number"] == 0
            told: dict[str, object] = {}
            while "lost" not in told:
                for handler in root.handlers:
                    handler.flush()  # what was read just now may still take the only room
                get("store").info("a message")
                told = json.loads(said.readline())
        assert cast("int", told["lost"]) >= 3
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


_STUCK = """
import os
from proxy.log import configure, get

reader, writer = os.pipe()
configure("info", os.fdopen(writer, "w"))
for number in range(2_000):
    get("parent").info("x" * 100, number=number)
print("done", flush=True)
"""


def test_a_process_whose_messages_nobody_reads_goes_on_and_ends() -> None:
    done = subprocess.run([sys.executable, "-c", _STUCK], capture_output=True, timeout=30, check=True)  # noqa: S603 - ours
    assert (done.stdout, done.stderr) == (b"done\n", b"")
