"""The writer: order, bounds, what waits for what, and how it ends."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from proxy.clock import SystemClock
from proxy.decisions.target import DescriptorTarget, FileTarget
from proxy.decisions.waiting import Unmade
from proxy.decisions.writer import DecisionLog, LogUnavailable
from proxy.errors import ConfigurationError
from tests.decisions.bindings import Loose


def numbered(count: int, mark: str = "line") -> list[bytes]:
    return [f"{mark} {number} {'x' * (number % 900)}\n".encode() for number in range(count)]


def content(path: Path) -> bytes:
    return path.read_bytes()


def names(folder: Path) -> list[str]:
    return [found.name for found in folder.iterdir()]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "log.jsonl"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    inode = os.fstat(ends[0]).st_ino
    yield ends
    for end in ends:
        # A test may have closed it, and the number may be somebody else's by now.
        with suppress(OSError):
            if os.fstat(end).st_ino == inode:
                os.close(end)


def open_log(target: FileTarget | DescriptorTarget, bound: int = 1_000_000) -> DecisionLog:
    return DecisionLog.open(target, Loose(), SystemClock(), bound=bound)


async def read_all(descriptor: int) -> bytes:
    """Read a pipe to its end, off the loop."""

    def drain() -> bytes:
        pieces = []
        while piece := os.read(descriptor, 65_536):
            pieces.append(piece)
        return b"".join(pieces)

    return await asyncio.to_thread(drain)


async def test_lines_come_out_whole_and_in_the_order_they_went_in(path: Path) -> None:
    lines = numbered(1_500)
    log = open_log(FileTarget(path))
    assert all(log.append(line) for line in lines)
    assert await log.close(b"stop\n")
    assert content(path) == b"".join(lines) + b"stop\n"


async def test_a_line_is_written_soon_without_anybody_waiting_for_it(path: Path) -> None:
    log = open_log(FileTarget(path))
    written = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look() -> None:
        if content(path) == b"alone\n" and log.waiting_bytes == 0:
            written.set()
        else:
            loop.call_later(0.005, look)

    log.append(b"alone\n")
    look()
    async with asyncio.timeout(5):
        await written.wait()
    await log.close()


async def test_a_durable_line_is_in_the_file_when_it_returns_and_behind_all_earlier_ones(path: Path) -> None:
    log = open_log(FileTarget(path))
    for round_number in range(20):
        log.append(f"allow {round_number}\n".encode())
        await log.append_durable(f"deny {round_number}\n".encode())
        assert content(path).endswith(f"allow {round_number}\ndeny {round_number}\n".encode())
    await log.close()


async def test_many_durable_lines_at_once_all_return(path: Path) -> None:
    log = open_log(FileTarget(path))
    lines = numbered(300)
    await asyncio.gather(*(log.append_durable(line) for line in lines))
    assert content(path) == b"".join(lines)
    await log.close()


async def test_a_caller_that_gives_up_waiting_harms_nobody(path: Path) -> None:
    log = open_log(FileTarget(path))
    left = asyncio.ensure_future(log.append_durable(b"left\n"))
    await asyncio.sleep(0)
    left.cancel()
    await log.append_durable(b"stayed\n")
    assert content(path) == b"left\nstayed\n"
    await log.close()


async def test_file_and_folder_belong_to_us_alone(path: Path) -> None:
    log = open_log(FileTarget(path))
    assert [mode(place) for place in (path, path.parent, FileTarget(path).mark)] == [0o600, 0o700, 0o600]
    await log.close()


async def test_what_is_not_read_is_bounded_and_counted_and_holds_nobody_up(
    tmp_path: Path, pipe: tuple[int, int]
) -> None:
    reader, writer = pipe
    log = open_log(DescriptorTarget(writer, tmp_path / "mark"), bound=200_000)
    lines = numbered(2_000)
    taken = [line for line in lines if log.append(line)]
    assert log.lost == len(lines) - len(taken)
    assert log.lost > 0
    assert log.waiting_bytes <= 200_000
    with pytest.raises(LogUnavailable):
        await log.append_durable(b"full\n" * 200)
    reading = asyncio.create_task(read_all(reader))
    assert await log.close(b"stop\n")
    os.close(writer)
    assert await reading == b"".join(taken) + b"stop\n"


async def test_what_becomes_a_line_later_is_made_by_the_thread_in_its_place(path: Path) -> None:
    log = open_log(FileTarget(path))
    makers: list[str] = []

    def made(number: int) -> bytes:
        makers.append(threading.current_thread().name)
        return f"made {number}\n".encode()

    for number in range(100):
        assert log.append(Unmade(partial(made, number), 100))
        assert log.append(f"as it is {number}\n".encode())
    assert await log.close(b"stop\n")
    assert content(path).decode() == "".join(f"made {n}\nas it is {n}\n" for n in range(100)) + "stop\n"
    assert makers == ["decision-log"] * 100
    assert log.waiting_bytes == 0


async def test_no_more_than_a_megabyte_waits_to_be_made_while_the_thread_is_behind(
    tmp_path: Path, pipe: tuple[int, int]
) -> None:
    reader, writer = pipe
    log = open_log(DescriptorTarget(writer, tmp_path / "mark"), bound=10_000_000)
    await log.append_durable(b"the pipe is open\n")
    log.append(b"x" * 200_000 + b"\n")  # far more than a pipe holds: the thread waits
    waits = 0
    for _ in range(100):
        makers: list[threading.Thread] = []

        def made(makers: list[threading.Thread] = makers) -> bytes:
            makers.append(threading.current_thread())
            return b"made\n"

        assert log.append(Unmade(made, 50_000))
        waits += not makers
    assert waits == 1024 * 1024 // 50_000
    reading = asyncio.create_task(read_all(reader))
    assert await log.close()
    os.close(writer)
    assert (await reading).endswith(b"x\n" + b"made\n" * 100)


async def test_what_cannot_be_made_is_lost_and_counted_and_ends_nothing_else(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = open_log(FileTarget(path))
    log.append(b"before\n")
    log.append(Unmade(lambda: str(1 // 0).encode(), 1_000))
    await log.append_durable(b"after\n")
    assert (log.lost, log.waiting_bytes) == (1, 0)
    log.append(Unmade(lambda: str(1 // 0).encode(), 1_000))
    assert await log.close()
    assert log.waiting_bytes == 0
    assert content(path) == b"before\nafter\n"
    assert caplog.text.count("a record could not be made") == 2


@pytest.mark.parametrize("blocking", [True, False])
async def test_a_durable_line_that_no_reader_takes_is_given_up_at_its_deadline(
    tmp_path: Path, pipe: tuple[int, int], *, blocking: bool
) -> None:
    reader, writer = pipe
    os.set_blocking(writer, blocking)
    log = open_log(DescriptorTarget(writer, tmp_path / "mark"))
    log.append(b"x" * 200_000 + b"\n")  # far more than a pipe holds
    with pytest.raises(LogUnavailable, match="slow"):
        await log.append_durable(b"late\n", deadline=0.05)
    assert not log.failing, "slow is not broken"
    reading = asyncio.create_task(read_all(reader))
    assert await log.close()
    os.close(writer)
    assert (await reading).endswith(b"x\nlate\n")


async def test_lines_of_several_workers_on_one_pipe_do_not_mix(tmp_path: Path, pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    reading = asyncio.create_task(read_all(reader))
    logs = {name: open_log(DescriptorTarget(writer, tmp_path / name)) for name in ("one", "two", "three")}
    lines = {name: numbered(800, name) for name in logs}
    for number in range(800):
        for name, log in logs.items():
            log.append(lines[name][number])
    await asyncio.gather(*(log.close() for log in logs.values()))
    os.close(writer)
    came = (await reading).splitlines(keepends=True)
    for name in logs:
        assert [line for line in came if line.startswith(name.encode())] == lines[name]
    assert len(came) == 3 * 800


async def test_a_full_disk_makes_it_fail_at_once_and_say_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    log = open_log(DescriptorTarget(full, tmp_path / "mark"))
    log.append(b"allow\n")
    with pytest.raises(LogUnavailable, match="failing"):
        await log.append_durable(b"deny\n")
    assert log.failing
    with pytest.raises(LogUnavailable, match="failing"):
        await log.append_durable(b"deny\n")
    assert log.lost == 1, "only what was refused outright: the other two still wait"
    assert not await log.close(deadline=0.1)
    assert "cannot be written" in caplog.text
    os.close(full)


async def test_a_pipe_without_a_reader_is_a_failing_log(tmp_path: Path, pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    log = open_log(DescriptorTarget(writer, tmp_path / "mark"))
    with pytest.raises(LogUnavailable):
        await log.append_durable(b"deny\n")
    assert log.failing
    await log.close(deadline=0.05)


async def test_a_closed_log_takes_nothing_and_leaves_no_thread_and_no_mark(path: Path) -> None:
    before = set(threading.enumerate())
    log = open_log(FileTarget(path))
    (thread,) = set(threading.enumerate()) - before
    assert await log.close(b"stop\n")
    assert not thread.is_alive()
    assert not log.append(b"late\n")
    with pytest.raises(LogUnavailable):
        await log.append_durable(b"late\n")
    assert log.lost == 2
    assert not FileTarget(path).mark.exists()
    assert content(path) == b"stop\n"


async def test_a_second_writer_on_the_same_log_is_refused(path: Path) -> None:
    log = open_log(FileTarget(path))
    with pytest.raises(ConfigurationError, match="another process"):
        open_log(FileTarget(path))
    await log.close()
    again = open_log(FileTarget(path))
    assert again.found.gap is None
    await again.close()


async def test_a_place_that_cannot_be_written_stops_the_start_and_leaves_no_gap_behind(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "file" / "log", tmp_path / "folder"):
        with pytest.raises(ConfigurationError, match="cannot be opened"):
            open_log(FileTarget(place))
    assert sorted(names(tmp_path)) == ["file", "folder"]


async def test_a_start_that_failed_keeps_the_gap_for_the_next_one(tmp_path: Path) -> None:
    target = FileTarget(tmp_path / "folder")
    (tmp_path / "folder").mkdir()
    target.mark.write_bytes(b"{}")
    with pytest.raises(ConfigurationError):
        open_log(target)
    (tmp_path / "folder").rmdir()
    log = open_log(target)
    assert log.found.gap is not None
    await log.close()
