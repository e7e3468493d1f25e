"""Quotas at their edges: where a window ends, where numbers end, and where clocks disagree."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest

from proxy.auth.token_claims import read_caller
from proxy.clock import Clock, VirtualClock
from proxy.deciding.course import Terms
from proxy.exchange import Principal
from proxy.rules.pack.pack import ClientMessage, Limit, Pack, Quota
from proxy.rules.pack.words import Measure, Mode, Scope
from proxy.rules.quotas.quotas import Quotas
from proxy.rules.quotas.reservation import Amounts, Denial, Reservation
from proxy.rules.quotas.shown_limits import binding
from proxy.store.base import MAX_UNITS, SLOTS
from proxy.store.memory import MemoryStore
from proxy.store.unit_window import UnitWindow
from tests.auth.issuers import issuer
from tests.auth.tokens import claims

CALLER = Principal("key_1", "acme", "acme-org", "pro", 0.0, {})
ONE = Amounts.of(1, 1, 0)
MINUTE = 60_000
NUMBERS = itertools.count()
CLIENT = ClientMessage(429, None, "no")


def quotas_of(limit: Limit, store: MemoryStore, clock: Clock) -> Quotas:
    quota = Quota("q", Scope.KEY, Mode.ENFORCE, (limit,), CLIENT)
    name = f"r{next(NUMBERS)}"
    return Quotas(Pack("t", "1", "t", "0" * 64, (quota,)), store, clock, name, lambda: f"{name}-{next(NUMBERS)}")


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("into_slot", [0.0, 0.5, 0.999])
async def test_no_burst_at_the_edge_of_a_window_gets_more_than_the_limit(exact: bool, into_slot: float) -> None:
    """Q-13: all of a window's requests in its last moment, and as many as are let in from then on."""
    most = 100
    clock = VirtualClock(1_699_999_980.0 + into_slot)
    quotas = quotas_of(Limit(Measure.REQUESTS, most, MINUTE, exact), MemoryStore(clock), clock)
    clock.advance(59.0 - into_slot)
    admitted: list[float] = []
    for _ in range(1_300):  # in tenths of a second: beyond two windows
        for _ in range(3):
            if isinstance(await quotas.reserve(CALLER, "m", ONE), Reservation):
                admitted.append(clock.monotonic())
        recent = [moment for moment in admitted if moment > clock.monotonic() - MINUTE / 1000]
        assert len(recent) <= most
        clock.advance(0.1)
    assert len(admitted) >= 2 * most


async def test_the_moment_at_which_all_is_back_never_comes_earlier_over_a_thousand_calls() -> None:
    """Q-13: whatever is admitted or refused meanwhile; but for the moment for which a refusal is believed."""
    rng = random.Random(3)
    clock = VirtualClock()
    quotas = quotas_of(Limit(Measure.REQUESTS, 300, MINUTE, False), MemoryStore(clock), clock)
    before = 0.0
    for _ in range(1_000):
        answer = await quotas.reserve(CALLER, "m", ONE)
        denial = answer if isinstance(answer, Denial) else None
        ((_, _, _, left, reset),) = binding(answer.plan, ONE, clock.monotonic(), denial)
        assert clock.monotonic() + reset >= before - 0.051
        assert 0 < reset <= MINUTE / 1000 * (1 + 1 / SLOTS) + 0.001
        assert left >= 0
        before = max(before, clock.monotonic() + reset)
        clock.advance(rng.choice([0.0, 0.01, 0.2, 0.9]))


@pytest.mark.parametrize("ahead", [[0, 0, 0], [300, -300, 0], [0, 86_400, -86_400]])
@pytest.mark.parametrize("exact", [False, True])
async def test_replicas_whose_clocks_disagree_decide_as_if_they_did_not(ahead: list[int], exact: bool) -> None:
    """Q-18: the store's time alone says which window a request falls into."""
    truth = VirtualClock(1_699_999_980.0)
    store = MemoryStore(truth)
    clocks = [VirtualClock(truth.wall() + seconds) for seconds in ahead]
    replicas = [quotas_of(Limit(Measure.REQUESTS, 30, MINUTE, exact), store, clock) for clock in clocks]
    decided = []
    for number in range(400):
        answer = await replicas[number % 3].reserve(CALLER, "m", ONE)
        decided.append(isinstance(answer, Reservation))
        for clock in (truth, *clocks):
            clock.advance(0.5)
    same = VirtualClock(1_699_999_980.0)
    shared = MemoryStore(same)
    agreeing = [quotas_of(Limit(Measure.REQUESTS, 30, MINUTE, exact), shared, same) for _ in range(3)]
    expected = []
    for number in range(400):
        expected.append(isinstance(await agreeing[number % 3].reserve(CALLER, "m", ONE), Reservation))
        same.advance(0.5)
    assert decided == expected
    assert 60 <= sum(decided) <= 120


