"""A store on a cluster: every call finds its server, also while slots move from one to another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.crc import key_slot

from proxy.errors import ConfigurationError, StoreAway, StoreUnavailable
from proxy.store.base import Ask, Credit, Hold, Row
from proxy.store.cluster import Cluster
from proxy.store.redis import RedisStore
from tests.rig.fault_proxy import FaultProxy, Refuse
from tests.rig.valkey import Valkey
from tests.rig.valkey_cluster import ValkeyCluster
from tests.rig.waiting import until
from tests.store.redis_calls import CALLS, PATIENT_S, connected, works_again

MINUTE = 60_000
MANY = [f"bucket number {number:04}" for number in range(60)]


@pytest.fixture
def empty(cluster: ValkeyCluster) -> ValkeyCluster:
    cluster.command("FLUSHALL")
    return cluster


@asynccontextmanager
async def moving(cluster: ValkeyCluster, key: str) -> AsyncIterator[tuple[Valkey, Valkey, int]]:
    """Let the slot of a key be on its way to another server; yield the one that has it, the other, and the slot.

    It must be given to the other within the context, and is back at its end.
    """
    slot = key_slot(key.encode())
    source = cluster.servers[slot * 3 // 16384]
    target = next(server for server in cluster.servers if server is not source)
    target.command("CLUSTER", "SETSLOT", f"{slot}", "IMPORTING", name_of(source))
    source.command("CLUSTER", "SETSLOT", f"{slot}", "MIGRATING", name_of(target))
    try:
        yield source, target, slot
    finally:
        source.command("CLUSTER", "SETSLOT", f"{slot}", "IMPORTING", name_of(target))
        target.command("CLUSTER", "SETSLOT", f"{slot}", "MIGRATING", name_of(source))
        await move_keys(target, source, slot)
        await give(cluster, slot, source)


def slot_of(bucket: str) -> int:
    return key_slot(f"sg:{{{bucket}}}:w".encode())


def name_of(server: Valkey) -> str:
    return server.command("CLUSTER", "MYID").split(b"\r\n")[1].decode()


async def give(cluster: ValkeyCluster, slot: int, owner: Valkey) -> None:
    """Say whose a slot is, to all; the new owner first, as it should be.

    Its claim has a newer epoch than the old owner's. Who does not know of that yet believes the old one again.
    """
    name = name_of(owner)
    for server in (owner, *(server for server in cluster.servers if server is not owner)):
        assert server.command("CLUSTER", "SETSLOT", f"{slot}", "NODE", name) == b"+OK\r\n"

    def epochs() -> set[bytes]:
        lines = b"".join(cluster.command("CLUSTER", "NODES")).split(b"\n")
        return {line.split()[6] for line in lines if name.encode() in line.split()[:1]}

    await until(lambda: len(epochs()) == 1)


async def move_keys(source: Valkey, target: Valkey, slot: int) -> None:
    while keys := source.command("CLUSTER", "GETKEYSINSLOT", f"{slot}", "100").split(b"\r\n")[2::2]:
        names = [key.decode() for key in keys if key]
        asked = ("MIGRATE", "127.0.0.1", f"{target.port}", "", "0", "5000", "REPLACE", "KEYS", *names)
        assert source.command(*asked) in (b"+OK\r\n", b"+NOKEY\r\n")
        await asyncio.sleep(0)


async def test_every_call_finds_its_server_and_its_keys_are_in_one_slot(empty: ValkeyCluster) -> None:
    """R-09: 0 CROSSSLOT, and no call that is redirected once the slots are known."""
    empty.command("CONFIG", "RESETSTAT")
    async with connected(empty.url) as store:
        for call in CALLS.values():
            await call(store)
        await store.write([Row(table, "a", b"x") for table in ("keys", "flags", "epochs", "campaigns")])
        grants = await store.reserve([Ask(bucket, 10, MINUTE, 1, 1) for bucket in MANY], "op")
        assert [grant.remaining for grant in grants] == [9] * len(MANY)
        held = await store.hold([Hold(bucket, 10, "a", 1, 1, 1000) for bucket in MANY])
        assert [one.mine for one in held] == [1] * len(MANY)
    errors = b"".join(empty.command("INFO", "errorstats"))
    assert b"CROSSSLOT" not in errors
    assert b"MOVED" not in errors
    assert all(int(size[1:]) > 40 for size in empty.command("DBSIZE")), "they are on all servers"


async def test_calls_of_one_turn_travel_together_to_each_server(empty: ValkeyCluster) -> None:
    def reads() -> int:
        stats = empty.command("INFO", "stats")
        return sum(int(each.split(b"total_reads_processed:")[1].split(b"\r\n")[0]) for each in stats)

    async with connected(empty.url) as store:
        await store.reserve([Ask(bucket, 1000, MINUTE, 1, 1) for bucket in MANY], "warm")
        before = reads()
        await asyncio.gather(*(store.reserve([Ask(bucket, 1000, MINUTE, 1, 1)], bucket) for bucket in MANY))
        assert reads() - before <= 3 * 3


async def test_a_slot_that_has_moved_is_followed_at_the_first_call(empty: ValkeyCluster) -> None:
    """R-09: MOVED."""
    async with connected(empty.url) as store:
        await store.reserve([Ask(MANY[0], 10, MINUTE, 4, 4)], "before")
        async with moving(empty, f"sg:{{{MANY[0]}}}:w") as (source, target, slot):
            await move_keys(source, target, slot)
            await give(empty, slot, target)
            assert (await store.reserve([Ask(MANY[0], 10, MINUTE, 1, 1)], "op"))[0].remaining == 5
            await until(lambda: store.numbers()["stillgate_store_failovers_total"] > 0)
            empty.command("CONFIG", "RESETSTAT")
            assert (await store.reserve([Ask(MANY[0], 10, MINUTE, 1, 1)], "again"))[0].remaining == 4
            assert b"MOVED" not in b"".join(empty.command("INFO", "errorstats"))


async def test_a_slot_that_moves_is_asked_for_where_its_keys_are(empty: ValkeyCluster) -> None:
    """R-09: ASK."""
    async with connected(empty.url) as store:
        await store.hold([Hold(MANY[0], 10, "a", 3, 3, 60_000)])
        async with moving(empty, f"sg:{{{MANY[0]}}}:h") as (source, target, slot):
            target.command("SCRIPT", "FLUSH")
            assert (await store.hold([Hold(MANY[0], 10, "b", 1, 1, 60_000)]))[0].total == 4
            await move_keys(source, target, slot)
            assert (await store.hold([Hold(MANY[0], 10, "b", 2, 2, 60_000)]))[0].total == 5
            assert b"ASK" in source.command("INFO", "errorstats")
            await give(empty, slot, target)


async def test_while_a_slot_moves_calls_wait_for_it_or_fail_and_none_counts_twice(empty: ValkeyCluster) -> None:
    """R-09: TRYAGAIN, since one of a call's keys is here and another not yet anywhere."""
    ask = [Ask(MANY[0], 1000, MINUTE, 1, 1)]
    async with connected(empty.url, deadline=0.25) as store, connected(empty.url) as patient:
        await store.reserve(ask, "before")
        await patient.ping()
        async with moving(empty, f"sg:{{{MANY[0]}}}:w") as (source, target, slot):
            for number in range(3):  # its window is here and its operation nowhere
                with pytest.raises(StoreUnavailable, match="TRYAGAIN"):
                    await store.reserve(ask, f"{number}")
            assert store.numbers()["stillgate_store_breaker_opens_total"] == 0, "nobody is away"
            waiting = [asyncio.create_task(patient.reserve(ask, f"op {number}")) for number in range(10)]
            await until(lambda: b"TRYAGAIN" in source.command("INFO", "errorstats"))
            await move_keys(source, target, slot)
            await give(empty, slot, target)
            await asyncio.gather(*waiting)
            assert (await patient.reserve(ask, "last"))[0].remaining == 1000 - 1 - 10 - 1
    assert b"CROSSSLOT" not in b"".join(empty.command("INFO", "errorstats"))


