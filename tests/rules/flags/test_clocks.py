"""Row L-10: a clock that was wrong, of whichever process, costs no flag and keeps none from being lifted."""

from __future__ import annotations

import asyncio
import random

import pytest

from proxy.rules.flags.rows import FLAGS_TABLE, row_name
from proxy.rules.flags.store import FlagRegistry
from proxy.store.memory import MemoryStore
from tests.rig.clocks import Settable
from tests.rules.flags.replicas import KEY, Counted, Replica, settle


@pytest.mark.parametrize("ahead", [3700.0, 10 * 366 * 86_400.0])
async def test_a_clock_that_was_set_ahead_and_back_costs_no_flag(ahead: float) -> None:
    """L-10: everywhere flags are in force again once it is right, and the store never lost them."""
    clock = Settable()
    clock.advance(1_000)
    store = MemoryStore(clock)
    a, b = Replica(store, clock), Replica(store, clock)
    a.put(ttl=60)
    await settle(a, b)
    clock.advance(1)
    clock.ahead = ahead
    for replica in (a, b):
        assert not replica.book.on(KEY.world, KEY.subject, KEY.name, clock.wall())
        await replica.sync.sweep()
        await replica.turn()
    clock.ahead = 0.0
    for replica in (a, b):
        assert KEY.flag in replica.book.on(KEY.world, KEY.subject, KEY.name, clock.wall())
        await replica.sync.sweep()
    assert [row_name(KEY)] == [name async for name, _ in store.scan(FLAGS_TABLE)]


@pytest.mark.parametrize("every", [False, True])
async def test_a_flag_that_a_wrong_clock_raised_is_lifted_and_can_be_raised_again_at_once(every: bool) -> None:
    clock = Settable()
    store = MemoryStore(clock)
    a, b = Replica(store, clock), Replica(store, clock)
    registry = FlagRegistry(store, clock)
    clock.ahead = 8 * 3600.0
    a.put()
    await settle(a, b)
    clock.ahead = 0.0
    assert a.get() is not None
    if every:
        assert await registry.lift_all(lambda *_: True, "ann", "honest") == 1
    else:
        await registry.lift(KEY, "ann", "honest")
    await settle(a, b)
    assert (a.get(), b.get(), [entry async for entry in registry.list()]) == (None, None, [])
    clock.advance(1)
    b.put()
    await b.sync.begin()
    assert b.get() is not None, "although the store has not heard of it"
    await settle(b, a)
    await registry.confirm(KEY, "bob", "not so")
    await settle(a, b)
    assert [replica.book.on(*KEY[:3], clock.wall())[KEY.flag].confirmed_by for replica in (a, b)] == [("bob",)] * 2
    assert [(key, flag.confirmed_by) async for key, flag in registry.list()] == [(KEY, ("bob",))]
    again = Replica(store, clock)
    await again.turn()
    assert again.get() is not None


@pytest.mark.parametrize("seed", range(15))
async def test_what_is_raised_after_that_stays_in_force_also_as_the_moment_of_the_wrong_clock_comes(seed: int) -> None:
    draw = random.Random(seed)
    clock = Settable()
    store = Counted(clock)
    replicas = [Replica(store, clock) for _ in range(3)]
    registry = FlagRegistry(store, clock)
    clock.ahead = 8 * 3600.0
    replicas[0].put(ttl=86_400.0)
    await settle(*replicas)
    clock.ahead = 0.0
    await registry.lift(KEY, "ann", "honest")
    await settle(*replicas)
    clock.advance(1)
    draw.choice(replicas).put(ttl=86_400.0)
    await settle(*replicas)
    await registry.confirm(KEY, "bob", "not so")
    while clock.wall() < 1_700_000_000.0 + 10 * 3600:
        store.writes = 0
        replica = draw.choice(replicas)
        if draw.random() < 0.5:
            replica.put(ttl=86_400.0)
        if draw.random() < 0.3:
            await replica.sync.begin()
        if draw.random() < 0.3:
            replicas.append(Replica(store, clock))
        await settle(*replicas)
        assert store.writes < 10
        flags = [replica.get() for replica in replicas]
        assert [flag and flag.confirmed_by for flag in flags] == [("bob",)] * len(replicas)
        assert [flag.confirmed_by async for _, flag in registry.list()] == [("bob",)]
        clock.advance(draw.random() * 3600)


async def test_a_process_that_starts_while_its_clock_is_ahead_knows_all_flags_once_it_is_right() -> None:
    clock = Settable()
    store = MemoryStore(clock)
    a, late = Replica(store, clock), Replica(store, clock)
    a.put(ttl=60)
    await a.turn()
    clock.ahead = 8 * 3600.0  # as of a machine whose own clock keeps local time
    await late.sync.begin()
    running = asyncio.create_task(late.sync.run())
    await asyncio.sleep(0.01)
    assert late.get() is None
    clock.ahead = 0.0
    async with asyncio.timeout(10):
        while late.get() is None:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
