"""What a server and the way to it can do to a store: a caller only ever sees StoreUnavailable, in time."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest
import uvloop
from redis.exceptions import RedisError

from proxy.errors import StoreUnavailable
from proxy.settings.store_address import Access, read_place
from proxy.store.base import Row
from proxy.store.redis import RedisStore
from proxy.store.wires import Wires
from tests.rig.fault_proxy import BlackHole, FaultProxy, Garbage, Refuse, ResetAfter, Slices
from tests.rig.valkey import Valkey
from tests.store.redis_calls import (
    ASK,
    CALLS,
    DEADLINE_S,
    PATIENT_S,
    WRITES,
    Call,
    connected,
    each_call,
    fails_in_time,
    scanned,
    works_again,
)


@each_call
async def test_a_server_that_says_nothing_is_given_up_at_the_deadline(clean: Valkey, call: Call) -> None:
    async with FaultProxy(clean.url) as way, connected(way.url, deadline=DEADLINE_S) as store:
        way.fault = BlackHole()
        await fails_in_time(call(store))
        way.fault = None
        await works_again(store)


@pytest.mark.parametrize("opened", ["open_connection", "open_unix_connection"])
async def test_a_server_that_is_away_is_called_once(opened: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver would call ten times by itself, and so hold up whoever has a deadline."""
    calls = 0

    async def away(*_: object, **__: object) -> None:
        nonlocal calls
        calls += 1
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio, opened, away)
    url = "redis://127.0.0.1:9/0" if opened == "open_connection" else "unix:///nowhere.sock"
    wires = Wires(read_place(url), Access())
    wire = wires.to(("127.0.0.1", 9)) if opened == "open_connection" else wires.to_socket()
    with pytest.raises(RedisError):
        await wire.connect()
    assert calls == 1


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\xff\xfe\x00\x00" * 50,
        b"$5\r\nab",
        b"$-5\r\n",
        b"*-7\r\n",
        b"*1000000000\r\n",
        b"*1\r\n*1000000000\r\n",
        b"$1000000000\r\n",
        b"*2\r\n:1\r\n",
        b":999999999999999999999999\r\n",
        b"+OK\r\n+OK\r\n+OK\r\n",
    ],
)
async def test_garbage_instead_of_replies_is_a_failure_of_the_store(clean: Valkey, garbage: bytes) -> None:
    """R-12."""
    async with FaultProxy(clean.url) as way, connected(way.url, deadline=DEADLINE_S) as store:
        way.fault = Garbage(garbage)
        for call in CALLS.values():
            await fails_in_time(call(store))


@pytest.mark.parametrize(
    "reply",
    [b":7\r\n", b"+OK\r\n", b"*0\r\n", b"*2\r\n$1\r\n0\r\n:1\r\n", b"*6\r\n+a\r\n+b\r\n+c\r\n+d\r\n+e\r\n+f\r\n"],
)
@pytest.mark.parametrize("name", ["reserve", "hold", "scan", "changes", "ping"])
async def test_a_reply_of_another_shape_is_a_failure_of_the_store(clean: Valkey, name: str, reply: bytes) -> None:
    async with FaultProxy(clean.url) as way, connected(way.url, deadline=DEADLINE_S) as store:
        way.fault = Garbage(reply)
        await fails_in_time(CALLS[name](store))


@pytest.mark.parametrize("seconds", [b"9" * 400, b"nan", b""])
async def test_a_time_that_is_none_is_a_failure_of_the_store(clean: Valkey, seconds: bytes) -> None:
    async with FaultProxy(clean.url) as way, connected(way.url, deadline=DEADLINE_S) as store:
        way.fault = Garbage(b"+PONG\r\n*2\r\n$%d\r\n%b\r\n$1\r\n0\r\n" % (len(seconds), seconds))
        await fails_in_time(store.ping())


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
    """R-08."""
    async with FaultProxy(clean.url) as way, connected(way.url, deadline=DEADLINE_S) as store:
        way.fault = Garbage(f"-{error}\r\n".encode("latin-1"))
        for call in CALLS.values():
            await fails_in_time(call(store))


