"""Replicas on one store know where each other's chains stand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from proxy.clock import VirtualClock
from proxy.decisions import shared_heads
from proxy.decisions.chain import GENESIS, Head
from proxy.decisions.checkpoints import Terms
from proxy.decisions.journal import Journal
from proxy.decisions.sealing import Seal
from proxy.decisions.shared_heads import TABLE, SharedHeads
from proxy.decisions.target import FileTarget
from proxy.errors import StoreUnavailable
from proxy.store.base import Row
from proxy.store.memory import MemoryStore
from proxy.verifying.findings import Damage
from proxy.verifying.notes import Keys
from proxy.verifying.verify import verify
from tests.decisions.bindings import public_key, sealed
from tests.decisions.endings import STARTED, ending, recorder

DAY = 86_400.0


class Listener:
    """A chain that only listens."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self.heard: tuple[Head, ...] = ()

    def hear(self, heads: tuple[Head, ...]) -> None:
        self.heard = heads


def writer(number: int, seq: int = 7) -> Listener:
    return Listener(Head(f"host-{number}", seq, f"{number:064x}"))


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(STARTED)


@pytest.fixture
def store(clock: VirtualClock) -> MemoryStore:
    return MemoryStore(clock)


async def replica(folder: Path, name: str, clock: VirtualClock) -> tuple[Path, Journal, Seal]:
    path = folder / name / "decisions" / "log.jsonl"
    path.parent.mkdir(parents=True)
    seal = sealed(path, clock, Terms(lines=1000, seconds=3600), writer=f"{name}-0-aaaaaa")
    return path, Journal.open(FileTarget(path), seal, recorder(clock), clock, "sha256:0"), seal


async def test_the_whole_log_of_another_machine_is_missed_if_it_is_gone(
    tmp_path: Path, clock: VirtualClock, store: MemoryStore
) -> None:
    """A-02: machines that share nothing but the store vouch for each other."""
    replicas = [await replica(tmp_path, name, clock) for name in ("a", "b")]
    for _, journal, _ in replicas:
        await journal.record_first(ending())
    heads = [SharedHeads(seal, store, clock) for _, _, seal in replicas]
    for one in (*heads, *heads):
        await one.exchange()
    for _, journal, _ in replicas:
        await journal.record_first(ending())
        assert await journal.close()  # with a checkpoint
    keys = Keys()
    a, b = (path for path, _, _ in replicas)
    keys.trust(public_key(a))
    keys.trust(public_key(b))
    assert verify([a, b], keys, (), lambda _: None).findings == ()
    for left, gone in ((a, "b-0-aaaaaa"), (b, "a-0-aaaaaa")):
        found = verify([left], keys, (), lambda _: None).findings
        assert [(finding.damage, finding.writer) for finding in found] == [(Damage.WRITER_MISSING, gone)]


async def test_each_hears_of_all_the_others_where_they_stood_last(clock: VirtualClock, store: MemoryStore) -> None:
    one, two, new = writer(1), writer(2), Listener(Head.begun("host-3"))
    shared = [SharedHeads(each, store, clock) for each in (one, two, new)]
    for each in (*shared, *shared):
        await each.exchange()
    assert (one.heard, two.heard) == ((two.head,), (one.head,))
    assert set(new.heard) == {one.head, two.head}
    one.head = one.head._replace(seq=8)
    await shared[0].exchange()
    await shared[1].exchange()
    assert two.heard == (one.head,)


async def test_a_head_that_stays_is_told_once_a_day_and_one_that_is_gone_cleared_after_a_month(
    clock: VirtualClock, store: MemoryStore
) -> None:
    one, two = writer(1), writer(2)
    staying, leaving = SharedHeads(one, store, clock), SharedHeads(two, store, clock)
    await leaving.exchange()
    await staying.exchange()
    cursor = (await store.changes(None, 0)).cursor
    for _ in range(5):
        clock.advance(10)
        await staying.exchange()
    assert (await store.changes(cursor, 0)).rows == ()
    for _ in range(29):
        clock.advance(DAY)
        await staying.exchange()
        assert one.heard == (two.head,)
    clock.advance(DAY)
    await staying.exchange()
    assert one.heard == ()
    assert [name async for name, _ in store.scan(TABLE)] == ["host-1"]


async def test_the_table_and_what_is_heard_are_bounded(clock: VirtualClock, store: MemoryStore) -> None:
    for number in range(1_500):
        value = {"seq": 1, "digest": "a" * 64, "at": STARTED - number}
        await store.write([Row(TABLE, f"pod-{number}", orjson.dumps(value))])
    one = writer(1)
    await SharedHeads(one, store, clock).exchange()
    assert {head.writer for head in one.heard} <= {f"pod-{number}" for number in range(1_000)}
    assert len([name async for name, _ in store.scan(TABLE)]) == 1_000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a\nother b 1 " + "a" * 64, {"seq": 1, "digest": "a" * 64, "at": STARTED}),
        ("a b", {"seq": 1, "digest": "a" * 64, "at": STARTED}),
        ("a" * 81, {"seq": 1, "digest": "a" * 64, "at": STARTED}),
        ("a", {"seq": -1, "digest": "a" * 64, "at": STARTED}),
        ("a", {"seq": 2**63, "digest": "a" * 64, "at": STARTED}),
        ("a", {"seq": "1", "digest": "a" * 64, "at": STARTED}),
        ("a", {"seq": 1, "digest": "A" * 64, "at": STARTED}),
        ("a", {"seq": 1, "digest": GENESIS + "\n", "at": STARTED}),
        ("a", {"seq": 1, "digest": "a" * 64, "at": "now"}),
        ("a", {"seq": 1, "digest": "a" * 64}),
        ("a", []),
        ("a", "x"),
    ],
)
async def test_what_could_not_stand_in_a_note_is_not_heard(
    clock: VirtualClock, store: MemoryStore, name: str, value: object
) -> None:
    one = writer(1)
    await store.write([Row(TABLE, name, orjson.dumps(value))])
    await SharedHeads(one, store, clock).exchange()
    assert one.heard == ()


class Cuttable(MemoryStore):
    """The reference store with a line that can be cut."""

    away = True
    asked = 0

    async def scan(self, table: str) -> AsyncIterator[tuple[str, bytes]]:
        self.asked += 1
        if self.away:
            raise StoreUnavailable("cut")
        async for row in super().scan(table):
            yield row


async def test_a_running_writer_tells_and_hears_by_itself_also_once_the_store_was_away(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_heads, "_SHARE_S", 0.01)
    store, writers = Cuttable(clock), [writer(1), writer(2)]
    running = [asyncio.create_task(SharedHeads(one, store, clock).run()) for one in writers]
    async with asyncio.timeout(10):
        while store.asked < 4:
            await asyncio.sleep(0.01)
        store.away = False
        for seq in (7, 8):
            for one in writers:
                one.head = one.head._replace(seq=seq)
            while [one.heard for one in writers] != [(writers[1].head,), (writers[0].head,)]:
                await asyncio.sleep(0.01)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
