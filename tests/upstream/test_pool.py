"""Promises of the connection pool: its limit holds, a lent connection comes back once, and nobody leaves one behind."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop
from yarl import URL

from proxy.dialects import dialects
from proxy.errors import UpstreamFailed, UpstreamTimeout
from proxy.upstream.connection import AnswerHead, UpstreamConnection
from proxy.upstream.model_api import Origin, Upstream
from proxy.upstream.pool import Pool
from proxy.upstream.room import NoRoom, Room
from tests.rig.raw_client import chunk
from tests.rig.scripted_upstream import Close, Pause, Script, ScriptedUpstream, Send, http
from tests.rig.waiting import until

CALL = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
JSON = [("Content-Type", "application/json")]
ONE = http(200, [*JSON, ("Content-Length", "2")], b"{}")
CHUNKED = http(200, [*JSON, ("Transfer-Encoding", "chunked")])
CHAT = dialects(frozenset())["/v1/chat/completions"]
NEVER = Pause(3600)


def on_uvloop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test on the loop that the product runs on; its first argument, if it is `upstream`, is a scripted one."""
    parameters = list(inspect.signature(test).parameters.values())
    served = bool(parameters) and parameters[0].name == "upstream"

    async def serve(**given: Any) -> None:
        async with ScriptedUpstream() as upstream:
            upstream.default = lambda _: (Send(ONE),)
            await test(upstream, **given)

    def run(**given: Any) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run((serve if served else test)(**given))

    run.__name__ = test.__name__
    run.__signature__ = inspect.Signature(parameters[served:])  # type: ignore[attr-defined]
    return run


@contextmanager
def pool_to(url: str, most: int = 2, connect_seconds: float = 5, patience: float = 5) -> Iterator[Pool]:
    pool = Pool(URL(url), Room(most, most, waiting=1000, patience=patience), connect_seconds)
    try:
        yield pool
    finally:
        pool.close()


async def take(pool: Pool, within: float) -> UpstreamConnection:
    return await pool.take("", within, lambda: None)


async def ask(pool: Pool, within: float = 5) -> UpstreamConnection:
    """Take a connection, make a call and read the answer; the connection is still to be given back."""
    connection = await take(pool, within)
    connection.send(CALL)
    assert await connection.head() == AnswerHead(200, "application/json", "")
    assert (await connection.read(), await connection.read()) == (b"{}", b"")
    return connection


@on_uvloop
async def test_there_are_never_more_connections_than_allowed(upstream: ScriptedUpstream) -> None:
    most_at_once = 0

    async def one() -> None:
        nonlocal most_at_once
        connection = await ask(pool)
        most_at_once = max(most_at_once, upstream.open_connections)
        await asyncio.sleep(0)
        pool.give(connection)

    with pool_to(upstream.url, most=3) as pool:
        await asyncio.gather(*(one() for _ in range(100)))
    assert len(upstream.requests) == 100
    assert len(upstream.connections) == most_at_once == 3


@on_uvloop
async def test_who_waits_longest_for_a_connection_is_served_first(upstream: ScriptedUpstream) -> None:
    order: list[int] = []

    async def one(number: int) -> None:
        connection = await ask(pool)
        order.append(number)
        pool.give(connection)

    with pool_to(upstream.url, most=1) as pool:
        held = await ask(pool)
        waiting = [asyncio.create_task(one(number)) for number in range(5)]
        await asyncio.sleep(0)
        pool.give(held)
        waiting.append(asyncio.create_task(one(5)))
        await asyncio.gather(*waiting)
    assert order == [0, 1, 2, 3, 4, 5]


@on_uvloop
async def test_the_connection_that_was_used_last_is_used_first(upstream: ScriptedUpstream) -> None:
    with pool_to(upstream.url) as pool:
        first, second = await ask(pool), await ask(pool)
        pool.give(first)
        pool.give(second)
        assert await ask(pool) is second


@on_uvloop
async def test_a_wait_for_a_connection_ends(upstream: ScriptedUpstream) -> None:
    with pool_to(upstream.url, most=1, patience=0.01) as pool:
        held = await ask(pool)
        with pytest.raises(NoRoom):
            await take(pool, 60)
        pool.give(held)
        assert await ask(pool) is held


