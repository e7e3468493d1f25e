"""A chained log whose files are rotated under its writer, and a second writer at its door."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import sys
from pathlib import Path

import pytest

from proxy.clock import SystemClock, VirtualClock
from proxy.decisions.journal import Journal
from proxy.decisions.reading import log_files
from proxy.decisions.target import FileTarget
from proxy.decisions.writer import LogUnavailable
from proxy.errors import ConfigurationError
from proxy.verifying.findings import Damage
from proxy.verifying.notes import Keys
from proxy.verifying.verify import verify
from tests.decisions.bindings import public_key, sealed
from tests.decisions.endings import STARTED, ending, recorder

LOOK_AGAIN = 2.0  # seconds after which the writer looks at its file again
EACH = 40


class Rotating:
    """A writer whose clock is moved so that it looks at its file before the next line."""

    def __init__(self, path: Path, *, goes_on: bool = False) -> None:
        path.parent.mkdir(exist_ok=True)
        self.path = path
        self.clock = VirtualClock(STARTED)
        self.journal = Journal.open(
            FileTarget(path, goes_on=goes_on),
            sealed(path, self.clock),
            recorder(self.clock),
            self.clock,
            "sha256:0",
        )

    async def write(self) -> None:
        """Write some lines; they are in the file that has the name by then."""
        self.clock.advance(LOOK_AGAIN)
        for _ in range(EACH - 1):
            self.journal.record(ending())
        await self.journal.record_first(ending())

    def damages(self) -> list[Damage]:
        keys = Keys()
        keys.trust(public_key(self.path))
        report = verify(log_files([self.path.parent]), keys, (), lambda _: None)
        return [finding.damage for finding in report.findings]

    def lines(self) -> int:
        files = log_files([self.path.parent])
        contents = [gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes() for file in files]
        return sum(content.count(b'"kind":"exchange"') for content in contents)


@pytest.fixture
async def rotating(tmp_path: Path) -> Rotating:
    return Rotating(tmp_path / "decisions" / "log.jsonl")


async def test_files_that_were_renamed_and_compressed_are_one_chain(rotating: Rotating) -> None:
    """L-09: as logrotate does it, with `delaycompress` or without."""
    for number in range(3):
        await rotating.write()
        renamed = rotating.path.rename(f"{rotating.path}.{number}")
        await rotating.write()
        if number != 1:
            renamed.with_name(renamed.name + ".gz").write_bytes(gzip.compress(renamed.read_bytes()))
            renamed.unlink()
    assert await rotating.journal.close()
    assert len(log_files([rotating.path.parent])) == 4
    assert rotating.lines() == 6 * EACH
    assert rotating.damages() == []


async def test_a_file_that_was_deleted_is_missed(rotating: Rotating) -> None:
    """L-09: the chain goes on in a new file, which says that it does not begin there."""
    await rotating.write()
    rotating.path.unlink()
    await rotating.write()
    assert await rotating.journal.close()
    assert rotating.lines() == EACH
    assert rotating.damages() == [Damage.CUT]


@pytest.mark.parametrize("between", [False, True])
async def test_a_file_that_was_copied_and_cut_is_told_of_and_what_was_lost_is_found(
    rotating: Rotating, caplog: pytest.LogCaptureFixture, between: bool
) -> None:
    """L-09: lines that came between the copy and the cut are nowhere, and the verifier says which; no others are lost."""
    await rotating.write()
    shutil.copy(rotating.path, f"{rotating.path}.1")
    if between:
        await rotating.write()
    with rotating.path.open("r+b") as file:
        file.truncate(0)
    with pytest.raises(LogUnavailable):
        await rotating.write()
    assert rotating.path.read_bytes() == b""
    rotating.path.rename(f"{rotating.path}.2")
    rotating.clock.advance(LOOK_AGAIN)
    assert await rotating.journal.close()
    assert rotating.journal.log.truncations == 1
    assert "cut by somebody else" in caplog.text
    assert rotating.damages() == ([Damage.DELETED] if between else [])
    assert rotating.lines() == 2 * EACH


async def test_a_cut_file_that_is_written_to_is_one_chain_with_its_copy(tmp_path: Path) -> None:
    """L-09: where the settings say that a cut file goes on."""
    rotating = Rotating(tmp_path / "decisions" / "log.jsonl", goes_on=True)
    await rotating.write()
    shutil.copy(rotating.path, f"{rotating.path}.1")
    with rotating.path.open("r+b") as file:
        file.truncate(0)
    await rotating.write()
    assert await rotating.journal.close()
    assert (rotating.journal.log.truncations, rotating.lines(), rotating.damages()) == (1, 2 * EACH, [])


async def test_a_process_that_finds_another_one_at_its_log_does_not_start(tmp_path: Path) -> None:
    """L-11: a real second process; when the first one is dead the second goes on with its chain."""
    path = tmp_path / "decisions" / "log.jsonl"
    path.parent.mkdir()
    scribe = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.decisions.scribe", str(path.parent), "endless", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert scribe.stdout is not None
        assert await scribe.stdout.readline() == b"writing\n"
        clock = SystemClock()
        with pytest.raises(ConfigurationError, match="another process"):
            Journal.open(FileTarget(path), sealed(path, clock), recorder(clock), clock, "sha256:0")
    finally:
        scribe.kill()
        await scribe.wait()
    journal = Journal.open(FileTarget(path), sealed(path, clock), recorder(clock), clock, "sha256:0")
    assert await journal.close()
    keys = Keys()
    keys.trust(public_key(path))
    report = verify([path], keys, (), lambda _: None)
    assert (report.findings, len(report.chains)) == ((), 1)
