"""What a process remembers for its detectors: what is too old goes, but not by a clock that was just set."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

import pytest

from proxy.config import load_settings
from proxy.deciding import deciders
from proxy.deciding.deciders import Deciders
from proxy.detectors.foreign_signature import KEPT_S, TABLE
from proxy.rules.pack_loading import load_pack
from proxy.secrets import Master
from proxy.store.base import Row
from proxy.store.memory import MemoryStore
from tests.rules.flag_replicas import Settable

PACK = Path(__file__).parents[2] / "policies" / "default.yaml"


@pytest.mark.parametrize(("ahead", "left"), [(0.0, 1), (10 * 366 * 86_400.0, 2)])
async def test_whose_a_seal_is_is_forgotten_after_three_days_but_not_in_the_hour_after_a_clock_was_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: float, left: int
) -> None:
    monkeypatch.setattr(deciders, "_FLUSH_S", 0.0)
    clock = Settable()
    store = MemoryStore(clock)
    settings = load_settings(None, {"data": tmp_path})
    made = await Deciders.open(settings, load_pack(PACK), store, clock, Master(bytes(32)), None)
    for age in (0.0, KEPT_S):
        issued = bytes(16) + struct.pack(">Q", int(clock.wall() - age))
        await store.write([Row(TABLE, f"{age}", issued)])
    *others, storing = made.work()
    for other in others:
        other.close()
    running = asyncio.create_task(storing)
    await turns()
    clock.ahead = ahead
    await turns()
    clock.advance(3590 if ahead else 3601)
    await turns()
    assert len([name async for name, _ in store.scan(TABLE)]) == left
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def turns() -> None:
    for _ in range(50):
        await asyncio.sleep(0)
