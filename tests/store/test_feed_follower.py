from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial

import pytest

from proxy.clock import VirtualClock
from proxy.errors import StoreUnavailable
from proxy.store import feed_follower
from proxy.store.base import FEED_ROWS, Row
from proxy.store.feed_follower import follow_feed
from proxy.store.memory import MemoryStore
from tests.rig.clocks import Settable
from tests.rig.waiting import until


class Listener:
    """Writes down what it is told, and fails as often as it is asked to."""

    def __init__(self) -> None:
        self.begun = 0
        self.heard: list[tuple[str, str]] = []
        self.at: list[float] = []
        self.fails = 0

    async def begin(self) -> None:
        self._fail()
        self.begun += 1

    async def hear(self, rows: Sequence[tuple[str, str]]) -> None:
        self._fail()
        self.heard += rows

    def caught_up(self, at: float) -> None:
        self.at.append(at)

    def _fail(self) -> None:
        if self.fails:
            self.fails -= 1
            raise StoreUnavailable("away")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(VirtualClock())


@pytest.fixture
async def listener(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Listener]:
    monkeypatch.setattr(feed_follower, "_PAUSE_S", 0.001)
    listener = Listener()
    task = asyncio.create_task(follow_feed(store, VirtualClock(), listener))
    await until(lambda: listener.begun == 1)
    yield listener
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_follower_begins_and_then_hears_of_every_row(store: MemoryStore, listener: Listener) -> None:
    for name in "abc":
        await store.write([Row("keys", name, b"x"), Row("flags", name, None)])
    await until(lambda: len(listener.heard) == 6)
    assert listener.heard == [(table, name) for name in "abc" for table in ("keys", "flags")]
    assert listener.begun == 1
    assert listener.at


async def test_a_follower_that_could_not_hear_is_told_again(store: MemoryStore, listener: Listener) -> None:
    listener.fails = 3
    before = len(listener.at)
    await store.write([Row("keys", "a", b"x")])
    await until(lambda: bool(listener.heard))
    assert listener.heard == [("keys", "a")]
    assert listener.fails == 0
    await until(lambda: len(listener.at) > before)


async def test_a_follower_whose_feed_lost_its_place_begins_anew(store: MemoryStore, listener: Listener) -> None:
    listener.fails = 1
    await store.write([Row("keys", f"{number}", b"x") for number in range(FEED_ROWS + 1)])
    await until(lambda: listener.begun == 2)
    await store.write([Row("keys", "after", b"x")])
    await until(lambda: listener.heard[-1:] == [("keys", "after")])


def _has_caught_up(listener: Listener, times: int) -> bool:
    return len(listener.at) >= times


async def test_what_ends_by_the_wall_clock_begins_anew_where_that_is_set_back(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_follower, "_PAUSE_S", 0.001)
    monkeypatch.setattr(feed_follower, "_WAIT_MS", 1)
    clock, listener, other = Settable(), Listener(), Listener()
    tasks = [
        asyncio.create_task(follow_feed(store, clock, listener, by_wall=True)),
        asyncio.create_task(follow_feed(store, clock, other)),
    ]
    await until(lambda: (listener.begun, other.begun) == (1, 1))
    for ahead, begun in [(3_600.0, 1), (3_590.0, 1), (0.0, 2), (-3_600.0, 3), (0.0, 3), (-50.0, 3)]:
        clock.ahead, looked = ahead, len(listener.at) + 2
        listener.fails = 2 * (begun == 2)  # the store may be away just then
        await until(partial(_has_caught_up, listener, looked))
        assert (listener.begun, other.begun) == (begun, 1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
