"""The end of a chain, as its last line and a checkpoint have it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import orjson
import pytest

from proxy.clock import VirtualClock
from proxy.decisions.chain import Head
from proxy.decisions.checkpoints import Terms
from proxy.decisions.journal import Journal
from proxy.decisions.target import FileTarget
from tests.decisions.bindings import sealed
from tests.decisions.endings import ending, recorder

LINE = b'{"writer":"host-1","seq":7,"prev":"' + b"a" * 64 + b'"}'


def test_a_chain_ends_with_a_line_that_is_bound_to_it() -> None:
    assert Head.of_line(LINE + b"\n") == Head("host-1", 7, hashlib.sha256(LINE).hexdigest())


@pytest.mark.parametrize(
    "line",
    [
        b"",
        LINE[:-1],
        LINE + b" ",
        LINE + b"}",
        LINE.replace(b"writer", b"author"),
        LINE.replace(b"a" * 64, b"A" * 64),
        LINE.replace(b"7", b"-7"),
    ],
)
def test_a_line_that_ends_otherwise_is_the_end_of_no_chain(line: bytes) -> None:
    assert Head.of_line(line) is None


async def test_a_checkpoint_says_when_it_was_made(tmp_path: Path) -> None:
    clock = VirtualClock(1_793_491_200.25)
    path = tmp_path / "decisions" / "log.jsonl"
    path.parent.mkdir()
    seal = sealed(path, clock, Terms(lines=1000, seconds=3600))
    journal = Journal.open(FileTarget(path), seal, recorder(clock), clock, "sha256:0")
    await journal.record_first(ending())
    assert await journal.close()
    last = orjson.loads(path.read_bytes().splitlines()[-1])
    assert (last["kind"], last["time"]) == ("checkpoint", "2026-11-01T00:00:00.250Z")
    assert re.search(r"^time 2026-11-01T00:00:00\.250Z$", last["note"], re.MULTILINE)
