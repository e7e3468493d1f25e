"""Writes small logs as the product does, for those who damage them."""

from __future__ import annotations

from pathlib import Path

from proxy.clock import VirtualClock
from proxy.decision import Effect, Verdict
from proxy.decisions.checkpoints import Terms
from proxy.decisions.journal import Journal
from proxy.decisions.record import Recorder
from proxy.decisions.target import FileTarget
from tests.decisions.bindings import public_key, sealed
from tests.decisions.endings import STARTED, ending, exchange, recorder

DIGEST = "a" * 64


async def write_log(
    path: Path,
    records: int,
    *,
    every: int = 50,
    clock: VirtualClock | None = None,
    writer: str = "host-0-a1b2c3",
    record: Recorder | None = None,
) -> str:
    """Write a log with so many records, begun and ended in order, and return the public key of its checkpoints."""
    clock = clock or VirtualClock(STARTED)
    binding = sealed(path, clock, Terms(lines=every, seconds=3600), writer=writer)
    journal = Journal.open(FileTarget(path), binding, record or recorder(clock), clock, DIGEST)
    for number in range(records):
        one = exchange(id=f"ex_{number:024x}")
        if number % 10 == 0:
            await journal.begin(one, Verdict(Effect.DEGRADE), DIGEST)
        journal.record(ending(one))
    assert await journal.close()
    return public_key(path)
