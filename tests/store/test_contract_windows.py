from __future__ import annotations

import asyncio
import random

import pytest

from proxy.store.base import MAX_UNITS, SLOTS, Ask, Credit, Grant
from tests.store.ground import Ground

BUCKET = "0123456789abcdef"
MINUTE = 60_000
SHORT = 700  # a window short enough to see it pass


def _ask(least: int, most: int | None = None, *, limit: int = 10, window: int = MINUTE, bucket: str = BUCKET) -> Ask:
    return Ask(bucket, limit, window, least, least if most is None else most)


async def _reserve(ground: Ground, op: str, ask: Ask) -> Grant:
    (grant,) = await ground.store.reserve([ask], op)
    return grant


async def test_two_hundred_asks_of_two_stores_at_limit_minus_one_grant_exactly_one(ground: Ground) -> None:
    await _reserve(ground, "first", _ask(999, limit=1000))
    stores = [ground.store, ground.other] * 100
    answers = await asyncio.gather(
        *(store.reserve([_ask(1, limit=1000)], f"op {index}") for index, store in enumerate(stores))
    )
    assert sum(grant.granted for (grant,) in answers) == 1


@pytest.mark.parametrize(
    ("used", "least", "most", "granted", "remaining"),
    [
        (0, 1, 1, 1, 9),
        (0, 1, 4, 4, 6),
        (0, 10, 10, 10, 0),
        (7, 1, 5, 3, 0),
        (7, 3, 5, 3, 0),
        (7, 4, 5, 0, 3),
        (10, 1, 1, 0, 0),
    ],
)
async def test_a_grant_is_what_there_is_up_to_most_and_nothing_under_least(
    ground: Ground, used: int, least: int, most: int, granted: int, remaining: int
) -> None:
    if used:
        await _reserve(ground, "used", _ask(used))
    grant = await _reserve(ground, "op", _ask(least, most))
    assert (grant.granted, grant.remaining) == (granted, remaining)


async def test_each_ask_of_a_call_is_answered_on_its_own_and_in_order(ground: Ground) -> None:
    grants = await ground.store.reserve(
        [_ask(4), _ask(11, bucket="another bucket 1"), _ask(2, 9), _ask(3, bucket="another bucket 2")], "op"
    )
    assert [(grant.granted, grant.remaining) for grant in grants] == [(4, 6), (0, 10), (6, 0), (3, 7)]


async def test_an_ask_over_the_limit_is_told_never(ground: Ground) -> None:
    grant = await _reserve(ground, "op", _ask(11))
    assert grant._replace(slot=0) == Grant(0, 0, remaining=10, lease_ms=0, retry_after_ms=-1, reset_ms=0)