@on_uvloop
async def test_to_connect_counts_towards_the_same_deadline() -> None:
    """A peer that accepts and never speaks TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with pool_to(f"https://127.0.0.1:{listener.getsockname()[1]}", connect_seconds=60) as pool:
            async with asyncio.timeout(5):
                with pytest.raises(TimeoutError):
                    await take(pool, 0.05)


@on_uvloop
async def test_to_connect_has_a_time_of_its_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with pool_to(f"https://127.0.0.1:{listener.getsockname()[1]}", connect_seconds=0.05) as pool:
            async with asyncio.timeout(5):
                with pytest.raises(TimeoutError):
                    await take(pool, 60)


@on_uvloop
async def test_what_cannot_be_connected_to_leaves_its_place_to_others() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pool_to(f"http://127.0.0.1:{port}", most=1) as pool:
        for _ in range(3):
            with pytest.raises(OSError, match="Connect call failed"):
                await take(pool, 5)


@on_uvloop
async def test_a_connection_that_rests_too_long_is_closed(upstream: ScriptedUpstream) -> None:
    with pool_to(upstream.url) as pool:
        old, young = await ask(pool), await ask(pool)
        pool.give(old)
        pool.give(young)
        old.idle_since -= 3600
        pool.sweep()
        await upstream.wait_closed(0)
        assert upstream.open_connections == 1
        assert await ask(pool) is young


@pytest.mark.parametrize(
    "later", [Send(ONE), Send(b"H"), Send(b"\0"), Send(http(103)), Send(b"\r\n" * 50_000), Close()], ids=str
)
@on_uvloop
async def test_a_connection_on_which_something_happened_while_it_rested_is_not_lent(
    upstream: ScriptedUpstream, later: Send | Close
) -> None:
    go_on = asyncio.Event()
    upstream.script((Send(ONE), Pause(go_on), later))
    with pool_to(upstream.url) as pool:
        rested = await ask(pool)
        pool.give(rested)
        go_on.set()
        await until(lambda: not rested.usable)
        other = await ask(pool)
        assert other is not rested
        pool.give(other)
        pool.sweep()
        await upstream.wait_closed(0)
        assert upstream.open_connections == 1


@on_uvloop
async def test_a_connection_whose_end_has_come_but_was_not_read_yet_is_not_lent() -> None:
    """The loop may come to a call before it comes to the end that arrived before."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with pool_to(f"http://127.0.0.1:{listener.getsockname()[1]}") as pool:
            rested = await take(pool, 5)
            theirs, _ = listener.accept()
            rested.send(CALL)
            assert theirs.recv(1000) == CALL
            theirs.sendall(ONE)
            assert (await rested.head()).status == 200
            assert (await rested.read(), await rested.read()) == (b"{}", b"")
            pool.give(rested)
            theirs.close()  # nothing awaits from here on
            assert rested.usable
            assert await take(pool, 5) is not rested


@pytest.mark.parametrize(
    ("said", "rests", "lent"),
    [
        *(("timeout=5", 3.9, True), ("timeout=5", 4.1, False), ("timeout=5, max=100", 4.1, False)),
        *(("max=100, Timeout = 5", 4.1, False), ("timeout=0", 0.0, False), ("timeout=60", 14.9, True)),
        *(("timeout=60", 15.1, False), ("timeout=", 14.9, True), ("xtimeout=5", 14.9, True), ("", 15.1, False)),
    ],
)
@on_uvloop
async def test_a_connection_rests_less_than_the_other_side_says_that_it_keeps_it(
    upstream: ScriptedUpstream, said: str, rests: float, lent: bool
) -> None:
    upstream.script((Send(http(200, [*JSON, ("Content-Length", "2"), ("Keep-Alive", said)], b"{}")),))
    with pool_to(upstream.url) as pool:
        rested = await ask(pool)
        pool.give(rested)
        rested.idle_since -= rests
        assert (await take(pool, 5) is rested) == lent


