from __future__ import annotations

import asyncio

import pytest

from proxy.store.base import FEED_ROWS, Held, Hold, Row
from tests.store.ground import Ground

BUCKET = "0123456789abcdef"
LONG_MS = 60_000
SHORT_MS = 200


def _hold(holder: str, least: int, most: int, *, limit: int = 10, ttl: int = LONG_MS) -> Hold:
    return Hold(BUCKET, limit, holder, least, most, ttl)


async def test_a_holder_gets_what_the_others_leave_up_to_most(ground: Ground) -> None:
    assert await ground.store.hold([_hold("a", 1, 4), _hold("b", 1, 20), _hold("c", 1, 1)]) == [
        Held(4, 4),
        Held(6, 10),
        Held(0, 10),
    ]


async def test_a_hold_is_a_total_and_so_renews_grows_and_shrinks(ground: Ground) -> None:
    wishes = [_hold("a", 4, 4), _hold("a", 4, 4), _hold("a", 6, 8), _hold("a", 2, 2)]
    assert [held.mine for held in await ground.store.hold(wishes)] == [4, 4, 8, 2]


async def test_a_holder_keeps_what_it_has_when_least_cannot_be_met(ground: Ground) -> None:
    await ground.store.hold([_hold("a", 3, 3), _hold("b", 5, 5)])
    assert await ground.store.hold([_hold("a", 6, 9)]) == [Held(3, 8)]


async def test_least_zero_gives_slots_back(ground: Ground) -> None:
    await ground.store.hold([_hold("a", 10, 10)])
    assert await ground.store.hold([_hold("a", 0, 0), _hold("b", 10, 10)]) == [Held(0, 0), Held(10, 10)]


async def test_slots_that_nobody_renews_fall_free(ground: Ground) -> None:
    await ground.store.hold([_hold("a", 6, 6, ttl=SHORT_MS), _hold("b", 2, 2)])
    await ground.pass_time(SHORT_MS)
    assert await ground.other.hold([_hold("c", 1, 10)]) == [Held(8, 10)]


async def test_holders_never_have_more_than_the_limit_together(ground: Ground) -> None:
    stores = [ground.store, ground.other] * 50
    await asyncio.gather(*(store.hold([_hold(f"{index}", 1, 3)]) for index, store in enumerate(stores)))
    held = await asyncio.gather(*(store.hold([_hold(f"{index}", 1, 3)]) for index, store in enumerate(stores)))
    assert sum(mine for ((mine, _),) in held) == 10


async def test_whoever_pings_is_told_the_time_by_the_store(ground: Ground) -> None:
    before = await ground.store.ping()
    await ground.pass_time(SHORT_MS)
    assert SHORT_MS / 1000 <= await ground.other.ping() - before < LONG_MS / 1000


async def test_rows_are_written_read_replaced_and_deleted(ground: Ground) -> None:
    assert await ground.store.read("keys", "a") is None
    assert await ground.store.write([Row("keys", "a", b"\x00\xff"), Row("keys", "b", b""), Row("flags", "a", b"1")])
    assert [await ground.other.read("keys", name) for name in "abc"] == [b"\x00\xff", b"", None]
    assert await ground.store.write([Row("keys", "a", b"new"), Row("keys", "b", None)])
    assert [await ground.other.read("keys", name) for name in "ab"] == [b"new", None]
    assert await ground.other.read("flags", "a") == b"1"


async def test_only_new_rows_are_written_together_or_not_at_all(ground: Ground) -> None:
    assert await ground.store.write([Row("keys", "b", b"old")], only_new=True)
    assert not await ground.store.write([Row("keys", "a", b"1"), Row("keys", "b", b"2")], only_new=True)
    assert [await ground.store.read("keys", name) for name in "ab"] == [None, b"old"]


async def test_rows_are_written_only_as_long_as_another_one_is_as_it_was_given(ground: Ground) -> None:
    old, new, start = Row("keys", "a", b"old"), Row("keys", "a", b"new"), await ground.store.changes(None, 0)
    assert not await ground.store.write([new], given=old)
    assert await ground.store.write([old], given=old._replace(value=None))
    assert not await ground.other.write([new], given=old._replace(value=None))
    assert await ground.other.write([Row("flags", "b", b""), new], given=old)
    assert not await ground.store.write([Row("flags", "b", b"1")], given=old)
    assert not await ground.store.write([Row("flags", "b", b"1")], only_new=True, given=new)
    assert await ground.store.write([new._replace(value=None)], given=new)
    assert [await ground.store.read(table, name) for table, name in (("keys", "a"), ("flags", "b"))] == [None, b""]
    rows = (await ground.store.changes(start.cursor, 0)).rows
    assert rows == (("keys", "a"), ("flags", "b"), ("keys", "a"), ("keys", "a"))


async def test_of_many_that_write_one_new_row_one_succeeds(ground: Ground) -> None:
    stores = [ground.store, ground.other] * 20
    written = await asyncio.gather(
        *(store.write([Row("keys", "a", b"%d" % index)], only_new=True) for index, store in enumerate(stores))
    )
    assert sum(written) == 1
    assert await ground.store.read("keys", "a") == b"%d" % written.index(True)


async def test_names_are_data_and_never_commands_or_keys(ground: Ground) -> None:
    names = ["a b", "{x}:w", "\r\n*1\r\n$8\r\nFLUSHALL\r\n", "", "ü", "*"]
    await ground.store.write([Row("keys", name, name.encode()) for name in names])
    assert {row async for row in ground.store.scan("keys")} == {(name, name.encode()) for name in names}


