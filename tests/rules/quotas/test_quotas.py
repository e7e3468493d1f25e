"""Quotas on the reference store: nothing over-admits, everything comes back."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable

import pytest

from proxy.clock import VirtualClock
from proxy.exchange import NO_TIES, Principal, Ties
from proxy.rules.pack.pack import ClientMessage, Limit, Pack, Quota
from proxy.rules.pack.words import Measure, Mode, Scope
from proxy.rules.quotas.leases import IDLE_S
from proxy.rules.quotas.quotas import Quotas
from proxy.rules.quotas.reservation import Amounts, Denial, Reservation
from proxy.store.memory import MemoryStore

HOUR = 3_600_000
CLIENT = ClientMessage(429, None, "no")


def principal(number: int = 1, *, account: str = "acme", tenant: str = "acme-org") -> Principal:
    return Principal(f"key_{number}", account, tenant, "pro", 0.0, {})


def pack(*quotas: Quota) -> Pack:
    return Pack("test", "1", "tests", "0" * 64, quotas)


def quota(
    measure: Measure, most: int, *, per: Scope = Scope.ACCOUNT, mode: Mode = Mode.ENFORCE, exact: bool = False
) -> Quota:
    window = 0 if measure is Measure.CONCURRENCY else HOUR
    return Quota(f"{measure}-{per}-{mode}", per, mode, (Limit(measure, most, window, exact),), CLIENT)


Make = Callable[..., Quotas]


@pytest.fixture
async def replica(clock: VirtualClock) -> AsyncIterator[Make]:
    """Make replicas that share one store, each running as a worker would run it."""
    store = MemoryStore(clock)
    running: list[tuple[Quotas, asyncio.Task[None]]] = []
    numbers = itertools.count()

    def make(*quotas: Quota) -> Quotas:
        name = f"replica-{len(running)}"
        made = Quotas(pack(*quotas), store, clock, holder=name, op=lambda: f"{name}-{next(numbers)}")
        running.append((made, asyncio.create_task(made.run())))
        return made

    yield make
    for quotas, task in running:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await quotas.close()


ONE = Amounts.of(10, 100, 5)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("measure", [Measure.REQUESTS, Measure.CONCURRENCY])
async def test_two_replicas_admit_exactly_the_limit_under_200_at_once(
    replica: Make, measure: Measure, exact: bool
) -> None:
    """Q-01."""
    replicas = [replica(quota(measure, 100, exact=exact)), replica(quota(measure, 100, exact=exact))]
    held = [await replicas[number % 2].reserve(principal(), "m", ONE) for number in range(99)]
    assert all(isinstance(one, Reservation) for one in held)

    results = await asyncio.gather(*(replicas[n % 2].reserve(principal(n), "m", ONE) for n in range(200)))

    assert sum(isinstance(one, Reservation) for one in results) == 1


async def test_tokens_reserved_but_not_used_can_be_used_by_the_next(replica: Make) -> None:
    quotas = replica(quota(Measure.OUTPUT_TOKENS, 1000))
    admitted = 0
    while isinstance(result := await quotas.reserve(principal(), "m", Amounts.of(1, 900, 0)), Reservation):
        quotas.settle(result, Amounts.of(1, 10, 0))
        admitted += 1
    assert admitted == 11  # after ten of 10 used tokens each, 900 still fit
    assert result.refusal.remaining == 890


@pytest.mark.parametrize("exact", [False, True])
async def test_more_than_was_reserved_is_charged_before_the_same_client_can_ask_again(
    replica: Make, exact: bool
) -> None:
    one, other = (replica(quota(Measure.OUTPUT_TOKENS, 1000, exact=exact)) for _ in range(2))
    reservation = await one.reserve(principal(), "m", Amounts.of(1, 100, 0))
    assert isinstance(reservation, Reservation)
    one.settle(reservation, Amounts.of(1, 950, 0))
    for quotas in (one, other):
        assert isinstance(await quotas.reserve(principal(), "m", Amounts.of(1, 51, 0)), Denial)
    assert isinstance(await one.reserve(principal(), "m", Amounts.of(1, 50, 0)), Reservation)


async def test_a_refusal_by_one_limit_gives_back_what_the_others_granted(replica: Make) -> None:
    quotas = replica(quota(Measure.REQUESTS, 10), quota(Measure.OUTPUT_TOKENS, 50))
    for _ in range(30):
        assert isinstance(await quotas.reserve(principal(), "m", ONE), Denial)
    small = Amounts.of(1, 5, 0)
    admitted = [isinstance(await quotas.reserve(principal(), "m", small), Reservation) for _ in range(12)]
    assert admitted == [True] * 10 + [False] * 2


async def test_settling_twice_counts_once(replica: Make) -> None:
    quotas = replica(quota(Measure.CONCURRENCY, 1))
    first = await quotas.reserve(principal(), "m", ONE)
    assert isinstance(first, Reservation)
    quotas.refund(first)
    quotas.refund(first)
    assert isinstance(await quotas.reserve(principal(), "m", ONE), Reservation)
    assert isinstance(await quotas.reserve(principal(), "m", ONE), Denial)


async def test_a_shadow_quota_reports_and_never_refuses(replica: Make) -> None:
    quotas = replica(quota(Measure.REQUESTS, 2, mode=Mode.SHADOW))
    results = [await quotas.reserve(principal(), "m", ONE) for _ in range(4)]
    assert [len(one.shadow) for one in results if isinstance(one, Reservation)] == [0, 0, 1, 1]


async def test_a_shadow_quota_that_would_refuse_takes_nothing_by_its_other_limits(replica: Make) -> None:
    limits = (Limit(Measure.REQUESTS, 3, HOUR, exact=False), Limit(Measure.OUTPUT_TOKENS, 100, HOUR, exact=False))
    quotas = replica(Quota("watched", Scope.ACCOUNT, Mode.SHADOW, limits, CLIENT))
    refused = []
    for tokens in (60, 60, 60, 10, 10, 10):
        held = await quotas.reserve(principal(), "m", Amounts.of(1, tokens, 0))
        assert isinstance(held, Reservation)
        quotas.settle(held, Amounts.of(1, tokens, 0))
        refused.append([denial.limit.measure for denial in held.shadow])
    assert refused == [[], [Measure.OUTPUT_TOKENS], [Measure.OUTPUT_TOKENS], [], [], [Measure.REQUESTS]]


async def test_what_a_shadow_quota_would_have_refused_comes_back_to_every_limit_once(replica: Make) -> None:
    limits = (Limit(Measure.REQUESTS, 3, HOUR, exact=False), Limit(Measure.OUTPUT_TOKENS, 50, HOUR, exact=False))
    quotas = replica(quota(Measure.CONCURRENCY, 1), Quota("watched", Scope.ACCOUNT, Mode.SHADOW, limits, CLIENT))
    refused = []
    for tokens in (100, 100, 100, 5, 5, 5, 5):
        held = await quotas.reserve(principal(), "m", Amounts.of(1, tokens, 0))
        assert isinstance(held, Reservation), "the slot of the one before is free again"
        quotas.settle(held, Amounts.of(1, tokens, 0, requests=int(not held.shadow)))
        refused.append([denial.limit.measure for denial in held.shadow])
    assert refused == [[Measure.OUTPUT_TOKENS]] * 3 + [[]] * 3 + [[Measure.REQUESTS]]


async def test_a_quota_that_is_off_is_not_there(replica: Make) -> None:
    quotas = replica(quota(Measure.REQUESTS, 1, mode=Mode.OFF))
    assert all([isinstance(await quotas.reserve(principal(), "m", ONE), Reservation) for _ in range(5)])


@pytest.mark.parametrize(
    ("per", "others"),
    [
        (Scope.KEY, [(principal(2), "m")]),
        (Scope.ACCOUNT, [(principal(2, account="other"), "m")]),
        (Scope.TENANT, [(principal(2, tenant="other"), "m")]),
        (Scope.MODEL, [(principal(), "other")]),
        (Scope.GLOBAL, []),
    ],
)
async def test_each_scope_counts_for_itself(replica: Make, per: Scope, others: list[tuple[Principal, str]]) -> None:
    quotas = replica(quota(Measure.REQUESTS, 1, per=per))
    assert isinstance(await quotas.reserve(principal(), "m", ONE), Reservation)
    assert isinstance(await quotas.reserve(principal(), "m", ONE), Denial)
    for caller, model in others:
        assert isinstance(await quotas.reserve(caller, model, ONE), Reservation)


async def test_members_share_the_budget_of_their_cluster_and_who_has_no_ties_pays_nothing_into_it(
    replica: Make,
) -> None:
    """Q-12."""
    quotas = replica(quota(Measure.REQUESTS, 2, per=Scope.CLUSTER), quota(Measure.REQUESTS, 3, per=Scope.TEMPLATE))
    cluster, template = Ties("", "c-1"), Ties("t-1", "")
    for number in (1, 2):
        caller = principal(number, account=f"m-{number}")
        assert isinstance(await quotas.reserve(caller, "m", ONE, cluster, cluster), Reservation)
    denied = await quotas.reserve(principal(3, account="m-3"), "m", ONE, cluster, cluster)
    assert isinstance(denied, Denial)
    assert denied.quota.per is Scope.CLUSTER
    for number in (4, 5, 6):
        assert isinstance(await quotas.reserve(principal(number), "m", ONE, template, template), Reservation)
    assert isinstance(await quotas.reserve(principal(7), "m", ONE, template, template), Denial)
    for number in range(10):
        outsider = await quotas.reserve(principal(number), "m", ONE)
        assert isinstance(outsider, Reservation)
        assert outsider.plan.quotas == ()


async def test_what_has_ties_in_shadow_only_meets_budgets_in_shadow_only(replica: Make) -> None:
    watched = Ties("t-1", "c-1")
    quotas = replica(
        quota(Measure.REQUESTS, 1, per=Scope.CLUSTER), quota(Measure.REQUESTS, 1, per=Scope.CLUSTER, mode=Mode.SHADOW)
    )
    first = await quotas.reserve(principal(), "m", ONE, NO_TIES, watched)
    second = await quotas.reserve(principal(), "m", ONE, NO_TIES, watched)
    assert isinstance(first, Reservation)
    assert isinstance(second, Reservation)
    assert [denial.quota.mode for denial in second.shadow] == [Mode.SHADOW]


async def test_a_caller_that_leaves_while_it_waits_leaves_nothing_behind(replica: Make) -> None:
    quotas = replica(quota(Measure.CONCURRENCY, 3), quota(Measure.REQUESTS, 3))
    for _ in range(50):
        waiting = asyncio.create_task(quotas.reserve(principal(), "m", ONE))
        await asyncio.sleep(0)
        waiting.cancel()
        result = (await asyncio.gather(waiting, return_exceptions=True))[0]
        if isinstance(result, Reservation):
            quotas.refund(result)
    admitted = [await quotas.reserve(principal(), "m", ONE) for _ in range(4)]
    assert [isinstance(one, Reservation) for one in admitted] == [True, True, True, False]


async def test_idle_leases_come_back_for_the_other_replica(replica: Make, clock: VirtualClock) -> None:
    one, other = replica(quota(Measure.REQUESTS, 200)), replica(quota(Measure.REQUESTS, 200))
    for _ in range(90):  # long enough that it takes slices larger than it needs
        assert isinstance(await one.reserve(principal(), "m", ONE), Reservation)
    clock.advance(IDLE_S)
    async with asyncio.timeout(5):
        while len(one):
            await asyncio.sleep(0.01)
        await one.returns.flush()
    admitted = [await other.reserve(principal(), "m", ONE) for _ in range(111)]
    assert sum(isinstance(result, Reservation) for result in admitted) == 110


async def test_a_request_over_the_limit_is_told_that_waiting_does_not_help(replica: Make) -> None:
    quotas = replica(quota(Measure.OUTPUT_TOKENS, 50))
    refused = await quotas.reserve(principal(), "m", ONE)
    assert isinstance(refused, Denial)
    assert refused.refusal.retry_after < 0


async def test_what_never_fits_one_limit_is_refused_without_asking_for_the_others(replica: Make) -> None:
    quotas = replica(quota(Measure.REQUESTS, 10), quota(Measure.OUTPUT_TOKENS, 50))
    for _ in range(3):
        assert isinstance(await quotas.reserve(principal(), "m", Amounts.of(1, 5, 0)), Reservation)
    for _ in range(20):
        asking = quotas.reserve(principal(), "m", Amounts.of(1, 51, 0))
        with pytest.raises(StopIteration) as ended:
            asking.send(None)  # it ends without waiting for anything
        assert isinstance(ended.value.value, Denial)
        assert ended.value.value.limit.measure is Measure.OUTPUT_TOKENS
        assert ended.value.value.refusal.retry_after < 0
    admitted = [await quotas.reserve(principal(), "m", Amounts.of(1, 5, 0)) for _ in range(8)]
    assert [isinstance(one, Reservation) for one in admitted] == [True] * 7 + [False]


async def test_what_never_fits_a_shadow_quota_is_reported_and_admitted(replica: Make) -> None:
    quotas = replica(quota(Measure.OUTPUT_TOKENS, 50, mode=Mode.SHADOW), quota(Measure.REQUESTS, 10, mode=Mode.SHADOW))
    result = await quotas.reserve(principal(), "m", ONE)
    assert isinstance(result, Reservation)
    assert [denial.limit.measure for denial in result.shadow] == [Measure.OUTPUT_TOKENS]


async def test_closing_gives_every_unused_unit_back(replica: Make) -> None:
    first = replica(quota(Measure.REQUESTS, 100), quota(Measure.CONCURRENCY, 10))
    for _ in range(40):
        reservation = await first.reserve(principal(), "m", ONE)
        assert isinstance(reservation, Reservation)
        first.settle(reservation, Amounts.of(1, 1, 1))
    await first.close()
    second = replica(quota(Measure.REQUESTS, 100), quota(Measure.CONCURRENCY, 10))
    admitted = 0
    while isinstance(one := await second.reserve(principal(), "m", ONE), Reservation):
        second.settle(one, Amounts.of(1, 1, 1))
        admitted += 1
    assert admitted == 60


@pytest.mark.parametrize("exact", [False, True])
async def test_clocks_that_are_minutes_apart_decide_nothing(exact: bool) -> None:
    """Q-18: replicas whose clocks differ by up to ten minutes admit what replicas with one clock do."""

    async def admitted(*skews: float) -> list[bool]:
        time = VirtualClock()
        store, numbers = MemoryStore(time), itertools.count()
        clocks = [VirtualClock(time.wall() + skew) for skew in skews]
        made = pack(quota(Measure.REQUESTS, 10, exact=exact), quota(Measure.OUTPUT_TOKENS, 900, exact=exact))
        replicas = [
            Quotas(made, store, clock, f"{number}", lambda: f"op-{next(numbers)}")
            for number, clock in enumerate(clocks)
        ]
        results = []
        for turn in range(400):
            result = await replicas[turn % len(replicas)].reserve(principal(), "m", ONE)
            results.append(isinstance(result, Reservation))
            for clock in (time, *clocks):
                clock.advance(HOUR / 1000 / 150)
            for quotas in replicas:
                await quotas.tend()
        return results

    alike = await admitted(0.0, 0.0, 0.0)
    assert 20 < sum(alike) < 60
    assert await admitted(-300.0, 0.0, 300.0) == alike
