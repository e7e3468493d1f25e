"""Q-15, Q-13: random histories of replicas that come, reserve, settle, crash and go, against what must hold of each."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterable
from typing import Any

import pytest
import uvloop

from proxy.clock import VirtualClock
from proxy.exchange import Principal
from proxy.rules.pack.pack import ClientMessage, Limit, Pack, Quota
from proxy.rules.pack.words import Measure, Mode, Scope
from proxy.rules.quotas.quotas import Quotas
from proxy.rules.quotas.reservation import Amounts, Reservation
from proxy.store.memory import MemoryStore

WINDOW_S = 60
REQUESTS = 12
TOKENS = 100
CONCURRENT = 4
STEPS = 150
CALLER = Principal("key_1", "acme", "acme", "pro", 0.0, {})


def pack(*, exact: bool) -> Pack:
    limits = (
        Limit(Measure.REQUESTS, REQUESTS, WINDOW_S * 1000, exact),
        Limit(Measure.OUTPUT_TOKENS, TOKENS, WINDOW_S * 1000, exact),
        Limit(Measure.CONCURRENCY, CONCURRENT, 0, exact),
    )
    quota = Quota("q", Scope.ACCOUNT, Mode.ENFORCE, limits, ClientMessage(429, None, "no"))
    return Pack("test", "1", "tests", "0" * 64, (quota,))


async def pass_time(steps: list[float], clock: VirtualClock, gates: list[Quotas]) -> None:
    for seconds in steps:
        clock.advance(seconds)
        for quotas in gates if seconds > 1 else ():  # a sweep may be late, but not by a lease's lifetime
            quotas._pool.sweep()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def history(seed: int, *, exact: bool, replicas: int = 3, overuse: bool = False) -> int:
    """Play one history; return how many exchanges were admitted. What it asserts is promise P3.

    With `overuse` an exchange may use more than it reserved. A crash would forget that, and what another replica holds
    already knows nothing of it: so there are no crashes then, and either one replica or no leases.
    """
    rng = random.Random(seed)
    clock = VirtualClock()
    store = MemoryStore(clock)
    numbers = itertools.count()

    def replica() -> Quotas:
        name = f"replica-{next(numbers)}"
        return Quotas(pack(exact=exact), store, clock, holder=name, op=lambda: f"{name}-{next(numbers)}")

    gates = [replica() for _ in range(replicas)]
    sending = [asyncio.create_task(quotas.returns.run()) for quotas in gates if overuse]
    running: list[tuple[Quotas, Reservation, int]] = []  # whose, what, and its place in `admitted`
    admitted: list[tuple[float, int]] = []  # when, and the tokens it may have used or has used
    for _ in range(STEPS):
        action = rng.random()
        if action < 0.5:
            quotas, wanted = rng.choice(gates), rng.randint(1, 30)
            result = await quotas.reserve(CALLER, "m", Amounts.of(1, wanted, 0))
            if isinstance(result, Reservation):
                running.append((quotas, result, len(admitted)))
                admitted.append((clock.monotonic(), wanted))
                assert len(running) <= CONCURRENT
                recent = [tokens for when, tokens in admitted if when > clock.monotonic() - WINDOW_S]
                assert len(recent) <= REQUESTS
                assert sum(recent) <= TOKENS
        elif action < 0.75 and running:
            quotas, reservation, place = running.pop(rng.randrange(len(running)))
            when, reserved = admitted[place]
            used = rng.randint(0, 2 * reserved if overuse else reserved)
            quotas.settle(reservation, Amounts.of(1, used, 0))
            admitted[place] = (when, used)
        elif action < 0.78 and not overuse:
            crashed = rng.randrange(len(gates))  # what it held is lost with it
            running = [entry for entry in running if entry[0] is not gates[crashed]]
            gates[crashed] = replica()
        elif action < 0.85:
            await rng.choice(gates).returns.flush()
        else:
            await pass_time(rng.choice([[0.0], [0.3], [1.0], [4.0] * 3, [4.0] * 9]), clock, gates)
    for task in sending:
        task.cancel()
    await asyncio.gather(*sending, return_exceptions=True)
    return len(admitted)


def played(seeds: Iterable[int], **how: Any) -> int:
    """Play a history of each seed, on the loop that the product runs on; return how many exchanges were admitted."""

    async def play() -> int:
        return sum([await history(seed, **how) for seed in seeds])

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(play())


LEASED_AND_EXACT = pytest.mark.parametrize("exact", [False, True], ids=["leased", "exact"])
ONE_OR_EXACT = pytest.mark.parametrize(
    ("exact", "replicas"), [(False, 1), (True, 3)], ids=["one leased", "three exact"]
)


@LEASED_AND_EXACT
def test_no_history_admits_more_than_any_window_allows(exact: bool) -> None:
    assert played(range(100), exact=exact) > 100 * REQUESTS  # they are histories in which something happens


@ONE_OR_EXACT
def test_nothing_is_admitted_while_more_was_used_than_reserved_and_the_window_is_full(
    exact: bool, replicas: int
) -> None:
    assert played(range(100), exact=exact, replicas=replicas, overuse=True) > 50 * REQUESTS


@pytest.mark.soak
@LEASED_AND_EXACT
def test_fifty_thousand_histories_admit_no_more_than_any_window_allows(exact: bool) -> None:
    assert played(range(25_000), exact=exact) > 25_000 * REQUESTS


@pytest.mark.soak
@ONE_OR_EXACT
def test_ten_thousand_histories_of_overuse_admit_nothing_into_a_full_window(exact: bool, replicas: int) -> None:
    assert played(range(5_000), exact=exact, replicas=replicas, overuse=True) > 2_500 * REQUESTS