async def test_the_feed_and_a_scan_go_on_after_their_slot_has_moved(empty: ValkeyCluster) -> None:
    async with connected(empty.url) as store:
        await store.write([Row("keys", "a", b"x")])
        cursor = (await store.changes(None, 0)).cursor
        waiting = asyncio.create_task(store.changes(cursor, 60_000))
        await until(lambda: any(b"blocked_clients:1" in info for info in empty.command("INFO", "clients")))
        async with moving(empty, "sg:{tables}:feed") as (source, target, slot):
            await move_keys(source, target, slot)
            await give(empty, slot, target)
            with pytest.raises(StoreUnavailable):
                await waiting
            await store.write([Row("keys", "b", b"y")])
            await until(lambda: store.numbers()["stillgate_store_failovers_total"] > 0)
            assert (await store.changes(cursor, 0)).rows == (("keys", "b"),)
            assert dict([row async for row in store.scan("keys")]) == {"a": b"x", "b": b"y"}


async def test_a_server_that_is_silent_costs_nobody_time_and_is_found_again(empty: ValkeyCluster) -> None:
    """R-02, R-03: also on a cluster."""
    loop = asyncio.get_running_loop()
    asks = [Ask(bucket, 10, MINUTE, 1, 1) for bucket in MANY]
    async with connected(empty.url, deadline=0.25) as store:
        empty.servers[1].pause()
        try:
            with pytest.raises(StoreUnavailable):
                await store.reserve(asks, "op")
            begun = loop.time()
            for _ in range(20):
                with pytest.raises(StoreUnavailable):
                    await store.reserve(asks, "op")
                with pytest.raises(StoreUnavailable):
                    await store.ping()
            assert loop.time() - begun < 0.2
            assert store.numbers()["stillgate_store_breaker_open"] == 1
        finally:
            empty.servers[1].resume()
        await works_again(store)
        await until(lambda: all(b"cluster_state:ok" in info for info in empty.command("CLUSTER", "INFO")))
        assert len(await store.reserve(asks, "op 2")) == len(asks)


