"""A store that sentinels know: its primary is found, and a failover is followed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from proxy.errors import StoreUnavailable
from proxy.settings.store_address import Access
from proxy.store.base import Row
from proxy.store.redis import RedisStore
from tests.rig.fault_proxy import BlackHole, FaultProxy
from tests.rig.valkey import Sentinel, Valkey
from tests.rig.waiting import until
from tests.store.redis_calls import ASK, PATIENT_S

NAME = "main"
FOLLOWED_S = 3.0


class Pair:
    """Two servers, one of which is the primary, and a sentinel that watches over them."""

    def __init__(self, folder: Path) -> None:
        self.first = Valkey(folder / "first")
        self.second = Valkey(folder / "second")
        self.sentinel = Sentinel(folder / "sentinel", self.first.url, NAME, password="sentinels")

    @property
    def servers(self) -> tuple[Valkey, Valkey]:
        return self.first, self.second

    def primary(self) -> Valkey:
        """Return the one that says it is the primary and that the sentinel names."""
        named = self.ask_sentinel("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)
        for server in self.servers:
            if f"{server.port}".encode() in named and b"role:master" in server.command("INFO", "replication"):
                return server
        raise AssertionError("there is no primary")

    def ask_sentinel(self, *command: str) -> bytes:
        return self.sentinel.commands(("AUTH", "sentinels"), command)

    def knows_a_replica(self) -> bool:
        return b"flags\r\n$5\r\nslave\r\n" in self.ask_sentinel("SENTINEL", "REPLICAS", NAME)


@pytest.fixture(scope="module")
def pair(short_folder: Path) -> Iterator[Pair]:
    pair = Pair(short_folder / "pair")
    pair.second.settings["replicaof"] = f"127.0.0.1 {pair.first.port}"
    with pair.first, pair.second, pair.sentinel:
        yield pair


@asynccontextmanager
async def found(places: str, *, deadline: float = 0.25) -> AsyncIterator[RedisStore]:
    access = Access(sentinel_password="sentinels")
    store = await RedisStore.connect(f"redis+sentinel://{places}/{NAME}/0", access=access, deadline=deadline)
    try:
        yield store
    finally:
        await store.close()


async def failed_over(pair: Pair) -> Valkey:
    """Let the primary die; return the new one once it is."""
    await until(pair.knows_a_replica)
    before = pair.primary()
    (other,) = (server for server in pair.servers if server is not before)
    await until(lambda: b"master_link_status:up" in other.command("INFO", "replication"))
    before.kill()
    await until(lambda: _leads(other))
    return other


def _leads(server: Valkey) -> bool:
    try:
        return b"role:master" in server.command("INFO", "replication")
    except ConnectionError:  # a sentinel ends a server's connections when it promotes it
        return False


async def answers(store: RedisStore) -> float:
    """Return how long it took until the store takes a write."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while loop.time() < begun + 10:
        try:
            await store.write([Row("keys", "a", b"after")])
        except StoreUnavailable:
            await asyncio.sleep(0.01)
        else:
            return loop.time() - begun
    raise AssertionError("the store never took a write")


async def test_a_failover_is_followed_and_counted(pair: Pair) -> None:
    """R-05."""
    async with found(pair.sentinel.place) as store:
        await store.write([Row("keys", "a", b"before")])
        assert store.numbers()["stillgate_store_failovers_total"] == 0
        primary = await failed_over(pair)
        assert await answers(store) < FOLLOWED_S
        assert b"after" in primary.command("HGET", "sg:{tables}:keys", "a")
        assert store.numbers()["stillgate_store_failovers_total"] == 1


async def test_sentinels_that_are_away_or_silent_are_not_waited_for(pair: Pair) -> None:
    async with AsyncExitStack() as stack:
        silent = await stack.enter_async_context(FaultProxy(f"redis://{pair.sentinel.place}"))
        silent.fault = BlackHole()
        places = f"127.0.0.1:9,127.0.0.1:{silent.port},{pair.sentinel.place}"
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with found(places) as store:
            assert loop.time() - begun < 1.5
            assert (await store.reserve([ASK], "op"))[0].granted == 1


async def test_the_newest_configuration_counts(pair: Pair) -> None:
    """As after a partition: one sentinel still names a primary that was given up."""
    async with scripted_sentinel({"port": 9, "config-epoch": 0}) as stale:
        for places in (f"{stale},{pair.sentinel.place}", f"{pair.sentinel.place},{stale}"):
            async with found(places, deadline=PATIENT_S) as store:
                await store.ping()


async def test_a_primary_that_was_given_up_is_left_though_it_still_answers(pair: Pair, clean: Valkey) -> None:
    """R-05, R-11: in a partition we may see both, and what the old one is told is lost."""
    primary = pair.primary()
    facts = {"port": primary.port, "config-epoch": 3}
    loop = asyncio.get_running_loop()
    async with scripted_sentinel(facts) as place, found(place, deadline=PATIENT_S) as store:
        await store.write([Row("keys", "a", b"before")])
        waiting = asyncio.create_task(store.changes((await store.changes(None, 0)).cursor, 60_000))
        await until(lambda: b"blocked_clients:1" in primary.command("INFO", "clients"))
        facts |= {"port": clean.port, "config-epoch": 2}  # as one says that was cut off
        done, _ = await asyncio.wait([waiting], timeout=FOLLOWED_S)
        assert not done
        facts["config-epoch"], begun = 4, loop.time()
        with pytest.raises(StoreUnavailable):
            await waiting
        assert loop.time() - begun < FOLLOWED_S
        await store.write([Row("keys", "a", b"after")])
        assert store.numbers()["stillgate_store_failovers_total"] == 1
    assert b"after" in clean.command("HGET", "sg:{tables}:keys", "a")


async def test_a_primary_is_left_also_where_another_connection_was_opened_to_the_new_one(
    pair: Pair, clean: Valkey
) -> None:
    """R-05, R-11: whoever opened it has seen the move, and the others are still with the old one."""
    primary = pair.primary()
    facts = {"port": primary.port, "config-epoch": 3}
    async with scripted_sentinel(facts) as place, found(place, deadline=PATIENT_S) as store:
        await store.write([Row("keys", "a", b"before")])
        cursor = (await store.changes(None, 0)).cursor
        facts |= {"port": clean.port, "config-epoch": 4}
        await store.changes(cursor, 0)
        await asyncio.sleep(FOLLOWED_S)
        await store.write([Row("keys", "a", b"after")])
        assert store.numbers()["stillgate_store_failovers_total"] == 1
    assert b"after" in clean.command("HGET", "sg:{tables}:keys", "a")


@asynccontextmanager
async def scripted_sentinel(told: Mapping[str, int | None]) -> AsyncIterator[str]:
    """A sentinel that says what it is told to; as a real one may that knows less, or more, than others."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            facts = ("ip", "127.0.0.1", *(f"{part}" for fact in told.items() for part in fact))
            said = "".join(f"${len(fact)}\r\n{fact}\r\n" for fact in facts)
            writer.write((f"*{len(facts)}\r\n{said}" if b"MASTER" in data else "+OK\r\n").encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("name", ["another", NAME])
async def test_a_primary_that_nobody_knows_is_a_store_that_is_away(pair: Pair, name: str) -> None:
    access = Access(sentinel_password="sentinels" if name != NAME else "wrong")
    with pytest.raises(StoreUnavailable, match=f"no sentinel knows where {name} is") as failed:
        await RedisStore.connect(f"redis+sentinel://{pair.sentinel.place}/{name}", access=access)
    assert "wrong" not in str(failed.value)
