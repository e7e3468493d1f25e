"""Q-16: what a caller is told of his limits is true, his own, and the same whoever else looks at him."""

from __future__ import annotations

import itertools
import random

import pytest

from proxy.clock import VirtualClock
from proxy.exchange import NO_TIES, Principal, Ties
from proxy.rules.pack.pack import ClientMessage, Limit, Pack, Quota
from proxy.rules.pack.words import Measure, Mode, Scope
from proxy.rules.quotas.quotas import Quotas
from proxy.rules.quotas.reservation import NO_PLAN, Amounts, Denial, Reservation
from proxy.rules.quotas.shown_limits import binding
from proxy.store.memory import MemoryStore

CALLER = Principal("key_1", "acme", "acme-org", "pro", 0.0, {})
ONE = Amounts.of(10, 100, 5)
MINUTE, HOUR = 60_000, 3_600_000
MEASURES = tuple(Measure)


def quota(per: Scope, *limits: Limit, mode: Mode = Mode.ENFORCE, disclose: bool = True) -> Quota:
    return Quota(f"{per}-{mode}", per, mode, limits, ClientMessage(429, None, "no"), disclose)


def requests(most: int, window_ms: int = MINUTE) -> Limit:
    return Limit(Measure.REQUESTS, most, window_ms, exact=False)


class Replica:
    """One process on a store that several may share."""

    numbers = itertools.count()

    def __init__(self, *quotas: Quota, store: MemoryStore | None = None, clock: VirtualClock | None = None) -> None:
        self.clock = clock or VirtualClock(1_699_999_980.0)  # the beginning of a slot
        self.store = store or MemoryStore(self.clock)
        name = f"r{next(self.numbers)}"
        pack = Pack("test", "1", "tests", "0" * 64, quotas)
        self.quotas = Quotas(pack, self.store, self.clock, name, lambda: f"{name}-{next(self.numbers)}")

    async def ask(self, amounts: Amounts = ONE, ties: Ties = NO_TIES, shadow: Ties = NO_TIES) -> Reservation | Denial:
        return await self.quotas.reserve(CALLER, "m", amounts, ties, shadow)

    def told(self, answer: Reservation | Denial, amounts: Amounts = ONE) -> dict[Measure, tuple[int, int, int]]:
        """Return what the answer tells: of each measure the limit, what is left, and the reset in milliseconds."""
        denial = answer if isinstance(answer, Denial) else None
        found = binding(answer.plan, amounts, self.clock.monotonic(), denial)
        return {MEASURES[measure]: (limit.max, left, round(reset * 1000)) for _, measure, limit, left, reset in found}


