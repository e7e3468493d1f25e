"""Room at an upstream: its limits hold, nobody is passed over, and no place is lost, whoever gives up when."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from proxy.upstream.room import NoRoom, Room


async def settle() -> None:
    """Let everybody run who can."""
    for _ in range(5):
        await asyncio.sleep(0)


class Guests:
    """Exchanges that want in, by tenant, and the order in which they came in."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.came: list[str] = []

    async def enter(self, tenant: str) -> None:
        await self.room.enter(tenant)
        self.came.append(tenant)

    async def want(self, *tenants: str) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self.enter(tenant)) for tenant in tenants]
        await settle()
        return tasks


async def test_a_free_place_goes_to_whoever_has_the_fewest_and_of_those_has_waited_longest() -> None:
    guests = Guests(Room(3, 3, waiting=10, patience=60))
    tasks = await guests.want("a", "a", "a", "a", "a", "b", "c", "b")
    assert guests.came == ["a", "a", "a"]
    for tenant, expected in (("a", "b"), ("a", "c"), ("b", "b"), ("b", "a"), ("c", "a")):
        guests.room.leave(tenant)
        await settle()
        assert guests.came[-1] == expected
    await asyncio.gather(*tasks)


async def test_nobody_has_more_places_than_one_may_and_who_has_them_holds_up_nobody_else() -> None:
    guests = Guests(Room(10, 2, waiting=10, patience=60))
    tasks = await guests.want("a", "a", "a", "b")
    assert guests.came == ["a", "a", "b"]
    guests.room.leave("a")
    await asyncio.gather(*tasks)
    assert guests.came == ["a", "a", "b", "a"]


async def test_too_many_of_one_are_sent_away_at_once_and_those_who_waited_too_long_after_that() -> None:
    room = Room(1, 1, waiting=2, patience=0.02)
    await room.enter("a")
    waiting = [asyncio.create_task(room.enter(tenant)) for tenant in ("a", "a", "b")]
    await settle()
    with pytest.raises(NoRoom):
        await room.enter("a")
    assert not any(task.done() for task in waiting)
    for task in waiting:
        with pytest.raises(NoRoom):
            await task
    room.leave("a")
    await room.enter("b")


async def test_where_nobody_may_wait_a_full_room_sends_away() -> None:
    room = Room(1, 1, waiting=0, patience=60)
    await room.enter("a")
    with pytest.raises(NoRoom):
        await room.enter("b")
    room.leave("a")
    await room.enter("b")


@pytest.mark.parametrize("seed", range(20))
async def test_no_place_is_lost_or_taken_twice_however_guests_come_leave_and_give_up(seed: int) -> None:
    rng = random.Random(seed)
    room, inside = Room(3, 2, waiting=4, patience=0.001), Counter[str]()

    async def visit(tenant: str) -> None:
        try:
            await room.enter(tenant)
        except NoRoom:
            return
        inside[tenant] += 1
        try:
            assert inside.total() <= 3
            assert inside[tenant] <= 2
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(0)
        finally:
            inside[tenant] -= 1
            room.leave(tenant)

    tasks = []
    for _ in range(300):
        tasks.append(asyncio.create_task(visit(rng.choice("abcd"))))
        if rng.random() < 0.3:
            rng.choice(tasks).cancel()
        if rng.random() < 0.5:
            await asyncio.sleep(rng.choice([0, 0, 0.0005]))
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(end) for end in ended} <= {type(None), asyncio.CancelledError}
    async with asyncio.timeout(5):
        for tenant in "aab":  # all three places are there again
            await room.enter(tenant)
