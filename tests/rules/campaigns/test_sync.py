"""Campaigns on their way from the hunter through the store to every process, whole and in small steps."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxy.clock import VirtualClock
from proxy.errors import StoreUnavailable
from proxy.hunter.reporting import PRINTS_MOST
from proxy.keyed.link_names import LinkNames
from proxy.rules.campaigns import book as campaign_book
from proxy.rules.campaigns import rows as campaign_rows
from proxy.rules.campaigns import sync as campaign_sync
from proxy.rules.campaigns.book import CampaignBook
from proxy.rules.campaigns.known import KnownCampaign, KnownTemplate
from proxy.rules.campaigns.rows import (
    CAMPAIGNS_TABLE,
    PARTS_TABLE,
    composed,
    read_head,
    read_part,
)
from proxy.rules.campaigns.rows import (
    campaign_rows as rows_of,
)
from proxy.rules.campaigns.store import CampaignStore
from proxy.rules.campaigns.sync import CampaignSync
from proxy.store.base import FEED_ROWS, Row, Store
from proxy.store.embedded import EmbeddedServer
from proxy.store.memory import MemoryStore
from proxy.store.redis import RedisStore
from tests.rig.clocks import Settable
from tests.rules.campaigns.known import NAMES_KEY, NOW, campaign, prints, sample, template


class Movable(Settable):
    """A clock that can be moved back too, in both readings."""

    def move_to(self, at: float) -> None:
        self._now = at


class Counting(MemoryStore):
    """The reference store; it counts rows, and its line can be cut after so many writes or reads."""

    writes_left = reads_left = 10**9
    written: int = 0
    read_parts: int = 0
    largest: int = 0

    async def write(self, rows: Sequence[Row], *, only_new: bool = False, given: Row | None = None) -> bool:
        self.writes_left -= 1
        if self.writes_left < 0:
            raise StoreUnavailable("cut")
        self.written += len(rows)
        self.largest = max([self.largest, *(len(row.value or b"") for row in rows)])
        return await super().write(rows, only_new=only_new, given=given)

    async def read(self, table: str, name: str) -> bytes | None:
        self.reads_left -= 1
        if self.reads_left < 0:
            raise StoreUnavailable("cut")
        self.read_parts += table == PARTS_TABLE
        return await super().read(table, name)


class Replica:
    """One worker's book, and where it stands in the feed; moved by hand."""

    def __init__(self, store: Store, clock: VirtualClock) -> None:
        self.book = CampaignBook(LinkNames(NAMES_KEY))
        self.sync = CampaignSync(self.book, store, clock)
        self._store = store
        self._cursor: str | None = None

    async def hear(self) -> None:
        changes = await self._store.changes(self._cursor, 0)
        if changes.lost or self._cursor is None:
            await self.sync.begin()
        await self.sync.hear(changes.rows)
        self._cursor = changes.cursor

    def known(self, name: str = "c-1") -> KnownCampaign | None:
        return self.book.get(name) if name in self.book else None


@pytest.fixture
def clock() -> Movable:
    return Movable(NOW)


@pytest.fixture
def store(clock: VirtualClock) -> Counting:
    return Counting(clock)


@pytest.fixture(params=["memory", "embedded"])
async def any_store(request: pytest.FixtureRequest, clock: VirtualClock) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStore(clock)
        return
    with tempfile.TemporaryDirectory(prefix="sg") as folder:
        server = EmbeddedServer(Path(folder))
        store = await RedisStore.connect(await server.start(), deadline=5.0)
        yield store
        await store.close()
        await server.stop()


def largest() -> KnownCampaign:
    """Return the largest campaign that was ever seen, and more prints and links than any has."""
    names = LinkNames(NAMES_KEY)
    return campaign(
        templates=tuple(template(f"t-{number}", number) for number in range(34)),
        accounts=frozenset(f"account-{number}" for number in range(25_000)),
        shared={
            "payment": frozenset(names.name("payment", f"card-{number}") for number in range(3_000)),
            "peer_prefix": frozenset(names.peer(f"10.{number >> 8}.{number & 255}.1")[1] for number in range(5_000)),
        },
    )


