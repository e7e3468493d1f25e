from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.clock import VirtualClock
from proxy.errors import StoreUnavailable
from proxy.rules.conditions.condition import AllOf
from proxy.rules.pack.pack import Signal
from proxy.rules.pack.words import Scope
from proxy.rules.signals import sync as signal_sync
from proxy.rules.signals.book import AnyCounter, SignalBook
from proxy.rules.signals.sync import SignalSync
from proxy.store.base import Store
from proxy.store.embedded import EmbeddedServer
from proxy.store.redis import RedisStore
from tests.store.cuttable import Cuttable

HOUR = 3600
REQUESTS = Signal("asks", "", Scope.ACCOUNT, HOUR * 1000, AllOf(()), "digest 1")
DISTINCT = Signal("tokens", "request.logit_bias_keys", Scope.ACCOUNT, HOUR * 1000, AllOf(()), "digest 2")


class Replica:
    """One process: a book, and what exchanges its counts."""

    def __init__(self, store: Store, clock: VirtualClock, name: str) -> None:
        self.clock = clock
        self.book = SignalBook(b"k" * 32, shared=True)
        ids = itertools.count()
        self.sync = SignalSync(self.book, store, clock, lambda: f"{name} {next(ids)}")

    def add(self, signal: Signal, key: str, *members: str) -> int:
        return self.book.counter(signal).add(key, members, self.clock.wall())

    def count(self, signal: Signal, key: str) -> int:
        return self.book.counter(signal).count(key, self.clock.wall())

    def counter(self, signal: Signal) -> AnyCounter:
        return self.book.counter(signal)


async def _settle(*replicas: Replica) -> None:
    """Two turns of each: the first to tell, the second to hear of those who told later."""
    for replica in [*replicas, *replicas]:
        await replica.sync.flush()


@pytest.fixture
def store(clock: VirtualClock) -> Cuttable:
    return Cuttable(clock)


@pytest.fixture
def pair(store: Cuttable, clock: VirtualClock) -> tuple[Replica, Replica]:
    return Replica(store, clock, "a"), Replica(store, clock, "b")


async def test_two_replicas_that_each_count_ten_have_twenty(pair: tuple[Replica, Replica]) -> None:
    a, b = pair
    for _ in range(10):
        a.add(REQUESTS, "acme")
        b.add(REQUESTS, "acme")
    await _settle(a, b)
    assert (a.count(REQUESTS, "acme"), b.count(REQUESTS, "acme")) == (20, 20)
    assert (a.add(REQUESTS, "acme"), b.add(REQUESTS, "acme")) == (21, 21)


async def test_two_replicas_that_saw_the_same_members_count_them_once(pair: tuple[Replica, Replica]) -> None:
    a, b = pair
    a.add(DISTINCT, "acme", "1", "2", "3")
    b.add(DISTINCT, "acme", "3", "4")
    await _settle(a, b)
    assert (a.count(DISTINCT, "acme"), b.count(DISTINCT, "acme")) == (4, 4)


async def test_a_member_that_the_others_may_know_counts_when_the_store_has_said_so(
    pair: tuple[Replica, Replica],
) -> None:
    a, b = pair
    a.add(DISTINCT, "acme", "1", "2")
    b.add(DISTINCT, "acme", "1")
    await _settle(a, b)
    assert b.add(DISTINCT, "acme", "2") == 2
    assert b.add(DISTINCT, "acme", "3") == 3
    assert b.add(DISTINCT, "acme", "2", "4") == 4
    await _settle(b)
    assert b.count(DISTINCT, "acme") == 4


async def test_after_a_restart_the_first_word_of_a_key_brings_its_count_back(
    pair: tuple[Replica, Replica], store: Cuttable, clock: VirtualClock
) -> None:
    a, _ = pair
    for number in range(7):
        a.add(REQUESTS, "acme")
        a.add(DISTINCT, "acme", f"{number}")
    await a.sync.flush()
    again = Replica(store, clock, "again")
    assert again.add(REQUESTS, "acme") == 1
    assert again.add(DISTINCT, "acme", "3") == 1
    await again.sync.flush()
    assert (again.count(REQUESTS, "acme"), again.count(DISTINCT, "acme")) == (8, 7)


