"""A hunter that cannot start is tried again, and keeps nobody from anything."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from proxy.processes import hunter_keeper
from proxy.processes.children import Program
from proxy.processes.hunter_keeper import HunterKeeper
from proxy.start import Start

START = Start(None, {}, "info", 0, "memory", "0" * 64, "", None, "127.0.0.1", 0)
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
BROKEN = Program("hunter", (sys.executable, "-c", "raise SystemExit(78)"))


async def test_a_hunter_that_cannot_start_is_tried_again_until_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hunter_keeper, "_FIRST_PAUSE_S", 0.01)
    keeper = HunterKeeper(START, BROKEN)
    keeping = asyncio.create_task(keeper.keep())
    await keeper.switch("1" * 64, wanted=False)
    await asyncio.sleep(0)
    assert (keeper.pid, caplog.text) == (None, "")
    await keeper.switch("1" * 64, wanted=True)
    async with asyncio.timeout(30):
        while caplog.text.count("the hunter cannot be started") < 2:
            await asyncio.sleep(0.01)
    assert (keeper.pid, keeper.counted()) == (None, ([], []))
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await keeper.close(1.0)


async def test_a_hunter_that_just_starts_when_all_ends_ends_first(tmp_path: Path) -> None:
    there = tmp_path / "there"
    keeper = HunterKeeper(START, Program("hunter", (sys.executable, "-c", SLOW, str(there))))
    keeping = asyncio.create_task(keeper.keep())
    await keeper.switch("1" * 64, wanted=True)
    async with asyncio.timeout(30):
        while not there.exists():
            await asyncio.sleep(0.01)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
    await keeper.close(1.0)
    assert not there.exists()
