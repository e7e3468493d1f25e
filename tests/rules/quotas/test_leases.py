"""The two kinds of lease by themselves, on a store and a clock that stand still until they are moved."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence

import pytest

from proxy.clock import VirtualClock
from proxy.errors import StoreUnavailable
from proxy.rules.quotas.leases import IDLE_S, Refusal, take_each
from proxy.rules.quotas.questions import Questions
from proxy.rules.quotas.slot_lease import TTL_S, SlotLease
from proxy.rules.quotas.window_lease import WindowLease
from proxy.store.base import Ask, Grant, Held, Hold
from proxy.store.memory import MemoryStore

MINUTE = 60_000
SLOT_S = 1.0


class Watched(MemoryStore):
    """The reference store, counting questions, and away when told to be."""

    away = False
    asked = 0

    async def reserve(self, asks: Sequence[Ask], op: str) -> list[Grant]:
        self.asked += 1
        if self.away:
            raise StoreUnavailable("away")
        return await super().reserve(asks, op)

    async def hold(self, holds: Sequence[Hold]) -> list[Held]:
        self.asked += 1
        if self.away:
            raise StoreUnavailable("away")
        return await super().hold(holds)


@pytest.fixture
def store(clock: VirtualClock) -> Watched:
    return Watched(clock)


@pytest.fixture
def returned() -> list[tuple[int, int]]:
    return []


@pytest.fixture
def windows(clock: VirtualClock, store: Watched) -> Questions[Ask, Grant]:
    numbers = itertools.count()
    return Questions(lambda asks: store.reserve(asks, f"op-{next(numbers)}"), clock.monotonic)


@pytest.fixture
def holds(clock: VirtualClock, store: Watched) -> Questions[Hold, Held]:
    return Questions(store.hold, clock.monotonic)


@pytest.fixture
def window(windows: Questions[Ask, Grant], returned: list[tuple[int, int]]) -> WindowLease:
    def on_return(_bucket: str, _window_ms: int, slot: int, units: int) -> None:
        returned.append((slot, units))

    return WindowLease("a" * 32, 1000, MINUTE, exact=False, ask=windows.add, on_return=on_return)


@pytest.fixture
def slots(holds: Questions[Hold, Held]) -> SlotLease:
    return SlotLease("b" * 32, 100, exact=False, ask=holds.add, holder="me")


async def take(lease: WindowLease | SlotLease, clock: VirtualClock, units: int = 1) -> int:
    """Take units as a caller does: from what is held, or by asking."""
    now = clock.monotonic()
    slot = take_each([lease], units, now)[0]
    if slot is None:
        answer = await lease.want(units, now)
        assert not isinstance(answer, Refusal), answer
        slot = answer
    return slot


async def test_a_busy_lease_asks_less_and_less_often(window: WindowLease, clock: VirtualClock, store: Watched) -> None:
    for _ in range(100):
        await take(window, clock)
    assert store.asked < 8


async def test_a_lease_in_steady_use_asks_once_a_slot(
    window: WindowLease, clock: VirtualClock, store: Watched, returned: list[tuple[int, int]]
) -> None:
    asked = []
    for _ in range(8):
        before = store.asked
        for _ in range(6):
            await take(window, clock)
        asked.append(store.asked - before)
        clock.advance(SLOT_S)
    assert asked[1:] == [1] * 7
    assert window.settle_down(clock.monotonic())
    assert all(units <= 6 // 2 for _, units in returned[1:]), "it holds half as much again as it uses"


async def test_what_went_back_idle_does_not_count_as_used(
    windows: Questions[Ask, Grant], clock: VirtualClock, returned: list[tuple[int, int]]
) -> None:
    def on_return(_bucket: str, _window_ms: int, slot: int, units: int) -> None:
        returned.append((slot, units))

    lease = WindowLease("d" * 32, 10_000, 60 * MINUTE, exact=False, ask=windows.add, on_return=on_return)
    for _ in range(40):
        await take(lease, clock)
    clock.advance(IDLE_S)
    assert lease.settle_down(clock.monotonic())
    held = sum(units for _, units in returned)
    assert held > 0
    clock.advance(60 * SLOT_S)
    returned.clear()
    await take(lease, clock)
    clock.advance(60 * SLOT_S)
    assert lease.settle_down(clock.monotonic())
    assert sum(units for _, units in returned) <= 40 * 3 // 2


async def test_a_lease_that_is_used_once_a_slot_asks_for_nothing_in_advance(
    window: WindowLease, clock: VirtualClock, store: Watched, returned: list[tuple[int, int]]
) -> None:
    for _ in range(6):
        await take(window, clock)
    for _ in range(8):
        clock.advance(SLOT_S)
        before, went_back = store.asked, len(returned)
        await take(window, clock)
        assert store.asked == before + 1
    assert len(returned) == went_back


async def test_a_grant_at_the_very_end_of_its_slot_serves_those_it_was_asked_for(
    clock: VirtualClock, store: Watched
) -> None:
    async def in_the_last_moment(asks: Sequence[Ask]) -> list[Grant]:
        return [grant._replace(lease_ms=0) for grant in await store.reserve(asks, f"op-{store.asked}")]

    late: Questions[Ask, Grant] = Questions(in_the_last_moment, clock.monotonic)
    lease = WindowLease("c" * 32, 10, MINUTE, exact=False, ask=late.add, on_return=lambda *_: None)
    assert not isinstance(await lease.want(10, clock.monotonic()), Refusal)
    assert store.asked == 1


async def test_a_lease_is_not_used_after_its_slot(window: WindowLease, clock: VirtualClock) -> None:
    for _ in range(20):
        await take(window, clock)
    assert take_each([window], 1, clock.monotonic())[0] is not None
    clock.advance(SLOT_S)
    assert take_each([window], 1, clock.monotonic())[0] is None


async def test_what_is_left_at_the_slots_end_goes_back_to_that_slot(
    window: WindowLease, clock: VirtualClock, returned: list[tuple[int, int]]
) -> None:
    granted = [await take(window, clock) for _ in range(20)]
    clock.advance(SLOT_S)
    assert window.settle_down(clock.monotonic())
    assert [slot for slot, _ in returned] == [granted[0]]
    assert returned[0][1] > 0


async def test_what_was_not_used_goes_back_into_the_lease_while_its_slot_lasts(
    window: WindowLease, clock: VirtualClock, store: Watched, returned: list[tuple[int, int]]
) -> None:
    slot = await take(window, clock, 600)
    window.give(590, slot, clock.monotonic())
    asked = store.asked
    await take(window, clock, 590)
    assert store.asked == asked
    clock.advance(SLOT_S)
    window.give(500, slot, clock.monotonic())
    assert returned == [(slot, 500)]


async def test_a_charge_is_paid_from_what_is_held_and_the_rest_by_the_store(
    window: WindowLease, clock: VirtualClock, returned: list[tuple[int, int]]
) -> None:
    slot = await take(window, clock, 600)
    window.give(100, slot, clock.monotonic())
    window.give(-30, slot, clock.monotonic())
    assert returned == []
    window.give(-90, slot, clock.monotonic())
    assert returned == [(slot, -20)]
    assert take_each([window], 1, clock.monotonic())[0] is None


async def test_a_charge_for_an_earlier_slot_is_paid_from_what_is_held_now(
    window: WindowLease, clock: VirtualClock, returned: list[tuple[int, int]]
) -> None:
    slot = await take(window, clock, 300)
    clock.advance(SLOT_S)
    later = await take(window, clock, 100)
    window.give(50, later, clock.monotonic())
    window.give(-70, slot, clock.monotonic())
    assert returned == [(later, 50), (slot, -70)]  # each slot counts what it granted
    assert take_each([window], 1, clock.monotonic())[0] is None


async def test_while_more_was_charged_than_held_what_comes_back_goes_to_the_store(
    window: WindowLease, clock: VirtualClock, returned: list[tuple[int, int]]
) -> None:
    slot = await take(window, clock, 600)
    window.give(-10, slot, clock.monotonic())
    window.give(50, slot, clock.monotonic())
    assert returned == [(slot, -10), (slot, 50)]
    await take(window, clock, 100)
    window.give(50, slot, clock.monotonic())
    assert returned == [(slot, -10), (slot, 50)]
    assert take_each([window], 50, clock.monotonic())[0] == slot


async def test_what_is_held_beyond_its_slot_pays_no_charge(
    window: WindowLease, clock: VirtualClock, returned: list[tuple[int, int]]
) -> None:
    slot = await take(window, clock, 100)
    window.give(50, slot, clock.monotonic())
    clock.advance(SLOT_S)
    window.give(-70, slot, clock.monotonic())
    assert returned == [(slot, -70)]
    window.settle_down(clock.monotonic())
    assert returned == [(slot, -70), (slot, 50)]


async def test_a_store_that_is_away_fails_those_who_ask_and_only_them(
    window: WindowLease, clock: VirtualClock, store: Watched
) -> None:
    for _ in range(20):
        await take(window, clock)
    store.away = True
    assert take_each([window], 1, clock.monotonic())[0] is not None
    with pytest.raises(StoreUnavailable):
        await window.want(900, clock.monotonic())
    store.away = False
    assert not isinstance(await window.want(100, clock.monotonic()), Refusal)


async def test_a_refusal_is_believed_for_a_moment_and_then_asked_again(
    window: WindowLease, clock: VirtualClock, store: Watched
) -> None:
    await take(window, clock, 1000)
    assert isinstance(await window.want(1, clock.monotonic()), Refusal)
    asked = store.asked
    for _ in range(50):
        assert isinstance(await window.want(1, clock.monotonic()), Refusal)
    assert store.asked == asked
    clock.advance(0.06)
    assert isinstance(await window.want(1, clock.monotonic()), Refusal)
    assert store.asked == asked + 1


async def test_what_exceeds_the_limit_is_refused_for_good_whatever_is_held(
    window: WindowLease, clock: VirtualClock, store: Watched
) -> None:
    for _ in range(20):
        await take(window, clock)
    assert take_each([window], 1, clock.monotonic())[0] is not None  # so it holds some
    asked = store.asked
    refusal = await window.want(1001, clock.monotonic())
    assert isinstance(refusal, Refusal)
    assert (refusal.retry_after, refusal.remaining) == (-1, 979)
    assert 60 <= refusal.reset <= 61
    assert store.asked == asked
    await take(window, clock, 979)
    assert isinstance(await window.want(1, clock.monotonic()), Refusal)


async def test_what_a_lease_that_never_asked_knows_is_that_all_is_left(
    window: WindowLease, clock: VirtualClock
) -> None:
    assert await window.want(1001, clock.monotonic()) == Refusal(1000, -1, 0)
    await take(window, clock, 1000)
    assert await window.want(1001, clock.monotonic()) == Refusal(0, -1, 61)
    clock.advance(61)
    assert await window.want(1001, clock.monotonic()) == Refusal(1000, -1, 0)


async def test_that_one_request_never_fits_is_not_believed_of_a_smaller_one(
    window: WindowLease, clock: VirtualClock
) -> None:
    await take(window, clock, 995)
    for units, returns in ((1001, False), (10, True), (1001, False), (1000, True)):
        refusal = await window.want(units, clock.monotonic())
        assert isinstance(refusal, Refusal)
        assert (refusal.retry_after > 0) == returns


async def test_one_that_never_fits_is_in_nobodys_way_who_waits(window: WindowLease, clock: VirtualClock) -> None:
    answers = await asyncio.gather(*(window.want(units, clock.monotonic()) for units in (10, 1001, 990)))
    assert [isinstance(answer, Refusal) for answer in answers] == [False, True, False]


async def test_more_slots_than_there_are_never_fit(slots: SlotLease, clock: VirtualClock, store: Watched) -> None:
    refusal = await slots.want(101, clock.monotonic())
    assert isinstance(refusal, Refusal)
    assert (refusal.retry_after, refusal.remaining) == (-1, 100)
    await take(slots, clock, 30)
    refusal = await slots.want(101, clock.monotonic())
    assert isinstance(refusal, Refusal)
    assert refusal.remaining == 70
    assert store.asked == 1


async def test_spare_slots_that_were_not_renewed_are_not_used(slots: SlotLease, clock: VirtualClock) -> None:
    await take(slots, clock)
    await take(slots, clock)
    slots.give(1, -1, clock.monotonic())
    assert take_each([slots], 1, clock.monotonic())[0] is not None
    slots.give(1, -1, clock.monotonic())
    clock.advance(TTL_S)
    assert take_each([slots], 1, clock.monotonic())[0] is None


async def test_slots_in_use_are_renewed_before_they_fall_free(
    slots: SlotLease, holds: Questions[Hold, Held], clock: VirtualClock, store: Watched
) -> None:
    await take(slots, clock)
    for _ in range(int(TTL_S) * 2):
        clock.advance(1)
        slots.settle_down(clock.monotonic())
        await holds.quiet()
    (held,) = await store.hold([Hold("b" * 32, 100, "other", 0, 100, 1000)])
    assert held.mine == 99


async def test_idle_slots_go_back(
    slots: SlotLease, holds: Questions[Hold, Held], clock: VirtualClock, store: Watched
) -> None:
    for _ in range(8):
        await take(slots, clock)
    for _ in range(8):
        slots.give(1, -1, clock.monotonic())
    clock.advance(IDLE_S)
    slots.settle_down(clock.monotonic())
    await holds.quiet()
    assert slots.settle_down(clock.monotonic())
    (held,) = await store.hold([Hold("b" * 32, 100, "other", 0, 100, 1000)])
    assert held.mine == 100


async def test_near_the_limit_a_free_slot_goes_back_at_once(
    slots: SlotLease, holds: Questions[Hold, Held], clock: VirtualClock, store: Watched
) -> None:
    (other,) = await store.hold([Hold("b" * 32, 100, "other", 0, 97, 60_000)])
    assert other.mine == 97
    await take(slots, clock)
    slots.give(1, -1, clock.monotonic())
    await holds.quiet()
    (other,) = await store.hold([Hold("b" * 32, 100, "other", 0, 100, 60_000)])
    assert other.mine == 100


async def test_near_the_limit_what_was_not_used_goes_back_soon(
    window: WindowLease, clock: VirtualClock, returned: list[tuple[int, int]]
) -> None:
    slot = await take(window, clock, 990)
    window.give(900, slot, clock.monotonic())
    assert take_each([window], 1, clock.monotonic())[0] is not None
    clock.advance(0.6)
    window.settle_down(clock.monotonic())
    assert returned == [(slot, 899)]


async def test_the_questions_of_one_turn_travel_together(
    windows: Questions[Ask, Grant], clock: VirtualClock, store: Watched
) -> None:
    leases = [
        WindowLease(f"{number:032}", 10, MINUTE, exact=False, ask=windows.add, on_return=lambda *_: None)
        for number in range(20)
    ]
    await asyncio.gather(*(lease.want(1, clock.monotonic()) for lease in leases))
    assert store.asked == 1


async def test_a_store_that_is_away_at_a_renewal_is_asked_again_by_the_next(
    slots: SlotLease, holds: Questions[Hold, Held], clock: VirtualClock, store: Watched
) -> None:
    await take(slots, clock)
    clock.advance(TTL_S / 2)
    store.away = True
    slots.settle_down(clock.monotonic())
    await holds.quiet()
    store.away = False
    assert not isinstance(await slots.want(5, clock.monotonic()), Refusal)


async def test_a_store_that_contradicts_itself_is_asked_64_times_and_no_more(
    window: WindowLease, clock: VirtualClock
) -> None:
    waiting = window.want(900, clock.monotonic())
    rounds = 1
    while window.again() and rounds < 100:
        rounds += 1
    assert rounds == 64
    assert not window.busy
    with pytest.raises(StoreUnavailable, match="less than it said"):
        await waiting