async def test_what_others_counted_leaves_when_it_has_left_the_store(pair: tuple[Replica, Replica]) -> None:
    a, b = pair
    clock = a.clock
    a.add(REQUESTS, "acme")
    b.add(REQUESTS, "acme")
    await _settle(a, b)
    counts = []
    for _ in range(4):
        clock.advance(HOUR / 3)
        a.count(REQUESTS, "acme")
        await a.sync.flush()
        counts.append(a.count(REQUESTS, "acme"))
    assert counts == [2, 2, 2, 0]


async def test_a_key_that_is_only_looked_at_hears_of_the_others_once_a_slot(pair: tuple[Replica, Replica]) -> None:
    a, b = pair
    a.add(REQUESTS, "acme")
    await _settle(a, b)
    for _ in range(5):
        b.add(REQUESTS, "acme")
    await b.sync.flush()
    a.clock.advance(HOUR / 60)
    a.count(REQUESTS, "acme")
    await a.sync.flush()
    assert a.count(REQUESTS, "acme") == 6


@pytest.mark.parametrize("deaf", [True, False])
async def test_nothing_is_lost_or_doubled_when_the_store_is_away(
    pair: tuple[Replica, Replica], store: Cuttable, *, deaf: bool
) -> None:
    a, b = pair
    store.away, store.deaf = not deaf, deaf
    for turn in range(1, 4):
        assert a.add(REQUESTS, "acme") == turn
        assert a.add(DISTINCT, "acme", f"{turn}") == turn
        with pytest.raises(StoreUnavailable):
            await a.sync.flush()
    store.away = store.deaf = False
    b.add(REQUESTS, "acme")
    b.add(DISTINCT, "acme", "other")
    await _settle(a, b)
    assert [replica.count(REQUESTS, "acme") for replica in pair] == [4, 4]
    assert [replica.count(DISTINCT, "acme") for replica in pair] == [4, 4]
    assert a.book.dropped == 0


async def test_a_store_that_comes_back_after_a_window_is_not_told_what_has_left_it(
    pair: tuple[Replica, Replica], store: Cuttable
) -> None:
    a, b = pair
    store.away = True
    for step in range(40):
        a.add(REQUESTS, "acme")
        a.add(DISTINCT, "acme", f"{step}")
        with pytest.raises(StoreUnavailable):
            await a.sync.flush()
        a.clock.advance(HOUR / 10)
    store.away = False
    b.add(REQUESTS, "acme")
    b.add(DISTINCT, "acme", "1")
    await _settle(a, b)
    assert b.count(REQUESTS, "acme") <= 11
    assert b.count(DISTINCT, "acme") <= 12
    assert a.book.dropped > 40


async def test_a_flood_of_keys_is_told_in_many_round_trips_and_counts_in_full(pair: tuple[Replica, Replica]) -> None:
    a, b = pair
    for number in range(1000):
        a.add(REQUESTS, f"account {number}")
        a.add(DISTINCT, f"account {number}", "x", "y")
    await a.sync.flush()
    for number in range(1000):
        b.add(REQUESTS, f"account {number}")
        b.add(DISTINCT, f"account {number}", "z")
    await b.sync.flush()
    assert {b.count(REQUESTS, f"account {number}") for number in range(1000)} == {2}
    assert {b.count(DISTINCT, f"account {number}") for number in range(1000)} == {3}


async def test_a_crowd_of_members_is_counted_within_the_error_by_all(pair: tuple[Replica, Replica]) -> None:
    a, b = pair
    for number in range(6000):
        (a if number % 2 else b).add(DISTINCT, "acme", f"{number}")
    await _settle(a, b)
    counts = [replica.count(DISTINCT, "acme") for replica in pair]
    assert counts[0] == counts[1] == pytest.approx(6000, rel=0.1)


