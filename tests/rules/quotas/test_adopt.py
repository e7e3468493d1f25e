"""Quotas across packs: counts go on, limits change in place, nothing is over-admitted, what is not needed comes back."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from proxy.clock import VirtualClock
from proxy.exchange import Principal
from proxy.rules.pack.pack import Limit, Quota
from proxy.rules.pack.words import Measure, Scope
from proxy.rules.quotas.quotas import Quotas
from proxy.rules.quotas.reservation import Amounts, Denial, Reservation
from proxy.rules.quotas.slot_lease import TTL_S
from proxy.store.base import Ask, Grant
from proxy.store.memory import MemoryStore
from tests.rules.quotas.test_quotas import HOUR, ONE, Make, pack, principal, quota, replica

__all__ = ["replica"]  # a fixture

BOTH = pytest.mark.parametrize("measure", [Measure.REQUESTS, Measure.CONCURRENCY])
EXACT = pytest.mark.parametrize("exact", [False, True])


async def admitted(quotas: Quotas, number: int, caller: Principal | None = None) -> list[Reservation]:
    asked = [await quotas.reserve(caller or principal(), "m", ONE) for _ in range(number)]
    return [one for one in asked if isinstance(one, Reservation)]


async def all_admitted(quotas: Quotas, most: int, clock: VirtualClock) -> list[Reservation]:
    """Ask until `most` are admitted, since what was given back a moment ago may still be on its way; no more may be."""
    held: list[Reservation] = []
    async with asyncio.timeout(5):
        while len(held) < most:
            held += await admitted(quotas, most - len(held))
            await asyncio.sleep(0.02)
            clock.advance(0.06)  # a refusal is believed for 50 ms
    assert not await admitted(quotas, 5)
    return held


@BOTH
@EXACT
async def test_raising_a_limit_under_load_admits_the_difference_and_no_more(
    replica: Make, clock: VirtualClock, measure: Measure, exact: bool
) -> None:
    now = [replica(quota(measure, 100, exact=exact)), replica(quota(measure, 100, exact=exact))]
    chance = random.Random(7)
    held: list[Reservation] = []

    async def client(number: int) -> None:
        for _ in range(4):
            which = number % 2
            result = await now[which].reserve(principal(number), "m", ONE)
            if isinstance(result, Reservation):
                held.append(result)
            if chance.random() < 0.05:
                await asyncio.sleep(0)

    clients = [asyncio.create_task(client(number)) for number in range(60)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for which in (0, 1):
        now[which] = now[which].adopt(pack(quota(measure, 150, exact=exact)))
    await asyncio.gather(*clients)
    # Near the limit a slice may lie with one replica while the other refuses; it is never the other way round.
    assert len(held) <= 150
    await all_admitted(now[0], 150 - len(held), clock)
    assert not await admitted(now[1], 3)


@BOTH
@EXACT
async def test_lowering_a_limit_holds_from_the_next_request_on_with_what_was_used_counted(
    replica: Make, clock: VirtualClock, measure: Measure, exact: bool
) -> None:
    old = replica(quota(measure, 400, exact=exact))
    held = await admitted(old, 40)
    new = old.adopt(pack(quota(measure, 50, exact=exact)))
    await all_admitted(new, 10, clock)
    for one in held:  # the exchanges that run settle with the leases they came from
        old.settle(one, Amounts.of(1, 1, 1))
    await all_admitted(new, 0 if measure is Measure.REQUESTS else 40, clock)


@BOTH
async def test_a_limit_that_becomes_exact_gives_back_what_it_held_in_advance(replica: Make, measure: Measure) -> None:
    one, other = replica(quota(measure, 100)), replica(quota(measure, 100))
    await admitted(one, 50)
    adopted = [each.adopt(pack(quota(measure, 100, exact=True))) for each in (one, other)]
    assert len(await admitted(adopted[0], 1)) == 1
    await one.returns.flush()
    assert len(await admitted(adopted[1], 60)) == 49


@pytest.mark.parametrize("change", ["id", "per", "window"])
async def test_another_id_scope_or_window_begins_at_zero(replica: Make, change: str) -> None:
    before = quota(Measure.REQUESTS, 5)
    changed: dict[str, Quota] = {
        "id": replace(before, id="another"),
        "per": replace(before, per=Scope.KEY),
        "window": replace(before, limits=(Limit(Measure.REQUESTS, 5, HOUR // 2, exact=False),)),
    }
    old = replica(before)
    assert len(await admitted(old, 9)) == 5
    assert len(await admitted(old.adopt(pack(changed[change])), 9)) == 5
    assert not await admitted(old.adopt(pack(before)), 9)


@BOTH
async def test_a_limit_that_is_removed_gives_its_leases_back_and_has_its_count_when_it_returns(
    replica: Make, clock: VirtualClock, measure: Measure
) -> None:
    old, other = replica(quota(measure, 200)), replica(quota(measure, 200))
    running = await admitted(old, 90)
    without = old.adopt(pack())
    assert len(await admitted(without, 500)) == 500
    for one in running[:10]:
        old.refund(one)
    await all_admitted(other, 120, clock)
    for one in running[10:]:
        old.refund(one)
    async with asyncio.timeout(5):
        while len(old):
            await asyncio.sleep(0.01)
    await all_admitted(without.adopt(pack(quota(measure, 200))), 80, clock)


async def test_an_exchange_of_the_old_pack_that_reserves_late_does_not_bring_its_limit_back(replica: Make) -> None:
    old = replica(quota(Measure.REQUESTS, 5))
    assert len(await admitted(old, 9)) == 5
    new = old.adopt(pack(quota(Measure.REQUESTS, 8)))
    assert len(await admitted(new, 1)) == 1
    late = principal(2)  # another key of the account, so the old pack has to look for its lease anew
    assert isinstance(await old.reserve(late, "m", ONE), Reservation)
    assert len(await admitted(new, 9)) == 1


async def test_slots_that_run_beyond_a_lowered_limit_are_claimed_again_once_it_is_raised(
    replica: Make, clock: VirtualClock
) -> None:
    one, other = replica(quota(Measure.CONCURRENCY, 10)), replica(quota(Measure.CONCURRENCY, 10))
    running = await admitted(one, 10)
    lowered = [each.adopt(pack(quota(Measure.CONCURRENCY, 4))) for each in (one, other)]
    assert not await admitted(lowered[0], 1) + await admitted(lowered[1], 1)
    for _ in range(4):  # several renewals
        clock.advance(TTL_S / 3)
        one._pool.sweep()
        await asyncio.sleep(0.01)
    raised = [each.adopt(pack(quota(Measure.CONCURRENCY, 10))) for each in lowered]
    assert not await admitted(raised[0], 1)
    clock.advance(TTL_S / 3)
    one._pool.sweep()
    await asyncio.sleep(0.01)
    assert not await admitted(raised[1], 1)
    for exchange in running:
        one.refund(exchange)
    await all_admitted(raised[1], 10, clock)


async def test_a_pack_that_changes_a_hundred_times_leaves_no_lease_behind(replica: Make) -> None:
    quotas = replica(quota(Measure.REQUESTS, 1000))
    for number in range(100):
        quotas = quotas.adopt(pack(replace(quota(Measure.REQUESTS, 1000), id=f"q{number}")))
        assert not isinstance(await quotas.reserve(principal(), "m", ONE), Denial)
    async with asyncio.timeout(5):
        while len(quotas) > 1:
            await asyncio.sleep(0.01)


async def test_what_was_planned_by_an_older_pack_is_dropped_bit_by_bit(replica: Make) -> None:
    quotas = replica(quota(Measure.REQUESTS, 1000))
    for number in range(120):
        await quotas.reserve(principal(number), "m", ONE)
    pool = quotas._pool
    quotas.adopt(pack(quota(Measure.REQUESTS, 1000)))
    left = []
    for _ in range(3):
        pool.sweep()
        left.append([len(plans) for plans in pool._retired])
    assert left == [[70], [20], []]


class Counting(MemoryStore):
    """The reference store, counting how often it was asked for units."""

    asked = 0

    async def reserve(self, asks: Sequence[Ask], op: str) -> list[Grant]:
        self.asked += 1
        return await super().reserve(asks, op)


async def test_a_sweep_takes_what_is_held_of_a_removed_limit_and_leaves_the_others(clock: VirtualClock) -> None:
    store, numbers = Counting(clock), itertools.count()
    kept, removed = quota(Measure.REQUESTS, 1000), replace(quota(Measure.INPUT_TOKENS, 1000), id="removed")
    old, other = (
        Quotas(pack(*quotas), store, clock, name, lambda: str(next(numbers)))
        for name, quotas in (("one", (kept, removed)), ("other", (removed,)))
    )
    assert len(await admitted(old, 40)) == 40  # of ten tokens each
    now = old.adopt(pack(kept))
    now._pool.sweep()
    await now.returns.flush()
    assert isinstance(await other.reserve(principal(), "m", Amounts.of(600, 0, 0)), Reservation)
    asked = store.asked
    assert len(await admitted(now, 1)) == 1
    assert store.asked == asked, "what is held of the limit that stays is still there"
