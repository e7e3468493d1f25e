"""Lines are taken in runs where they hang together: however a log was damaged, that tells the same as each by itself."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.verifying import lines as reading
from proxy.verifying.findings import Report
from proxy.verifying.notes import Keys
from proxy.verifying.verify import verify
from tests.decisions.chained import write_log
from tests.verifying.damaged import lines_of, linked

Lines = list[bytes]
Change = Callable[[Lines, int, int], Lines]


def flipped(lines: Lines, at: int, how: int) -> Lines:
    line = bytearray(lines[at])
    line[-1 - how * 7 % len(line)] ^= 1 << how % 8
    return [*lines[:at], bytes(line), *lines[at + 1 :]]


def forged(lines: Lines, at: int, how: int) -> Lines:
    end = at + 1 + how % 8
    changed = [line.replace(b'"allow"', b'"deny"') for line in lines[at:end] if b',"seq":' in line]
    if at == 0 or b',"seq":' not in lines[at - 1]:
        return lines
    return [*lines[:at], *linked(lines[at - 1], changed), *lines[end:]]


CHANGES: dict[str, Change] = {
    "flip a bit": flipped,
    "take out": lambda lines, at, how: lines[:at] + lines[at + 1 + how % 8 :],
    "put in again": lambda lines, at, how: lines[: how % len(lines)] + lines[at : at + 3] + lines[how % len(lines) :],
    "swap": lambda lines, at, how: lines[:at] + lines[at : at + 2 + how % 3][::-1] + lines[at + 2 + how % 3 :],
    "put in what is no line": lambda lines, at, how: [*lines[:at], b"x" * how + b"\n", *lines[at:]],
    "rename the writer": lambda lines, at, how: [
        *lines[:at],
        *(line.replace(b"host-0-", b"host-9-") for line in lines[at : at + 1 + how % 3]),
        *lines[at + 1 + how % 3 :],
    ],
    "link anew": forged,
    "cut": lambda lines, at, how: [*lines[: at + 1], lines[at][:how]],
}
change = st.tuples(st.sampled_from(sorted(CHANGES)), st.integers(0, 10_000), st.integers(0, 300))


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lines, Lines, str]:
    folder = tmp_path_factory.mktemp("runs") / "decisions"
    folder.mkdir()
    for _ in range(2):  # what was begun must have ended before the next start
        asyncio.run(write_log(folder / "0.jsonl", 20, every=8))
    for _ in range(2):
        key = asyncio.run(write_log(folder / "1.jsonl", 20, every=8, writer="host-1-bbbbbb"))
    return lines_of(folder / "0.jsonl"), lines_of(folder / "1.jsonl"), key


def told(file: Path, key: str, run_lines: int) -> Report:
    keys, read = Keys(), list[int]()
    keys.trust(key)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "RUN_LINES", run_lines)
        report = verify([file], keys, (), read.append)
    assert sum(read) == file.stat().st_size
    return report


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(change, max_size=3),
    packed_to=st.none() | st.integers(30, 100),
    turns=st.none() | st.integers(1, 5),
    run_lines=st.sampled_from([1, 3, 1024]),
)
def test_it_tells_the_same_of_lines_in_runs_and_of_each_by_itself(
    logs: tuple[Lines, Lines, str],
    tmp_path: Path,
    changes: list[tuple[str, int, int]],
    packed_to: int | None,
    turns: int | None,
    run_lines: int,
) -> None:
    """Of one writer or of two in turns, plain or compressed up to some percent of the file."""
    one, two, key = logs
    lines = list(one)
    if turns:
        lines = [line for at in range(0, len(one), turns) for line in one[at : at + turns] + two[at : at + turns]]
    for name, at, how in changes:
        lines = CHANGES[name](lines, at % len(lines), how) or list(one)
    content = b"".join(lines)
    if packed_to is not None:
        packed = gzip.compress(content, 1)
        content = packed[: len(packed) * packed_to // 100]
    path = tmp_path / "log.jsonl"
    path.write_bytes(content)
    each = told(path, key, 0)
    assert told(path, key, run_lines) == each
    if not changes and packed_to in {None, 100}:
        assert each.findings == ()