@pytest.mark.parametrize("seed", range(10))
async def test_replicas_agree_after_any_history_of_adds_turns_and_cuts(seed: int) -> None:
    draw = random.Random(seed)
    clock = VirtualClock()
    store = Cuttable(clock)
    replicas = [Replica(store, clock, f"{number}") for number in range(3)]
    added, members = 0, set[str]()
    for _ in range(300):
        replica = draw.choice(replicas)
        match draw.randrange(4):
            case 0 | 1:
                added += 1
                replica.add(REQUESTS, "acme")
            case 2:
                member = f"{draw.randrange(100)}"
                members.add(member)
                replica.add(DISTINCT, "acme", member)
            case _:
                store.away, store.deaf = draw.random() < 0.3, draw.random() < 0.3
                with contextlib.suppress(StoreUnavailable):
                    await replica.sync.flush()
                store.away = store.deaf = False
        assert replica.count(REQUESTS, "acme") <= added
        assert replica.count(DISTINCT, "acme") <= len(members)
        clock.advance(draw.random() / 10)
    await _settle(*replicas)
    clock.advance(HOUR / 60)
    for replica in replicas:  # whoever had nothing to tell asks when it is looked at in another slot
        replica.count(REQUESTS, "acme")
        replica.count(DISTINCT, "acme")
        await replica.sync.flush()
    assert [replica.count(REQUESTS, "acme") for replica in replicas] == [added] * 3
    assert [replica.count(DISTINCT, "acme") for replica in replicas] == [len(members)] * 3


@pytest.mark.parametrize(("away_for", "told"), [(20, 1), (40, 1), (7200, 0)])
async def test_words_that_were_on_their_way_are_told_once_while_they_still_count(
    pair: tuple[Replica, Replica], store: Cuttable, away_for: float, told: int
) -> None:
    a, b = pair
    store.away = True
    a.add(REQUESTS, "acme")
    with pytest.raises(StoreUnavailable):
        await a.sync.flush()
    store.away = False
    a.clock.advance(away_for)
    for _ in range(2):
        await a.sync.flush()
    b.add(REQUESTS, "acme")
    await b.sync.flush()
    # What was sent for the first time stays one operation for as long as the store remembers it; after that it is told
    # as something new, and not at all if it has left its window.
    assert b.count(REQUESTS, "acme") == 1 + told


async def test_running_replicas_learn_of_each_other_and_survive_a_store_that_is_away(
    pair: tuple[Replica, Replica], store: Cuttable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal_sync, "_TURN_S", 0.001)
    a, b = pair
    store.away = True
    running = [asyncio.create_task(replica.sync.run()) for replica in pair]
    for _ in range(10):
        a.add(REQUESTS, "acme")
        b.add(REQUESTS, "acme")
        await asyncio.sleep(0)
    store.away = False
    async with asyncio.timeout(5):
        while (a.count(REQUESTS, "acme"), b.count(REQUESTS, "acme")) != (20, 20):
            await asyncio.sleep(0.001)
    for task in running:
        task.cancel()
    ends = await asyncio.gather(*running, return_exceptions=True)
    assert [type(end) for end in ends] == [asyncio.CancelledError] * 2


@pytest.fixture
async def servers() -> AsyncIterator[tuple[RedisStore, RedisStore]]:
    with tempfile.TemporaryDirectory(prefix="sg") as folder:
        server = EmbeddedServer(Path(folder))
        url = await server.start()
        stores = [await RedisStore.connect(url, deadline=5.0) for _ in range(2)]
        yield stores[0], stores[1]
        for store in stores:
            await store.close()
        await server.stop()


async def test_replicas_on_a_server_agree(servers: tuple[RedisStore, RedisStore], clock: VirtualClock) -> None:
    a, b = (Replica(store, clock, f"server {name}") for name, store in zip("ab", servers, strict=True))
    for number in range(30):
        (a if number % 3 else b).add(REQUESTS, "acme")
        (a if number % 3 else b).add(DISTINCT, "acme", f"{number % 25}")
    await _settle(a, b)
    assert [replica.count(REQUESTS, "acme") for replica in (a, b)] == [30, 30]
    assert [replica.count(DISTINCT, "acme") for replica in (a, b)] == [25, 25]
    assert a.add(REQUESTS, "acme") == 31
