"""Checkpoints in a file elsewhere: each is whole, whatever became of the one before it."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import pytest

from proxy.clock import VirtualClock
from proxy.decisions.checkpoints import Terms, _append
from proxy.decisions.journal import Journal
from proxy.decisions.target import FileTarget
from proxy.verifying.findings import Damage
from tests.decisions.bindings import public_key, sealed
from tests.decisions.chained import DIGEST
from tests.decisions.endings import STARTED, ending, exchange, recorder
from tests.verifying.damaged import checked, damages, lines_of


async def logged(path: Path, kept: Path) -> int:
    """Write 160 records with a checkpoint for 50 each; return how many of those could not be kept."""
    clock = VirtualClock(STARTED)
    terms = Terms(lines=50, seconds=3600, file=kept)
    journal = Journal.open(FileTarget(path), sealed(path, clock, terms), recorder(clock), clock, DIGEST)
    for number in range(160):
        journal.record(ending(exchange(id=f"ex_{number:024x}")))
    assert await journal.close()
    return journal.log.unkept_checkpoints


async def test_a_note_that_could_not_be_kept_is_counted(tmp_path: Path) -> None:
    assert await logged(tmp_path / "one" / "log.jsonl", tmp_path / "kept") == 0
    assert await logged(tmp_path / "two" / "log.jsonl", tmp_path / "missing" / "kept") > 0


async def test_a_note_behind_one_that_was_torn_is_read(tmp_path: Path) -> None:
    path, kept = tmp_path / "log.jsonl", tmp_path / "kept"
    kept.write_bytes(b"stillgate.log/v1\nwriter vm-0-000000\nseq 7\nprev 0123")
    await logged(path, kept)
    assert damages(checked(path, key=public_key(path), kept=(kept,))) == [(Damage.REWRITTEN, 1)]
    path.write_bytes(b"".join(lines_of(path)[:-30]))
    assert Damage.CUT in [damage for damage, _ in damages(checked(path, key=public_key(path), kept=(kept,)))]


async def test_a_note_that_finds_room_for_a_part_of_it_only_leaves_nothing(tmp_path: Path) -> None:
    path, kept = tmp_path / "log.jsonl", tmp_path / "kept"
    await logged(path, kept)
    before = kept.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, hard))
    try:
        with pytest.raises(OSError, match="No space left"):
            _append(kept, b"stillgate.log/v1\nwriter vm-0-000000\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert kept.read_bytes() == before
    assert checked(path, key=public_key(path), kept=(kept,)).findings == ()