@pytest.mark.parametrize("least", [1, 3, 4, 10])
async def test_a_refusal_obeyed_is_a_grant_and_not_before(ground: Ground, least: int) -> None:
    await _reserve(ground, "one", _ask(3, window=SHORT))
    await ground.pass_time(SHORT // 4)
    await _reserve(ground, "two", _ask(7, window=SHORT))
    refused = await _reserve(ground, "three", _ask(least, window=SHORT))
    assert refused.granted == 0
    assert 0 < refused.retry_after_ms <= SHORT + SHORT // SLOTS + 1
    await ground.pass_time(refused.retry_after_ms)
    assert (await _reserve(ground, "four", _ask(least, window=SHORT))).granted == least


async def test_a_reset_obeyed_finds_the_window_empty(ground: Ground) -> None:
    await _reserve(ground, "one", _ask(3, window=SHORT))
    await ground.pass_time(SHORT // 3)
    reset = (await _reserve(ground, "two", _ask(5, window=SHORT))).reset_ms
    assert SHORT < reset <= SHORT + SHORT // SLOTS + 1
    await ground.pass_time(reset)
    assert (await _reserve(ground, "three", _ask(11, 11, window=SHORT))).remaining == 10


async def test_units_come_back_slot_by_slot(ground: Ground) -> None:
    await _reserve(ground, "one", _ask(3, window=SHORT))
    await ground.pass_time(SHORT // 2)
    later = await _reserve(ground, "two", _ask(7, window=SHORT))
    first = await _reserve(ground, "three", _ask(1, window=SHORT))
    assert 0 < first.retry_after_ms < later.reset_ms
    await ground.pass_time(first.retry_after_ms)
    again = await _reserve(ground, "four", _ask(3, window=SHORT))
    assert again.granted == 3
    assert again.slot > later.slot


async def test_a_lease_ends_with_its_slot(ground: Ground) -> None:
    grant = await _reserve(ground, "op", _ask(1, window=SHORT))
    assert 0 <= grant.lease_ms < SHORT // SLOTS
    await ground.pass_time(grant.lease_ms + 2)  # a slot may end within a millisecond, a lease never does
    assert (await _reserve(ground, "next", _ask(1, window=SHORT))).slot > grant.slot


async def test_the_same_op_is_granted_once_and_answered_alike(ground: Ground) -> None:
    asks = [_ask(4), _ask(2), _ask(5, bucket="another bucket 1")]
    first = await ground.store.reserve(asks, "op")
    assert await ground.store.reserve(asks, "op") == first
    assert await ground.other.reserve(asks, "op") == first
    assert (await _reserve(ground, "look", _ask(1))).remaining == 3


async def test_a_refusal_is_asked_anew_under_the_same_op(ground: Ground) -> None:
    used = await _reserve(ground, "used", _ask(10))
    assert (await _reserve(ground, "op", _ask(2))).granted == 0
    await ground.store.credit([Credit(BUCKET, MINUTE, used.slot, 5)], "back")
    assert (await _reserve(ground, "op", _ask(2))).granted == 2


async def test_an_op_means_different_things_to_reserve_and_credit(ground: Ground) -> None:
    grant = await _reserve(ground, "op", _ask(6))
    await ground.store.credit([Credit(BUCKET, MINUTE, grant.slot, 2)], "op")
    assert (await _reserve(ground, "look", _ask(1))).remaining == 5


@pytest.mark.parametrize(
    ("amounts", "remaining"),
    [([4], 8), ([-3], 1), ([2, 2], 8), ([4, -4], 4), ([-100], 0), ([7], 10), ([100], 10)],
)
async def test_a_credit_moves_its_slot_and_never_more_than_it_holds(
    ground: Ground, amounts: list[int], remaining: int
) -> None:
    grant = await _reserve(ground, "op", _ask(6))
    await ground.store.credit([Credit(BUCKET, MINUTE, grant.slot, amount) for amount in amounts], "credit")
    assert (await _reserve(ground, "look", _ask(1, limit=11))).remaining == remaining


async def test_the_same_credit_sent_twice_counts_once(ground: Ground) -> None:
    grant = await _reserve(ground, "op", _ask(8))
    for store in (ground.store, ground.other):
        await store.credit([Credit(BUCKET, MINUTE, grant.slot, 2)], "credit")
    assert (await _reserve(ground, "look", _ask(1))).remaining == 3


async def test_a_charge_over_the_limit_is_waited_out(ground: Ground) -> None:
    grant = await _reserve(ground, "op", _ask(5, window=SHORT))
    await ground.store.credit([Credit(BUCKET, SHORT, grant.slot, -50)], "charge")
    refused = await _reserve(ground, "look", _ask(1, window=SHORT))
    assert (refused.granted, refused.remaining) == (0, 0)
    await ground.pass_time(refused.retry_after_ms)
    assert (await _reserve(ground, "again", _ask(10, window=SHORT))).granted == 10


@pytest.mark.parametrize("amount", [5, -5])
async def test_a_credit_to_a_slot_that_left_its_window_does_nothing(ground: Ground, amount: int) -> None:
    grant = await _reserve(ground, "op", _ask(5, window=SHORT))
    await ground.pass_time(grant.reset_ms)
    await _reserve(ground, "present", _ask(5, window=SHORT))
    await ground.store.credit([Credit(BUCKET, SHORT, grant.slot, amount)], "late")
    assert (await _reserve(ground, "look", _ask(6, window=SHORT))).remaining == 5


async def test_a_charge_to_a_bucket_that_the_store_forgot_is_kept(ground: Ground) -> None:
    slot = (await _reserve(ground, "op", _ask(1, bucket="another bucket 1"))).slot
    await ground.store.credit([Credit(BUCKET, MINUTE, slot, -4)], "charge")
    assert (await _reserve(ground, "look", _ask(1))).remaining == 5


async def test_numbers_are_exact_up_to_the_largest_and_no_limit_is_higher(ground: Ground) -> None:
    huge = 2**60
    first = await _reserve(ground, "one", _ask(1, MAX_UNITS - 2, limit=huge))
    assert (first.granted, first.remaining) == (MAX_UNITS - 2, 2)
    assert (await _reserve(ground, "two", _ask(1, limit=huge))).remaining == 1
    assert (await _reserve(ground, "three", _ask(1, huge, limit=huge))).granted == 1
    assert (await _reserve(ground, "four", _ask(1, limit=huge))).granted == 0
    await ground.store.credit([Credit(BUCKET, MINUTE, first.slot, -MAX_UNITS)], "no room for more")
    await ground.store.credit([Credit(BUCKET, MINUTE, first.slot, 3)], "back")
    assert (await _reserve(ground, "five", _ask(4, limit=huge))).remaining == 3


async def test_a_limit_that_was_lowered_counts_at_once(ground: Ground) -> None:
    await _reserve(ground, "op", _ask(8))
    assert (await _reserve(ground, "lower", _ask(1, limit=5)))[:3:2] == (0, 0)
    assert (await _reserve(ground, "higher", _ask(1, 20, limit=12))).granted == 4


async def test_a_history_of_asks_and_credits_is_answered_as_the_definition_says(ground: Ground) -> None:
    """The answers name the store's present slot, so the definition can be followed on any clock."""
    draw = random.Random(7)
    window, limit = 120, 40
    charged: dict[int, int] = {}
    for step in range(800):
        least = draw.randint(1, 6)
        most = least + draw.randint(0, 6)
        grant = await _reserve(ground, f"ask {step}", _ask(least, most, limit=limit, window=window))
        free = limit - sum(units for slot, units in charged.items() if slot >= grant.slot - SLOTS)
        expected = min(free, most) if min(free, most) >= least else 0
        assert (grant.granted, grant.remaining) == (expected, max(free - expected, 0))
        charged[grant.slot] = charged.get(grant.slot, 0) + expected
        if draw.random() < 0.3:
            # If the slot dies on the way, the credit does nothing, and nothing asked later counts that slot.
            slot, amount = draw.choice(list(charged)[-20:]), draw.randint(-4, 8)
            await ground.store.credit([Credit(BUCKET, window, slot, amount)], f"credit {step}")
            charged[slot] -= min(amount, charged[slot])
        if draw.random() < 0.05:
            await ground.pass_time(draw.choice([1, 5, 30, 150]))
