"""What goes back waits for company; what is charged does not."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence

import pytest

from proxy.clock import VirtualClock
from proxy.errors import StoreAway, StoreUnavailable
from proxy.rules.quotas.returns import Returns
from proxy.rules.quotas.store_time import StoreTime
from proxy.store.base import REMEMBERED_MS, Credit
from proxy.store.memory import MemoryStore

MINUTE = 60_000
NAMES = [f"{number:032}" for number in range(600)]


class Watched(MemoryStore):
    """The reference store, keeping the credits it was sent, and away when told to be."""

    away = False
    left_alone = False

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.sent: list[list[Credit]] = []

    async def credit(self, amounts: Sequence[Credit], op: str) -> None:
        if self.away:
            raise StoreAway("away") if self.left_alone else StoreUnavailable("away")
        self.sent.append(list(amounts))
        await super().credit(amounts, op)


@pytest.fixture
def store() -> Watched:
    return Watched(VirtualClock())


@pytest.fixture
async def returns(store: Watched) -> AsyncIterator[Returns]:
    """The queue of a process, sending."""
    numbers = itertools.count()
    clock = VirtualClock()
    returns = Returns(store, clock, lambda: f"op-{next(numbers)}", StoreTime(clock))
    running = asyncio.create_task(returns.run())
    await a_turn()
    yield returns
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def a_turn() -> None:
    """Let everything that is ready run once."""
    await asyncio.sleep(0)


def credit(number: int, units: int) -> Credit:
    return Credit(NAMES[number], MINUTE, 1, units)


async def sent(store: Watched) -> None:
    async with asyncio.timeout(5):
        while not store.sent:
            await asyncio.sleep(0.01)


async def test_a_return_waits_for_others(returns: Returns, store: Watched) -> None:
    for units in (1, 2):
        returns.add(*credit(0, units))
        await a_turn()
        await a_turn()
        assert store.sent == []
    await sent(store)
    assert store.sent == [[credit(0, 3)]]


async def test_a_charge_leaves_in_the_next_turn(returns: Returns, store: Watched) -> None:
    returns.add(*credit(0, -1))
    returns.add(*credit(0, -2))
    await a_turn()
    assert store.sent == [[credit(0, -3)]]


async def test_a_charge_takes_along_what_waits_already_and_is_counted_first(returns: Returns, store: Watched) -> None:
    for number in range(600):
        returns.add(*credit(number, 1))
    await a_turn()
    returns.add(*credit(0, -5))
    await a_turn()
    await a_turn()
    batches = [amount for batch in store.sent for amount in batch]
    assert batches[0] == credit(0, -5)
    assert len(batches) == 601


async def test_a_charge_waits_for_a_store_that_is_away_and_then_comes_first(returns: Returns, store: Watched) -> None:
    store.away = True
    returns.add(*credit(0, -5))
    await a_turn()
    returns.add(*credit(1, 1))
    returns.add(*credit(0, -2))
    store.away = False
    await sent(store)
    assert store.sent == [[credit(0, -5)], [credit(0, -2), credit(1, 1)]]


async def test_what_was_not_sent_at_all_is_sent_as_it_is_by_then(store: Watched) -> None:
    clock = VirtualClock()
    returns = Returns(store, clock, iter(NAMES).__next__, StoreTime(clock))
    store.away = store.left_alone = True
    returns.add(*credit(0, -5))
    returns.add(*credit(1, 4))
    for _ in range(3):
        with pytest.raises(StoreAway):
            await returns.flush()
        clock.advance(REMEMBERED_MS / 1000)
    returns.add(*credit(0, 3))
    store.away = False
    await returns.flush()
    assert store.sent == [[credit(0, -2), credit(1, 4)]]


async def test_what_comes_back_pays_what_is_owed_and_not_more(store: Watched) -> None:
    clock = VirtualClock()
    returns = Returns(store, clock, iter(NAMES).__next__, StoreTime(clock))
    for units in (-5, 5, -5, 7, -1):
        returns.add(*credit(0, units))
    await returns.flush()
    assert store.sent == [[credit(0, -1), credit(0, 2)]]


async def test_a_charge_that_came_back_before_it_was_told_is_not_told_at_all(returns: Returns, store: Watched) -> None:
    for units in (-5, 5):
        returns.add(*credit(0, units))
    await returns.flush()
    assert store.sent == []
    for units in (-5, 4):
        returns.add(*credit(0, units))
    await returns.flush()
    assert store.sent == [[credit(0, -1)]]


async def test_what_is_forgotten_is_never_sent(store: Watched) -> None:
    clock = VirtualClock()
    returns = Returns(store, clock, iter(NAMES).__next__, StoreTime(clock))
    store.away = True
    returns.add(*credit(0, -5))
    returns.add(*credit(1, 4))
    with pytest.raises(StoreUnavailable):
        await returns.flush()  # a batch whose fate is not known
    returns.add(*credit(2, -5))
    returns.add(*credit(3, 4))
    returns.forget()
    store.away = False
    await returns.flush()
    assert store.sent == []
    returns.add(*credit(4, -1))
    await returns.flush()
    assert store.sent == [[credit(4, -1)]]