@pytest.mark.parametrize("size", [0, 1, 3000])
async def test_a_scan_sees_every_row_of_its_table_once(ground: Ground, size: int) -> None:
    rows = [Row("keys", f"name {index}", b"%d" % index) for index in range(size)]
    await ground.store.write([Row("flags", "other", b"x"), *rows])
    seen = [row async for row in ground.other.scan("keys")]
    assert sorted(seen) == sorted((row.name, row.value) for row in rows)


async def test_a_scan_under_writes_sees_no_row_twice_and_no_old_one_not(ground: Ground) -> None:
    await ground.store.write([Row("keys", f"old {index}", b"x") for index in range(3000)])
    seen: list[str] = []
    async for name, _ in ground.other.scan("keys"):
        if len(seen) % 500 == 0:
            await ground.store.write([Row("keys", f"new {len(seen)} {index}", b"x") for index in range(1000)])
        seen.append(name)
    assert len(seen) == len(set(seen))
    assert sum(name.startswith("old") for name in seen) == 3000


async def test_changes_are_told_in_order_from_the_cursor_on(ground: Ground) -> None:
    await ground.store.write([Row("keys", "before", b"x")])
    start = await ground.store.changes(None, 0)
    assert (start.rows, start.lost) == ((), False)
    await ground.store.write([Row("keys", "a", b"x"), Row("flags", "b", None)])
    first = await ground.other.changes(start.cursor, 0)
    assert (first.rows, first.lost) == ((("keys", "a"), ("flags", "b")), False)
    await ground.store.write([Row("keys", "a", b"y")])
    assert (await ground.other.changes(first.cursor, 0)).rows == (("keys", "a"),)
    assert len((await ground.other.changes(start.cursor, 0)).rows) == 3


async def test_a_cursor_from_before_the_first_write_sees_it(ground: Ground) -> None:
    start = await ground.store.changes(None, 0)
    assert await ground.store.changes(start.cursor, 20) == start
    await ground.other.write([Row("keys", "a", b"x")])
    found = await ground.store.changes(start.cursor, 0)
    assert (found.rows, found.lost) == ((("keys", "a"),), False)


async def test_who_waits_for_changes_hears_of_a_write_at_once(ground: Ground) -> None:
    start = await ground.store.changes(None, 0)
    waiting = asyncio.create_task(ground.store.changes(start.cursor, LONG_MS))
    await ground.store.ping()
    await ground.other.write([Row("keys", "a", b"x")])
    async with asyncio.timeout(2):
        assert (await waiting).rows == (("keys", "a"),)


async def test_several_wait_for_changes_and_none_keeps_the_others_calls_waiting(ground: Ground) -> None:
    start = await ground.store.changes(None, 0)
    waiting = [asyncio.create_task(ground.store.changes(start.cursor, LONG_MS)) for _ in range(3)]
    async with asyncio.timeout(2):
        for _ in range(20):
            await ground.store.ping()
        await ground.store.write([Row("keys", "a", b"x")])
        assert [found.rows for found in await asyncio.gather(*waiting)] == [(("keys", "a"),)] * 3


async def test_waiting_ends_when_nothing_comes(ground: Ground) -> None:
    await ground.store.write([Row("keys", "a", b"x")])
    start = await ground.store.changes(None, 0)
    async with asyncio.timeout(2):
        assert await ground.store.changes(start.cursor, 50) == start


async def test_who_left_while_waiting_can_wait_again(ground: Ground) -> None:
    start = await ground.store.changes(None, 0)
    for _ in range(5):
        waiting = asyncio.create_task(ground.store.changes(start.cursor, LONG_MS))
        await ground.store.ping()
        waiting.cancel()
        await asyncio.wait([waiting])
    await ground.store.write([Row("keys", "a", b"x")])
    assert (await ground.store.changes(start.cursor, 0)).rows == (("keys", "a"),)


async def test_a_cursor_that_the_feed_was_trimmed_past_is_lost(ground: Ground) -> None:
    await ground.store.write([Row("keys", "a", b"x")])
    start = await ground.store.changes(None, 0)
    for _ in range(12):
        await ground.store.write([Row("keys", f"name {index}", b"x") for index in range(FEED_ROWS // 10)])
    lost = await ground.store.changes(start.cursor, LONG_MS)
    assert (lost.rows, lost.lost) == ((), True)
    await ground.store.write([Row("keys", "b", b"x")])
    after = await ground.store.changes(lost.cursor, 0)
    assert (after.rows, after.lost) == ((("keys", "b"),), False)


async def test_the_feed_reaches_back_as_far_as_promised(ground: Ground) -> None:
    await ground.store.write([Row("keys", "a", b"x")])
    cursor = (await ground.store.changes(None, 0)).cursor
    for _ in range(10):
        await ground.store.write([Row("keys", f"name {index}", b"x") for index in range(FEED_ROWS // 10 - 1)])
    told = 0
    while (found := await ground.store.changes(cursor, 0)).rows:
        assert not found.lost
        told, cursor = told + len(found.rows), found.cursor
    assert told == FEED_ROWS - 10


@pytest.mark.parametrize("cursor", ["", "x", "99999999999999", "99999999999999-0", "-1", "0-1 COUNT 1"])
async def test_a_cursor_that_the_feed_never_gave_is_lost(ground: Ground, cursor: str) -> None:
    await ground.store.write([Row("keys", "a", b"x")])
    assert (await ground.store.changes(cursor, LONG_MS)).lost