async def test_what_is_published_is_known_to_every_process_and_to_those_that_start_later(
    any_store: Store, clock: VirtualClock
) -> None:
    there, late = Replica(any_store, clock), Replica(any_store, clock)
    await there.hear()
    assert there.known() is None
    known = largest()
    await CampaignStore(any_store).publish(known)
    await there.hear()
    await late.sync.begin()
    assert there.known() == late.known() == known
    assert [each async for each in CampaignStore(any_store).list()] == [known]
    await CampaignStore(any_store).retract("c-1")
    await there.hear()
    assert there.known() is None
    assert there.book.matches(sample(prints(1))) == []
    assert [name async for name, _ in any_store.scan(PARTS_TABLE)] == []


def test_rows_are_small_and_few_and_say_everything() -> None:
    known = largest()
    *parts, head = rows_of(known)
    assert len(parts) < 100
    assert max(len(row.value or b"") for row in (*parts, head)) < 60_000
    assert head.value is not None
    read = read_head("c-1", head.value)
    assert read.parts == tuple(row.name for row in parts)
    assert composed(read, [read_part(row.value or b"") for row in reversed(parts)]) == replace(
        known, templates=known.templates[::-1]
    )


async def test_a_large_campaign_that_grows_changes_few_rows(store: Counting, clock: VirtualClock) -> None:
    replica, hunter = Replica(store, clock), CampaignStore(store)
    known = largest()
    await hunter.publish(known)
    await replica.hear()
    assert store.written < FEED_ROWS / 50
    store.written = store.read_parts = 0
    grown = replace(known, accounts=known.accounts | {"one-more"}, updated_at=NOW + 60, until=NOW + 1e6)
    await hunter.publish(grown)
    assert store.written == 3, "the head, the part that has the account now, and the one that had not"
    await replica.hear()
    assert store.read_parts == 1
    assert replica.known() == grown
    store.written = 0
    await hunter.publish(replace(grown, updated_at=NOW + 120))
    assert store.written == 1, "nothing but the head has changed"


@pytest.mark.parametrize("seed", range(5))
async def test_every_process_comes_to_the_same_whatever_was_published_and_whenever_it_listens(
    seed: int, store: Counting, clock: VirtualClock
) -> None:
    chance = random.Random(seed)
    replicas, hunter = [Replica(store, clock) for _ in range(2)], CampaignStore(store)
    truth: dict[str, KnownCampaign] = {}
    for turn in range(60):
        name = f"c-{chance.randrange(3)}"
        if chance.random() < 0.25:
            await hunter.retract(name)
            truth.pop(name, None)
        else:
            truth[name] = campaign(
                name,
                accounts=frozenset(f"a-{chance.randrange(3000)}" for _ in range(chance.choice((3, 2500)))),
                templates=tuple(template(f"t-{n}", n) for n in range(chance.randrange(3))),
                shared={"payment": frozenset(f"{chance.randrange(9)}" for _ in range(3))},
                updated_at=NOW + turn,
            )
            await hunter.publish(truth[name])
        for replica in replicas:
            if chance.random() < 0.4:
                await replica.hear()
    for replica in replicas:
        await replica.hear()
        assert {name: replica.known(name) for name in truth} == truth
        assert len(replica.book) == len(truth)
        assert {campaign for n in range(3000) for campaign in replica.book.clusters(f"a-{n}")} <= truth.keys()
    named = {name for row in [*truth.values()] for name in (part.name for part in rows_of(row)[:-1])}
    assert {name async for name, _ in store.scan(PARTS_TABLE)} == named, "nothing is left behind"


