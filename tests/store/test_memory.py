"""What only a clock that is moved by hand can show: thousands of histories, checked against the definition."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from proxy.clock import VirtualClock
from proxy.store.base import REMEMBERED_MS, SLOTS, Ask, Credit, Grant, Hold
from proxy.store.memory import MemoryStore

BUCKET = "0123456789abcdef"


class Definition:
    """The window as the protocol words it: every charge is kept, and each question is answered from all of them."""

    def __init__(self, limit: int, window: int) -> None:
        self.limit = limit
        self.window = window
        self.charges: list[tuple[int, int]] = []

    def used(self, now: int) -> int:
        # Slot i ends at (i + 1) * window / SLOTS and counts until a whole window later.
        return sum(units for slot, units in self.charges if now * SLOTS < (slot + 1 + SLOTS) * self.window)

    def free_at(self, now: int, least: int) -> int:
        """The wait until `least` units are free, found by trying every moment at which a slot leaves."""
        moments = sorted({-(-(slot + 1 + SLOTS) * self.window // SLOTS) for slot, _ in self.charges})
        return next(moment for moment in moments if moment > now and self.limit - self.used(moment) >= least) - now

    def empty_at(self, now: int) -> int:
        moments = sorted({-(-(slot + 1 + SLOTS) * self.window // SLOTS) for slot, _ in self.charges})
        return next((moment for moment in moments if moment > now and not self.used(moment)), now) - now


def _expected(definition: Definition, now: int, least: int, most: int) -> Grant:
    slot = now * SLOTS // definition.window
    free = definition.limit - definition.used(now)
    granted = min(free, most)
    if granted >= least:
        definition.charges.append((slot, granted))
        lease = max((slot + 1) * definition.window // SLOTS - now - 1, 0)
        return Grant(granted, slot, free - granted, lease, 0, definition.empty_at(now))
    retry_after = definition.free_at(now, least) if least <= definition.limit else -1
    reset = definition.empty_at(now) if definition.used(now) else 0
    return Grant(0, slot, max(free, 0), 0, retry_after, reset)


def _give_back(definition: Definition, now: int, slot: int, amount: int) -> None:
    held = sum(units for charged, units in definition.charges if charged == slot)
    if now * SLOTS < (slot + 1 + SLOTS) * definition.window:
        definition.charges.append((slot, -min(amount, held)))


@pytest.mark.parametrize("block", range(10))
async def test_a_history_is_answered_as_the_definition_says(block: int) -> None:
    for history in range(200):
        draw = random.Random(block * 1000 + history)
        clock = VirtualClock(start=draw.randint(0, 100_000) / 1000)
        store = MemoryStore(clock)
        definition = Definition(draw.randint(1, 30), draw.choice([60, 90, 100, 600, 777, 6000]))
        for step in range(25):
            now = round(clock.monotonic() * 1000)
            least = draw.randint(1, 8)
            ask = Ask(BUCKET, definition.limit, definition.window, least, least + draw.randint(0, 8))
            assert await store.reserve([ask], f"ask {step}") == [_expected(definition, now, least, ask.most)]
            if definition.charges and draw.random() < 0.4:
                slot, amount = draw.choice(definition.charges)[0], draw.randint(-5, 10)
                await store.credit([Credit(BUCKET, definition.window, slot, amount)], f"credit {step}")
                _give_back(definition, now, slot, amount)
            clock.advance(draw.choice([0, 0, 1, draw.randint(0, definition.window // 3), definition.window]) / 1000)


@pytest.mark.parametrize("window", [60, 90, 100, 777, 6000])
async def test_no_stretch_of_a_window_sees_more_used_than_the_limit(window: int) -> None:
    """Each grant is used at the worst moment that its lease allows: at once, or at its end."""
    limit = 10
    for history in range(100):
        draw = random.Random(history)
        clock, used = VirtualClock(start=0.0), list[tuple[int, int]]()
        store = MemoryStore(clock)
        for step in range(60):
            (grant,) = await store.reserve([Ask(BUCKET, limit, window, 1, draw.randint(1, 10))], f"{step}")
            now = round(clock.monotonic() * 1000)
            if grant.granted:
                used.append((now + draw.choice([0, grant.lease_ms]), grant.granted))
            clock.advance(draw.choice([0, 1, 2, window // SLOTS, window // 4]) / 1000)
        for begin, _ in used:
            assert sum(units for moment, units in used if begin <= moment < begin + window) <= limit


async def test_an_op_is_forgotten_when_its_time_is_over() -> None:
    clock = VirtualClock()
    store = MemoryStore(clock)
    ask = Ask(BUCKET, 10, 3_600_000, 1, 1)
    remaining = []
    for wait in (0, REMEMBERED_MS - 1, 1):
        clock.advance(wait / 1000)
        remaining.append((await store.reserve([ask], "op"))[0].remaining)
    assert remaining == [9, 9, 8]


async def test_what_left_its_window_leaves_the_memory_as_well() -> None:
    clock = VirtualClock()
    store = MemoryStore(clock)
    sizes = [0]
    for index in range(3000):
        await store.reserve([Ask(f"bucket {index:09d}", 10, 600, 1, 1)], f"{index}")
        await store.hold([Hold(f"bucket {index:09d}", 10, "holder", 1, 1, 600)])
        clock.advance(0.1)
        sizes.append(len(store._windows) + len(store._holders) + len(store._granted))
    assert max(sizes) < 400
    assert max(abs(after - before) for before, after in pairwise(sizes)) < 10