@pytest.mark.parametrize("beyond", [MAX_UNITS + 1, 2**63 - 1, 2**63, 2**64, 10**30])
@pytest.mark.parametrize("exact", [False, True])
async def test_what_no_counter_can_hold_is_refused_and_once_used_refuses_all_others(beyond: int, exact: bool) -> None:
    """Q-08."""
    clock = VirtualClock()
    quotas = quotas_of(Limit(Measure.COST_USD, MAX_UNITS, MINUTE, exact), MemoryStore(clock), clock)
    refused = await quotas.reserve(CALLER, "m", Amounts.of(1, 1, beyond))
    assert isinstance(refused, Denial)
    assert refused.refusal.retry_after < 0
    small = await quotas.reserve(CALLER, "m", Amounts.of(1, 1, 5))
    assert isinstance(small, Reservation)
    quotas.settle(small, Amounts.of(1, 1, beyond))
    await quotas.returns.flush()
    assert isinstance(await quotas.reserve(CALLER, "m", Amounts.of(1, 1, 1)), Denial)
    clock.advance(62.0)
    assert isinstance(await quotas.reserve(CALLER, "m", Amounts.of(1, 1, MAX_UNITS)), Reservation)


def test_a_price_times_tokens_is_never_negative_never_free_and_has_no_largest_number() -> None:
    """Q-08: prices are whole picodollars, costs whole micro-dollars."""
    terms = Terms(10**12, 1, 999_999)
    assert terms.cost_microusd(0, 0) == 0
    assert terms.cost_microusd(1, 0) == 1
    assert terms.cost_microusd(10**12, 10**12) == 10**12
    assert Terms(1, 10**18, 10**18).cost_microusd(2**62, 2**62) == 2**63 * 10**12


def drifted(adds: int) -> tuple[int, int]:
    """Charge and give back odd amounts; return what is counted, and what it has to be."""
    rng = random.Random(11)
    window, total = UnitWindow(MINUTE), 0
    for _ in range(adds):
        units = rng.choice([1, 3, 99_999, 100_003, 7_000_001])
        window.charge(5, units)
        window.charge(5, -(units // 2))
        total += units - units // 2
    return window.total, total


def test_a_count_does_not_drift() -> None:
    """Q-08: no fraction is ever added up."""
    counted, expected = drifted(50_000)
    assert counted == expected


@pytest.mark.soak
def test_a_count_does_not_drift_over_ten_million_charges() -> None:
    """Q-08."""
    counted, expected = drifted(5_000_000)
    assert counted == expected


async def test_many_at_once_of_an_account_that_nobody_has_seen_share_its_one_place() -> None:
    """Q-01."""
    clock = VirtualClock()
    store = MemoryStore(clock)
    limit = Limit(Measure.CONCURRENCY, 1, 0, exact=False)
    replicas = [quotas_of(limit, store, clock) for _ in range(2)]
    results = await asyncio.gather(*(replicas[n % 2].reserve(CALLER, "m", ONE) for n in range(200)))
    assert sum(isinstance(result, Reservation) for result in results) == 1


async def test_callers_of_one_account_share_its_count_however_many_subjects_their_tokens_name() -> None:
    """Q-12: and those of one organisation share that of the organisation."""
    clock = VirtualClock()
    corp = issuer(claims={"account": "team", "tenant": "org"})
    callers = [
        read_caller(claims(0.0, sub=f"person-{n}", team=f"team-{n // 10}", org="acme"), "corp", corp) for n in range(40)
    ]
    people = [Principal(caller.key_id, caller.account, caller.tenant, "pro", 0.0, {}) for caller in callers]
    for per, most, groups in ((Scope.KEY, 2, 4), (Scope.ACCOUNT, 3, 4), (Scope.TENANT, 5, 1)):
        quota = Quota("q", per, Mode.ENFORCE, (Limit(Measure.REQUESTS, most, MINUTE, False),), CLIENT)
        pack = Pack("t", "1", "t", "0" * 64, (quota,))
        quotas = Quotas(pack, MemoryStore(clock), clock, "r", lambda: f"op-{next(NUMBERS)}")
        answers = [await quotas.reserve(person, "m", ONE) for person in people]
        assert sum(isinstance(answer, Reservation) for answer in answers) == most * groups
