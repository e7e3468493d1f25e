from __future__ import annotations

import asyncio
import contextlib
import random

import pytest

from proxy.clock import VirtualClock
from proxy.errors import ConfigurationError, StoreUnavailable
from proxy.rules.flags.flag import Flag, FlagKey, World
from proxy.rules.flags.rows import (
    CONFIRMATIONS_TABLE,
    FLAGS_TABLE,
    LIFTS_TABLE,
    flag_row,
    read_lift,
    read_name,
    row_name,
)
from proxy.rules.flags.store import FlagRegistry
from proxy.rules.flags.sync import FlagSync
from proxy.rules.pack.words import Subject
from proxy.store.base import Row
from proxy.store.memory import MemoryStore
from tests.rules.flags.replicas import KEY, Counted, Replica, settle
from tests.store.cuttable import Cuttable


async def test_a_flag_raised_on_one_replica_is_in_force_on_all(pair: tuple[Replica, Replica]) -> None:
    a, b = pair
    await settle(a, b)
    a.put()
    b.put(KEY._replace(flag="other", subject=Subject.TENANT))
    await settle(a, b)
    assert a.get() == b.get() != None  # noqa: E711 - one chain says it
    assert b.get(KEY._replace(flag="other", subject=Subject.TENANT)) is not None
    assert a.get(KEY._replace(world=World.SHADOW)) is None


async def test_a_flag_is_in_force_elsewhere_soon_while_both_run(pair: tuple[Replica, Replica]) -> None:
    a, b = pair
    running = [asyncio.create_task(replica.sync.run()) for replica in pair]
    a.put()
    async with asyncio.timeout(5):
        while b.get() is None:
            await asyncio.sleep(0.01)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_flags_are_in_force_again_after_a_restart(pair: tuple[Replica, Replica], clock: VirtualClock) -> None:
    a, b = pair
    names = ["plain", 'quo"te', "{tag}", "sur\ud800rogate", "a:b/c", "ü", ""]
    for name in names:
        a.put(KEY._replace(name=name))
    await a.turn()
    again = Replica(b.store, clock)
    await again.sync.begin()
    assert [again.get(KEY._replace(name=name)) for name in names] == [a.get(KEY._replace(name=name)) for name in names]


async def test_flags_that_an_earlier_version_raised_are_in_force_and_what_was_lifted_is_not(
    clock: VirtualClock,
) -> None:
    store = MemoryStore(clock)
    now = clock.wall()
    flag = (
        b'{"score":40,"raised_at":%.1f,"expires_at":%.1f,"rule":"rule","reason":"why","times":3,"renewed_at":%.1f}'
        % (now - 100, now + 100, now - 50)
    )
    lift = b'{"at":%.1f,"by":"ann","why":"wrong","until":%.1f}' % (now, now + 100)
    await store.write(
        [
            Row("flags", '["enforced","account","acme","probe"]', flag),
            Row("flag_confirmations", '["enforced","account","acme","probe","ann"]', b'{"at":%.1f,"why":"seen"}' % now),
            Row("flags", '["shadow","cluster","c-1","campaign"]', flag),
            Row("flag_lifts", '["shadow","cluster","c-1","campaign"]', lift),
        ]
    )
    replica = Replica(store, clock)
    await replica.sync.begin()
    raised = Flag("probe", 40, now - 100, now + 100, "rule", "why", 3, ("ann",), now - 50)
    assert replica.get(FlagKey(World.ENFORCED, Subject.ACCOUNT, "acme", "probe")) == raised
    assert replica.get(FlagKey(World.SHADOW, Subject.CLUSTER, "c-1", "campaign")) is None
    assert read_lift(lift).by == "ann"


async def test_while_the_store_is_away_flags_stay_and_new_ones_are_told_later(clock: VirtualClock) -> None:
    store = Cuttable(clock)
    a, b = Replica(store, clock), Replica(store, clock)
    a.put()
    await settle(a, b)
    store.away = True
    a.put(KEY._replace(name="new"))
    with pytest.raises(StoreUnavailable):
        await a.turn()
    assert a.get() is not None
    assert b.get() is not None
    assert a.get(KEY._replace(name="new")) is not None
    store.away = False
    await settle(a, b)
    assert b.get(KEY._replace(name="new")) is not None


async def test_a_store_that_lost_its_rows_is_told_them_again(clock: VirtualClock) -> None:
    """R-11, R-14: flags are not lost."""
    store = MemoryStore(clock)
    a = Replica(store, clock)
    a.put()
    await settle(a)
    a.store = empty = MemoryStore(clock)
    a.sync = FlagSync(a.book, empty, clock)
    a.cursor = None
    await settle(a)
    assert [read_name(name)[0] async for name, _ in empty.scan(FLAGS_TABLE)] == [KEY]


async def test_renewals_by_every_request_cost_few_writes(clock: VirtualClock) -> None:
    store = Counted(clock)
    a = Replica(store, clock)
    for _ in range(500):
        a.put(ttl=3600)
        await a.turn()
        clock.advance(1)
    assert store.writes <= 4


@pytest.mark.parametrize(
    "row",
    [
        Row(FLAGS_TABLE, "no json", b"{}"),
        Row(FLAGS_TABLE, "[]", b"{}"),
        Row(FLAGS_TABLE, '["enforced","planet","acme","x"]', b"{}"),
        Row(FLAGS_TABLE, row_name(KEY._replace(name="bad")), b"[1]"),
        Row(FLAGS_TABLE, row_name(KEY._replace(name="bad")), b"\xff"),
        Row(LIFTS_TABLE, row_name(KEY), b"{}"),
        Row(CONFIRMATIONS_TABLE, row_name(KEY, "ann"), b'{"at":null}'),
    ],
)
async def test_a_row_that_cannot_be_read_takes_no_other_with_it(clock: VirtualClock, row: Row) -> None:
    store = MemoryStore(clock)
    a = Replica(store, clock)
    flag = Flag("probe", 40, clock.wall(), clock.wall() + 100, "rule")
    await store.write([row, flag_row(KEY, flag)])
    await a.sync.begin()
    assert a.get() == flag
    assert len(a.book) == 1


@pytest.mark.parametrize("seed", range(15))
async def test_replicas_come_to_the_same_after_any_history(seed: int) -> None:
    draw = random.Random(seed)
    clock = VirtualClock()
    store = Cuttable(clock)
    replicas = [Replica(store, clock) for _ in range(3)]
    registry = FlagRegistry(store, clock)
    keys = [KEY._replace(name=name) for name in "ab"]
    for _ in range(200):
        replica, key = draw.choice(replicas), draw.choice(keys)
        match draw.randrange(8):
            case 0 | 1 | 2:
                replica.put(key, draw.choice([25, 40]), draw.choice([5.0, 50.0]))
            case 3 | 4 | 5:
                store.away = draw.random() < 0.3
                with contextlib.suppress(StoreUnavailable):
                    await replica.turn()
                store.away = False
            case 6:
                with contextlib.suppress(KeyError, ConfigurationError):
                    await registry.confirm(key, draw.choice(["ann", "bob"]), "")
            case _:
                with contextlib.suppress(KeyError):
                    await registry.lift(key, "ann", "")
        clock.advance(draw.random())
    for _ in range(3):
        await settle(*replicas)
    for key in keys:
        flags = [replica.get(key) for replica in replicas]
        facts = [flag and (flag.score, flag.raised_at, flag.confirmed_by) for flag in flags]
        assert facts[0] == facts[1] == facts[2], (flags, key)
