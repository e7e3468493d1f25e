"""What the writer does when its file is renamed, removed, cut or full under it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from proxy.clock import VirtualClock
from proxy.decisions.target import FileTarget
from proxy.decisions.writer import DecisionLog, LogUnavailable
from proxy.errors import ConfigurationError
from tests.decisions.bindings import Loose
from tests.decisions.scribe import LIMIT_BYTES, LINES

LOOK_AGAIN = 2.0  # seconds after which the writer looks at its file again


def rotated(folder: Path) -> list[Path]:
    return sorted(folder.glob("log.*"))


async def test_renaming_the_file_under_load_loses_and_tears_nothing(tmp_path: Path) -> None:
    """L-09."""
    clock, path = VirtualClock(), tmp_path / "log"
    descriptors = psutil.Process().num_fds()
    log = DecisionLog.open(FileTarget(path), Loose(), clock)
    sent: list[bytes] = []
    for round_number in range(25):
        for number in range(100):
            line = f"{round_number} {number} {'x' * 400}\n".encode()
            assert log.append(line)
            sent.append(line)
        if round_number % 5 == 4:
            # What comes next waits for the new file; what was queued goes wherever the thread is at this moment.
            await log.append_durable(b"barrier\n")
            sent.append(b"barrier\n")
            await asyncio.to_thread(path.rename, tmp_path / f"log.{round_number:02d}")
            clock.advance(LOOK_AGAIN)
    await log.close(b"stop\n")
    contents = [file.read_bytes() for file in rotated(tmp_path)] + [path.read_bytes()]
    assert len(contents) == 6
    assert all(content.endswith(b"\n") for content in contents)
    assert b"".join(contents) == b"".join([*sent, b"stop\n"])
    assert psutil.Process().num_fds() == descriptors


async def test_a_rename_in_the_middle_of_what_waits_keeps_order_and_lines(tmp_path: Path) -> None:
    clock, path = VirtualClock(), tmp_path / "log"
    log = DecisionLog.open(FileTarget(path), Loose(), clock)
    sent = [f"{number} {'x' * 900}\n".encode() for number in range(3_000)]
    await log.append_durable(sent[0])
    renaming = asyncio.create_task(asyncio.to_thread(path.rename, tmp_path / "log.1"))
    for number, line in enumerate(sent[1:]):
        log.append(line)
        if number % 50 == 0:
            await asyncio.sleep(0)
            clock.advance(LOOK_AGAIN)
    await renaming
    await log.close()
    old = (tmp_path / "log.1").read_bytes()
    new = path.read_bytes() if path.exists() else b""
    assert old.endswith(b"\n")
    assert old + new == b"".join(sent)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
async def test_what_takes_no_lines_in_the_place_of_the_file_has_them_wait(
    make: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """None goes into the file that was there, which nobody can read any more; it is told once."""
    clock, path = VirtualClock(), tmp_path / "log"
    log = DecisionLog.open(FileTarget(path), Loose(), clock)
    await log.append_durable(b"before\n")
    path.unlink()
    make(path)
    for number in range(3):
        clock.advance(LOOK_AGAIN)
        with pytest.raises(LogUnavailable):
            await log.append_durable(b"denied %d\n" % number)
    assert log.append(b"allowed\n")
    assert log.failing
    path.rmdir() if path.is_dir() else path.unlink()
    await log.close(b"stop\n")
    assert path.read_bytes() == b"denied 0\nallowed\nstop\n"
    assert caplog.text.count("decision log cannot be written") == 1


async def test_a_log_whose_folder_was_moved_away_is_held_in_the_new_one(tmp_path: Path) -> None:
    """P2: after kill -9 the next start finds the mark, and until then nobody else writes there."""
    clock, path = VirtualClock(), tmp_path / "logs" / "log"
    log = DecisionLog.open(FileTarget(path), Loose(), clock)
    await log.append_durable(b"before\n")
    path.parent.rename(tmp_path / "old")
    clock.advance(LOOK_AGAIN)
    await log.append_durable(b"behind\n")
    with pytest.raises(ConfigurationError, match="another process is writing this decision log"):
        DecisionLog.open(FileTarget(path), Loose(), clock)
    await log.close()
    assert [file.name for file in path.parent.iterdir()] == ["log"]


async def test_a_log_of_somebody_who_took_the_folder_over_is_left_to_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """L-11."""
    clock, path = VirtualClock(), tmp_path / "logs" / "log"
    log = DecisionLog.open(FileTarget(path), Loose(), clock)
    path.parent.rename(tmp_path / "old")
    theirs = DecisionLog.open(FileTarget(path), Loose(), clock)
    await theirs.append_durable(b"theirs\n")
    clock.advance(LOOK_AGAIN)
    with pytest.raises(LogUnavailable):
        await log.append_durable(b"ours\n")
    assert "another process is writing this decision log" in caplog.text
    await log.close(deadline=0.1)
    await theirs.append_durable(b"theirs still\n")
    assert path.read_bytes() == b"theirs\ntheirs still\n"
    await theirs.close()


async def test_a_removed_file_is_made_anew_folder_and_all(tmp_path: Path) -> None:
    clock, path = VirtualClock(), tmp_path / "logs" / "log"
    log = DecisionLog.open(FileTarget(path), Loose(), clock)
    await log.append_durable(b"before\n")
    path.unlink()
    FileTarget(path).mark.unlink()
    path.parent.rmdir()
    clock.advance(LOOK_AGAIN)
    await log.append_durable(b"after\n")
    assert path.read_bytes() == b"after\n"
    await log.close()


def held_by_us() -> set[Path]:
    return {Path(file.path) for file in psutil.Process().open_files()}


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(0)


async def test_a_file_cut_in_place_takes_no_more_until_it_is_moved_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """L-09: what comes meanwhile waits, and what has to be written first is refused."""
    clock, path = VirtualClock(), tmp_path / "log"
    log = DecisionLog.open(FileTarget(path), Loose(), clock)
    await log.append_durable(b"before\n" * 100)
    cut(path)
    clock.advance(LOOK_AGAIN)
    with pytest.raises(LogUnavailable):
        await log.append_durable(b"first\n")
    assert log.failing
    assert log.append(b"second\n")
    assert path.read_bytes() == b""
    assert log.truncations == 1
    assert "cut by somebody else; records are missing" in caplog.text
    assert "move it away" in caplog.text
    path.rename(tmp_path / "log.1")
    clock.advance(LOOK_AGAIN)
    while log.failing:
        await asyncio.sleep(0.01)
    await log.append_durable(b"third\n")
    assert path.read_bytes() == b"first\nsecond\nthird\n"
    assert (tmp_path / "log.1").read_bytes() == b""
    assert await log.close()


async def test_a_stop_beside_a_cut_file_does_not_wait_for_ever(tmp_path: Path) -> None:
    """The next start says that there is a gap, and writes."""
    clock, path = VirtualClock(), tmp_path / "log"
    log = DecisionLog.open(FileTarget(path), Loose(), clock)
    await log.append_durable(b"before\n")
    cut(path)
    clock.advance(LOOK_AGAIN)
    assert not await log.close(b"stop\n", deadline=0.3)
    async with asyncio.timeout(5):
        while FileTarget(path).mark in held_by_us():
            await asyncio.sleep(0.01)
    next_log = DecisionLog.open(FileTarget(path), Loose(), clock)
    assert next_log.found.gap
    await next_log.append_durable(b"after\n")
    assert path.read_bytes() == b"after\n"
    assert await next_log.close()


async def test_a_file_cut_in_place_is_continued_where_that_is_wanted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, path = VirtualClock(), tmp_path / "log"
    log = DecisionLog.open(FileTarget(path, goes_on=True), Loose(), clock)
    await log.append_durable(b"before\n" * 100)
    cut(path)
    clock.advance(LOOK_AGAIN)
    await log.append_durable(b"after\n")
    clock.advance(LOOK_AGAIN)
    await log.append_durable(b"later\n")
    assert path.read_bytes() == b"after\nlater\n"
    assert log.truncations == 1
    assert "cut by somebody else" in caplog.text
    await log.close()


async def test_no_line_goes_into_a_file_that_was_deleted(tmp_path: Path) -> None:
    """As who moves it to another disk does; what came in the second after it was nowhere."""
    path, kept = tmp_path / "log", tmp_path / "kept"
    log = DecisionLog.open(FileTarget(path), Loose(), VirtualClock())
    await log.append_durable(b"before\n")
    shutil.copyfile(path, kept)
    path.unlink()
    await log.append_durable(b"after\n")
    await log.append_durable(b"later\n")
    assert kept.read_bytes() + path.read_bytes() == b"before\nafter\nlater\n"
    await log.close()


async def run_scribe(folder: Path, part: str) -> None:
    scribe = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.decisions.scribe", str(folder), part)
    assert await scribe.wait() == 0


async def test_after_a_full_disk_it_goes_on_at_the_exact_byte(tmp_path: Path) -> None:
    """L-07: a real limit of the kernel's, met in the middle of a line."""
    await run_scribe(tmp_path, "limited")
    assert (tmp_path / "log").read_bytes() == b"".join(LINES)


async def test_a_line_unfinished_in_a_renamed_file_is_written_whole_into_the_new_one(tmp_path: Path) -> None:
    await run_scribe(tmp_path, "renamed")
    old, new = (tmp_path / "log.1").read_bytes(), (tmp_path / "log").read_bytes()
    assert old + new == b"".join(LINES)
    assert old.endswith(b"\n")
    assert len(old) < LIMIT_BYTES < len(old) + len(LINES[0])
