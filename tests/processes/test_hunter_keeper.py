"""A hunter that cannot start is tried again, and keeps nobody from anything."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from proxy.handing import HandedPack
from proxy.processes import hunter_keeper
from proxy.processes.children import Program
from proxy.processes.hunter_keeper import HunterKeeper
from proxy.start import Start
from tests.processes.test_fleet import WORKER
from tests.rig.waiting import until

START = Start("", "info", 0, "memory", "0" * 64, "", "", "127.0.0.1", 0)
# Says that it is there and then, slowly, that it serves; ends when it is told to.
SLOW = """
import socket, sys, time
from pathlib import Path

line = socket.socket(fileno=int(sys.argv[2])).makefile("rwb", buffering=0)
line.readline()
Path(sys.argv[1]).touch()
time.sleep(0.5)
line.write(b"{}\\n")
if b"drain" in line.readline():
    Path(sys.argv[1]).unlink()
"""
# Begins as slowly, and then answers nothing.
SILENT = SLOW.partition("if b")[0] + "time.sleep(60)"
ANSWERS = Program("hunter", (sys.executable, "-c", WORKER))
BROKEN = Program("hunter", (sys.executable, "-c", "raise SystemExit(78)"))


async def test_a_hunter_that_cannot_start_is_tried_again_until_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hunter_keeper, "_FIRST_PAUSE_S", 0.01)
    keeper = HunterKeeper(START, BROKEN)
    keeping = asyncio.create_task(keeper.keep())
    await keeper.switch(HandedPack("1" * 64, ""), wanted=False)
    await asyncio.sleep(0)
    assert (keeper.pid, caplog.text) == (None, "")
    await keeper.switch(HandedPack("1" * 64, ""), wanted=True)
    await until(lambda: caplog.text.count("the hunter cannot be started") >= 2)
    assert (keeper.pid, keeper.counted()) == (None, ([], []))
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await keeper.close(1.0)


async def test_a_hunter_that_just_starts_when_all_ends_ends_first(tmp_path: Path) -> None:
    there = tmp_path / "there"
    keeper = HunterKeeper(START, Program("hunter", (sys.executable, "-c", SLOW, str(there))))
    keeping = asyncio.create_task(keeper.keep())
    await keeper.switch(HandedPack("1" * 64, ""), wanted=True)
    await until(there.exists)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await keeper.close(1.0)
    assert not there.exists()


@pytest.mark.parametrize("switches", [False, True])
@pytest.mark.parametrize("comes_back", [False, True])
async def test_a_hunter_that_stands_still_is_told_of_then_killed_and_started_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, comes_back: bool, switches: bool
) -> None:
    """It has no lease any more, and whoever takes over may be nobody."""
    monkeypatch.setattr("proxy.processes.children.BEAT_S", 0.05)
    monkeypatch.setattr(hunter_keeper, "BEAT_S", 0.05)
    monkeypatch.setattr(hunter_keeper, "_SILENT_S", 0.2)
    monkeypatch.setattr(hunter_keeper, "_GIVEN_UP_S", 60.0 if comes_back else 1.0)
    caplog.set_level("INFO")
    keeper = HunterKeeper(START, ANSWERS)
    keeping = asyncio.create_task(keeper.keep())
    async with asyncio.timeout(10):
        stopped = await _stood_still(keeper, caplog, "1" if switches else "0")
    if comes_back:
        os.kill(stopped, signal.SIGCONT)
        await until(lambda: "the hunter answers again" in caplog.text)
        assert keeper.pid == stopped
    else:
        await until(lambda: keeper.pid not in (None, stopped))
        assert "the hunter ended unexpectedly and is started again" in caplog.text
    assert caplog.text.count("the hunter does not answer") == 1
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await keeper.close(1.0)


async def test_nobody_waits_for_a_hunter_that_stands_still(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither another pack nor a stop: it has no lease any more, so it has nothing to make safe."""
    monkeypatch.setattr("proxy.processes.children.BEAT_S", 0.05)
    monkeypatch.setattr(hunter_keeper, "BEAT_S", 0.05)
    monkeypatch.setattr(hunter_keeper, "_SILENT_S", 0.2)
    keeper = HunterKeeper(START, ANSWERS)
    keeping = asyncio.create_task(keeper.keep())
    await _stood_still(keeper, caplog)
    async with asyncio.timeout(5):
        await keeper.switch(HandedPack("1" * 64, ""), wanted=True)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await keeper.close(30.0)
    assert keeper.pid is None


async def test_a_hunter_that_stands_still_over_its_first_switch_is_killed_as_soon(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Another pack came into force while it started."""
    monkeypatch.setattr("proxy.processes.children.BEAT_S", 0.05)
    monkeypatch.setattr(hunter_keeper, "BEAT_S", 0.05)
    monkeypatch.setattr(hunter_keeper, "_SILENT_S", 0.2)
    monkeypatch.setattr(hunter_keeper, "_GIVEN_UP_S", 1.0)
    there = tmp_path / "there"
    keeper = HunterKeeper(START, Program("hunter", (sys.executable, "-c", SILENT, str(there))))
    keeping = asyncio.create_task(keeper.keep())
    await keeper.switch(HandedPack("0" * 64, ""), wanted=True)
    async with asyncio.timeout(15):
        await until(there.exists)
        await keeper.switch(HandedPack("1" * 64, ""), wanted=True)
        await until(lambda: "the hunter ended unexpectedly and is started again" in caplog.text)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await keeper.close(0.0)


async def _stood_still(keeper: HunterKeeper, caplog: pytest.LogCaptureFixture, pack: str = "0") -> int:
    """Start the hunter, let it stand still, asked for a pack, until that is noticed, and return its process."""
    await keeper.switch(HandedPack("0" * 64, ""), wanted=True)
    await until(lambda: keeper.pid is not None)
    stopped = keeper.pid
    assert stopped is not None
    os.kill(stopped, signal.SIGSTOP)
    switching = asyncio.create_task(keeper.switch(HandedPack(pack * 64, ""), wanted=True))
    await until(lambda: "the hunter does not answer" in caplog.text)
    switching.cancel()
    return stopped