async def test_of_each_measure_the_limit_with_the_least_share_left_is_told_the_tightest_first() -> None:
    replica = Replica(
        quota(Scope.KEY, requests(10), Limit(Measure.OUTPUT_TOKENS, 1_000, HOUR, False)),
        quota(Scope.ACCOUNT, requests(100), requests(5, HOUR)),
        quota(Scope.TENANT, requests(20)),
    )
    told = replica.told(await replica.ask())
    assert list(told.items()) == [
        (Measure.REQUESTS, (5, 4, HOUR + HOUR // 60)),
        (Measure.OUTPUT_TOKENS, (1_000, 900, HOUR + HOUR // 60)),
    ]


@pytest.mark.parametrize("per", Scope)
async def test_only_a_callers_own_limits_are_told(per: Scope) -> None:
    """Also by a refusal; whoever asks the same once more is told the same, and is refused."""
    ties = Ties("t-1", "c-1")
    replica = Replica(quota(per, requests(1)))
    own = per in (Scope.KEY, Scope.ACCOUNT, Scope.TENANT)
    for answer in (await replica.ask(ONE, ties, ties), await replica.ask(ONE, ties, ties)):
        assert bool(replica.told(answer)) is own
    assert isinstance(answer, Denial)


@pytest.mark.parametrize("measure", [Measure.COST_USD, Measure.CONCURRENCY])
async def test_money_is_never_told_and_concurrency_only_where_it_refused(measure: Measure) -> None:
    window = 0 if measure is Measure.CONCURRENCY else HOUR
    replica = Replica(quota(Scope.KEY, Limit(measure, 5, window, False), requests(9)))
    answers = [await replica.ask(Amounts.of(1, 1, 5)) for _ in range(6)]
    assert list(replica.told(answers[0])) == [Measure.REQUESTS]
    assert isinstance(answers[-1], Denial)
    refused = [] if measure is Measure.COST_USD else [measure]
    assert list(replica.told(answers[-1])) == [*refused, Measure.REQUESTS]


async def test_a_limit_in_shadow_or_not_disclosed_is_not_told() -> None:
    replica = Replica(quota(Scope.KEY, requests(2), mode=Mode.SHADOW), quota(Scope.TENANT, requests(3), disclose=False))
    answers = [await replica.ask() for _ in range(4)]
    assert isinstance(answers[-1], Denial)
    assert [replica.told(answer) for answer in answers] == [{}] * 4


async def test_who_is_tied_to_a_campaign_is_told_what_anybody_is() -> None:
    """E-15: in enforcement and in shadow, admitted and refused by the campaign's own budget."""
    quotas = (
        quota(Scope.KEY, requests(10)),
        quota(Scope.CLUSTER, requests(2)),
        quota(Scope.TEMPLATE, requests(1), mode=Mode.SHADOW),
    )
    member, anybody = Replica(*quotas), Replica(*quotas)
    tied = Ties("t-1", "c-1")
    told = [member.told(await member.ask(ONE, tied, tied)) for _ in range(2)]
    assert told == [anybody.told(await anybody.ask()) for _ in range(2)]
    refused = await member.ask(ONE, tied, tied)
    assert isinstance(refused, Denial)
    assert refused.quota.per is Scope.CLUSTER
    ((most, left, _),) = member.told(refused).values()
    assert (most, left >= 0) == (10, True)


async def test_what_a_request_takes_nothing_of_is_not_told() -> None:
    replica = Replica(quota(Scope.KEY, requests(10), Limit(Measure.OUTPUT_TOKENS, 1_000, HOUR, False)))
    counting = Amounts.of(5, 0, 0)
    assert list(replica.told(await replica.ask(counting), counting)) == [Measure.REQUESTS]


async def test_the_limit_that_refused_comes_first_though_another_has_less_left() -> None:
    replica = Replica(
        quota(Scope.KEY, Limit(Measure.OUTPUT_TOKENS, 1_000, HOUR, False)),
        quota(Scope.ACCOUNT, Limit(Measure.OUTPUT_TOKENS, 1_100, MINUTE, False), requests(2)),
    )
    await replica.ask(Amounts.of(1, 900, 0))
    refused = await replica.ask(Amounts.of(1, 150, 0))
    assert isinstance(refused, Denial)
    assert refused.limit.max == 1_000
    assert next(iter(replica.told(refused).items())) == (Measure.OUTPUT_TOKENS, (1_000, 100, HOUR + HOUR // 60))


async def test_where_nothing_is_known_nothing_is_told() -> None:
    assert binding(NO_PLAN, ONE, 0.0) == []


@pytest.mark.parametrize("exact", [False, True])
async def test_what_is_left_is_never_more_than_the_truth_nor_far_from_it(
    exact: bool,
) -> None:
    """Q-13, Q-16: over a thousand calls of one process; the moment at which all is back never comes earlier."""
    rng = random.Random(7)
    most = 3_000
    replica = Replica(quota(Scope.KEY, Limit(Measure.OUTPUT_TOKENS, most, MINUTE, exact)))
    used: list[tuple[float, int]] = []
    before = 0.0
    for _ in range(1_000):
        asked = Amounts.of(1, rng.randint(1, 200), 0)
        answer = await replica.ask(asked)
        now = replica.clock.monotonic()
        _, left, reset = replica.told(answer, asked)[Measure.OUTPUT_TOKENS]
        reserved = asked.output_tokens if isinstance(answer, Reservation) else 0
        # A slot counts until all of it is older than the window.
        counted = sum(tokens for when, tokens in used if int(when) >= int(now) - 60)
        truth = most - counted - reserved
        assert 0 <= left <= max(0, truth)
        assert left >= truth - most // 4
        assert now + reset / 1000 >= before - 1e-3 or isinstance(answer, Denial)
        before = now + reset / 1000
        if isinstance(answer, Reservation):
            tokens = rng.randint(0, int(reserved * 1.2))
            replica.quotas.settle(answer, Amounts.of(1, tokens, 0))
            used.append((now, tokens))
        await replica.quotas.returns.flush()
        replica.clock.advance(rng.choice([0.0, 0.05, 0.4, 1.5]))


async def test_what_another_process_used_is_known_once_the_store_is_asked_again() -> None:
    clock = VirtualClock()
    store = MemoryStore(clock)
    one, other = (Replica(quota(Scope.KEY, requests(100)), store=store, clock=clock) for _ in range(2))
    assert one.told(await one.ask())[Measure.REQUESTS][1] == 99
    for _ in range(60):
        await other.ask()
    clock.advance(1.0)  # a slot of this window
    assert 0 <= one.told(await one.ask())[Measure.REQUESTS][1] <= 100 - 62
    while isinstance(answer := await one.ask(), Reservation):
        left = one.told(answer)[Measure.REQUESTS][1]
    assert left == 0
