"""The writer over disks that are full, broken, read-only or slow, and over a process without descriptors."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import shutil
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from proxy.clock import VirtualClock
from proxy.decisions.journal import Journal
from proxy.decisions.target import FileTarget
from proxy.decisions.writer import LogUnavailable
from proxy.errors import ConfigurationError
from proxy.verifying.findings import Damage, Report
from proxy.verifying.notes import Keys
from proxy.verifying.verify import verify
from tests.decisions.bindings import public_key, sealed
from tests.decisions.endings import STARTED, ending, exchange, recorder

SOON = 2.0  # seconds after which the writer looks at its file again


class BadDisk(FileTarget):
    """A file whose next writes take `room` bytes and then fail with `error`, until that is 0 again."""

    error = 0
    room = 0

    def write(self, data: memoryview) -> int:
        if not self.error:
            return super().write(data)
        if not self.room:
            raise OSError(self.error, os.strerror(self.error))
        taken, self.room = super().write(data[: self.room]), 0
        return taken


class StuckDisk(FileTarget):
    """A file that keeps whoever writes waiting until `free` is set."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.free = threading.Event()
        self.met = threading.Event()

    def write(self, data: memoryview) -> int:
        self.met.set()
        self.free.wait(20)
        return super().write(data)


class NoDescriptors(FileTarget):
    """A file that cannot be opened while `out` is true."""

    out = False

    def open(self) -> int:
        if self.out:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().open()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "decisions" / "log.jsonl"


def opened(target: FileTarget, path: Path, clock: VirtualClock) -> Journal:
    path.parent.mkdir(exist_ok=True)
    return Journal.open(target, sealed(path, clock), recorder(clock), clock, "sha256:0")


async def opened_next(path: Path, clock: VirtualClock) -> Journal:
    """Open the log once the thread of the one before, which gave up, has let go of it."""
    async with asyncio.timeout(5):
        while True:
            with suppress(ConfigurationError):
                return opened(FileTarget(path), path, clock)
            await asyncio.sleep(0.01)  # a thread that tells nobody of its end is waited for


def verified(path: Path) -> Report:
    keys = Keys()
    keys.trust(public_key(path))
    return verify(sorted(path.parent.glob("*.jsonl")), keys, (), lambda _: None)


def content(path: Path) -> bytes:
    return path.read_bytes()


def renamed(path: Path) -> Path:
    return path.rename(path.with_name("log-1.jsonl"))


def copied_away(path: Path) -> Path:
    copy = Path(shutil.copyfile(path, path.with_name("log-1.jsonl")))
    path.unlink()
    return copy


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def ids(path: Path) -> list[str]:
    return [one.decode() for line in path.read_bytes().splitlines() for one in line.split(b'"') if one[:3] == b"ex_"]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
@pytest.mark.parametrize("room", [0, 100])
async def test_what_a_disk_did_not_take_is_written_whole_once_it_does(path: Path, error: int, room: int) -> None:
    """L-07, L-08, A-05: a denial is refused meanwhile; nothing is torn, lost or out of its chain afterwards."""
    clock, disk = VirtualClock(STARTED), BadDisk(path)
    journal = opened(disk, path, clock)
    await journal.record_first(ending(exchange(id="ex_before")))
    disk.room, disk.error = room, error
    assert journal.record(ending(exchange(id="ex_allowed")))
    with pytest.raises(LogUnavailable):
        await journal.record_first(ending(exchange(id="ex_denied")))
    assert journal.log.failing
    assert [finding.damage for finding in verified(path).findings] == [Damage.TORN] * bool(room)
    disk.error = 0
    assert await journal.close()
    assert verified(path).findings == ()
    assert ids(path) == ["ex_before", "ex_allowed", "ex_denied"]


async def full_within_a_line(path: Path, clock: VirtualClock) -> tuple[BadDisk, Journal]:
    """Return a disk that took one record whole and the next in part, and the journal that goes on with it."""
    disk = BadDisk(path)
    journal = opened(disk, path, clock)
    await journal.record_first(ending(exchange(id="ex_before")))
    disk.room, disk.error = 100, errno.ENOSPC
    assert journal.record(ending(exchange(id="ex_allowed")))
    with pytest.raises(LogUnavailable):
        await journal.record_first(ending(exchange(id="ex_denied")))
    return disk, journal


