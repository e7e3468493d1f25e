from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from proxy.steps.turns import Turns


@pytest.fixture
async def turns() -> AsyncIterator[Turns]:
    turns = Turns("tests")
    yield turns
    turns.close()


class Held:
    """Work that keeps the thread until it is let go, and notes what ran."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.began = threading.Event()
        self._go = threading.Event()

    def hold(self) -> None:
        self.began.set()
        assert self._go.wait(10)

    def let_go(self) -> None:
        self._go.set()

    def note(self, name: str) -> str:
        self.ran.append(name)
        return name


async def held(turns: Turns, work: Held) -> asyncio.Task[None]:
    first = asyncio.create_task(turns.run("flood", 10, work.hold))
    await asyncio.to_thread(work.began.wait, 10)
    return first


async def queued(turns: Turns, work: Held, *asked: tuple[str, int, str]) -> list[asyncio.Task[str]]:
    tasks = []
    for account, cost, name in asked:
        tasks.append(asyncio.create_task(turns.run(account, cost, work.note, name)))
        await asyncio.sleep(0)  # so that it asks before the next one does
    return tasks


async def test_an_account_that_asks_much_waits_behind_one_that_asks_little(turns: Turns) -> None:
    work = Held()
    first = await held(turns, work)
    flood = [("flood", 10, f"flood {number}") for number in range(5)]
    tasks = await queued(turns, work, *flood, ("honest", 1, "honest 0"), ("honest", 1, "honest 1"))
    work.let_go()
    assert await asyncio.gather(*tasks) == [*(name for _, _, name in flood), "honest 0", "honest 1"]
    await first
    assert work.ran[:2] == ["honest 0", "honest 1"]
    assert work.ran[2:] == [f"flood {number}" for number in range(5)]


async def test_accounts_that_ask_alike_take_turns(turns: Turns) -> None:
    work = Held()
    first = await held(turns, work)
    asked = [(account, 10, f"{account}{number}") for account in "ab" for number in range(3)]
    tasks = await queued(turns, work, *asked)
    work.let_go()
    await asyncio.gather(first, *tasks)
    assert work.ran == ["a0", "b0", "a1", "b1", "a2", "b2"]


async def test_who_leaves_while_waiting_or_when_its_turn_comes_holds_up_nobody(turns: Turns) -> None:
    work = Held()
    first = await held(turns, work)
    gone, late, last = await queued(turns, work, ("a", 1, "gone"), ("b", 2, "late"), ("c", 3, "last"))
    gone.cancel()
    first.add_done_callback(lambda _: late.cancel())
    work.let_go()
    assert await last == "last"
    await asyncio.gather(first, gone, late, return_exceptions=True)
    assert gone.cancelled()
    assert "gone" not in work.ran
    assert await turns.run("d", 1, work.note, "after") == "after"


async def test_what_fails_fails_for_its_owner_and_the_next_one_runs(turns: Turns) -> None:
    def broken() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await turns.run("a", 1, broken)
    assert await turns.run("a", 1, str, 5) == "5"
