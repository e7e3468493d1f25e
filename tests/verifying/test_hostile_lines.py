"""Lines that somebody wrote to mislead the verifier, or to break it."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.verifying.findings import Damage
from tests.decisions.chained import write_log
from tests.verifying.damaged import checked, damages, lines_of, linked

HEAD = (
    b'{"v":1,"kind":"%b","time":"2025-11-24T16:00:00.250Z","writer":"host-0-a1b2c3","stillgate":"0.1.0",%b,"seq":1}\n'
)


@pytest.fixture
async def log(tmp_path: Path) -> tuple[Path, str]:
    path = tmp_path / "decisions" / "log.jsonl"
    path.parent.mkdir()
    return path, await write_log(path, 20)


@pytest.mark.parametrize(
    "columns",
    [
        b'"note":5,"handover":""',
        b'"note":"","handover":["x"]',
        b'"note":"","handover":{"x":1}',
        b'"handover":""',
        b'"note":' + b"[" * 30_000,
        b'"note":"\\ud800","handover":""',
        b'"note":"\xff","handover":""',
    ],
)
async def test_what_is_no_checkpoint_as_it_was_written_is_told_whatever_it_holds(
    log: tuple[Path, str], columns: bytes
) -> None:
    path, key = log
    lines = lines_of(path)
    path.write_bytes(b"".join([*lines, *linked(lines[-1], [HEAD % (b"checkpoint", columns)])]))
    assert damages(checked(path, key=key)) == [(Damage.EDITED, len(lines) + 1)]


@pytest.mark.parametrize("columns", [b'"torn_bytes":' + b"[" * 30_000, b'"torn_bytes":"3"', b'"torn":3', b"\xff"])
async def test_what_is_no_repair_forgives_nothing(log: tuple[Path, str], columns: bytes) -> None:
    path, key = log
    lines = lines_of(path)
    path.write_bytes(b"".join([*lines, b"xxx\n", *linked(lines[-1], [HEAD % (b"repair", columns)])]))
    assert damages(checked(path, key=key)) == [(Damage.INSERTED, len(lines) + 1)]


async def test_a_number_that_no_chain_comes_to_is_no_link(log: tuple[Path, str]) -> None:
    path, key = log
    lines = lines_of(path)
    far = linked(lines[-1], [HEAD % (b"stop", b'"lost":0')])[0].replace(b'"seq":', b'"seq":9' + b"9" * 16)
    path.write_bytes(b"".join([*lines, far]))
    assert len(far.partition(b'"seq":')[2].partition(b",")[0]) == 19
    assert damages(checked(path, key=key)) == [(Damage.INSERTED, len(lines) + 1)]


async def test_a_line_that_hangs_on_with_a_number_that_was_there_before_is_told(log: tuple[Path, str]) -> None:
    path, key = log
    lines = lines_of(path)[:-1]
    number = b'"seq":%d,' % len(lines)
    assert number in lines[-1]
    for at in (len(lines) - 1, 3):
        path.write_bytes(b"".join([*lines[:-1], lines[-1].replace(number, b'"seq":%d,' % at)]))
        assert damages(checked(path, key=key)) == [(Damage.EDITED, len(lines))]


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 200_000])
async def test_a_line_longer_than_any_is_one_line(log: tuple[Path, str], size: int) -> None:
    path, key = log
    lines = lines_of(path)
    path.write_bytes(b"".join([*lines[:7], b"x" * size + b"\n", *lines[7:12], *lines[13:]]))
    assert damages(checked(path, key=key)) == [(Damage.INSERTED, 8), (Damage.DELETED, 14)]
    path.write_bytes(b"".join([*lines, b"x" * size]))
    assert damages(checked(path, key=key)) == [(Damage.TORN, len(lines) + 1)]