async def test_who_moves_a_log_away_from_a_full_disk_has_no_torn_line_in_it(path: Path) -> None:
    """L-07, L-09: what was begun in the old file is whole in the new one, and the chain holds over both."""
    clock = VirtualClock(STARTED)
    disk, journal = await full_within_a_line(path, clock)
    assert not content(path).endswith(b"\n")
    old = renamed(path)
    clock.advance(SOON)
    disk.error = 0
    assert await journal.close()
    assert (ids(old), ids(path)) == (["ex_before"], ["ex_allowed", "ex_denied"])
    assert verified(path).findings == ()


async def test_what_was_copied_away_from_a_full_disk_may_end_in_a_line_that_the_next_file_has_whole(path: Path) -> None:
    """L-07, L-09: as to another disk; a line that is nowhere whole is damage still."""
    disk, journal = await full_within_a_line(path, VirtualClock(STARTED))
    copy = copied_away(path)
    disk.error = 0
    assert await journal.close()
    assert not content(copy).endswith(b"\n")
    assert ids(path) == ["ex_allowed", "ex_denied"]
    assert verified(path).findings == ()
    torn(copy)
    assert [finding.damage for finding in verified(path).findings] == [Damage.TORN]


async def test_what_a_full_disk_left_torn_at_the_end_is_repaired_by_the_next_start(path: Path) -> None:
    """A-05, L-07: earlier lines are as they were, and the repair is a line of its own."""
    clock, disk = VirtualClock(STARTED), BadDisk(path)
    journal = opened(disk, path, clock)
    await journal.record_first(ending())
    disk.room, disk.error = 100, errno.ENOSPC
    with pytest.raises(LogUnavailable):
        await journal.record_first(ending())
    assert not await journal.close(deadline=0.05)
    before = content(path)
    assert not before.endswith(b"\n")
    again = await opened_next(path, clock)
    assert again.log.found.torn_bytes == 100
    assert again.log.found.gap is not None
    assert await again.close()
    assert content(path).startswith(before)
    assert verified(path).findings == ()


async def test_a_disk_that_takes_seconds_holds_nobody_up_on_the_loop(path: Path) -> None:
    """L-08: what may wait is queued, what must not is refused at its deadline, and all of it is written in the end."""
    clock, disk = VirtualClock(STARTED), StuckDisk(path)
    journal = opened(disk, path, clock)
    await asyncio.to_thread(disk.met.wait, 5)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(100):
        assert journal.record(ending(exchange(id=f"ex_{number}")))
    assert loop.time() - began < 0.1
    with pytest.raises(LogUnavailable, match="slow"):
        await journal.record_first(ending(exchange(id="ex_last")), deadline=0.05)
    assert loop.time() - began < 1.0
    assert content(path) == b""
    disk.free.set()
    assert await journal.close()
    assert len(ids(path)) == 101
    assert verified(path).findings == ()


async def test_a_checkpoint_that_falls_due_without_descriptors_ends_no_log(path: Path) -> None:
    """L-08: it names no other writers then."""
    clock = VirtualClock(STARTED)
    journal = opened(FileTarget(path), path, clock)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        await journal.record_first(ending(exchange(id="ex_before")))
        clock.advance(60)
        await journal.record_first(ending(exchange(id="ex_at_it")))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    await journal.record_first(ending(exchange(id="ex_behind")))
    assert await journal.close()
    assert ids(path) == ["ex_before", "ex_at_it", "ex_behind"]
    assert verified(path).findings == ()


async def test_without_descriptors_lines_wait_for_the_new_file_and_none_is_lost(path: Path) -> None:
    """L-08: what must not wait is refused meanwhile; the chain goes on in the new file."""
    clock, disk = VirtualClock(STARTED), NoDescriptors(path)
    journal = opened(disk, path, clock)
    await journal.record_first(ending(exchange(id="ex_before")))
    old = renamed(path)
    disk.out = True
    clock.advance(SOON)
    with pytest.raises(LogUnavailable):
        await journal.record_first(ending(exchange(id="ex_meanwhile")))
    disk.out = False
    clock.advance(SOON)
    assert await journal.close()
    assert (ids(old), ids(path)) == (["ex_before"], ["ex_meanwhile"])
    assert verified(path).findings == ()
