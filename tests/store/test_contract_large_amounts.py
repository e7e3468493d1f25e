"""Q-08: whatever number comes, a store's window stays whole, exact up to its largest number, and never negative."""

from __future__ import annotations

import pytest

from proxy.store.base import MAX_UNITS, Ask, Credit
from tests.store.ground import Ground

BUCKET = "fedcba9876543210"
MINUTE = 60_000
LARGE = [MAX_UNITS + 1, 2**63 - 1, 2**63, 2**64, 10**30]


async def left(ground: Ground, op: str) -> int:
    (grant,) = await ground.store.reserve([Ask(BUCKET, MAX_UNITS, MINUTE, MAX_UNITS, MAX_UNITS)], op)
    return grant.remaining + grant.granted


@pytest.mark.parametrize("amount", LARGE)
async def test_an_ask_beyond_all_numbers_is_refused_and_counts_nothing(ground: Ground, amount: int) -> None:
    (grant,) = await ground.store.reserve([Ask(BUCKET, amount, MINUTE, amount, amount)], "huge")
    assert (grant.granted, grant.remaining, grant.retry_after_ms) == (0, MAX_UNITS, -1)
    assert await left(ground, "after") == MAX_UNITS


@pytest.mark.parametrize("amount", LARGE)
async def test_a_charge_beyond_all_numbers_fills_the_window_and_no_more(ground: Ground, amount: int) -> None:
    (first,) = await ground.store.reserve([Ask(BUCKET, 10, MINUTE, 1, 1)], "first")
    for number in range(2):
        await ground.store.credit([Credit(BUCKET, MINUTE, first.slot, -amount)], f"charge-{number}")
    assert await left(ground, "full") == 0
    await ground.store.credit([Credit(BUCKET, MINUTE, first.slot, 5)], "back")
    assert await left(ground, "some") == 5
    await ground.store.credit([Credit(BUCKET, MINUTE, first.slot, amount)], "all back")
    assert await left(ground, "empty") == MAX_UNITS
