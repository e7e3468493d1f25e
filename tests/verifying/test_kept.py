"""Checkpoints that were kept from standard output: taken as they came."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path
from threading import Thread

import pytest

from proxy.clock import VirtualClock
from proxy.decisions.checkpoints import Terms
from proxy.decisions.journal import Journal
from proxy.decisions.target import FileTarget
from proxy.verifying.findings import Damage
from proxy.verifying.notes import Keys, NoteError, read_checkpoint
from proxy.verifying.verify import verify
from tests.decisions.bindings import public_key, sealed
from tests.decisions.chained import DIGEST
from tests.decisions.endings import STARTED, ending, exchange, recorder
from tests.verifying.damaged import checked, damages, lines_of


@pytest.fixture
async def log(tmp_path: Path) -> tuple[Path, Path]:
    """A log, and what its writer wrote to standard output meanwhile."""
    path, kept = tmp_path / "log.jsonl", tmp_path / "stdout"
    clock = VirtualClock(STARTED)
    with kept.open("wb") as output:
        terms = Terms(lines=50, seconds=3600, descriptor=output.fileno())
        journal = Journal.open(FileTarget(path), sealed(path, clock, terms), recorder(clock), clock, DIGEST)
        for number in range(160):
            journal.record(ending(exchange(id=f"ex_{number:024x}")))
        assert await journal.close()
    return path, kept


async def test_what_was_written_to_standard_output_vouches_for_the_log(log: tuple[Path, Path]) -> None:
    path, kept = log
    assert len(kept.read_text().splitlines()) > 1
    assert checked(path, key=public_key(path), kept=(kept,)).findings == ()
    path.write_bytes(b"".join(lines_of(path)[:-30]))
    assert damages(checked(path, key=public_key(path), kept=(kept,)))[0][0] is Damage.CUT


@pytest.mark.parametrize("second", ['{"checkpoint":"stillgate.log/v1', '{"checkpoint":7}\n', '{"checkpoint":""} {}\n'])
async def test_a_line_that_is_none_of_its_lines_is_named(log: tuple[Path, Path], second: str) -> None:
    path, kept = log
    kept.write_bytes(lines_of(kept)[0] + second.encode())
    assert damages(checked(path, key=public_key(path), kept=(kept,))) == [(Damage.REWRITTEN, 2)]


@pytest.mark.parametrize(
    "other", ["other host-1", "other host-1 x " + "0" * 64, "other host-1 7 0", "other a b 7 " + "0" * 64]
)
def test_a_note_that_says_of_another_writer_what_cannot_be_read_is_none(other: str) -> None:
    head = ["stillgate.log/v1", "writer host-0", "seq 7", "prev " + "0" * 64, "time now", "version 1"]
    assert read_checkpoint("\n".join([*head, f"other host-1 7 {'0' * 64}"])).others[0].seq == 7
    with pytest.raises(NoteError, match="other writers"):
        read_checkpoint("\n".join([*head, other]))


async def test_what_else_a_process_says_is_passed_over_as_where_all_its_output_is_kept_together(
    log: tuple[Path, Path],
) -> None:
    path, kept = log
    first, *others = lines_of(kept)
    said = b'{"event":"serving","level":"info"}\n\nStillgate guards a stand-in model.\n'
    kept.write_bytes(said + first + said + said.join(others) + said)
    assert checked(path, key=public_key(path), kept=(kept,)).findings == ()
    path.write_bytes(b"".join(lines_of(path)[:-30]))
    assert damages(checked(path, key=public_key(path), kept=(kept,)))[0][0] is Damage.CUT


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
async def test_a_checkpoint_begins_behind_whatever_ends_a_line(log: tuple[Path, Path], end: bytes) -> None:
    """A terminal's lines end as it likes, and what shows how far it is goes back to where its line began."""
    path, kept = log
    kept.write_bytes(b"".join(b"pulling: 99 %" + end + line.removesuffix(b"\n") + end for line in lines_of(kept)))
    path.write_bytes(b"".join(lines_of(path)[:-30]))
    assert damages(checked(path, key=public_key(path), kept=(kept,)))[0][0] is Damage.CUT


async def test_a_file_that_holds_no_checkpoint_at_all_is_named(log: tuple[Path, Path]) -> None:
    path, kept = log
    kept.write_bytes(b"".join(b"2026-11-28T09:00:00Z " + line for line in lines_of(kept)))
    assert damages(checked(path, key=public_key(path), kept=(kept,))) == [(Damage.REWRITTEN, 1)]


async def test_files_of_checkpoints_take_no_memory_by_their_length(log: tuple[Path, Path]) -> None:
    """They may hold all that containers said in years."""
    path, kept = log
    with kept.open("ab") as file:
        file.writelines([b'{"event":"serving","level":"info"}\n' * 20] * 20_000)
    tracemalloc.start()
    try:
        assert checked(path, key=public_key(path), kept=(kept,)).findings == ()
        assert tracemalloc.get_traced_memory()[1] < 6 << 20 < kept.stat().st_size
    finally:
        tracemalloc.stop()


async def test_checkpoints_come_from_a_pipe_as_well(log: tuple[Path, Path], tmp_path: Path) -> None:
    """As `docker logs` behind a process substitution does; it is taken before the log is read, as a file is."""
    path, kept = log
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    said = kept.read_bytes()
    path.write_bytes(b"".join(lines_of(path)[:-30]))
    writing = Thread(target=pipe.write_bytes, args=(said,))
    writing.start()
    assert damages(checked(path, key=public_key(path), kept=(pipe,)))[0][0] is Damage.CUT
    writing.join()


async def test_a_file_of_checkpoints_that_is_cut_meanwhile_cannot_be_read(log: tuple[Path, Path]) -> None:
    """By a rotation that copies it and empties it: fewer notes would vouch for less, and say nothing of it."""
    path, kept = log
    keys = Keys()
    keys.trust(public_key(path))
    with pytest.raises(OSError, match="it was cut"):
        verify([path], keys, [kept], lambda _: os.truncate(kept, 0))
