"""Processes that the parent starts, seen from the parent."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.errors import ConfigurationError
from proxy.handing import HandedPack
from proxy.processes.children import HUNTER, WORKER, Program, StandIn, Worker
from proxy.start import Start

START = Start("", "info", 0, "", "", "", "", "127.0.0.1", 0)
# It fails as a program in Python does: its line is closed first, and what was wrong is printed while it ends.
_FAILS = """
import os, sys, time
os.close(int(sys.argv[1]))
time.sleep(0.3)
os.write(2, b"what was wrong")
sys.exit(1)
"""
# Says that it serves, and never ends.
_STAYS = """
import socket, sys, time
socket.socket(fileno=int(sys.argv[1])).send(b"{}\\n")
time.sleep(60)
"""

_LARGE = "p" * 4_000_000  # more than a line holds that nobody reads


async def test_a_program_that_fails_at_its_start_can_say_why_before_it_is_let_go_of(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ConfigurationError, match="worker 0 did not start; see the messages above"):
        await Worker.spawn(START, Program("worker", (sys.executable, "-c", _FAILS)))
    assert "what was wrong" in capfd.readouterr().err


@pytest.mark.parametrize("program", [WORKER, HUNTER])
async def test_one_whose_files_are_not_its_parents_by_now_says_so(
    program: Program, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigurationError, match="0 did not start; see the messages above"):
        await Worker.spawn(replace(START, program="0" * 64), program)
    assert "files are not those that the parent started from: restart `stillgate serve`" in capfd.readouterr().err


async def test_nothing_in_the_folder_that_a_start_was_made_in_is_taken_for_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A worker is told the secrets of a deployment."""
    for module in ("proxy", "asyncio"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('what lies in the folder was run')")
    monkeypatch.chdir(tmp_path)
    for program in (WORKER, HUNTER):
        with pytest.raises(ConfigurationError):
            await Worker.spawn(replace(START, program=""), program)
    await (await StandIn.spawn()).end()
    said = capfd.readouterr().err
    assert said.count("restart `stillgate serve`") == 2
    assert "was run" not in said


async def test_one_that_does_not_end_in_time_is_named_for_what_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("proxy.processes.children._END_S", 0.1)
    hunter = await Worker.spawn(START, Program("hunter", (sys.executable, "-c", _STAYS)))
    await hunter.drain(0.1)
    assert not hunter.alive
    assert "a hunter did not end in time and is killed" in caplog.text


async def test_one_that_never_reads_how_to_start_is_given_up_however_long_that_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("proxy.processes.children._START_S", 0.3)
    monkeypatch.setattr("proxy.processes.children._END_S", 0.1)
    start = replace(START, pack=_LARGE)
    async with asyncio.timeout(10):
        with pytest.raises(ConfigurationError, match="worker 0 did not start in 0 s"):
            await Worker.spawn(start, Program("worker", (sys.executable, "-c", "import time; time.sleep(60)")))


async def test_one_that_does_not_read_a_pack_holds_up_neither_the_end_nor_what_others_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("proxy.processes.children._SWITCH_S", 0.1)
    monkeypatch.setattr("proxy.processes.children._END_S", 0.1)
    worker = await Worker.spawn(START, Program("worker", (sys.executable, "-c", _STAYS)))
    async with asyncio.timeout(10):
        await worker.switch(HandedPack("a", _LARGE))
        await worker.note_memory(full=True)
        await worker.drain(0.1)
    assert not worker.alive


async def test_a_stand_in_that_never_says_where_it_is_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.processes.children._START_S", 0.3)
    monkeypatch.setattr("proxy.processes.children._MODEL", (sys.executable, "-c", "import time; time.sleep(60)"))
    spawning = asyncio.create_task(StandIn.spawn())
    async with asyncio.timeout(10):
        with pytest.raises(ConfigurationError, match="the stand-in model did not start"):
            await spawning
