"""Flags that ended go from the store, and none that another process may have renewed."""

from __future__ import annotations

import asyncio

import pytest

from proxy.clock import VirtualClock
from proxy.rules.flags import sync as flag_sync
from proxy.rules.flags.rows import CONFIRMATIONS_TABLE, FLAGS_TABLE, LIFTS_TABLE, row_name
from proxy.rules.flags.store import FlagRegistry
from proxy.store.memory import MemoryStore
from tests.rig.clocks import Settable
from tests.rules.flags.replicas import KEY, Counted, Line, Replica, settle


async def test_flags_that_ended_are_swept_from_the_store(
    pair: tuple[Replica, Replica], registry: FlagRegistry, clock: VirtualClock
) -> None:
    a, b = pair
    a.put(ttl=10)
    a.put(KEY._replace(name="lifted"), ttl=10)
    a.put(KEY._replace(name="long"), ttl=90_000)
    await settle(a, b)
    await registry.confirm(KEY, "ann", "right")
    await registry.lift(KEY._replace(name="lifted"), "ann", "wrong")
    await settle(a, b)
    clock.advance(4000)
    await a.hear()
    await a.sync.sweep()
    await settle(a, b)
    tables = [
        [name async for name, _ in a.store.scan(table)] for table in (FLAGS_TABLE, LIFTS_TABLE, CONFIRMATIONS_TABLE)
    ]
    assert tables == [[row_name(KEY._replace(name="long"))], [], []]
    assert [len(replica.book) for replica in pair] == [1, 1]


async def test_flags_that_ended_while_nobody_ran_are_swept_from_the_store(clock: VirtualClock) -> None:
    store = MemoryStore(clock)
    a = Replica(store, clock)
    a.put(ttl=60)
    await a.turn()
    await FlagRegistry(store, clock).confirm(KEY, "ann", "saw it")
    clock.advance(3600)
    again = Replica(store, clock)
    await again.turn()
    assert again.get() is None
    clock.advance(3700)
    await again.hear()
    await again.sync.sweep()
    left = [name for table in (FLAGS_TABLE, CONFIRMATIONS_TABLE) async for name, _ in store.scan(table)]
    assert (left, len(again.book)) == ([], 0)


async def test_a_running_process_sweeps_by_itself(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flag_sync, "_TURN_S", 0.01)
    replica = Replica(MemoryStore(clock), clock)
    running = asyncio.create_task(replica.sync.run())
    replica.put(ttl=10)
    async with asyncio.timeout(10):
        while replica.book.unsent:
            await asyncio.sleep(0.01)
        clock.advance(4000)
        while [row async for row in replica.store.scan(FLAGS_TABLE)]:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_who_has_a_clock_far_ahead_does_not_go_on_deleting_what_another_one_tells(clock: VirtualClock) -> None:
    store, wrong = Counted(clock), Settable(clock.wall())
    wrong.ahead = 3 * 3600.0
    right, ahead = Replica(store, clock), Replica(store, wrong)
    right.put(ttl=4 * 3600.0)
    await settle(right, ahead)
    for each in (clock, wrong):
        each.advance(2.5 * 3600)
    store.writes = 0
    for replica in [ahead, right] * 10:
        await replica.turn()
        await replica.sync.sweep()
    assert store.writes == 2
    assert right.get() is not None
    assert [name async for name, _ in store.scan(FLAGS_TABLE)] == [row_name(KEY)]


async def test_who_was_cut_off_deletes_nothing_that_others_renewed_meanwhile(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flag_sync, "_TURN_S", 0.001)
    store = MemoryStore(clock)
    line = Line(store)
    a, b = Replica(line, clock), Replica(store, clock)
    b.put(ttl=3600.0)
    await settle(a, b)
    await FlagRegistry(store, clock).confirm(KEY, "ann", "saw it")
    await settle(a, b)
    running = asyncio.create_task(a.sync.run())
    await asyncio.sleep(0.01)
    line.away = True
    for _ in range(6):
        clock.advance(1800)
        b.put(ttl=3600.0)
        await b.turn()
        await asyncio.sleep(0.01)  # for a to look for what has ended
    line.away = False
    async with asyncio.timeout(10):
        while a.get() is None:
            await b.turn()
            await asyncio.sleep(0.01)
    await b.turn()
    assert [flag and flag.confirmed_by for flag in (a.get(), b.get())] == [("ann",)] * 2
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
