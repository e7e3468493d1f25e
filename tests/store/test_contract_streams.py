"""What every store promises of its streams."""

from __future__ import annotations

import asyncio

import pytest

from proxy.store.base import REMEMBERED_MS, Tail
from tests.store.ground import Ground

AMPLE = 1 << 20


async def filled(ground: Ground, *entries: bytes, keep: int = AMPLE) -> None:
    for number, data in enumerate(entries):
        await ground.store.append("events", data, keep, f"{number}-{data[:8].hex()}")


async def read(ground: Ground, after: str = "", most: int = 100) -> Tail:
    return await ground.other.follow("events", after, most)


async def test_entries_come_in_order_from_the_position_on(ground: Ground) -> None:
    assert await read(ground) == Tail("", (), cut=False)
    await filled(ground, b"one", b"\x00\xff", b"")
    first = await read(ground, most=2)
    assert (first.entries, first.cut) == ((b"one", b"\x00\xff"), False)
    rest = await read(ground, first.position)
    assert (rest.entries, rest.cut) == ((b"",), False)
    assert await read(ground, rest.position) == Tail(rest.position, (), cut=False)
    assert (await read(ground)).entries == (b"one", b"\x00\xff", b"")


async def test_streams_know_nothing_of_each_other(ground: Ground) -> None:
    await filled(ground, b"one")
    await ground.store.append("others", b"two", AMPLE, "op")
    assert (await ground.store.follow("others", "", 10)).entries == (b"two",)
    assert (await read(ground)).entries == (b"one",)


async def test_an_entry_that_is_sent_again_with_its_op_is_added_once(ground: Ground) -> None:
    for _ in range(3):
        await ground.store.append("events", b"one", AMPLE, "op")
    await ground.other.append("events", b"two", AMPLE, "another op")
    assert (await read(ground)).entries == (b"one", b"two")
    assert REMEMBERED_MS >= 10_000


async def test_the_oldest_entries_go_when_the_bytes_are_full_and_the_newest_stays(ground: Ground) -> None:
    await filled(ground, *(bytes([number]) * 100 for number in range(10)), keep=350)
    assert [data[0] for data in (await read(ground)).entries] == [7, 8, 9]
    await ground.store.append("events", b"x" * 1000, 350, "large")
    assert (await read(ground)).entries == (b"x" * 1000,)


async def test_a_reader_that_was_overtaken_is_told_so(ground: Ground) -> None:
    await filled(ground, b"a" * 100, b"b" * 100)
    at = (await read(ground, most=1)).position
    await ground.store.append("events", b"c" * 100, 200, "third")
    assert (await read(ground, at)).cut is False
    await ground.store.append("events", b"d" * 100, 200, "fourth")
    overtaken = await read(ground, at)
    assert ([data[:1] for data in overtaken.entries], overtaken.cut) == ([b"c", b"d"], True)
    assert (await read(ground, overtaken.position)).cut is False
    assert (await read(ground)).cut is False


@pytest.mark.parametrize("count", [1, 8, 9, 40])
async def test_what_was_trimmed_is_gone_and_its_room_is_free_again(ground: Ground, count: int) -> None:
    await filled(ground, *(b"%05d" % number * 20 for number in range(count)))
    read_all = await read(ground)
    assert len(read_all.entries) == count
    await ground.store.trim("events", read_all.position)
    assert await read(ground, read_all.position) == Tail(read_all.position, (), cut=False)
    assert (await read(ground)).entries == ()
    for number in range(3):
        await ground.store.append("events", b"z" * 100, 300, f"after {number}")
    assert len((await read(ground, read_all.position)).entries) == 3


async def test_a_trim_leaves_what_comes_after_the_position(ground: Ground) -> None:
    await filled(ground, b"one", b"two", b"three")
    at = (await read(ground, most=2)).position
    await ground.store.trim("events", at)
    await ground.store.trim("events", "no position")
    await ground.store.trim("never", at)
    found = await read(ground, at)
    assert (found.entries, found.cut) == ((b"three",), False)


@pytest.mark.parametrize("position", ["x", "-", "+ COUNT 1", "(1"])
async def test_a_position_that_no_stream_gave_is_the_beginning_and_said_to_be_cut(
    ground: Ground, position: str
) -> None:
    await filled(ground, b"one")
    found = await read(ground, position)
    assert (found.entries, found.cut) == ((b"one",), True)


async def test_a_position_beyond_the_last_entry_is_the_beginning_and_said_to_be_cut(ground: Ground) -> None:
    """R-11, R-14: another stream has taken the place of the one that gave it, where a clock is behind."""
    await filled(ground, b"one")
    await ground.pass_time(2)
    for name in ("a", "b"):
        await ground.store.append("others", b"x", AMPLE, name)
    further = (await ground.store.follow("others", "", 10)).position
    found = await read(ground, further)
    assert (found.entries, found.cut, found.anew) == ((b"one",), True, True)
    assert await read(ground, found.position) == Tail(found.position, (), cut=False)
    await ground.store.append("events", b"two", AMPLE, "two")
    assert (await read(ground, found.position)).entries == (b"two",)


async def test_many_append_at_once_and_nothing_is_lost(ground: Ground) -> None:
    stores = [ground.store, ground.other] * 50
    await asyncio.gather(
        *(store.append("events", b"%d" % number, AMPLE, str(number)) for number, store in enumerate(stores))
    )
    found = await read(ground)
    assert sorted(map(int, found.entries)) == list(range(100))
