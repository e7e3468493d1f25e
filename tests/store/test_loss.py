"""R-14: a store that was flushed, or is another one, is noticed; quotas are told again, and keys look like an outage."""

from __future__ import annotations

import itertools
import random

import pytest

from proxy.auth.api_key import KeyRequest
from proxy.auth.key_cache import KeyCache
from proxy.auth.key_registry import KeyRegistry
from proxy.clock import VirtualClock
from proxy.errors import Unauthenticated, Unavailable
from proxy.exchange import Principal
from proxy.rules.pack.pack import ClientMessage, Limit, Pack, Quota
from proxy.rules.pack.words import Measure, Mode, Scope
from proxy.rules.quotas import ledger
from proxy.rules.quotas.quotas import Quotas
from proxy.rules.quotas.reservation import Amounts, Reservation
from proxy.store.base import SLOTS
from proxy.store.loss import StoreLoss
from proxy.store.mark import MARK, ensure_mark
from proxy.store.memory import MemoryStore

KEY = b"k" * 32
CALLER = Principal("key_1", "acme", "acme", "pro", 0.0, {})
MINUTE_S = 60.0


class Flushable(MemoryStore):
    """The reference store, which can be emptied."""

    def flush(self, clock: VirtualClock) -> None:
        self.__dict__.update(MemoryStore(clock).__dict__)


@pytest.fixture
async def store(clock: VirtualClock) -> Flushable:
    store = Flushable(clock)
    await ensure_mark(store, random.Random(1).randbytes)
    return store


class Process:
    """One process's quotas, and what it notices of the store."""

    _numbers = itertools.count()

    def __init__(self, store: Flushable, clock: VirtualClock) -> None:
        limits = (
            Limit(Measure.OUTPUT_TOKENS, 1000, int(MINUTE_S * 1000), exact=False),
            Limit(Measure.CONCURRENCY, 50, 0, exact=False),
        )
        quota = Quota("q", Scope.ACCOUNT, Mode.ENFORCE, limits, ClientMessage(429, None, "no"))
        name = f"process {next(self._numbers)}"
        pack = Pack("p", "1", "o", "0" * 64, (quota,))
        self.quotas = Quotas(pack, store, clock, name, lambda: f"{name} {next(self._numbers)}")
        self.loss = StoreLoss(store, self.quotas.rebuild)

    async def admitted(self, attempts: int, tokens: int = 1) -> list[Reservation]:
        results = [await self.quotas.reserve(CALLER, "m", Amounts.of(1, tokens, 0)) for _ in range(attempts)]
        return [result for result in results if isinstance(result, Reservation)]


async def test_what_was_used_is_told_again_by_those_who_used_it(store: Flushable, clock: VirtualClock) -> None:
    one, other, third = (Process(store, clock) for _ in range(3))
    for process in (one, other):
        await process.loss.begin()
    finished = await one.admitted(3, tokens=100)
    one.quotas.settle(finished[0], Amounts.of(1, 20, 0))
    one.quotas.settle(finished[1], Amounts.of(1, 150, 0))
    await other.admitted(1, tokens=200)
    store.flush(clock)
    for process in (one, other):
        await process.loss.begin()
        await process.quotas.tend()
        assert process.loss.numbers()["stillgate_store_lost"] == 1
        assert process.loss.numbers()["stillgate_store_losses_total"] == 1
    for process in (one, other):
        await process.quotas.close()  # what is held in advance goes back
    left = 1000 - (20 + 150 + 100) - 200
    running = await third.admitted(60)
    assert len(running) == 50 - 2, "two run elsewhere"
    for reservation in running:
        third.quotas.refund(reservation)
    assert await third.admitted(1, tokens=left + 1) == []
    assert len(await third.admitted(1, tokens=left)) == 1


async def test_it_is_told_again_as_often_as_the_store_is_lost(store: Flushable, clock: VirtualClock) -> None:
    one, other = (Process(store, clock) for _ in range(2))
    await one.loss.begin()
    assert len(await one.admitted(1, tokens=900)) == 1
    for seed in (2, 3):
        store.flush(clock)
        await one.loss.begin()
        await ensure_mark(store, random.Random(seed).randbytes)
        await one.loss.hear([MARK])
    await one.quotas.tend()
    assert one.loss.losses == 2
    assert await other.admitted(1, tokens=101) == []


