"""The log of changes: on the disk before a change is made, and again before anybody is answered."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import stat
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from proxy.clock import VirtualClock
from proxy.decisions.change_log import Change, ChangeLog
from proxy.decisions.columns import ADMIN, HEAD, LINK, NOTICES
from proxy.decisions.target import FileTarget
from proxy.decisions.writer import LogUnavailable
from proxy.errors import ConfigurationError, StoreUnavailable
from proxy.verifying.notes import Keys
from proxy.verifying.verify import verify
from tests.decisions.bindings import public_key, sealed

CHANGE = Change("alice", "reviewer", "token", "flags.lift", "account acme-7 relay", "a false alarm")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "decisions" / "admin.jsonl"


def log_at(path: Path) -> ChangeLog:
    numbers = itertools.count(1)
    return ChangeLog(FileTarget(path), sealed(path, VirtualClock()), "1", VirtualClock(), lambda: f"id-{next(numbers)}")


@pytest.fixture
async def log(path: Path) -> AsyncIterator[ChangeLog]:
    log = log_at(path)
    yield log
    await log.close()


def with_a_torn_line(path: Path) -> bytes:
    path.parent.mkdir()
    path.write_bytes(b'{"v":1,"ki')
    return b'{"v":1,"ki'


def raw_lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


def rotate(path: Path) -> None:
    path.rename(path.with_name("old.jsonl"))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def lines(path: Path) -> list[dict[str, Any]]:
    """Return what was written but the checkpoints."""
    found = [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []
    return [line for line in found if line["kind"] != "checkpoint"]


async def test_a_change_of_many_things_has_a_result_for_each_and_one_checkpoint(log: ChangeLog, path: Path) -> None:
    async def make() -> int:
        return 2

    await log.make(CHANGE, make, lambda made: [f"number {number}" for number in range(made)])
    kinds = [json.loads(line)["kind"] for line in raw_lines(path)]
    assert kinds == ["admin", "checkpoint", "admin", "admin", "checkpoint"]
    assert [(line["id"], line["result"], line["object"]) for line in lines(path)] == [
        ("id-1", "begun", CHANGE.object),
        ("id-1", "done", "number 0"),
        ("id-1", "done", "number 1"),
    ]
    await log.make(CHANGE, make, lambda _: [])
    assert [line["object"] for line in lines(path)[3:]] == [CHANGE.object] * 2


async def test_a_change_is_two_lines_with_who_what_why_when_and_the_first_is_there_before_it_is_made(
    log: ChangeLog, path: Path
) -> None:
    async def make() -> int:
        assert [line["result"] for line in lines(path)] == ["begun"]
        return 7

    assert await log.make(CHANGE, make, lambda made: f"number {made}") == 7
    begun, done = lines(path)
    assert (begun["result"], done["result"]) == ("begun", "done")
    assert (begun["id"], begun["seq"], done["id"], done["seq"]) == ("id-1", 1, "id-1", 3)
    assert {name: begun[name] for name in Change._fields} == CHANGE._asdict()
    assert done["object"] == "number 7"
    assert begun["time"] == "2023-11-14T22:13:20.000Z"
    for line in (begun, done):
        assert line["kind"] == "admin"
        assert list(line) == [column.name for column in HEAD + ADMIN + LINK]
    assert [json.loads(line)["kind"] for line in raw_lines(path)] == ["admin", "checkpoint"] * 2


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (KeyError("x"), "refused"),
        (ConfigurationError("x"), "refused"),
        (StoreUnavailable("x"), "failed"),
        (RuntimeError("x"), "failed"),
        (asyncio.CancelledError(), "failed"),
    ],
)
async def test_a_change_that_was_not_made_says_so(
    log: ChangeLog, path: Path, error: BaseException, result: str
) -> None:
    async def make() -> None:
        raise error

    with pytest.raises(type(error)):
        await log.make(CHANGE, make)
    assert [line["result"] for line in lines(path)] == ["begun", result]


async def test_what_cannot_be_recorded_is_not_made_until_it_can_be(path: Path) -> None:
    path.parent.write_text("a file where the folder should be")
    log = log_at(path)
    made: list[int] = []

    async def make() -> None:
        made.append(1)

    with pytest.raises(LogUnavailable):
        await log.make(CHANGE, make)
    assert made == []
    path.parent.unlink()
    await log.make(CHANGE, make)
    await log.close()
    assert made == [1]
    assert [line["result"] for line in lines(path)] == ["begun", "done"]


async def test_a_disk_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    """L-08."""
    os.mkfifo(tmp_path / "admin.jsonl")

    class Stuck(FileTarget):
        def open(self) -> int:
            with (tmp_path / "admin.jsonl").open("rb"):  # until somebody opens the other end
                raise OSError("let go")

    log = ChangeLog(
        Stuck(tmp_path / "other.jsonl"),
        sealed(tmp_path / "other.jsonl", VirtualClock()),
        "1",
        VirtualClock(),
        lambda: "id",
        deadline=0.05,
    )
    try:
        with pytest.raises(LogUnavailable):
            await log.make(CHANGE, never)
    finally:
        with suppress(OSError):
            os.close(os.open(tmp_path / "admin.jsonl", os.O_WRONLY))
        await log.close()


async def never() -> None:
    raise AssertionError("a change was made that is not recorded")


async def test_a_torn_line_is_ended_and_told_of_before_the_next_change(path: Path, log: ChangeLog) -> None:
    before = with_a_torn_line(path)

    async def make() -> None:
        pass

    await log.make(CHANGE, make)
    torn, *others = raw_lines(path)
    assert torn == before
    repair, *changes = map(json.loads, others)
    assert (repair["kind"], repair["torn_bytes"]) == ("repair", len(torn))
    assert list(repair) == [column.name for column in HEAD + NOTICES["repair"] + LINK]
    assert [line["result"] for line in changes if line["kind"] == "admin"] == ["begun", "done"]


class Full(FileTarget):
    room = 40

    def write(self, data: memoryview) -> int:
        if self.room == 0:
            raise OSError(28, "No space left on device")
        written = super().write(data[: self.room])
        self.room -= written
        return written


async def test_who_moves_it_away_from_a_full_disk_has_no_torn_line_in_it(path: Path) -> None:
    target = Full(path)
    log = ChangeLog(target, sealed(path, VirtualClock()), "1", VirtualClock(), lambda: "id")

    async def make() -> None:
        pass

    for room in (1_000_000, 40):
        target.room = room
        with suppress(LogUnavailable):
            await log.make(CHANGE, make)
    assert len(raw_lines(path)[-1]) == 40
    rotate(path)
    target.room = 1_000_000
    await log.make(CHANGE, make)
    await log.close()
    keys = Keys()
    keys.trust(public_key(path))
    assert verify([path.with_name("old.jsonl"), path], keys, [], lambda _: None).findings == ()


async def test_a_write_that_failed_half_way_costs_that_change_only(path: Path) -> None:
    target = Full(path)
    log = ChangeLog(target, sealed(target.mark, VirtualClock()), "1", VirtualClock(), lambda: "id")
    with pytest.raises(LogUnavailable):
        await log.make(CHANGE, never)
    target.room = 1_000_000

    async def make() -> None:
        pass

    await log.make(CHANGE, make)
    await log.close()
    torn, *others = raw_lines(path)
    assert len(torn) == 40
    assert [json.loads(line)["kind"] for line in others] == ["repair", *["admin", "checkpoint"] * 2]


async def test_a_file_that_was_rotated_away_is_made_anew(log: ChangeLog, path: Path) -> None:
    async def make() -> None:
        pass

    await log.make(CHANGE, make)
    rotate(path)
    await log.make(CHANGE, make)
    assert [line["seq"] for line in lines(path)] == [5, 7]
    assert mode(path) == 0o600


async def test_in_a_file_that_was_cut_no_change_is_announced_until_it_is_moved_away(
    log: ChangeLog, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """L-09: and so none is made."""
    made: list[int] = []

    async def make() -> None:
        made.append(1)

    await log.make(CHANGE, make)
    with path.open("r+b") as file:
        file.truncate(0)
    for _ in range(2):
        with pytest.raises(LogUnavailable):
            await log.make(CHANGE, make)
    assert (made, raw_lines(path)) == ([1], [])
    assert "cut by somebody else; lines are missing" in caplog.text
    rotate(path)
    await log.make(CHANGE, make)
    assert [line["seq"] for line in lines(path)] == [5, 7]


async def test_the_lines_of_changes_at_once_stay_whole(log: ChangeLog, path: Path) -> None:
    async def make() -> None:
        await asyncio.sleep(0)

    await asyncio.gather(*(log.make(CHANGE, make) for _ in range(50)))
    found = lines(path)
    assert [line["seq"] for line in found] == list(range(1, 201, 2))
    assert {line["id"] for line in found} == {f"id-{number}" for number in range(1, 51)}
