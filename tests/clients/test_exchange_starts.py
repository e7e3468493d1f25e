"""Answers on their way go before those who begin, and those who begin wait a bounded time."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from proxy.clients.exchange_starts import FEW, LONG_TURN_S, LONGER_TURN_S, LONGEST_S, MANY, SOME, Starts
from proxy.clock import VirtualClock


class Loop:
    """A loop whose turns take as long as a test says; `began` has the turn of each who began, in their order."""

    def __init__(self, turn_s: float) -> None:
        self._clock = VirtualClock(0.0)
        self._turn_s = turn_s
        self._turn = 0
        self.starts = Starts(self._clock.monotonic)
        self.began: list[int] = []
        self.names: list[int] = []

    async def begin(self, name: int = 0) -> None:
        await self.starts.turn(MANY)
        self.began.append(self._turn)
        self.names.append(name)

    async def pass_turn(self) -> None:
        await asyncio.sleep(0)
        self._turn += 1
        self._clock.advance(self._turn_s)

    async def until(self, *tasks: asyncio.Task[None]) -> list[int]:
        """Let turns pass until all have begun; return how many began in each turn in which anybody did."""
        while not all(task.done() for task in tasks):
            await self.pass_turn()
        return [count for _, count in sorted(Counter(self.began).items())]


def tasks_of(loop: Loop, wants: int) -> list[asyncio.Task[None]]:
    return [asyncio.ensure_future(loop.begin(name)) for name in range(wants)]


@pytest.mark.parametrize(("wants", "begin"), [(1, [1]), (MANY, [MANY]), (2 * MANY + 3, [MANY, MANY, 3])])
async def test_while_turns_are_short_nobody_waits_but_for_many_others(wants: int, begin: list[int]) -> None:
    loop = Loop(LONG_TURN_S / 2)
    assert await loop.until(*tasks_of(loop, wants)) == begin


async def test_where_few_run_nobody_waits_and_no_turn_is_watched() -> None:
    loop = Loop(LONG_TURN_S * 2)
    for running in range(MANY):
        async with asyncio.timeout(0):  # in this very turn
            await loop.starts.turn(running)
    assert await loop.until(*tasks_of(loop, MANY + FEW)) == [MANY, FEW]


async def test_while_turns_are_long_few_begin_in_each_in_the_order_in_which_they_came() -> None:
    loop = Loop(LONG_TURN_S * 2)
    assert await loop.until(*tasks_of(loop, MANY + 3 * FEW)) == [MANY, FEW, FEW, FEW]
    assert loop.names == list(range(MANY + 3 * FEW))


async def test_of_those_who_have_waited_long_some_more_begin() -> None:
    turn_s = LONG_TURN_S * 1.5
    loop = Loop(turn_s)
    counts = await loop.until(*tasks_of(loop, 8 * MANY))
    few = counts.index(SOME)
    assert counts[:few] == [MANY] + [FEW] * (few - 1)
    assert abs(few - LONGEST_S / turn_s) < 3
    assert set(counts[few:-1]) == {SOME}


async def test_but_not_while_answers_seem_to_stall() -> None:
    loop = Loop(LONGER_TURN_S * 1.1)
    counts = await loop.until(*tasks_of(loop, 8 * MANY))
    assert len(counts) * LONGER_TURN_S > 2 * LONGEST_S
    assert set(counts[1:]) == {FEW}


async def test_after_a_pause_the_length_of_an_old_turn_is_forgotten() -> None:
    loop = Loop(LONG_TURN_S * 2)
    await loop.until(*tasks_of(loop, MANY + 1))
    for _ in range(5):
        await loop.pass_turn()
    loop.began.clear()
    assert await loop.until(*tasks_of(loop, MANY)) == [MANY]


async def test_who_leaves_while_waiting_takes_nobodys_place() -> None:
    loop = Loop(LONG_TURN_S * 2)
    tasks = tasks_of(loop, MANY + 4 * FEW)
    await loop.pass_turn()
    for task in tasks[MANY : MANY + FEW]:
        task.cancel()
    await loop.until(*tasks)
    assert loop.names == [*range(MANY), *range(MANY + FEW, MANY + 4 * FEW)]
    assert [count for _, count in sorted(Counter(loop.began).items())] == [MANY, FEW, FEW, FEW]
