"""Workers that do not answer: they are missing, then killed and started again; what they had counted stays."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator

import pytest

from proxy.handing import HandedPack
from proxy.processes import fleet
from proxy.processes.children import Program
from proxy.processes.fleet import Fleet
from proxy.start import Start
from proxy.telemetry.snapshot import Snapshot, merge
from tests.rig.waiting import until

START = Start("", "info", 0, "memory", "0" * 64, "", "", "127.0.0.1", 0)
# Serves, and has counted one event; told to, lets go of its line and never comes to its end.
WORKER = """
import json, os, signal, socket, sys, time

def hang(*_):
    os.close(int(sys.argv[1]))
    time.sleep(60)

signal.signal(signal.SIGUSR1, hang)
line = socket.socket(fileno=int(sys.argv[1])).makefile("rwb", buffering=0)
line.readline()
line.write(b"{}\\n")
for question in map(json.loads, line):
    if question["ask"] == "drain":
        break
    told = {"stillgate_hunter_events_total": [[[], 1, []]], "stillgate_inflight": [[[], 1, []]]}
    answer = {"number": question["number"], "snapshot": told, "pack_digest": question.get("pack_digest")}
    line.write(json.dumps(answer).encode() + b"\\n")
"""


@pytest.fixture
async def two(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fleet]:
    monkeypatch.setattr("proxy.processes.children.BEAT_S", 0.05)
    monkeypatch.setattr(fleet, "BEAT_S", 0.05)
    monkeypatch.setattr(fleet, "_FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(fleet, "_SILENT_S", 0.2)
    monkeypatch.setattr(fleet, "_GIVEN_UP_S", 1.0)
    two = Fleet(START, 2, Program("worker", (sys.executable, "-c", WORKER)))
    await two.open()
    keeping = asyncio.create_task(two.keep())
    yield two
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await two.close(1.0)


async def test_one_that_does_not_answer_is_missing_then_killed_and_started_again(
    two: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    stopped, other = two.pids
    os.kill(stopped, signal.SIGSTOP)
    await until(lambda: two.missing() == ["worker 0"])
    await until(lambda: two.missing() == [] and stopped not in two.pids)
    assert two.pids[1] == other
    assert [caplog.text.count(said) for said in ("a worker does not answer", "ended unexpectedly")] == [1, 1]


async def test_one_that_stands_still_while_it_is_to_switch_is_missing_and_killed_as_soon(two: Fleet) -> None:
    stopped, other = two.pids
    os.kill(stopped, signal.SIGSTOP)
    switching = asyncio.create_task(two.switch(HandedPack("1" * 64, "")))
    async with asyncio.timeout(10):
        await until(lambda: two.missing() == ["worker 0"])
        await until(lambda: two.missing() == [] and stopped not in two.pids)
        await switching
    assert set(two.packs.values()) == {"1" * 64}
    assert two.pids[1] == other


async def test_no_stop_waits_for_one_that_stands_still(two: Fleet) -> None:
    os.kill(two.pids[0], signal.SIGSTOP)
    await until(lambda: two.missing() == ["worker 0"])
    async with asyncio.timeout(10):
        await two.close(30.0)


async def test_one_that_hangs_while_it_ends_is_killed_and_started_again(
    two: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    hanging = two.pids[0]
    os.kill(hanging, signal.SIGUSR1)
    await until(lambda: two.missing() == ["worker 0"])
    await until(lambda: two.missing() == [] and hanging not in two.pids)
    assert [caplog.text.count(said) for said in ("a worker does not answer", "ended unexpectedly")] == [1, 1]


async def test_one_that_answers_again_is_left_to_serve(two: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    pids = two.pids
    os.kill(pids[1], signal.SIGSTOP)
    await until(lambda: two.missing() == ["worker 1"])
    os.kill(pids[1], signal.SIGCONT)
    await until(lambda: two.missing() == [] and "a worker answers again" in caplog.text)
    assert two.pids == pids


async def test_where_no_file_can_be_opened_the_others_serve_on_until_one_can_be_started_again(
    two: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    killed, other = two.pids
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))  # as when somebody has connected as often as may be
    try:
        os.kill(killed, signal.SIGKILL)
        await until(lambda: "worker 0 cannot be started here: Too many open files" in caplog.text)
        assert two.missing() == ["worker 0"]
        assert (two.pids, two.packs) == ([other], {other: "0" * 64})
        await until(lambda: caplog.text.count("a worker cannot be started again") > 1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    await until(lambda: two.missing() == [])
    assert two.pids[1] == other
    assert caplog.text.count("ended unexpectedly") == 1


async def test_of_one_that_does_not_answer_counters_stay_and_gauges_go(
    two: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "_GIVEN_UP_S", 60.0)
    monkeypatch.setattr("proxy.processes.children._SNAPSHOT_S", 0.1)
    await two.refresh()
    assert [len(numbers) for numbers in two.counted()] == [3, 0]  # with what the parent knows of all
    os.kill(two.pids[0], signal.SIGSTOP)
    await until(lambda: two.missing() == ["worker 0"])
    await two.refresh()
    living, past = two.counted()
    assert counted_in(past) == [1]
    assert max(numbers["stillgate_loop_lag_seconds"][0].value for numbers in living[-1:]) >= 0.2
    os.kill(two.pids[0], signal.SIGKILL)
    await until(lambda: two.missing() == [])
    assert counted_in(two.counted().past) == [1]


def counted_in(snapshots: list[Snapshot]) -> list[float]:
    return [sample.value for sample in merge(snapshots)["stillgate_hunter_events_total"]]


async def test_one_that_no_process_can_be_had_for_is_started_once_one_can(
    two: Fleet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And the other serves on; an error that ended `keep` would end the whole proxy."""
    dead, other = two.pids
    full = asyncio.Event()

    def none(*_: object, **__: object) -> None:
        full.set()
        raise OSError(errno.EAGAIN, "Too many of them")

    with monkeypatch.context() as scarce:
        scarce.setattr(asyncio, "create_subprocess_exec", none)
        os.kill(dead, signal.SIGKILL)
        async with asyncio.timeout(10):
            await full.wait()
        await until(lambda: "Too many of them" in caplog.text)
        assert two.missing() == ["worker 0"]
    await until(lambda: two.missing() == [])
    assert two.pids[0] != dead
    assert two.pids[1] == other