@each_call
async def test_a_connection_that_is_reset_fails_its_calls_at_once(clean: Valkey, call: Call) -> None:
    async with FaultProxy(clean.url) as way, connected(way.url) as store:
        way.fault = ResetAfter(1)
        async with asyncio.timeout(PATIENT_S / 2):
            with pytest.raises(StoreUnavailable):
                await call(store)


async def test_replies_cut_into_single_bytes_are_read(clean: Valkey) -> None:
    async with FaultProxy(clean.url) as way, connected(way.url) as store:
        way.fault = Slices(1)
        assert (await store.reserve([ASK, ASK], "op"))[1].remaining == 8


async def test_a_server_that_is_out_of_memory_grants_and_writes_nothing_and_reads_on(clean: Valkey) -> None:
    """R-06, Q-14: and frees nothing of what was counted, for it evicts nothing."""
    async with connected(clean.url) as store:
        assert (await store.reserve([ASK._replace(least=3, most=3)], "before"))[0].remaining == 7
        await store.write([Row("keys", "a", b"x"), Row("keys", "b", b"x")])
        clean.command("CONFIG", "SET", "maxmemory", "1")
        try:
            for name in WRITES:
                with pytest.raises(StoreUnavailable, match="OOM"):
                    await CALLS[name](store)
            with pytest.raises(StoreUnavailable):
                await store.write([Row("keys", "b", None), Row("keys", "a", b"y")])
            assert await scanned(store) == [("a", b"x"), ("b", b"x")]
        finally:
            clean.command("CONFIG", "SET", "maxmemory", "0")
        assert (await store.reserve([ASK], "op"))[0].remaining == 6


async def test_a_read_only_replica_takes_no_write(short_folder: Path) -> None:
    with Valkey(short_folder / "replica", settings={"replicaof": "127.0.0.1 9"}) as replica:
        async with connected(replica.url) as store:
            for name in WRITES:
                with pytest.raises(StoreUnavailable, match="READONLY"):
                    await CALLS[name](store)


async def test_a_store_that_does_not_answer_is_not_flooded_with_connections(clean: Valkey) -> None:
    async with FaultProxy(clean.url) as way, connected(way.url, deadline=DEADLINE_S) as store:
        way.fault = ResetAfter(0)
        before, begun = way.connections, asyncio.get_running_loop().time()
        for _ in range(500):
            await fails_in_time(store.ping())
        passed = asyncio.get_running_loop().time() - begun
        assert way.connections - before <= 2 + passed / 0.1
        way.fault = None
        await works_again(store)


@each_call
async def test_a_server_that_refuses_connections_fails_every_call_at_once(clean: Valkey, call: Call) -> None:
    async with FaultProxy(clean.url) as way, connected(way.url) as store:
        way.fault = Refuse()
        await fails_in_time(call(store))
        await fails_in_time(call(store))


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{port}", "rediss://127.0.0.1:{port}", "unix://{folder}/none"])
async def test_a_store_that_is_not_there_is_a_failure_at_once(url: str, short_folder: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(StoreUnavailable):
            await RedisStore.connect(url.format(port=bound.getsockname()[1], folder=short_folder))


async def test_a_plain_server_behind_a_tls_url_is_a_failure_of_the_store(clean: Valkey) -> None:
    """R-12."""
    with pytest.raises(StoreUnavailable):
        await RedisStore.connect(clean.url.replace("redis://", "rediss://"))


def test_a_reply_that_came_while_the_loop_was_busy_is_not_late(clean: Valkey) -> None:
    """What blocks here is us; uvloop, which production runs on, looks at deadlines before it reads."""

    async def busy() -> bytes | None:
        async with connected(clean.url, deadline=DEADLINE_S) as store:
            assert await store.write([Row("t", "name", b"value")])
            clean.pause()
            reading = asyncio.ensure_future(store.read("t", "name"))
            await asyncio.sleep(0.01)  # the question is on its way
            clean.resume()
            time.sleep(2 * DEADLINE_S)  # noqa: ASYNC251 - what another task may do to us
            return await reading

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for _ in range(5):
            assert runner.run(busy()) == b"value"
