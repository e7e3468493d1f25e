"""What the store on a server promises beyond the contract: one effect, no mixed-up replies, nothing left behind."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from proxy.clock import VirtualClock
from proxy.config import Settings
from proxy.errors import StoreUnavailable
from proxy.settings.store_address import Access
from proxy.start import store_access
from proxy.store import open_store
from proxy.store.base import Ask, Claim, Conclusion, Credit, Hold, Note, Row
from proxy.store.memory import MemoryStore
from proxy.store.redis import RedisStore
from tests.rig.fault_proxy import FaultProxy, Latency, LostReply
from tests.rig.valkey import Valkey
from tests.rig.waiting import until
from tests.store.redis_calls import (
    ASK,
    BUCKET,
    CALLS,
    DEADLINE_S,
    PATIENT_S,
    connected,
    fails_in_time,
    works_again,
)


async def test_scripts_that_the_server_forgot_are_loaded_again_and_run_once(clean: Valkey) -> None:
    """R-07."""
    async with connected(clean.url) as store:
        for step in range(3):
            clean.command("SCRIPT", "FLUSH")
            grants = await store.reserve([ASK, Ask("another bucket 1", 10, 60_000, 2, 2)], f"op {step}")
            assert [grant.remaining for grant in grants] == [9 - step, 8 - 2 * step]
            clean.command("SCRIPT", "FLUSH")
            assert await store.write([Row("keys", "a", b"x")], only_new=True) == (step == 0)


@pytest.mark.parametrize("reset", [True, False])
async def test_an_op_whose_reply_was_lost_counts_once_when_it_is_sent_again(clean: Valkey, *, reset: bool) -> None:
    """R-04."""
    async with FaultProxy(clean.url) as way, connected(way.url, deadline=DEADLINE_S) as store:
        slot = (await store.reserve([ASK], "first"))[0].slot
        way.fault = LostReply(reset=reset)
        await fails_in_time(store.reserve([ASK], "op"))
        await fails_in_time(store.credit([Credit(BUCKET, 60_000, slot, -3)], "op"))
        way.fault = None
        await works_again(store)
        await store.credit([Credit(BUCKET, 60_000, slot, -3)], "op")
        assert (await store.reserve([ASK], "op"))[0].remaining == 8
        assert (await store.reserve([ASK], "look"))[0].remaining == 4


@pytest.mark.parametrize("calls", [2_000, pytest.param(20_000, marks=pytest.mark.soak)])
async def test_calls_of_which_half_are_cancelled_leave_no_mixed_up_reply(clean: Valkey, calls: int) -> None:
    """R-13."""
    draw = random.Random(5)
    async with FaultProxy(clean.url) as way, connected(way.url) as store:
        await store.write([Row("keys", f"name {index}", b"value %d" % index) for index in range(100)])
        way.fault = Latency(reply=0.002)

        async def one(index: int) -> None:
            assert await store.read("keys", f"name {index % 100}") == b"value %d" % (index % 100)

        cancelled = 0
        for wave in range(0, calls, 50):
            tasks = [asyncio.create_task(one(index)) for index in range(wave, wave + 50)]
            await asyncio.sleep(draw.random() * 0.004)
            for task in draw.sample(tasks, 25):
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            cancelled += sum(isinstance(end, asyncio.CancelledError) for end in ends)
            assert not [end for end in ends if isinstance(end, Exception)]
        assert cancelled > calls / 4
        assert way.connections <= 2


async def test_calls_of_one_turn_of_the_loop_travel_together(clean: Valkey) -> None:
    def reads() -> int:
        stats = clean.command("INFO", "stats")
        return int(stats.split(b"total_reads_processed:")[1].split(b"\r\n")[0])

    async with connected(clean.url) as store:
        await store.reserve([ASK], "warm")
        before = reads()
        await asyncio.gather(*(store.reserve([Ask(BUCKET, 1000, 60_000, 1, 1)], f"{index}") for index in range(64)))
        assert reads() - before <= 4


async def test_a_store_is_found_again_when_its_server_comes_back(short_folder: Path) -> None:
    """R-02, R-07: a server that was started again knows no scripts."""
    server = Valkey(short_folder / "comes back").start()
    try:
        async with connected(server.url, deadline=DEADLINE_S) as store:
            await store.reserve([ASK], "before")
            server.kill()
            for _ in range(3):
                await fails_in_time(store.reserve([ASK], "away"))
            server.start()
            await works_again(store)
            assert (await store.reserve([ASK], "after"))[0].remaining == 8
    finally:
        server.kill()


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


async def test_a_primary_that_became_a_replica_is_looked_for_anew_and_that_is_counted(clean: Valkey) -> None:
    """R-05: behind an address that moves with the primary."""
    async with FaultProxy(clean.url) as way, connected(way.url) as store:
        await store.ping()
        begun = asyncio.get_running_loop().time()
        clean.command("REPLICAOF", "127.0.0.1", "9")
        try:
            for _ in range(20):
                with pytest.raises(StoreUnavailable, match="READONLY"):
                    await store.reserve([ASK], "op")
        finally:
            clean.command("REPLICAOF", "NO", "ONE")
        at_most = 1 + (asyncio.get_running_loop().time() - begun) / 0.25  # not at every call
        assert 1 <= store.numbers()["stillgate_store_failovers_total"] <= at_most
        assert (await store.reserve([ASK], "op"))[0].remaining == 9
        assert way.connections <= 1 + at_most


@pytest.mark.parametrize("written_again", [True, False])
async def test_a_flush_is_told_as_lost_also_when_the_feed_has_begun_anew(clean: Valkey, *, written_again: bool) -> None:
    async with connected(clean.url) as store:
        await store.write([Row("keys", "a", b"x")])
        start = await store.changes(None, 0)
        await asyncio.sleep(0.002)  # two feeds that begin in one millisecond cannot be told apart
        clean.command("FLUSHALL")
        if written_again:
            await store.write([Row("keys", "b", b"x")])
        assert (await store.changes(start.cursor, 60_000)).lost


async def test_a_flush_is_told_to_who_waits_already_with_the_next_write(clean: Valkey) -> None:
    async with connected(clean.url) as store:
        await store.write([Row("keys", "a", b"x")])
        start = await store.changes(None, 0)
        waiting = asyncio.create_task(store.changes(start.cursor, 60_000))
        await until(lambda: b"blocked_clients:1" in clean.command("INFO", "clients"))
        clean.command("FLUSHALL")
        await store.write([Row("keys", "b", b"x")])
        async with asyncio.timeout(PATIENT_S):
            assert (await waiting).lost


async def test_a_feed_that_fell_back_to_an_older_state_is_told_as_lost(clean: Valkey) -> None:
    """R-11."""
    async with connected(clean.url) as store:
        await store.write([Row("keys", "a", b"x")])
        await store.write([Row("keys", "b", b"x")])
        start = await store.changes(None, 0)
        clean.command("XDEL", "sg:{tables}:feed", start.cursor)  # as a replica that missed the last write
        await store.write([Row("keys", "c", b"x")])
        assert (await store.changes(start.cursor, 0)).lost


async def test_keys_are_gone_from_the_server_when_they_mean_nothing_any_more(clean: Valkey) -> None:
    async with connected(clean.url) as store:
        await store.reserve([ASK], "op")
        await store.credit([Credit(BUCKET, 60_000, 1, 1)], "op")
        await store.hold([Hold(BUCKET, 10, "a", 1, 1, 1000)])
        await store.note([Note(BUCKET, 60_000, (b"member 1",)), Note("another bucket 1", 60_000, ())])
        await store.claim([Claim(BUCKET, b"about what it is", "a", 60_000)])
        await store.conclude([Conclusion("another bucket 1", b"about what it is", "a", 60_000)])
    keys = clean.command("KEYS", "*").split(b"\r\n")[2::2]
    ages = {key.decode(): int(clean.command("PTTL", key.decode())[1:]) for key in keys if key}
    assert ages.keys() == {f"sg:{{{BUCKET}}}:{part}" for part in ("w", "h", "d", "s", "i", "r:op:0", "c:op:0")} | {
        "sg:{another bucket 1}:i"
    }
    assert all(0 < age <= 2 * 60_000 + 60_000 for age in ages.values())


async def test_a_password_is_taken_from_the_settings_or_the_url(short_folder: Path) -> None:
    with Valkey(short_folder / "password", settings={"requirepass": "s3cret/@"}) as server:
        async with connected(server.url, password="s3cret/@") as store:
            await store.ping()
        async with connected(server.url.replace("//", "//:s3cret%2F%40@")) as store:
            await store.ping()
        for password in (None, "wrong"):
            with pytest.raises(StoreUnavailable) as failed:
                await RedisStore.connect(server.url, access=Access(password))
            assert "s3cret" not in str(failed.value)


async def test_a_password_that_changes_is_read_again_for_the_next_connection(short_folder: Path) -> None:
    file = short_folder / "rotated"
    file.write_text("the first one\n")
    settings = Settings.model_validate(
        {
            "apiVersion": "stillgate/v1",
            "kind": "Settings",
            "store": "redis://127.0.0.1/0",
            "store_password_file": str(file),
        }
    )
    with Valkey(short_folder / "rotating", settings={"requirepass": "the first one"}) as server:
        store = await RedisStore.connect(server.url, access=store_access(settings), deadline=PATIENT_S)
        file.write_text("")  # as while it is written
        server.commands(("AUTH", "the first one"), ("CLIENT", "KILL", "TYPE", "normal"))
        await until(lambda: store._way.links[0]._lane.broken_at is not None)
        await store.ping()
        file.write_text("the second one\n")
        rotate = ("CONFIG", "SET", "requirepass", "the second one")
        server.commands(("AUTH", "the first one"), rotate, ("CLIENT", "KILL", "TYPE", "normal"))
        await until(lambda: store._way.links[0]._lane.broken_at is not None)
        await store.ping()
        await store.close()


async def test_a_user_of_the_stores_may_have_its_password_in_the_settings(short_folder: Path) -> None:
    with Valkey(short_folder / "users") as server:
        assert server.command("ACL", "SETUSER", "app", "on", ">s3cret/@", "~*", "&*", "+@all") == b"+OK\r\n"
        server.command("ACL", "SETUSER", "default", "resetpass")
        async with connected(server.url.replace("//", "//app@"), password="s3cret/@") as store:
            await store.ping()
        with pytest.raises(StoreUnavailable):
            await RedisStore.connect(server.url, access=Access("s3cret/@"))


async def test_the_kind_or_url_in_the_settings_names_the_store(clean: Valkey) -> None:
    assert isinstance(await open_store("memory", clock=VirtualClock()), MemoryStore)
    store = await open_store(clean.url, clock=VirtualClock())
    await store.ping()
    await store.close()
