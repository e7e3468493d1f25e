"""R-02: while the store is away requests and concurrency go on by a process's share, tokens and money with care."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from proxy.clock import VirtualClock
from proxy.errors import StoreAway, StoreUnavailable
from proxy.exchange import Principal
from proxy.rules.pack.pack import ClientMessage, Limit, Pack, Quota
from proxy.rules.pack.words import Measure, Mode, Scope
from proxy.rules.quotas import returns
from proxy.rules.quotas.quotas import Quotas
from proxy.rules.quotas.reservation import Amounts, Denial, Reservation
from proxy.store.base import SLOTS
from tests.store.cuttable import Cuttable

MINUTE_S = 60.0
CALLER = Principal("key_1", "acme", "acme", "pro", 0.0, {})


@pytest.fixture
def store(clock: VirtualClock) -> Cuttable:
    store = Cuttable(clock)
    store.cut = StoreAway
    return store


Make = Callable[..., Quotas]


@pytest.fixture
def process(store: Cuttable, clock: VirtualClock) -> Make:
    """Make one of so many processes that share a limit."""
    numbers = itertools.count()

    def make(
        measure: Measure, most: int, *, processes: int = 1, mode: Mode = Mode.ENFORCE, exact: bool = False
    ) -> Quotas:
        window = 0 if measure is Measure.CONCURRENCY else int(MINUTE_S * 1000)
        limits = (Limit(measure, most, window, exact),)
        pack = Pack("p", "1", "o", "0" * 64, (Quota("q", Scope.ACCOUNT, mode, limits, ClientMessage(429, None, "no")),))
        name = f"process-{next(numbers)}"
        return Quotas(pack, store, clock, name, lambda: f"{name}-{next(numbers)}", processes=processes)

    return make


def amounts(tokens: int = 1) -> Amounts:
    return Amounts.of(1, tokens, tokens)


async def admitted(quotas: Quotas, attempts: int, tokens: int = 1) -> list[Reservation]:
    """Ask again and again; a denial, or a limit that is closed, is only left out."""
    found = []
    for _ in range(attempts):
        try:
            result = await quotas.reserve(CALLER, "m", amounts(tokens))
        except StoreUnavailable:
            continue
        if isinstance(result, Reservation):
            found.append(result)
    return found


def answers(quotas: Quotas) -> dict[str, int]:
    """What came of the asking, by result; all tests count one measure."""
    return {result: count for (_, result), count in quotas.local_answers.items()}


@pytest.mark.parametrize("measure", [Measure.REQUESTS, Measure.CONCURRENCY])
@pytest.mark.parametrize(("processes", "each"), [(1, 12), (3, 4), (5, 2), (100, 1)])
async def test_each_process_admits_its_share(
    process: Make, store: Cuttable, measure: Measure, processes: int, each: int
) -> None:
    store.away = True
    quotas = process(measure, 12, processes=processes)
    assert len(await admitted(quotas, 20)) == each
    refused = await quotas.reserve(CALLER, "m", amounts())
    assert isinstance(refused, Denial), "it is the limit that refuses, not an outage"
    assert 0 < refused.refusal.retry_after <= MINUTE_S * (1 + 1 / SLOTS)
    assert answers(quotas)["granted"] >= 1
    assert answers(quotas)["refused"] >= 1


@pytest.mark.parametrize("measure", [Measure.REQUESTS, Measure.CONCURRENCY])
async def test_each_answer_is_counted_once(process: Make, store: Cuttable, measure: Measure) -> None:
    store.away = True
    quotas = process(measure, 12, processes=12)
    assert len(await admitted(quotas, 1)) == 1
    assert answers(quotas) == {"granted": 1}
    assert isinstance(await quotas.reserve(CALLER, "m", amounts()), Denial)
    assert answers(quotas) == {"granted": 1, "refused": 1}


async def test_what_was_used_before_counts_and_leaves_the_window_as_ever(
    process: Make, store: Cuttable, clock: VirtualClock
) -> None:
    quotas = process(Measure.REQUESTS, 100)
    assert len(await admitted(quotas, 60)) == 60
    store.away = True
    assert len(await admitted(quotas, 100)) == 40
    clock.advance(MINUTE_S / 2)
    assert len(await admitted(quotas, 10)) == 0
    clock.advance(MINUTE_S / 2 + 2 * MINUTE_S / SLOTS)
    assert len(await admitted(quotas, 200)) == 100


async def test_processes_together_admit_no_more_than_the_limit(process: Make, store: Cuttable) -> None:
    """P3: each takes its part of what is left; what others got after it had heard of that is all that may be over."""
    several = [process(Measure.REQUESTS, 90, processes=3) for _ in range(3)]
    before = [len(await admitted(quotas, 10)) for quotas in several for _ in (0, 1)]
    assert sum(before) == 60
    for quotas in several:  # each hears what there is
        await quotas.close()
        assert len(await admitted(quotas, 1)) == 1
    store.away = True
    since = 2
    assert 20 <= sum([len(await admitted(quotas, 100)) for quotas in several]) <= 90 - 63 + since + 1


@pytest.mark.parametrize("measure", [Measure.OUTPUT_TOKENS, Measure.TOTAL_TOKENS, Measure.COST_USD])
async def test_tokens_and_money_are_closed_where_nothing_is_known(
    process: Make, store: Cuttable, clock: VirtualClock, measure: Measure
) -> None:
    quotas = process(measure, 1000)
    store.away = True
    assert await admitted(quotas, 3, tokens=10) == []
    assert answers(quotas) == {"closed": 3}
    store.away = False
    assert len(await admitted(quotas, 1, tokens=10)) == 1
    clock.advance(MINUTE_S + 2)  # what is known is too old
    store.away = True
    assert await admitted(quotas, 1, tokens=10) == []


@pytest.mark.parametrize(("used", "more"), [(100, 850), (940, 10), (950, 0), (1000, 0)])
async def test_tokens_go_on_to_the_last_twentieth_of_a_limit(
    process: Make, store: Cuttable, used: int, more: int
) -> None:
    quotas = process(Measure.OUTPUT_TOKENS, 1000)
    assert len(await admitted(quotas, used // 10, tokens=10)) == used // 10
    quotas._pool.sweep()
    await quotas.close()  # what is held in advance goes back
    if used < 1000:
        await admitted(quotas, 1, tokens=1)
    store.away = True
    got = 10 * len(await admitted(quotas, 200, tokens=10))
    assert more - 20 <= got <= more
    with pytest.raises(StoreUnavailable):
        await quotas.reserve(CALLER, "m", amounts(10))


async def test_what_was_reserved_and_not_used_can_be_used_by_the_next(
    process: Make, store: Cuttable, clock: VirtualClock
) -> None:
    quotas = process(Measure.OUTPUT_TOKENS, 1000)
    await admitted(quotas, 1, tokens=1)
    store.away = True
    for _ in range(30):
        (one,) = await admitted(quotas, 1, tokens=300)
        clock.advance(1.5)  # into another slot
        quotas.settle(one, Amounts.of(1, 10, 10))


@pytest.mark.parametrize("measure", [Measure.REQUESTS, Measure.CONCURRENCY, Measure.OUTPUT_TOKENS])
async def test_a_limit_that_is_exact_is_closed(process: Make, store: Cuttable, measure: Measure) -> None:
    quotas = process(measure, 1000, exact=True)
    await admitted(quotas, 1)
    store.away = True
    with pytest.raises(StoreUnavailable):
        await quotas.reserve(CALLER, "m", amounts())
    assert answers(quotas) == {"closed": 1}


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("measure", [Measure.REQUESTS, Measure.CONCURRENCY, Measure.OUTPUT_TOKENS, Measure.COST_USD])
async def test_a_limit_in_shadow_fails_no_exchange(
    process: Make, store: Cuttable, measure: Measure, exact: bool
) -> None:
    quotas = process(measure, 2, mode=Mode.SHADOW, exact=exact)
    store.away = True
    assert len(await admitted(quotas, 10)) == 10


async def test_what_was_used_meanwhile_is_charged_before_the_store_is_asked_again(
    process: Make, store: Cuttable
) -> None:
    one, other = process(Measure.OUTPUT_TOKENS, 1000, processes=2), process(Measure.OUTPUT_TOKENS, 1000, processes=2)
    await admitted(one, 1, tokens=100)
    store.away = True
    meanwhile = await admitted(one, 3, tokens=100)
    one.settle(meanwhile[0], Amounts.of(1, 20, 20))
    one.settle(meanwhile[1], Amounts.of(1, 150, 150))
    store.away = False
    await admitted(one, 1, tokens=100)
    await one.close()  # idle slices go back
    used = 100 + 20 + 150 + 100 + 100
    assert len(await admitted(other, 1000, tokens=1)) == 1000 - used


async def test_what_is_used_in_slots_of_the_store_leaves_the_window_when_it_would_have(
    process: Make, store: Cuttable, clock: VirtualClock
) -> None:
    quotas = process(Measure.REQUESTS, 10)
    await admitted(quotas, 1)
    store.away = True
    clock.advance(MINUTE_S / 2)
    assert len(await admitted(quotas, 9)) == 9
    store.away = False
    clock.advance(MINUTE_S / 2 + 2 * MINUTE_S / SLOTS)
    assert len(await admitted(quotas, 9)) == 1  # the first one has left
    clock.advance(MINUTE_S / 2)
    assert len(await admitted(quotas, 20)) == 9


async def test_a_long_outage_keeps_no_charge_that_counts_no_more(
    process: Make, store: Cuttable, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(returns, "_MANY_CHARGES", 10)
    quotas = process(Measure.REQUESTS, 1000)
    store.away = True
    for _ in range(600):
        assert len(await admitted(quotas, 1)) == 1
        clock.advance(1.0)
    assert quotas.returns._charged <= SLOTS + 2


async def test_a_process_that_owes_too_much_admits_no_more(
    process: Make, store: Cuttable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(returns, "_CHARGES_LIMIT", 3)
    quotas = process(Measure.REQUESTS, 1000)
    store.away = True
    callers = [Principal(f"key_{number}", f"a-{number}", "acme", "pro", 0.0, {}) for number in range(5)]
    for caller in callers[:3]:
        assert isinstance(await quotas.reserve(caller, "m", amounts()), Reservation)
    for caller in callers[3:]:
        with pytest.raises(StoreUnavailable):
            await quotas.reserve(caller, "m", amounts())


async def test_concurrency_goes_back_to_what_the_store_says(process: Make, store: Cuttable) -> None:
    one, other = (process(Measure.CONCURRENCY, 8, processes=2) for _ in range(2))
    before = await admitted(one, 6)
    store.away = True
    assert await admitted(one, 2) == []  # more than its share runs already
    for reservation in before[:4]:
        one.refund(reservation)
    assert len(await admitted(one, 5)) == 2
    store.away = False
    await one.tend()
    assert len(await admitted(other, 9)) == 4


@pytest.mark.parametrize("skew", [-300.0, 0.0, 300.0])
async def test_what_is_counted_meanwhile_is_counted_by_the_stores_clock(
    process: Make, store: Cuttable, clock: VirtualClock, skew: float
) -> None:
    """Q-18: a process whose clock is wrong charges what it admitted to the slots in which it did."""
    numbers = itertools.count()
    limits = (Limit(Measure.REQUESTS, 10, int(MINUTE_S * 1000), exact=False),)
    pack = Pack(
        "p", "1", "o", "0" * 64, (Quota("q", Scope.ACCOUNT, Mode.ENFORCE, limits, ClientMessage(429, None, "")),)
    )
    wrong = VirtualClock(clock.wall() + skew)
    quotas = Quotas(pack, store, wrong, "wrong", lambda: f"wrong-{next(numbers)}")
    await admitted(quotas, 1)
    store.away = True
    for each in (clock, wrong):
        each.advance(MINUTE_S / 2)
    assert len(await admitted(quotas, 9)) == 9
    store.away = False
    for each in (clock, wrong):
        each.advance(MINUTE_S / 2 + 2 * MINUTE_S / SLOTS)
    await quotas.close()
    other = process(Measure.REQUESTS, 10)
    assert len(await admitted(other, 10)) == 1, "the first one has left, the others count on"
