"""Promises about a store whose memory is just full, which takes one part of a call and refuses the other."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from pathlib import Path

import pytest

from proxy.clock import SystemClock, VirtualClock
from proxy.errors import StoreUnavailable
from proxy.rules.conditions.condition import AllOf
from proxy.rules.pack.pack import Signal
from proxy.rules.pack.words import Scope
from proxy.rules.quotas.questions import Questions
from proxy.rules.quotas.returns import Returns
from proxy.rules.quotas.store_time import StoreTime
from proxy.rules.quotas.window_lease import WindowLease
from proxy.rules.signals.book import SignalBook
from proxy.rules.signals.sync import SignalSync
from proxy.store.base import REMEMBERED_MS, SLOTS, Ask, Grant
from proxy.store.redis import RedisStore
from tests.rig.valkey import Valkey

HOUR_MS = 3_600_000
REQUESTS = Signal("asks", "", Scope.ACCOUNT, HOUR_MS, AllOf(()), "digest")
NAMES = [f"{number:032}" for number in range(60)]  # as many as travel together
STEP_BYTES = 2048

Tight = tuple[RedisStore, Valkey]


@pytest.fixture
async def tight() -> AsyncIterator[Tight]:
    with tempfile.TemporaryDirectory(prefix="sg") as folder, Valkey(Path(folder) / "full") as server:
        store = await RedisStore.connect(server.url, deadline=5.0)
        yield store, server
        await store.close()


async def taken_in_part(server: Valkey, flush: Callable[[], Awaitable[None]], clock: VirtualClock) -> None:
    """Give a server so little room that it takes a part of what is told, and all of it long after."""
    most = int(server.command("INFO", "memory").split(b"used_memory:")[1].split(b"\r\n")[0])
    taken = 0
    while not taken:
        most += STEP_BYTES
        server.command("CONFIG", "SET", "maxmemory", f"{most}")
        with contextlib.suppress(StoreUnavailable):
            await flush()
        taken = int(server.command("EVAL", "return #redis.call('KEYS', '*:w')", "0")[1:])
    assert taken < len(NAMES)
    for _ in range(2):
        clock.advance(REMEMBERED_MS / 1000)
        with contextlib.suppress(StoreUnavailable):
            await flush()
    server.command("CONFIG", "SET", "maxmemory", "0")
    await flush()


async def used(store: RedisStore, bucket: str) -> int:
    (grant,) = await store.reserve([Ask(bucket, 1000, HOUR_MS, 1001, 1001)], "question")
    return 1000 - grant.remaining


async def test_what_was_used_is_charged_once(tight: Tight) -> None:
    """R-06."""
    store, server = tight
    clock, numbers = VirtualClock(), count()
    returns = Returns(store, clock, lambda: f"op-{next(numbers)}", StoreTime(clock))
    for name in NAMES:
        returns.add(name, HOUR_MS, int(SystemClock().wall() * 1000) * SLOTS // HOUR_MS, -5)
    await taken_in_part(server, returns.flush, clock)
    assert [await used(store, name) for name in NAMES] == [5] * len(NAMES)


async def test_what_was_granted_beside_what_was_refused_is_used_and_goes_back(tight: Tight) -> None:
    """R-06: else it counts as used until its window has passed, and more of it each time that somebody asks."""
    store, server = tight
    clock, numbers = VirtualClock(), count()
    returns = Returns(store, clock, lambda: f"op-{next(numbers)}", StoreTime(clock))
    leases: list[WindowLease] = []
    slots: list[int | None] = []

    async def ask() -> None:
        slots.clear()
        questions = Questions[Ask, Grant](lambda asks: store.reserve(asks, f"op-{next(numbers)}"), clock.monotonic)
        for name in NAMES:
            add = questions.add
            leases.append(WindowLease(name, 1000, HOUR_MS, exact=False, ask=add, on_return=returns.add))
        for lease, answer in [(lease, lease.want(5, clock.monotonic())) for lease in leases[-len(NAMES) :]]:
            with contextlib.suppress(StoreUnavailable):
                slot = await answer
                assert isinstance(slot, int)
                slots.append(slot)
                lease.give(5, slot, clock.monotonic())
                lease.settle_down(clock.monotonic(), closing=True)

    await taken_in_part(server, ask, clock)
    assert len(slots) == len(NAMES)
    await returns.flush()
    assert [await used(store, name) for name in NAMES] == [0] * len(NAMES)


async def test_an_exchange_is_counted_once_by_a_signal(tight: Tight) -> None:
    """R-06."""
    store, server = tight
    clock, numbers = VirtualClock(), count()
    book = SignalBook(b"k" * 32, shared=True)
    sync, counter = SignalSync(book, store, clock, lambda: f"op-{next(numbers)}"), book.counter(REQUESTS)
    for name in NAMES:
        counter.add(name, (), clock.wall())
    await taken_in_part(server, sync.flush, clock)
    assert [await used(store, counter.bucket(name)) for name in NAMES] == [1] * len(NAMES)
    for _ in range(2):  # what was taken of the first part is heard of again
        await sync.flush()
    assert [counter.count(name, clock.wall()) for name in NAMES] == [1] * len(NAMES)
