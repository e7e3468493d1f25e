"""What a server and the way to it can do to a store, and that a caller only ever sees StoreUnavailable, in time."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proxy.clock import VirtualClock
from proxy.errors import StoreUnavailable
from proxy.store import open_store
from proxy.store.base import Ask, Credit, Hold, Row, Store
from proxy.store.memory import MemoryStore
from proxy.store.redis import RedisStore
from tests.rig.fault_proxy import BlackHole, FaultProxy, Garbage, Latency, LostReply, Refuse, ResetAfter, Slices
from tests.rig.valkey import Valkey

BUCKET = "0123456789abcdef"
ASK = Ask(BUCKET, 10, 60_000, 1, 1)
PATIENT_S = 5.0
DEADLINE_S = 0.2


async def _scanned(store: Store) -> list[tuple[str, bytes]]:
    return [row async for row in store.scan("keys")]


CALLS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "reserve": lambda store: store.reserve([ASK], "op"),
    "credit": lambda store: store.credit([Credit(BUCKET, 60_000, 0, 1)], "op"),
    "hold": lambda store: store.hold([Hold(BUCKET, 10, "a", 1, 1, 1000)]),
    "read": lambda store: store.read("keys", "a"),
    "write": lambda store: store.write([Row("keys", "a", b"x")]),
    "scan": _scanned,
    "changes from now": lambda store: store.changes(None, 0),
    "changes": lambda store: store.changes("5-0", 50),
    "ping": lambda store: store.ping(),
}
WRITES = ("reserve", "credit", "hold", "write")

call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@pytest.fixture(scope="module")
def server(short_folder: Path) -> Iterator[Valkey]:
    with Valkey(short_folder / "faults") as server:
        yield server


@pytest.fixture
def clean(server: Valkey) -> Valkey:
    server.command("FLUSHALL")
    return server


@asynccontextmanager
async def _store(url: str, *, deadline: float = PATIENT_S, password: str | None = None) -> AsyncIterator[RedisStore]:
    store = await RedisStore.connect(url, deadline=deadline, password=password)
    try:
        yield store
    finally:
        await store.close()


async def _fails_in_time(what: Awaitable[object]) -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with pytest.raises(StoreUnavailable):
        await what
    assert loop.time() - begun < DEADLINE_S + 0.5


@call
async def test_a_server_that_says_nothing_is_given_up_at_the_deadline(
    clean: Valkey, call: Callable[[Store], Awaitable[object]]
) -> None:
    async with FaultProxy(clean.url) as way, _store(way.url, deadline=DEADLINE_S) as store:
        way.fault = BlackHole()
        await _fails_in_time(call(store))
        way.fault = None
        await _works_again(store)


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\xff\xfe\x00\x00" * 50,
        b"$5\r\nab",
        b"$-5\r\n",
        b"*-7\r\n",
        b"*2\r\n:1\r\n",
        b":999999999999999999999999\r\n",
        b"+OK\r\n+OK\r\n+OK\r\n",
    ],
)
async def test_garbage_instead_of_replies_is_a_failure_of_the_store(clean: Valkey, garbage: bytes) -> None:
    async with FaultProxy(clean.url) as way, _store(way.url, deadline=DEADLINE_S) as store:
        way.fault = Garbage(garbage)
        for call in CALLS.values():
            await _fails_in_time(call(store))


@pytest.mark.parametrize(
    "reply",
    [b":7\r\n", b"+OK\r\n", b"*0\r\n", b"*2\r\n$1\r\n0\r\n:1\r\n", b"*6\r\n+a\r\n+b\r\n+c\r\n+d\r\n+e\r\n+f\r\n"],
)
@pytest.mark.parametrize("name", ["reserve", "hold", "scan", "changes", "ping"])
async def test_a_reply_of_another_shape_is_a_failure_of_the_store(clean: Valkey, name: str, reply: bytes) -> None:
    async with FaultProxy(clean.url) as way, _store(way.url, deadline=DEADLINE_S) as store:
        way.fault = Garbage(reply)
        await _fails_in_time(CALLS[name](store))


@pytest.mark.parametrize(
    "error",
    [
        "ERR unknown command",
        "BUSY Valkey is busy running a script",
        "LOADING Valkey is loading the dataset in memory",
        "MISCONF Errors writing to the AOF file",
        "NOREPLICAS Not enough good replicas to write",
        "MASTERDOWN Link with MASTER is down",
        "NOAUTH Authentication required.",
        "NOPERM this user has no permissions",
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "READONLY You can't write against a read only replica.",
        "MOVED 3999 127.0.0.1:6381",
        "CLUSTERDOWN Hash slot not served",
        "NOSCRIPT No matching script.",
        "max number of clients reached",
        "\xff",
    ],
)
async def test_every_error_of_a_server_is_a_failure_of_the_store(clean: Valkey, error: str) -> None:
    async with FaultProxy(clean.url) as way, _store(way.url, deadline=DEADLINE_S) as store:
        way.fault = Garbage(f"-{error}\r\n".encode("latin-1"))
        for call in CALLS.values():
            await _fails_in_time(call(store))


@call
async def test_a_connection_that_is_reset_fails_its_calls_at_once(
    clean: Valkey, call: Callable[[Store], Awaitable[object]]
) -> None:
    async with FaultProxy(clean.url) as way, _store(way.url) as store:
        way.fault = ResetAfter(1)
        async with asyncio.timeout(PATIENT_S / 2):
            with pytest.raises(StoreUnavailable):
                await call(store)


async def test_replies_cut_into_single_bytes_are_read(clean: Valkey) -> None:
    async with FaultProxy(clean.url) as way, _store(way.url) as store:
        way.fault = Slices(1)
        assert (await store.reserve([ASK, ASK], "op"))[1].remaining == 8


async def test_a_server_that_is_out_of_memory_grants_and_writes_nothing_and_reads_on(clean: Valkey) -> None:
    async with _store(clean.url) as store:
        await store.write([Row("keys", "a", b"x"), Row("keys", "b", b"x")])
        clean.command("CONFIG", "SET", "maxmemory", "1")
        try:
            for name in WRITES:
                with pytest.raises(StoreUnavailable, match="OOM"):
                    await CALLS[name](store)
            with pytest.raises(StoreUnavailable):
                await store.write([Row("keys", "b", None), Row("keys", "a", b"y")])
            assert await _scanned(store) == [("a", b"x"), ("b", b"x")]
        finally:
            clean.command("CONFIG", "SET", "maxmemory", "0")
        assert (await store.reserve([ASK], "op"))[0].remaining == 9


async def test_a_read_only_replica_takes_no_write(short_folder: Path) -> None:
    with Valkey(short_folder / "replica", settings={"replicaof": "127.0.0.1 9"}) as replica:
        async with _store(replica.url) as store:
            for name in WRITES:
                with pytest.raises(StoreUnavailable, match="READONLY"):
                    await CALLS[name](store)


async def test_scripts_that_the_server_forgot_are_loaded_again_and_run_once(clean: Valkey) -> None:
    async with _store(clean.url) as store:
        for step in range(3):
            clean.command("SCRIPT", "FLUSH")
            grants = await store.reserve([ASK, Ask("another bucket 1", 10, 60_000, 2, 2)], f"op {step}")
            assert [grant.remaining for grant in grants] == [9 - step, 8 - 2 * step]
            clean.command("SCRIPT", "FLUSH")
            assert await store.write([Row("keys", "a", b"x")], only_new=True) == (step == 0)


@pytest.mark.parametrize("reset", [True, False])
async def test_an_op_whose_reply_was_lost_counts_once_when_it_is_sent_again(clean: Valkey, *, reset: bool) -> None:
    async with FaultProxy(clean.url) as way, _store(way.url, deadline=DEADLINE_S) as store:
        slot = (await store.reserve([ASK], "first"))[0].slot
        way.fault = LostReply(reset=reset)
        await _fails_in_time(store.reserve([ASK], "op"))
        await _fails_in_time(store.credit([Credit(BUCKET, 60_000, slot, -3)], "op"))
        way.fault = None
        await _works_again(store)
        await store.credit([Credit(BUCKET, 60_000, slot, -3)], "op")
        assert (await store.reserve([ASK], "op"))[0].remaining == 8
        assert (await store.reserve([ASK], "look"))[0].remaining == 4


async def test_a_thousand_cancelled_calls_leave_no_mixed_up_reply(clean: Valkey) -> None:
    draw = random.Random(5)
    async with FaultProxy(clean.url) as way, _store(way.url) as store:
        await store.write([Row("keys", f"name {index}", b"value %d" % index) for index in range(100)])
        way.fault = Latency(reply=0.002)

        async def one(index: int) -> None:
            assert await store.read("keys", f"name {index % 100}") == b"value %d" % (index % 100)

        cancelled = 0
        for wave in range(0, 2000, 50):
            tasks = [asyncio.create_task(one(index)) for index in range(wave, wave + 50)]
            await asyncio.sleep(draw.random() * 0.004)
            for task in draw.sample(tasks, 25):
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            cancelled += sum(isinstance(end, asyncio.CancelledError) for end in ends)
            assert not [end for end in ends if isinstance(end, Exception)]
        assert cancelled > 500
        assert way.connections <= 2


async def test_calls_of_one_turn_of_the_loop_travel_together(clean: Valkey) -> None:
    def reads() -> int:
        stats = clean.command("INFO", "stats")
        return int(stats.split(b"total_reads_processed:")[1].split(b"\r\n")[0])

    async with _store(clean.url) as store:
        await store.reserve([ASK], "warm")
        before = reads()
        await asyncio.gather(*(store.reserve([Ask(BUCKET, 1000, 60_000, 1, 1)], f"{index}") for index in range(64)))
        assert reads() - before <= 4


async def test_a_store_is_found_again_when_its_server_comes_back(short_folder: Path) -> None:
    server = Valkey(short_folder / "comes back").start()
    try:
        async with _store(server.url, deadline=DEADLINE_S) as store:
            await store.reserve([ASK], "before")
            server.kill()
            for _ in range(3):
                await _fails_in_time(store.reserve([ASK], "away"))
            server.start()
            await _works_again(store)
            assert (await store.reserve([ASK], "after"))[0].remaining == 8
    finally:
        server.kill()


async def test_a_store_that_does_not_answer_is_not_flooded_with_connections(clean: Valkey) -> None:
    async with FaultProxy(clean.url) as way, _store(way.url, deadline=DEADLINE_S) as store:
        way.fault = ResetAfter(0)
        before, begun = way.connections, asyncio.get_running_loop().time()
        for _ in range(500):
            await _fails_in_time(store.ping())
        passed = asyncio.get_running_loop().time() - begun
        assert way.connections - before <= 2 + passed / 0.1
        way.fault = None
        await _works_again(store)


@call
async def test_a_server_that_refuses_connections_fails_every_call_at_once(
    clean: Valkey, call: Callable[[Store], Awaitable[object]]
) -> None:
    async with FaultProxy(clean.url) as way, _store(way.url) as store:
        way.fault = Refuse()
        await _fails_in_time(call(store))
        await _fails_in_time(call(store))


async def test_closing_waits_for_what_is_in_flight_and_leaves_no_task(clean: Valkey) -> None:
    before = asyncio.all_tasks()
    store = await RedisStore.connect(clean.url, deadline=PATIENT_S)
    cursor = (await store.changes(None, 0)).cursor
    waiting = asyncio.create_task(store.changes(cursor, 60_000))
    await store.ping()
    asks = [asyncio.create_task(store.reserve([ASK], f"{index}")) for index in range(10)]
    await asyncio.sleep(0)
    await store.close()
    assert sorted(grant.remaining for (grant,) in await asyncio.gather(*asks)) == list(range(10))
    with pytest.raises(StoreUnavailable):
        await waiting
    for call in CALLS.values():
        with pytest.raises(StoreUnavailable):
            await call(store)
    await store.close()
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("written_again", [True, False])
async def test_a_flush_is_told_as_lost_also_when_the_feed_has_begun_anew(clean: Valkey, *, written_again: bool) -> None:
    async with _store(clean.url) as store:
        await store.write([Row("keys", "a", b"x")])
        start = await store.changes(None, 0)
        await asyncio.sleep(0.002)  # two feeds that begin in one millisecond cannot be told apart
        clean.command("FLUSHALL")
        if written_again:
            await store.write([Row("keys", "b", b"x")])
        assert (await store.changes(start.cursor, 60_000)).lost


async def test_a_flush_is_told_to_who_waits_already_with_the_next_write(clean: Valkey) -> None:
    async with _store(clean.url) as store:
        await store.write([Row("keys", "a", b"x")])
        start = await store.changes(None, 0)
        waiting = asyncio.create_task(store.changes(start.cursor, 60_000))
        await _until(lambda: b"blocked_clients:1" in clean.command("INFO", "clients"))
        clean.command("FLUSHALL")
        await store.write([Row("keys", "b", b"x")])
        async with asyncio.timeout(PATIENT_S):
            assert (await waiting).lost


async def test_a_feed_that_fell_back_to_an_older_state_is_told_as_lost(clean: Valkey) -> None:
    async with _store(clean.url) as store:
        await store.write([Row("keys", "a", b"x")])
        await store.write([Row("keys", "b", b"x")])
        start = await store.changes(None, 0)
        clean.command("XDEL", "sg:{tables}:feed", start.cursor)  # as a replica that missed the last write
        await store.write([Row("keys", "c", b"x")])
        assert (await store.changes(start.cursor, 0)).lost


async def test_keys_are_gone_from_the_server_when_they_mean_nothing_any_more(clean: Valkey) -> None:
    async with _store(clean.url) as store:
        await store.reserve([ASK], "op")
        await store.credit([Credit(BUCKET, 60_000, 1, 1)], "op")
        await store.hold([Hold(BUCKET, 10, "a", 1, 1, 1000)])
    keys = clean.command("KEYS", "*").split(b"\r\n")[2::2]
    ages = {key.decode(): int(clean.command("PTTL", key.decode())[1:]) for key in keys if key}
    assert ages.keys() == {f"sg:{{{BUCKET}}}:{part}" for part in ("w", "h", "r:op:0", "c:op:0")}
    assert all(0 < age <= 2 * 60_000 + 60_000 for age in ages.values())


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{port}", "rediss://127.0.0.1:{port}", "unix://{folder}/none"])
async def test_a_store_that_is_not_there_is_a_failure_at_once(url: str, short_folder: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(StoreUnavailable):
            await RedisStore.connect(url.format(port=bound.getsockname()[1], folder=short_folder))


async def test_a_plain_server_behind_a_tls_url_is_a_failure_of_the_store(clean: Valkey) -> None:
    with pytest.raises(StoreUnavailable):
        await RedisStore.connect(clean.url.replace("redis://", "rediss://"))


async def test_a_password_is_taken_from_the_settings_or_the_url(short_folder: Path) -> None:
    with Valkey(short_folder / "password", settings={"requirepass": "s3cret/@"}) as server:
        async with _store(server.url, password="s3cret/@") as store:
            await store.ping()
        async with _store(server.url.replace("//", "//:s3cret%2F%40@")) as store:
            await store.ping()
        for password in (None, "wrong"):
            with pytest.raises(StoreUnavailable) as failed:
                await RedisStore.connect(server.url, password=password)
            assert "s3cret" not in str(failed.value)


async def test_the_kind_or_url_in_the_settings_names_the_store(clean: Valkey) -> None:
    assert isinstance(await open_store("memory", clock=VirtualClock()), MemoryStore)
    store = await open_store(clean.url, clock=VirtualClock())
    await store.ping()
    await store.close()


async def _until(true: Callable[[], bool]) -> None:
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never became true")


async def _works_again(store: Store) -> None:
    """Return once the store answers; it is asked again and again for a bounded time."""
    for _ in range(1000):
        try:
            return await store.ping()
        except StoreUnavailable:
            await asyncio.sleep(0.005)
    raise AssertionError("the store never came back")