async def test_a_call_of_which_a_part_was_sent_is_not_said_never_to_have_been_asked(empty: ValkeyCluster) -> None:
    """R-03: what another server did of it would be told again, and so count twice."""
    here, moved = (next(name for name in MANY if slot_of(name) * 3 // 16384 == number) for number in (0, 2))
    charges = [Credit(bucket, MINUTE, 0, -1) for bucket in (here, moved)]
    async with connected(empty.url, deadline=0.25) as store:
        way = store._way
        assert isinstance(way, Cluster)
        empty.servers[2].pause()
        try:
            with pytest.raises(StoreUnavailable):
                await store.reserve([Ask(moved, 10, MINUTE, 1, 1)], "op")
            with pytest.raises(StoreAway):
                await store.credit(charges, "nothing sent")
            way._slots[slot_of(moved)] = way._slots[slot_of(here)]  # as before the slot went to where it is now
            with pytest.raises(StoreAway):
                await store.credit(charges[1:], "sent where it was not done")
            way._slots[slot_of(moved)] = way._slots[slot_of(here)]
            with pytest.raises(StoreUnavailable) as failed:
                await store.credit(charges, "sent in part")
            assert not isinstance(failed.value, StoreAway)
        finally:
            empty.servers[2].resume()
        await works_again(store)
        await until(lambda: all(b"cluster_state:ok" in info for info in empty.command("CLUSTER", "INFO")))


async def test_a_server_that_is_cut_off_from_the_others_is_not_believed_about_slots(short_folder: Path) -> None:
    """R-09: CLUSTERDOWN on one side of a partition, while the other has gone on."""
    with ValkeyCluster(short_folder / "divided") as cluster:
        cluster.command("CONFIG", "SET", "cluster-require-full-coverage", "no")
        async with connected(cluster.url) as store:
            way = store._way
            assert isinstance(way, Cluster)
            first = next(iter(way._links))[1]  # the one that is asked first
            alone = next(server for server in cluster.servers if server.port == first)
            others = [server for server in cluster.servers if server is not alone]
            bucket = next(name for name in MANY if cluster.servers[slot_of(name) * 3 // 16384] is alone)
            cluster.cut_off(alone)
            async with asyncio.timeout(30):
                while b"cluster_state:fail" not in alone.command("CLUSTER", "INFO"):
                    await asyncio.sleep(0.02)
            for server in others:
                server.command("CLUSTER", "SETSLOT", f"{slot_of(bucket)}", "NODE", name_of(others[0]))
            with pytest.raises(StoreUnavailable, match="CLUSTERDOWN"):
                await store.reserve([Ask(bucket, 10, MINUTE, 1, 1)], "before")
            await until(lambda: way._slots[slot_of(bucket)][1] == others[0].port)
            assert (await store.reserve([Ask(bucket, 10, MINUTE, 1, 1)], "op"))[0].granted == 1


async def test_no_count_goes_back_when_a_server_leaves(empty: ValkeyCluster) -> None:
    async with connected(empty.url) as store:
        way = store._way
        assert isinstance(way, Cluster)
        gone, *_, left = way._links
        way._links[gone].failed(None)
        assert store.numbers()["stillgate_store_breaker_opens_total"] == 1
        way._take(dict.fromkeys(way._slots, left))
        assert [link.away for link in way.links] == [False]
        assert store.numbers()["stillgate_store_breaker_opens_total"] == 1


async def test_one_server_of_those_named_is_enough_to_begin_with(empty: ValkeyCluster) -> None:
    async with connected(f"redis+cluster://127.0.0.1:9,127.0.0.1:{empty.servers[2].port}") as store:
        await store.ping()


async def test_a_cluster_that_nobody_has_reached_yet_is_away(empty: ValkeyCluster) -> None:
    async with FaultProxy(f"redis://127.0.0.1:{empty.servers[0].port}") as way:
        way.fault = Refuse()
        url = way.url.replace("redis:", "redis+cluster:")
        store = await RedisStore.connect(url, deadline=PATIENT_S, required=False)
        with pytest.raises(StoreUnavailable, match="no server of the cluster has been reached yet"):
            await store.ping()
        way.fault = None
        await works_again(store)
        await store.ping()
        await store.close()


async def test_a_cluster_and_a_single_server_are_not_taken_for_each_other(empty: ValkeyCluster, clean: Valkey) -> None:
    with pytest.raises(ConfigurationError, match="leads to a cluster node; name a standalone server"):
        await RedisStore.connect(empty.servers[0].url, deadline=PATIENT_S)
    with pytest.raises(StoreUnavailable):
        await RedisStore.connect(clean.url.replace("redis:", "redis+cluster:"), deadline=PATIENT_S)