@pytest.mark.parametrize("writes", range(5))
async def test_a_hunter_that_ends_while_it_publishes_leaves_what_was_known_before(
    writes: int, store: Counting, clock: VirtualClock
) -> None:
    replica, hunter = Replica(store, clock), CampaignStore(store)
    first = replace(largest(), shared={})
    await hunter.publish(first)
    await replica.hear()
    second = replace(first, accounts=frozenset(f"other-{n}" for n in range(25_000)), updated_at=NOW + 1)
    store.writes_left = writes
    with contextlib.suppress(StoreUnavailable):
        await hunter.publish(second)
    store.writes_left = 10**9
    await replica.hear()
    late = Replica(store, clock)
    await late.hear()
    assert replica.known() == late.known() == first
    await CampaignStore(store).sweep(NOW)
    assert {name async for name, _ in store.scan(PARTS_TABLE)} == {row.name for row in rows_of(first)[:-1]}
    await CampaignStore(store).publish(second)
    await replica.hear()
    assert replica.known() == second


@pytest.mark.parametrize("reads", [0, 1, 2, 20])
async def test_while_the_store_is_away_what_is_known_stays_known(
    reads: int, store: Counting, clock: VirtualClock
) -> None:
    replica, hunter = Replica(store, clock), CampaignStore(store)
    first = largest()
    await hunter.publish(first)
    await replica.hear()
    second = replace(first, accounts=frozenset(f"other-{n}" for n in range(25_000)), updated_at=NOW + 1)
    await hunter.publish(second)
    store.reads_left = reads
    with pytest.raises(StoreUnavailable):
        await replica.hear()
    with pytest.raises(StoreUnavailable):
        await replica.sync.begin()
    assert replica.known() == first
    store.reads_left = 10**9
    await replica.hear()
    assert replica.known() == second


async def test_a_process_whose_feed_was_lost_forgets_what_was_retracted_meanwhile(
    store: Counting, clock: VirtualClock
) -> None:
    replica, hunter = Replica(store, clock), CampaignStore(store)
    for name in ("c-1", "c-2"):
        await hunter.publish(campaign(name))
    await replica.hear()
    await hunter.retract("c-1")
    await hunter.publish(campaign("c-3", updated_at=NOW + 9))
    await replica.sync.begin()
    assert [replica.known(name) is not None for name in ("c-1", "c-2", "c-3")] == [False, True, True]


async def test_what_cannot_be_read_leaves_what_is_known(store: Counting, clock: VirtualClock) -> None:
    replica = Replica(store, clock)
    await CampaignStore(store).publish(campaign())
    await replica.hear()
    heads = [b"", b"[]", b'{"rule": "x"}', b'{"parts": 7}']
    row = rows_of(campaign())[-1]
    assert row.value is not None
    named = {**json.loads(row.value), "parts": ["bad"]}
    part = b'{"template": "t", "least": 1, "prints": "AAAA"}'  # three bytes, which are no print
    for value in (
        b"\xff",
        part,
        b'{"template": "t", "least": 1, "prints": "?"}',
        b'{"shared": "x", "names": 1}',
        b"{}",
    ):
        await store.write([Row(PARTS_TABLE, "bad", value), Row(CAMPAIGNS_TABLE, "c-1", json.dumps(named).encode())])
        await replica.hear()
    for value in heads:
        await store.write([Row(CAMPAIGNS_TABLE, "c-1", value)])
        await replica.hear()
    assert replica.known() == campaign()
    await CampaignStore(store).publish(campaign(updated_at=NOW + 1))
    await replica.hear()
    assert replica.known() == campaign(updated_at=NOW + 1)
    await store.write([Row(CAMPAIGNS_TABLE, "c-1", b"?")])
    await CampaignStore(store).sweep(NOW)
    assert [name async for name, _ in store.scan(PARTS_TABLE)] == []