async def test_what_is_told_again_leaves_its_window_when_it_would_have(store: Flushable, clock: VirtualClock) -> None:
    one = Process(store, clock)
    await one.loss.begin()
    (first,) = await one.admitted(1, tokens=900)
    one.quotas.settle(first, Amounts.of(1, 900, 0))
    clock.advance(MINUTE_S / 2)
    store.flush(clock)
    await one.loss.begin()
    assert await one.admitted(1, tokens=200) == []
    clock.advance(MINUTE_S / 2 + 2 * MINUTE_S / SLOTS)
    assert len(await one.admitted(1, tokens=900)) == 1


async def test_a_feed_that_lost_its_place_is_counted_and_tells_nothing_again(
    store: Flushable, clock: VirtualClock
) -> None:
    """R-11: the store is the same, some writes of its last moments may be gone."""
    one = Process(store, clock)
    await one.admitted(1, tokens=500)
    for _ in range(2):
        await one.loss.begin()
    assert one.loss.numbers() == {
        "stillgate_store_lost": 0,
        "stillgate_store_losses_total": 0,
        "stillgate_store_rewinds_total": 1,
    }
    assert len(await one.admitted(1, tokens=500)) == 1


async def test_a_store_that_was_marked_again_is_whole_again(store: Flushable, clock: VirtualClock) -> None:
    one = Process(store, clock)
    await one.loss.begin()
    store.flush(clock)
    await one.loss.begin()
    await one.loss.begin()
    assert one.loss.losses == 1, "once"
    await ensure_mark(store, random.Random(2).randbytes)
    await one.loss.hear([("keys", "a"), MARK])
    assert not one.loss.lost
    await one.loss.begin()
    assert one.loss.losses == 1


async def test_a_ledger_forgets_what_counts_no_more_and_has_a_bound(
    store: Flushable, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Process(store, clock)
    await one.admitted(1)
    (book,) = [one.quotas._pool.ledger]
    clock.advance(2 * MINUTE_S)
    book.note("another", 1000, int(clock.wall()) * SLOTS, 5)
    assert list(book._windows) == ["another"]
    assert list(book.take()) == [("another", 1000, int(clock.wall()) * SLOTS, 5)]
    monkeypatch.setattr(ledger, "_WINDOWS_MAX", 3)
    for number in range(10):
        book.note(f"{number}", 1000, int(clock.wall()) * SLOTS, 1)
    assert [bucket for bucket, *_ in book.take()] == ["7", "8", "9"]


async def test_keys_that_are_gone_with_the_store_look_like_an_outage(store: Flushable, clock: VirtualClock) -> None:
    """R-10: 503 and never 401, and who is known goes on for as long as while the store is away."""
    registry = KeyRegistry(store, KEY, clock, random.Random(3).randbytes)
    known, unasked = [(await registry.create(KeyRequest(name, name))).secret for name in ("a", "b")]
    keys = KeyCache(store, KEY, clock, 60.0)
    await keys.begin()
    keys.caught_up(clock.monotonic())
    assert (await keys.authenticate(known)).account == "a"
    store.flush(clock)
    with pytest.raises(Unavailable):
        await keys.authenticate(unasked)
    await keys.begin()  # the feed has lost its place
    keys.caught_up(clock.monotonic())
    clock.advance(59.0)
    keys.caught_up(clock.monotonic())
    assert (await keys.authenticate(known)).account == "a"
    clock.advance(2.0)
    keys.caught_up(clock.monotonic())
    for secret in (known, unasked):
        with pytest.raises(Unavailable):
            await keys.authenticate(secret)
    await ensure_mark(store, random.Random(2).randbytes)
    await keys.hear([MARK])
    keys.caught_up(clock.monotonic())
    with pytest.raises(Unauthenticated):
        await keys.authenticate(known)
