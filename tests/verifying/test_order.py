"""Files in whatever order their names put them, as logrotate's numbers do: newest first."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.clock import VirtualClock
from proxy.decision import Effect, Verdict
from proxy.decisions import signing
from proxy.decisions.journal import Journal
from proxy.decisions.reading import log_files
from proxy.decisions.target import FileTarget
from proxy.verifying.findings import Damage, Place
from tests.decisions.bindings import public_key, sealed
from tests.decisions.chained import DIGEST, write_log
from tests.decisions.endings import STARTED, ending, exchange, recorder
from tests.verifying.damaged import checked, damages, lines_of

LOOK_AGAIN = 2.0  # seconds after which the writer looks at its file again
PATIENT = exchange(id=f"ex_{1:024x}")
OTHER = exchange(id=f"ex_{2:024x}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "decisions" / "log.jsonl"
    path.parent.mkdir()
    return path


def checkpoint(path: Path) -> bytes:
    return next(line for line in lines_of(path) if b'"kind":"checkpoint"' in line)


def put(path: Path, lines: list[bytes]) -> None:
    path.write_bytes(b"".join(lines))


def moved(path: Path, number: int) -> Path:
    return path.rename(path.with_name(f"{path.name}.{number}"))


async def test_a_degraded_exchange_may_begin_in_one_file_and_end_in_the_next(path: Path) -> None:
    clock = VirtualClock(STARTED)
    journal = Journal.open(FileTarget(path), sealed(path, clock), recorder(clock), clock, DIGEST)
    await journal.record_first(ending(OTHER))
    moved(path, 2)
    clock.advance(LOOK_AGAIN)
    await journal.begin(PATIENT, Verdict(Effect.DEGRADE), DIGEST)
    moved(path, 1)
    clock.advance(LOOK_AGAIN)
    await journal.record_first(ending(PATIENT))
    assert await journal.close()
    report = checked(*log_files([path.parent]), key=public_key(path))
    assert report.findings == ()
    assert (report.chains[0].first, report.chains[0].last) == (1, report.lines)


async def test_one_that_never_ended_is_found_where_the_next_process_began_a_file(path: Path) -> None:
    """P2."""
    key = await write_log(path, 15)
    lines = lines_of(path)
    begun = max(number for number, line in enumerate(lines) if b'"kind":"begin"' in line)
    put(path, lines[: begun + 1])
    await write_log(path, 1)
    lines = lines_of(path)
    before = moved(path, 1)
    put(before, lines[: begun + 1])
    put(path, lines[begun + 1 :])
    files = log_files([path.parent])
    assert files == [path, before]
    (finding,) = checked(*files, key=key).findings
    assert (finding.damage, finding.place) == (Damage.UNENDED, Place(before, begun + 1))


async def test_a_key_that_was_replaced_twice_is_followed(path: Path) -> None:
    first = await write_log(path, 60)
    for number in (2, 1):
        moved(path, number)
        signing.rotate(path.parent.with_name("decisions.log.key"))
        await write_log(path, 60)
    assert len(log_files([path.parent])) == 3
    assert checked(*log_files([path.parent]), key=first).findings == ()


async def test_a_writer_that_came_later_shows_a_key_that_an_other_was_handed(path: Path) -> None:
    """Its own lines have only the last of two handovers."""
    first = await write_log(path, 60, writer="host-0-aaaaaa")
    key_file = path.parent.with_name("decisions.log.key")
    signing.rotate(key_file)
    await write_log(path, 60, writer="host-0-aaaaaa")
    signing.rotate(key_file)
    later = path.with_name("admin.jsonl")
    last = await write_log(later, 60, writer="host-admin-bbbbbb")
    await write_log(path, 60, writer="host-0-aaaaaa")
    assert checked(later, path, key=first).findings == ()
    assert {chain.tail for chain in checked(later, path, key=first).chains} == {0}
    assert damages(checked(later, path, key=last))[0][0] is Damage.REWRITTEN, "what came before it is not vouched for"
    assert damages(checked(later, key=first)) == [(Damage.REWRITTEN, lines_of(later).index(checkpoint(later)) + 1)]
