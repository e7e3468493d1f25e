"""What a start finds and writes down after the process before it was killed."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from proxy.clock import SystemClock, VirtualClock
from proxy.decisions.journal import Journal
from proxy.decisions.target import DescriptorTarget, FileTarget
from proxy.decisions.writer import LogUnavailable
from tests.decisions.bindings import sealed
from tests.decisions.endings import STARTED, ending, recorder


def open_journal(target: FileTarget | DescriptorTarget, clock: VirtualClock | SystemClock) -> Journal:
    return Journal.open(target, sealed(target.mark, clock), recorder(clock), clock, "sha256:0")


def rows(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.splitlines()]


async def killed_scribe(folder: Path) -> bytes:
    """Run a writing process, kill it in the middle of its work, and return what is in its log."""
    scribe = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.decisions.scribe", str(folder), "endless", stdout=asyncio.subprocess.PIPE
    )
    assert scribe.stdout is not None
    assert await scribe.stdout.readline() == b"writing\n"
    scribe.kill()
    await scribe.wait()
    return (folder / "log.jsonl").read_bytes()


async def test_after_kill_9_the_next_start_records_the_gap_first(tmp_path: Path) -> None:
    before = await killed_scribe(tmp_path)
    journal = open_journal(FileTarget(tmp_path / "log.jsonl"), SystemClock())
    await journal.record_first(ending())
    assert await journal.close()
    content = (tmp_path / "log.jsonl").read_bytes()
    assert content.startswith(before)
    complete = before[: before.rfind(b"\n") + 1]
    assert [row["seq"] for row in rows(complete)] == list(range(1, len(rows(complete)) + 1))
    assert len(rows(complete)) >= 101
    new = rows(content[len(before) :].lstrip(b"\n"))
    kinds = [row["kind"] for row in new]
    assert kinds == ["gap", *(["repair"] if complete != before else []), "start", "exchange", "stop", "checkpoint"]
    assert new[0]["started"] <= new[0]["last"] <= new[0]["time"]
    assert rows(complete)[0]["time"] >= new[0]["started"]


async def test_a_clean_stop_leaves_no_gap(tmp_path: Path) -> None:
    for _ in range(2):
        journal = open_journal(FileTarget(tmp_path / "log"), VirtualClock(STARTED))
        assert journal.log.found == (None, 0)
        assert await journal.close()
    assert [row["kind"] for row in rows((tmp_path / "log").read_bytes())] == ["start", "stop", "checkpoint"] * 2


async def test_the_gap_reaches_from_the_last_sign_of_life(tmp_path: Path) -> None:
    clock = VirtualClock(STARTED)
    target = FileTarget(tmp_path / "log")
    target.mark.write_text(json.dumps({"started": STARTED - 3600, "pid": 1}))
    os.utime(target.mark, (STARTED - 60, STARTED - 60))
    journal = open_journal(target, clock)
    await journal.close()
    gap = rows((tmp_path / "log").read_bytes())[0]
    assert (gap["kind"], gap["seq"]) == ("gap", 1)
    assert (gap["started"], gap["last"]) == ("2025-11-24T15:00:00.250Z", "2025-11-24T15:59:00.250Z")


@pytest.mark.parametrize("content", ["", "{", "null", "[]", '{"started": "x"}', '{"pid": 1}', "\x00\xff"])
async def test_a_mark_that_cannot_be_read_is_a_gap_all_the_same(tmp_path: Path, content: str) -> None:
    target = FileTarget(tmp_path / "log")
    target.mark.write_text(content)
    os.utime(target.mark, (STARTED - 60, STARTED - 60))
    journal = open_journal(target, VirtualClock(STARTED))
    assert journal.log.found.gap == (STARTED - 60, STARTED - 60)
    await journal.close()


async def test_the_mark_shows_when_lines_were_last_written(tmp_path: Path) -> None:
    clock = VirtualClock(STARTED)
    target = FileTarget(tmp_path / "log")
    journal = open_journal(target, clock)
    assert target.mark.stat().st_mtime == STARTED
    clock.advance(60)
    await journal.record_first(ending())
    assert target.mark.stat().st_mtime == STARTED + 60
    await journal.close()


async def test_standard_output_has_gaps_too(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    mark = tmp_path / "folder" / "stdout.running"
    mark.parent.mkdir()
    mark.write_text("{}")
    journal = open_journal(DescriptorTarget(writer, mark), VirtualClock(STARTED))
    await journal.close()
    os.close(writer)
    assert [row["kind"] for row in rows(os.read(reader, 65_536))] == ["gap", "start", "stop", "checkpoint"]
    os.close(reader)
    assert not mark.exists()


@pytest.mark.parametrize("torn", [b"x", b'{"v":1,"kind":"exch', b"x" * 3_999])
@pytest.mark.parametrize("whole", [b"", b'{"a":1}\n', b'{"a":1}\n' * 20_000])
async def test_a_torn_line_is_ended_before_the_next_record(tmp_path: Path, whole: bytes, torn: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(whole + torn)
    journal = open_journal(FileTarget(path), VirtualClock(STARTED))
    await journal.close()
    content = path.read_bytes()
    assert content.startswith(whole + torn + b"\n"), "nothing is deleted"
    repair, start, _, _ = rows(content[len(whole + torn) + 1 :])
    assert (repair["kind"], repair["torn_bytes"], start["kind"]) == ("repair", len(torn), "start")


async def test_lines_that_could_not_be_written_are_a_gap_for_the_next_start(tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    mark = tmp_path / "mark"
    journal = open_journal(DescriptorTarget(full, mark), VirtualClock(STARTED))
    with pytest.raises(LogUnavailable):
        await journal.record_first(ending())
    assert not await journal.close(deadline=0.05)
    os.close(full)
    assert mark.exists()


async def test_a_denial_that_a_failing_log_takes_for_later_says_what_the_client_was_told(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    full = os.open("/dev/full", os.O_WRONLY)
    spare = os.dup(full)
    journal = open_journal(DescriptorTarget(full, tmp_path / "mark"), VirtualClock(STARTED))
    with pytest.raises(LogUnavailable):
        await journal.record_first(ending(status=429, code="rate_limit_exceeded"))
    with pytest.raises(LogUnavailable):
        await journal.record_first(ending(status=429, code="rate_limit_exceeded"))
    os.dup2(writer, full)  # the disk has room again
    assert await journal.close()
    for descriptor in (full, spare, writer):
        os.close(descriptor)
    start, intended, told, stop, _ = rows(os.read(reader, 65_536))
    os.close(reader)
    assert (start["kind"], stop["kind"]) == ("start", "stop")
    assert (intended["status"], intended["code"]) == (429, "rate_limit_exceeded")
    assert (told["status"], told["code"]) == (503, "service_unavailable")
    assert [row["seq"] for row in (start, intended, told, stop)] == [1, 2, 3, 4]