@on_uvloop
async def test_how_long_the_other_side_waits_is_learnt_from_it_and_forgotten(upstream: ScriptedUpstream) -> None:
    """Where it does not say so: servers as they come wait 2 to 5 s, which ours would rest longer."""

    async def lent_after(pool: Pool, seconds: float) -> bool:
        rested = await ask(pool)
        pool.give(rested)
        rested.idle_since -= seconds
        pool.sweep()
        again = await take(pool, 5)
        again.abort()
        pool.give(again)
        return again is rested

    with pool_to(upstream.url) as pool:
        for ended_after, rests, lent in ((0.1, 14.9, True), (5.0, 3.9, True), (5.0, 4.2, False), (2.0, 1.7, False)):
            go_on = asyncio.Event()
            upstream.script((Send(ONE), Pause(go_on), Close()))
            ended = await ask(pool)
            pool.give(ended)
            ended.idle_since -= ended_after
            go_on.set()
            await until(lambda ended=ended: not ended.usable)  # type: ignore[misc]
            pool.sweep()
            assert await lent_after(pool, rests) == lent
        pool._rest_until = 0.0
        assert await lent_after(pool, 14.9)


@on_uvloop
async def test_a_connection_on_which_the_kernel_has_a_part_of_its_call_still_is_not_lent() -> None:
    """An upstream that answers by the head alone, and may never read the rest, before which no other call comes."""
    body = bytes(1_000_000)  # of which a socket that nobody reads takes a part, and ours the rest
    call = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    for read in (len(call), 1000):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            with pool_to(f"http://127.0.0.1:{listener.getsockname()[1]}") as pool:
                connection = await take(pool, 5)
                theirs, _ = listener.accept()
                with theirs:
                    connection.send(call)
                    await asyncio.to_thread(theirs.recv, read, socket.MSG_WAITALL)
                    await until(lambda: not connection._transport.get_write_buffer_size())  # type: ignore[union-attr]  # noqa: B023 - at once
                    theirs.sendall(ONE)
                    assert (await connection.head()).status == 200
                    assert (await connection.read(), await connection.read()) == (b"{}", b"")
                    pool.give(connection)
                    assert (pool._rested() is connection) == (read == len(call))


HALF = {
    "nothing of it": (),
    "a part of the head": (Send(ONE[:9]),),
    "a part of the body": (Send(ONE[:-1]),),
    "the body, but not its end": (Send(CHUNKED + chunk(b"{}")),),
    "the body, taken by nobody": (Send(ONE),),
    "two answers": (Send(ONE + ONE),),
}


@pytest.mark.parametrize("name", HALF)
@on_uvloop
async def test_a_connection_that_is_given_back_in_the_middle_of_an_answer_is_closed(
    upstream: ScriptedUpstream, name: str
) -> None:
    upstream.script((*HALF[name], NEVER))
    with pool_to(upstream.url, most=1) as pool:
        connection = await take(pool, 5)
        connection.send(CALL)
        if name in ("the body, taken by nobody", "two answers"):
            assert (await connection.head()).status == 200
        await upstream.wait_for_requests(1)
        pool.give(connection)
        await upstream.wait_closed(0)
        pool.give(await ask(pool))


@on_uvloop
async def test_close_leaves_no_connection_whoever_has_it(upstream: ScriptedUpstream) -> None:
    """Also what is given back afterwards, when its exchange has ended too."""
    with pool_to(upstream.url, most=3) as pool:
        resting, lent, read = await ask(pool), await take(pool, 5), await ask(pool)
        pool.give(resting)
        pool.close()
        pool.give(read)
        pool.give(lent)
        for index in range(3):
            await upstream.wait_closed(index)


@on_uvloop
async def test_a_connection_that_opens_after_close_is_closed(upstream: ScriptedUpstream) -> None:
    with pool_to(upstream.url) as pool:
        opening = asyncio.create_task(take(pool, 5))
        await asyncio.sleep(0)
        pool.close()
        connection = await opening
        connection.send(CALL)
        await connection.head()
        assert (await connection.read(), await connection.read()) == (b"{}", b"")
        pool.give(connection)
        await upstream.wait_closed(0)


# An upstream, which sends calls over its pool.


@asynccontextmanager
async def calling(url: str, **times: float) -> AsyncIterator[Upstream]:
    """Yield an upstream with two connections."""
    usual = Origin("default", url, "canary-secret", 5.0, 5.0, 5.0, 60.0, connections=2)
    upstream = Upstream(dataclasses.replace(usual, **times))  # type: ignore[arg-type]
    watching = asyncio.create_task(upstream.watch())
    try:
        yield upstream
    finally:
        watching.cancel()
        await asyncio.wait([watching])
        upstream.close()


async def call(upstream: Upstream, body: bytes = b"{}") -> bytes:
    answer = await upstream.post(CHAT, {}, body, stream=False)
    try:
        parts = []
        while part := await answer.read():
            parts.append(part)
        return b"".join(parts)
    finally:
        answer.close()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


