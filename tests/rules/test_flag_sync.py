from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from proxy.clock import VirtualClock
from proxy.errors import ConfigurationError, StoreUnavailable
from proxy.rules import flag_sync
from proxy.rules.flag_book import FlagBook
from proxy.rules.flag_rows import CONFIRMATIONS_TABLE, FLAGS_TABLE, LIFTS_TABLE, flag_row, read_name, row_name
from proxy.rules.flag_store import FlagRegistry
from proxy.rules.flag_sync import FlagSync
from proxy.rules.flags import Flag, FlagKey, World
from proxy.rules.pack import Subject
from proxy.store.base import Row, Store
from proxy.store.embedded import EmbeddedServer
from proxy.store.memory import MemoryStore
from proxy.store.redis import RedisStore
from tests.store.cuttable import Cuttable

KEY = FlagKey(World.ENFORCED, Subject.ACCOUNT, "acme", "probe")


class Counted(Cuttable):
    """One that counts what is written."""

    writes = 0

    async def write(self, rows: Sequence[Row], *, only_new: bool = False, given: Row | None = None) -> bool:
        self.writes += not self.away
        return await super().write(rows, only_new=only_new, given=given)


class Line:
    """One process's line to a store that others have as well, which can be cut."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.away = False

    def __getattr__(self, name: str) -> Any:
        if self.away:
            raise StoreUnavailable("away")
        return getattr(self._store, name)


class Replica:
    """One process: its flags, what shares them, and where it stands in the feed; moved by hand."""

    def __init__(self, store: Store, clock: VirtualClock) -> None:
        self.clock = clock
        self.store = store
        self.book = FlagBook(shared=True)
        self.sync = FlagSync(self.book, store, clock)
        self.cursor: str | None = None

    async def turn(self) -> None:
        await self.sync.flush()
        await self.hear()

    async def hear(self) -> None:
        changes = await self.store.changes(self.cursor, 0)
        if changes.lost or self.cursor is None:
            await self.sync.begin()
        await self.sync.hear(changes.rows)
        self.cursor = changes.cursor
        self.sync.caught_up(self.clock.monotonic())

    def put(self, key: FlagKey = KEY, score: int = 40, ttl: float = 1000.0) -> None:
        now = self.clock.wall()
        self.book.put(key.world, key.subject, key.name, Flag(key.flag, score, now, now + ttl, "rule", "why"))

    def get(self, key: FlagKey = KEY) -> Flag | None:
        return self.book.on(key.world, key.subject, key.name, self.clock.wall()).get(key.flag)


async def _settle(*replicas: Replica) -> None:
    for replica in [*replicas, *replicas, *replicas]:
        await replica.turn()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture(params=["memory", "embedded"])
async def stores(request: pytest.FixtureRequest, clock: VirtualClock) -> AsyncIterator[tuple[Store, Store]]:
    """Two objects on one store."""
    if request.param == "memory":
        store = MemoryStore(clock)
        yield store, store
        return
    with tempfile.TemporaryDirectory(prefix="sg") as folder:
        server = EmbeddedServer(Path(folder))
        url = await server.start()
        both = [await RedisStore.connect(url, deadline=5.0) for _ in range(2)]
        yield both[0], both[1]
        for store_on_server in both:
            await store_on_server.close()
        await server.stop()


@pytest.fixture
def pair(stores: tuple[Store, Store], clock: VirtualClock) -> tuple[Replica, Replica]:
    return Replica(stores[0], clock), Replica(stores[1], clock)


@pytest.fixture
def registry(stores: tuple[Store, Store], clock: VirtualClock) -> FlagRegistry:
    return FlagRegistry(stores[0], clock)


async def test_a_flag_raised_on_one_replica_is_in_force_on_all(pair: tuple[Replica, Replica]) -> None:
    a, b = pair
    await _settle(a, b)
    a.put()
    b.put(KEY._replace(flag="other", subject=Subject.TENANT))
    await _settle(a, b)
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
    assert replica.sync.unreadable == 0


async def test_flags_that_ended_are_swept_from_the_store(
    pair: tuple[Replica, Replica], registry: FlagRegistry, clock: VirtualClock
) -> None:
    a, b = pair
    a.put(ttl=10)
    a.put(KEY._replace(name="lifted"), ttl=10)
    a.put(KEY._replace(name="long"), ttl=90_000)
    await _settle(a, b)
    await registry.confirm(KEY, "ann", "right")
    await registry.lift(KEY._replace(name="lifted"), "ann", "wrong")
    await _settle(a, b)
    clock.advance(4000)
    await a.hear()
    await a.sync.sweep()
    await _settle(a, b)
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
    await _settle(right, ahead)
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
    await _settle(a, b)
    await FlagRegistry(store, clock).confirm(KEY, "ann", "saw it")
    await _settle(a, b)
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


class Settable(VirtualClock):
    """A clock whose wall reading can be set, as an operator or a time server does."""

    ahead = 0.0

    def wall(self) -> float:
        return super().wall() + self.ahead


@pytest.mark.parametrize("ahead", [3700.0, 10 * 366 * 86_400.0])
async def test_a_clock_that_was_set_ahead_and_back_costs_no_flag(ahead: float) -> None:
    """L-10: everywhere flags are in force again once it is right, and the store never lost them."""
    clock = Settable()
    clock.advance(1_000)
    store = MemoryStore(clock)
    a, b = Replica(store, clock), Replica(store, clock)
    a.put(ttl=60)
    await _settle(a, b)
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


async def test_what_is_lifted_is_gone_everywhere_and_comes_back_only_when_raised_anew(
    pair: tuple[Replica, Replica], registry: FlagRegistry, clock: VirtualClock
) -> None:
    a, b = pair
    a.put()
    await _settle(a, b)
    await registry.confirm(KEY, "ann", "right")
    clock.advance(1)
    await registry.lift(KEY, "bob", "a research account")
    await _settle(a, b)
    assert [a.get(), b.get()] == [None, None]
    shown = await registry.show(KEY)
    assert (shown.flag, shown.lift and shown.lift.by) == (None, "bob")
    clock.advance(1)
    b.put(score=25)
    await _settle(a, b)
    flag = a.get()
    assert flag is not None
    assert (flag.score, flag.times, flag.confirmed_by) == (25, 1, ())
    assert (await registry.show(KEY)).flag == flag


async def test_a_raise_that_is_told_late_does_not_bring_a_lifted_flag_back(
    pair: tuple[Replica, Replica], registry: FlagRegistry, clock: VirtualClock
) -> None:
    a, b = pair
    await _settle(a, b)
    a.put()
    await a.turn()
    b.put()  # not told yet
    clock.advance(1)
    await registry.lift(KEY, "bob", "mistaken")
    await b.sync.flush()
    await _settle(b, a)
    assert [a.get(), b.get(), (await registry.show(KEY)).flag] == [None, None, None]
    again = Replica(a.store, clock)
    await again.sync.begin()
    assert again.get() is None
    assert [key async for key, _ in registry.list()] == []


async def test_a_person_confirms_a_flag_once_and_all_hear_of_it(
    pair: tuple[Replica, Replica], registry: FlagRegistry, clock: VirtualClock
) -> None:
    a, b = pair
    a.put()
    await _settle(a, b)
    assert (await registry.confirm(KEY, "ann", "saw it")).confirmed_by == ("ann",)
    with pytest.raises(ConfigurationError):
        await registry.confirm(KEY, "ann", "again")
    assert (await registry.confirm(KEY, "bob", "so do I")).confirmed_by == ("ann", "bob")
    await _settle(a, b)
    assert [flag and flag.confirmed_by for flag in (a.get(), b.get())] == [("ann", "bob")] * 2
    again = Replica(b.store, clock)
    await again.sync.begin()
    assert again.get() == a.get()
    assert [entry.why for entry in (await registry.show(KEY)).confirmations] == ["saw it", "so do I"]


async def test_a_confirmation_that_went_while_nobody_listened_counts_no_more(clock: VirtualClock) -> None:
    store = MemoryStore(clock)
    a = Replica(store, clock)
    a.put()
    await _settle(a)
    await FlagRegistry(store, clock).confirm(KEY, "ann", "saw it")
    await _settle(a)
    assert [flag.confirmed_by for flag in a.book.on(*KEY[:3], clock.wall()).values()] == [("ann",)]
    await store.write([Row(CONFIRMATIONS_TABLE, row_name(KEY, "ann"), None)])
    await a.sync.begin()
    assert [flag.confirmed_by for flag in a.book.on(*KEY[:3], clock.wall()).values()] == [()]


async def test_a_confirmation_of_an_earlier_flag_counts_for_no_later_one(
    pair: tuple[Replica, Replica], registry: FlagRegistry, clock: VirtualClock
) -> None:
    a, b = pair
    a.put(ttl=10)
    await _settle(a, b)
    await registry.confirm(KEY, "ann", "saw it")
    await _settle(a, b)
    clock.advance(20)
    a.put(ttl=10)
    await _settle(a, b)
    assert (await registry.show(KEY)).confirmations == ()
    assert [flag and flag.confirmed_by for flag in (a.get(), b.get())] == [()] * 2
    assert (await registry.confirm(KEY, "ann", "saw it again")).confirmed_by == ("ann",)


async def test_flags_are_listed_by_world_subject_and_name(
    pair: tuple[Replica, Replica], registry: FlagRegistry
) -> None:
    a, _ = pair
    keys = [
        KEY,
        KEY._replace(world=World.SHADOW),
        KEY._replace(subject=Subject.TENANT),
        KEY._replace(name="other", flag="relay"),
    ]
    for key in keys:
        a.put(key)
    await a.turn()
    assert {key async for key, _ in registry.list()} == set(keys)
    assert {key async for key, _ in registry.list(world=World.SHADOW)} == {keys[1]}
    assert {key async for key, _ in registry.list(subject=Subject.ACCOUNT, name="acme")} == set(keys[:2])
    assert {key async for key, _ in registry.list(name="other")} == {keys[3]}


@pytest.mark.parametrize("what", ["show", "lift", "confirm"])
async def test_a_flag_that_is_not_there_is_a_key_error(registry: FlagRegistry, what: str) -> None:
    with pytest.raises(KeyError):
        await (registry.show(KEY) if what == "show" else getattr(registry, what)(KEY, "ann", "why"))


@pytest.mark.parametrize("every", [False, True])
async def test_a_flag_that_a_wrong_clock_raised_is_lifted_and_can_be_raised_again_at_once(every: bool) -> None:
    clock = Settable()
    store = MemoryStore(clock)
    a, b = Replica(store, clock), Replica(store, clock)
    registry = FlagRegistry(store, clock)
    clock.ahead = 8 * 3600.0
    a.put()
    await _settle(a, b)
    clock.ahead = 0.0
    assert a.get() is not None
    if every:
        assert await registry.lift_all(lambda *_: True, "ann", "honest") == 1
    else:
        await registry.lift(KEY, "ann", "honest")
    await _settle(a, b)
    assert (a.get(), b.get(), [entry async for entry in registry.list()]) == (None, None, [])
    clock.advance(1)
    b.put()
    await b.sync.begin()
    assert b.get() is not None, "although the store has not heard of it"
    await _settle(b, a)
    await registry.confirm(KEY, "bob", "not so")
    await _settle(a, b)
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
    await _settle(*replicas)
    clock.ahead = 0.0
    await registry.lift(KEY, "ann", "honest")
    await _settle(*replicas)
    clock.advance(1)
    draw.choice(replicas).put(ttl=86_400.0)
    await _settle(*replicas)
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
        await _settle(*replicas)
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


async def test_while_the_store_is_away_flags_stay_and_new_ones_are_told_later(clock: VirtualClock) -> None:
    store = Cuttable(clock)
    a, b = Replica(store, clock), Replica(store, clock)
    a.put()
    await _settle(a, b)
    store.away = True
    a.put(KEY._replace(name="new"))
    with pytest.raises(StoreUnavailable):
        await a.turn()
    assert a.get() is not None
    assert b.get() is not None
    assert a.get(KEY._replace(name="new")) is not None
    store.away = False
    await _settle(a, b)
    assert b.get(KEY._replace(name="new")) is not None


async def test_a_store_that_lost_its_rows_is_told_them_again(clock: VirtualClock) -> None:
    """R-11, R-14: flags are not lost."""
    store = MemoryStore(clock)
    a = Replica(store, clock)
    a.put()
    await _settle(a)
    a.store = empty = MemoryStore(clock)
    a.sync = FlagSync(a.book, empty, clock)
    a.cursor = None
    await _settle(a)
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
async def test_a_row_that_cannot_be_read_is_counted_and_takes_no_other_with_it(clock: VirtualClock, row: Row) -> None:
    store = MemoryStore(clock)
    a = Replica(store, clock)
    flag = Flag("probe", 40, clock.wall(), clock.wall() + 100, "rule")
    await store.write([row, flag_row(KEY, flag)])
    await a.sync.begin()
    assert a.get() == flag
    assert a.sync.unreadable == 1


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
        await _settle(*replicas)
    for key in keys:
        flags = [replica.get(key) for replica in replicas]
        facts = [flag and (flag.score, flag.raised_at, flag.confirmed_by) for flag in flags]
        assert facts[0] == facts[1] == facts[2], (flags, key)
