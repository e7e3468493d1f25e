"""A server that is away costs nobody time, and is found again soon after it is back."""

from __future__ import annotations

import asyncio

import pytest

from proxy.errors import StoreUnavailable
from proxy.store.redis import RedisStore
from tests.rig.fault_proxy import BlackHole, Fault, FaultProxy, Latency, Refuse, ResetAfter
from tests.rig.valkey import Valkey
from tests.rig.waiting import until
from tests.store.redis_calls import ASK, CALLS, connected, works_again

DEADLINE_S = 0.25
OPENS_S, BACK_S = 1.0, 2.0
AT_ONCE_S = 0.05  # of a hundred calls together

FAULTS: dict[str, Fault] = {
    "200 ms": Latency(reply=0.2),
    "2000 ms": Latency(reply=2.0),
    "black hole": BlackHole(),
    "refused": Refuse(),
    "reset": ResetAfter(0),
}


def is_away(store: RedisStore) -> bool:
    return store.numbers()["stillgate_store_breaker_open"] == 1.0


async def call_until_away(store: RedisStore) -> float:
    """Call as customers do until the breaker is open; return how long that took."""
    loop = asyncio.get_running_loop()
    begun, calls = loop.time(), set[asyncio.Task[object]]()
    while not is_away(store) and loop.time() < begun + 5:
        calls.add(asyncio.create_task(_ignored(store)))
        await asyncio.sleep(0.01)
    took = loop.time() - begun
    await asyncio.gather(*calls)
    return took


async def _ignored(store: RedisStore) -> None:
    try:
        await store.reserve([ASK], "op")
    except StoreUnavailable:
        return


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_store_that_is_away_or_slow_costs_nobody_time_and_is_found_again(clean: Valkey, fault: Fault) -> None:
    """R-02, R-03: open within a second, then at once, one connection at a time, and back within two."""
    loop = asyncio.get_running_loop()
    async with FaultProxy(clean.url) as way, connected(way.url, deadline=DEADLINE_S) as store:
        await store.ping()
        way.fault = fault
        assert await call_until_away(store) < OPENS_S
        begun, connections = loop.time(), way.connections
        for _ in range(100):
            for call in (CALLS["reserve"], CALLS["read"], CALLS["ping"]):
                with pytest.raises(StoreUnavailable):
                    await call(store)
        assert loop.time() - begun < AT_ONCE_S
        await asyncio.sleep(0.5)
        assert way.connections - connections <= 5
        assert store.numbers()["stillgate_store_breaker_opens_total"] == 1
        way.fault = None
        begun = loop.time()
        await until(lambda: not is_away(store))
        assert loop.time() - begun < BACK_S
        assert (await store.reserve([ASK], "after"))[0].granted == 1


async def test_a_store_that_takes_50_ms_is_used_on(clean: Valkey) -> None:
    """R-03: it is slow, and every call within its deadline."""
    async with FaultProxy(clean.url) as way, connected(way.url, deadline=DEADLINE_S) as store:
        way.fault = Latency(reply=0.05)
        for _ in range(15):
            await store.ping()
        assert not is_away(store)


async def test_a_connection_that_worked_and_was_closed_is_made_anew_before_the_store_counts_as_away(
    clean: Valkey,
) -> None:
    async with FaultProxy(clean.url) as way, connected(way.url, deadline=DEADLINE_S) as store:
        for _ in range(3):
            await store.ping()
            clean.command("CLIENT", "KILL", "TYPE", "normal")
            await until(lambda: store._way.links[0]._lane.broken_at is not None)
            await store.ping()
        assert store.numbers()["stillgate_store_breaker_opens_total"] == 0


async def test_a_store_that_is_closed_while_it_is_away_leaves_no_task(clean: Valkey) -> None:
    before = asyncio.all_tasks()
    async with FaultProxy(clean.url) as way:
        async with connected(way.url, deadline=DEADLINE_S) as store:
            way.fault = BlackHole()
            await call_until_away(store)
    assert asyncio.all_tasks() == before


async def test_a_server_far_away_is_found_again_though_connecting_takes_many_round_trips(clean: Valkey) -> None:
    """As behind TLS and sentinels in another region; what was near enough to begin with is near enough to go on."""
    async with FaultProxy(clean.url) as way:
        way.fault = far = Latency(reply=0.3)
        async with connected(f"{way.url}/1", deadline=2.0) as store:
            way.fault = ResetAfter(0)
            await call_until_away(store)
            way.fault = far
            async with asyncio.timeout(10):
                await works_again(store)