async def test_a_campaign_ends_without_the_hunter_and_comes_back_where_a_clock_was_only_ahead(
    store: Counting, clock: Movable
) -> None:
    replica = Replica(store, clock)
    await CampaignStore(store).publish(campaign(until=NOW + 60))
    await replica.hear()
    replica.sync.tend()
    assert replica.known() is not None
    clock.move_to(NOW + 61)
    replica.sync.tend()
    assert replica.known() is None
    clock.move_to(NOW)
    replica.sync.tend()
    assert replica.known() is not None
    clock.move_to(NOW + 61)
    await replica.sync.begin()
    assert replica.known() is None, "what has ended is not known at a start either"
    clock.move_to(NOW + 61 + 3600)
    replica.sync.tend()
    assert (replica.sync._parts, replica.sync._ended) == ({}, {})
    await CampaignStore(store).sweep(clock.wall())
    assert [name async for name, _ in store.scan(CAMPAIGNS_TABLE)] == []


async def test_a_campaign_that_ended_by_a_clock_far_ahead_is_known_again_once_that_is_right(
    store: Counting, clock: Movable
) -> None:
    replica = Replica(store, clock)
    await CampaignStore(store).publish(campaign(until=NOW + 60))
    running = asyncio.create_task(replica.sync.run())
    async with asyncio.timeout(10):
        while replica.known() is None:
            await asyncio.sleep(0.01)
        clock.ahead = 366 * 86_400.0
        while replica.known() is not None:
            await asyncio.sleep(0.01)
        clock.ahead = 0.0
        while replica.known() is None:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_nothing_is_kept_of_campaigns_that_the_book_let_go(
    store: Counting, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign_book, "CAMPAIGNS_MAX", 2)
    replica = Replica(store, clock)
    for number in range(5):
        await CampaignStore(store).publish(campaign(f"c-{number}", updated_at=NOW + number))
        await replica.hear()
    assert (replica.book.evicted, set(replica.sync._parts)) == (3, {"c-3", "c-4"})


async def test_a_running_process_hears_of_campaigns_and_lets_them_end_by_itself(
    store: Counting, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign_sync, "_TURN_S", 0.01)
    replica = Replica(store, clock)
    running = asyncio.create_task(replica.sync.run())
    await CampaignStore(store).publish(campaign())
    async with asyncio.timeout(10):
        while replica.known() is None:
            await asyncio.sleep(0.01)
        await CampaignStore(store).retract("c-1")
        while replica.known() is not None:
            await asyncio.sleep(0.01)
        await CampaignStore(store).publish(campaign("c-2", until=NOW + 60))
        while replica.known("c-2") is None:
            await asyncio.sleep(0.01)
        clock.advance(61)
        while replica.known("c-2") is not None:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_a_campaign_that_many_findings_turned_out_to_be_on_is_not_too_large() -> None:
    found = tuple(KnownTemplate(f"t-{number}", tuple(range(PRINTS_MOST)), 8) for number in range(39))
    assert len(rows_of(campaign(templates=found))) > len(found)


@pytest.mark.parametrize(
    ("bound", "changes"),
    [
        ("ACCOUNTS_MAX", {"accounts": frozenset({"a", "b", "c"})}),
        ("TEMPLATES_MAX", {"templates": (template("a", 1), template("b", 2), template("c", 3))}),
        ("PRINTS_MAX", {"templates": (KnownTemplate("a", (1, 2, 3), 1),)}),
        ("_PRINTS_OF_A_TEMPLATE", {"templates": (KnownTemplate("a", (1, 2, 3), 1),)}),
        ("LINKS_MAX", {"shared": {"payment": frozenset({"a", "b"}), "signup": frozenset({"c"})}}),
    ],
)
async def test_a_campaign_that_is_too_large_is_refused_by_the_one_who_publishes_it(
    bound: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    small: dict[str, Any] = {"accounts": frozenset(), "templates": (), "shared": {}}
    monkeypatch.setattr(campaign_rows, bound, 2)
    with pytest.raises(ValueError, match="2 are the most"):
        rows_of(campaign(**{**small, **changes}))
