"""What a process remembers for its detectors: what is too old goes, but not by a clock that was just set.

And what changes with the pack in force while the rest goes on.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.config import load_settings
from proxy.deciding import deciders
from proxy.deciding.deciders import Deciders
from proxy.detectors.foreign_signature import KEPT_S, TABLE
from proxy.exchange import Exchange, Principal, Text
from proxy.rules.pack_file.loading import load_pack
from proxy.secrets import Master
from proxy.store.base import Row
from proxy.store.memory import MemoryStore
from tests.fingerprint.prompts import words
from tests.rig.clocks import Settable

POLICIES = Path(__file__).parents[2] / "policies"
PACK = POLICIES / "default.yaml"


@pytest.mark.parametrize(("ahead", "left"), [(0.0, 1), (10 * 366 * 86_400.0, 2)])
async def test_whose_a_seal_is_is_forgotten_after_three_days_but_not_in_the_hour_after_a_clock_was_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: float, left: int
) -> None:
    monkeypatch.setattr(deciders, "_FLUSH_S", 0.0)
    clock = Settable()
    store = MemoryStore(clock)
    settings = load_settings(None, {"data": tmp_path})
    made = Deciders(settings, load_pack(PACK), store, clock, Master(bytes(32)), ())
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


async def test_prompts_are_fingerprinted_as_the_pack_in_force_says(tmp_path: Path) -> None:
    clock, pack = Settable(), load_pack(POLICIES / "strict.yaml")
    settings = load_settings(None, {"data": tmp_path})
    made = Deciders(settings, pack, MemoryStore(clock), clock, Master(bytes(32)), ())
    long, short = words(1, 12_000), words(1, 3_000)  # of some 50,000 and 12,000 letters

    def prints(max_letters: int, text: str) -> set[int]:
        decider = made.put_to_work(made.compile(replace(pack, max_letters=max_letters)))
        exchange = Exchange("x", "openai.chat", "", "", "", 0.0, Principal("k", "a", "t", "pro", 0.0, {}))
        exchange.texts = [Text("user", "messages[0].content", text)]
        decider.print_each([exchange])
        return set(exchange.prints.every.tolist())

    assert len(prints(20_000, long)) < 0.6 * len(prints(pack.max_letters, long))
    assert prints(pack.max_letters, long) == prints(1_000_000, long)
    assert prints(20_000, short) == prints(1_000_000, short)