LEFT_WHILE: dict[str, tuple[Script, Callable[[ScriptedUpstream], Awaitable[object]]]] = {
    "the call is sent": ((NEVER,), lambda upstream: until(lambda: len(upstream.connections) > 0)),
    "the head is awaited": ((NEVER,), lambda upstream: upstream.wait_for_requests(1)),
    "the head comes": ((Send(ONE[:9]), NEVER), lambda upstream: upstream.wait_for_requests(1)),
    "the body is awaited": ((Send(CHUNKED), NEVER), lambda upstream: upstream.wait_for_requests(1)),
    "the body comes": ((Send(CHUNKED + chunk(b"{}")), NEVER), lambda upstream: upstream.wait_for_requests(1)),
}


@pytest.mark.parametrize("name", LEFT_WHILE)
@on_uvloop
async def test_who_leaves_takes_the_connection_along_and_no_place(upstream: ScriptedUpstream, name: str) -> None:
    """P4: at any moment of a call, and the pool is whole again."""
    script, ready = LEFT_WHILE[name]
    async with calling(upstream.url) as model:
        for turn in range(3):
            upstream.script(script)
            leaving = asyncio.create_task(call(model))
            await ready(upstream)
            await until(lambda turn=turn: len(upstream.connections) > turn)  # type: ignore[misc]
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
            await upstream.wait_closed(turn)
        upstream._answers.clear()
        assert set(await asyncio.gather(call(model), call(model))) == {b"{}"}
        assert len(upstream.connections) <= 5


@pytest.mark.parametrize("steps", range(12))
@on_uvloop
async def test_who_leaves_after_any_number_of_steps_costs_no_place(upstream: ScriptedUpstream, steps: int) -> None:
    """Also while the connection is being made; both places are there afterwards, and no descriptor is left."""
    async with calling(upstream.url) as model:
        assert set(await asyncio.gather(call(model), call(model))) == {b"{}"}
        before = descriptors()
        for _ in range(5):
            leaving = asyncio.create_task(call(model))
            for _ in range(steps):
                await asyncio.sleep(0)
            leaving.cancel()
            await asyncio.wait([leaving])
        async with asyncio.timeout(5):
            assert await asyncio.gather(*(call(model) for _ in range(4))) == [b"{}"] * 4
        await until(lambda: descriptors() <= before)


@on_uvloop
async def test_who_leaves_while_waiting_for_a_connection_costs_no_place(upstream: ScriptedUpstream) -> None:
    done = asyncio.Event()
    upstream.default = lambda _: (Pause(done), Send(ONE))
    async with calling(upstream.url) as model:
        running = [asyncio.create_task(call(model)) for _ in range(2)]
        await upstream.wait_for_requests(2)
        waiting = [asyncio.create_task(call(model)) for _ in range(6)]
        await asyncio.sleep(0)
        for task in waiting[::2]:
            task.cancel()
        done.set()
        # One leaves in the very moment in which it gets the place.
        running[0].add_done_callback(lambda _: waiting[1].cancel())
        await asyncio.wait([*running, *waiting], timeout=5)
        assert [task.cancelled() for task in waiting[::2]] == [True] * 3
        assert waiting[3].result() == waiting[5].result() == b"{}"
        assert set(await asyncio.gather(call(model), call(model))) == {b"{}"}
    assert len(upstream.connections) <= 4


@on_uvloop
async def test_who_leaves_while_a_connection_is_being_secured_closes_it() -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        async with calling(f"https://127.0.0.1:{listener.getsockname()[1]}") as model:
            for _ in range(3):
                leaving = asyncio.create_task(call(model))
                theirs, _ = await loop.sock_accept(listener)
                with theirs:
                    theirs.setblocking(False)
                    hello = await loop.sock_recv(theirs, 65536)
                    leaving.cancel()
                    await asyncio.wait([leaving])
                    async with asyncio.timeout(1):
                        while part := await loop.sock_recv(theirs, 65536):
                            hello += part
                    assert b"canary-secret" not in hello


@on_uvloop
async def test_who_leaves_while_the_body_is_stuck_on_its_way_closes_the_connection() -> None:
    """P4: what was not sent yet is dropped, not sent for somebody who has gone."""
    loop = asyncio.get_running_loop()
    size = 64 << 20
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        async with calling(f"http://127.0.0.1:{listener.getsockname()[1]}") as model:
            leaving = asyncio.create_task(call(model, bytes(size)))
            theirs, _ = await loop.sock_accept(listener)
            with theirs:
                theirs.setblocking(False)
                got = len(await loop.sock_recv(theirs, 65536))
                leaving.cancel()
                await asyncio.wait([leaving])
                async with asyncio.timeout(1):
                    while part := await loop.sock_recv(theirs, 1 << 20):
                        got += len(part)
        assert got < size


@on_uvloop
async def test_a_head_or_a_body_that_stops_is_given_up(upstream: ScriptedUpstream) -> None:
    async with calling(upstream.url, connect=0.1, first_byte=0.1, idle=0.1) as model, asyncio.timeout(5):
        for script in ((NEVER,), (Send(ONE[:9]), NEVER), (Send(ONE[:-1]), NEVER), (Send(CHUNKED), NEVER)):
            upstream.script(script)
            with pytest.raises(UpstreamTimeout):
                await call(model)
        for connection in upstream.connections:
            await upstream.wait_closed(connection.index)
        assert await call(model) == b"{}"


@on_uvloop
async def test_trailers_that_never_end_are_given_up(upstream: ScriptedUpstream) -> None:
    upstream.script((Send(CHUNKED + chunk(b"{}") + b"0\r\n"), *[Send(b"X-A: " + b"b" * 50_000 + b"\r\n")] * 100))
    async with calling(upstream.url) as model, asyncio.timeout(5):
        with pytest.raises(UpstreamFailed):
            await call(model)
        await upstream.wait_closed(0)


@on_uvloop
async def test_what_a_slow_client_holds_back_is_nobodys_pause(upstream: ScriptedUpstream) -> None:
    """Only the time in which something is awaited counts as the upstream's."""
    upstream.script((Send(CHUNKED + chunk(b"{")), Send(chunk(b"}") + chunk(b""))))
    async with calling(upstream.url, connect=0.05, first_byte=0.05, idle=0.05) as model:
        answer = await model.post(CHAT, {}, b"{}", stream=True)
        got = await answer.read()
        for _ in range(3):
            model._pool.sweep()
            await asyncio.sleep(0.06)  # longer than each of the limits: the promise is about time that passes
        model._pool.sweep()
        while part := await answer.read():
            got += part
        answer.close()
        assert got == b"{}"


@on_uvloop
async def test_an_answer_that_comes_unasked_is_refused_at_once(upstream: ScriptedUpstream) -> None:
    """H-21: not taken for the answer to the call, and not waited over until the deadline."""
    upstream.script_connection((Send(ONE),))
    async with calling(upstream.url, first_byte=60, connect=60) as model, asyncio.timeout(2):
        with suppress(UpstreamFailed):  # unless it came only after the call
            assert await call(model) == b"{}"
        await call(model)


async def content_type(upstream: ScriptedUpstream, kind: str) -> str:
    """Return what is read of the kind that an answer has."""
    upstream.script((Send(http(200, [("Content-Type", kind), ("Content-Length", "0")])),))
    async with calling(upstream.url) as model:
        answer = await model.post(CHAT, {}, b"{}", stream=True)
        answer.close()
        return answer.content_type


@pytest.mark.parametrize(
    "kind",
    [
        *("text/event-stream\xa0; charset=utf-8", "text/event-stream;\x85charset=utf-8", "a", "a/b c"),
        *("a/b; c", "a/b;c=d e", 'a/b; c="d', 'a/b; c="d"e', 'a/b; c="\xe4"', "a/b" + "; \t" * 20_000 + "\x80"),
    ],
)
@on_uvloop
async def test_a_content_type_that_is_none_is_left_out(upstream: ScriptedUpstream, kind: str) -> None:
    assert await content_type(upstream, kind) == ""


@pytest.mark.parametrize(
    "kind",
    [
        *("application/json;", "Application/JSON ;charset=utf-8", 'text/event-stream; charset="utf-8"'),
        *("application/json; charset=utf-8;", "a/b;; odata.metadata=none ; c=d", r'a/b; c="d;\"e\\"; f=g'),
    ],
)
@on_uvloop
async def test_a_content_type_is_read_as_the_standard_has_it(upstream: ScriptedUpstream, kind: str) -> None:
    """RFC 9110, section 8.3.1."""
    assert await content_type(upstream, kind) == kind
