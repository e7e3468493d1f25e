"""Promises of the answer parser: where the bytes are split changes nothing, and what is doubtful is no answer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
import uvloop
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.upstream.connection import READ_BYTES, AnswerHead, BrokenAnswer, UpstreamConnection, read_room
from tests.dialects.streams import cut
from tests.rig.raw_client import chunk
from tests.rig.waiting import until

Run = Callable[[Coroutine[Any, Any, Any]], Any]
CALL = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
ONE = OK + b"Content-Length: 2\r\n\r\n{}"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """One loop of the kind that the product runs on, for all examples."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner.run


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[UpstreamConnection, socket.socket]]:
    """Yield a connection that has sent its call, and the other end of it."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        _, ours = await loop.create_connection(lambda: UpstreamConnection(loop, read_room()), *listener.getsockname())
        theirs, _ = listener.accept()
    theirs.setblocking(False)
    try:
        ours.send(CALL)
        # A close with something unread would be a reset.
        assert await loop.sock_recv(theirs, 1000) == CALL
        yield ours, theirs
    finally:
        ours.abort()
        theirs.close()
        await until(lambda: ours._transport is None)


def feed(connection: UpstreamConnection, data: bytes) -> None:
    """Let bytes come, as a loop does: in the room that there is for them."""
    while data:
        room = connection.get_buffer(-1)
        room[: len(data)] = data[: len(room)]
        connection.buffer_updated(min(len(data), len(room)))
        data = data[len(room) :]


async def to_end(connection: UpstreamConnection) -> list[bytes]:
    parts = []
    while part := await connection.read():
        parts.append(part)
    return parts


class Got(NamedTuple):
    head: AnswerHead
    body: bytes
    usable: bool


async def read(pieces: Sequence[bytes], *, end: bool = False, eager: bool = False) -> Got:
    """Feed an answer piece by piece and return it; `eager` reads while the pieces come, `end` closes behind them."""

    async def take() -> Got:
        head = await ours.head()
        return Got(head, b"".join(await to_end(ours)), ours.usable)

    async with connected() as (ours, theirs), asyncio.timeout(5):
        taking = asyncio.create_task(take()) if eager else None
        for piece in pieces:
            feed(ours, piece)
            if eager:
                await asyncio.sleep(0)
        if end:
            theirs.close()
            await until(lambda: ours._transport is None)
        return await (taking or take())


class Example(NamedTuple):
    raw: bytes
    body: bytes
    keep: bool
    ends: bool  # whether only the connection's end ends it


@st.composite
def answers(draw: st.DrawFn) -> Example:
    """Write an answer in one of the ways there are."""
    pieces = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=5))
    framing = draw(st.sampled_from(["length", "chunked", "close", "1.0", "1.0 close"]))
    version = b"1.0" if framing.startswith("1.0") else b"1.1"
    lines = [b"Content-Type: text/plain", b"X-A:  \t" + b"b" * draw(st.integers(0, 90))]
    body = b"".join(pieces)
    sent = body
    if framing in ("length", "1.0"):
        lines.append(b"cONTENT-lENGTH: %d" % len(body))
    elif framing == "chunked":
        lines.append(b"Transfer-Encoding: Chunked")
        extension = draw(st.sampled_from([b"", b";a", b";a=b", b';a="b;c"']))
        trailers = draw(st.sampled_from([b"", b"X-Checksum: 1\r\n", b"Content-Type: text/html\r\nX-B: c\r\n"]))
        sent = b"".join(b"%X%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)
        sent += b"000\r\n" + trailers + b"\r\n"
    interim = draw(st.lists(st.sampled_from([b"100 Continue", b"102 P", b"103 Early Hints", b"199"]), max_size=3))
    before = b"".join(
        b"HTTP/1.1 %b\r\nContent-Type: a/b\r\nContent-Length: 0\r\nLink: </a>\r\n\r\n" % line for line in interim
    )
    lines = draw(st.permutations(lines))
    head = b"HTTP/%b 207 Some Reason\r\n%b\r\n\r\n" % (version, b"\r\n".join(lines))
    return Example(before + head + sent, body, framing in ("length", "chunked"), "close" in framing)


@given(answers(), st.lists(st.integers(0, 2000), max_size=12), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=300)
def test_where_an_answer_is_split_changes_nothing(
    run: Run, example: Example, cuts: list[int], eager: bool, byte_by_byte: bool
) -> None:
    raw = example.raw
    pieces = [raw[i : i + 1] for i in range(len(raw))] if byte_by_byte else cut(raw, cuts)
    got = run(read(pieces, end=example.ends, eager=eager))
    assert got == (AnswerHead(207, "text/plain", ""), example.body, example.keep)


@given(answers(), st.integers(0, 10_000), st.booleans())
@settings(deadline=None, max_examples=200)
def test_a_part_of_an_answer_is_never_whole(run: Run, example: Example, place: int, eager: bool) -> None:
    """But for one that only the connection's end ends: what is missing there, the dialect has to notice."""
    head_end = example.raw.index(b" 207 ")
    head_end = example.raw.index(b"\r\n\r\n", head_end) + 4
    most = head_end if example.ends else len(example.raw)
    with pytest.raises(BrokenAnswer):
        run(read([example.raw[: place % most]], end=True, eager=eager))


BROKEN = {
    "both lengths": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, the other way round": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "two equal lengths": OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a list of lengths": OK + b"Content-Length: 2, 2\r\n\r\n{}",
    "no length in it": OK + b"Content-Length: \r\n\r\n",
    "a signed length": OK + b"Content-Length: +2\r\n\r\n{}",
    "a negative length": OK + b"Content-Length: -2\r\n\r\n{}",
    "a length of two words": OK + b"Content-Length: 1 2\r\n\r\n{}",
    "a length beyond all bounds": OK + b"Content-Length: 99999999999999999999\r\n\r\n{}",
    "a folded length": OK + b"Content-Length: 1\r\n 2\r\n\r\n012345678901",
    "a folded coding": OK + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a folded header": OK + b"X-A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}",
    "chunked twice": OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked in two lines": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and then another": OK + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked and another in a line of its own": (
        OK + b"Transfer-Encoding: chunked\r\nX-A: b\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n"
    ),
    "a coding below": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "an unknown coding": OK + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding with a parameter": OK + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "a coding of a tab": OK + b"Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    ),
    "line feeds only": b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
    "a line feed": OK + b"X-A: b\nContent-Length: 2\r\n\r\n{}",
    "a carriage return": OK + b"X-A: b\rContent-Length: 2\r\n\r\n{}",
    "NUL": OK + b"X-A: b\0c\r\nContent-Length: 2\r\n\r\n{}",
    "NUL in a name": OK + b"X-\0A: b\r\nContent-Length: 2\r\n\r\n{}",
    "a space before the colon": OK + b"Content-Length : 2\r\n\r\n{}",
    "a space before a name": OK + b" Content-Length: 2\r\n\r\n{}",
    "no colon": OK + b"Content-Length\r\n\r\n{}",
    "no name": OK + b": 2\r\n\r\n{}",
    "HTTP/0.9": ONE.replace(b"HTTP/1.1", b"HTTP/0.9"),
    "HTTP/1.2": ONE.replace(b"HTTP/1.1", b"HTTP/1.2"),
    "HTTP/2.0": ONE.replace(b"HTTP/1.1", b"HTTP/2.0"),
    "HTTP/11.1": ONE.replace(b"HTTP/1.1", b"HTTP/11.1"),
    "http/1.1": ONE.replace(b"HTTP/1.1", b"http/1.1"),
    "a request": CALL,
    "no HTTP": b"+PONG\r\n\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x0a",
    "two digits": ONE.replace(b"200", b"20"),
    "four digits": ONE.replace(b"200", b"2000"),
    "no digits": ONE.replace(b"200", b"2x0"),
    "a status of 0": ONE.replace(b"200", b"000"),
    "a status below all": ONE.replace(b"200", b"099"),
    "a body of a status below all, before an answer": ONE.replace(b"200", b"099") + EMPTY,
    "an interim answer that closes": b"HTTP/1.1 100 A\r\nConnection: close\r\n\r\n" + ONE,
    "an interim answer with a body": b"HTTP/1.1 103 A\r\nContent-Length: 2\r\n\r\n{}" + ONE,
    "an interim answer with a body that nobody knows": b"HTTP/1.1 199 A\r\nContent-Length: 2\r\n\r\n{}" + ONE,
    "an interim answer of chunks": (
        b"HTTP/1.1 150 A\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + EMPTY
    ),
    "an interim answer only": b"HTTP/1.1 100 A\r\n\r\n",
    "a body where there is none": b"HTTP/1.1 204 A\r\nContent-Length: 2\r\n\r\n{}",
    "chunks where there are none": b"HTTP/1.1 304 A\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "a chunk of 0x2": CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n",
    "a chunk of +2": CHUNKED + b"+2\r\n{}\r\n0\r\n\r\n",
    "a chunk of -2": CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n",
    "a chunk of 2 and a space": CHUNKED + b"2 \r\n{}\r\n0\r\n\r\n",
    "a chunk of nothing": CHUNKED + b"\r\n{}\r\n0\r\n\r\n",
    "a chunk of 17 digits": CHUNKED + b"1" * 17 + b"\r\n{}\r\n0\r\n\r\n",
    "a chunk and a line feed": CHUNKED + b"2\n{}\r\n0\r\n\r\n",
    "a chunk longer than it says": CHUNKED + b"2\r\n{}}\r\n0\r\n\r\n",
    "a chunk without an end": CHUNKED + b"2\r\n{}0\r\n\r\n",
    "a chunk that ends with a line feed": CHUNKED + b"2\r\n{}\n0\r\n\r\n",
    "a last chunk that ends with line feeds": CHUNKED + b"2\r\n{}\r\n0\n\n",
    "a line feed in a chunk's extension": CHUNKED + b"2;a\nb\r\n{}\r\n0\r\n\r\n",
    "a line in a chunk's extension": CHUNKED + b'2;a="\r\n"\r\n{}\r\n0\r\n\r\n',
    "a length in the trailers": CHUNKED + b"2\r\n{}\r\n0\r\nContent-Length: 2\r\n\r\n",
    "NUL in the trailers": CHUNKED + b"2\r\n{}\r\n0\r\nX-A: \0\r\n\r\n",
    "a folded trailer": CHUNKED + b"2\r\n{}\r\n0\r\nX-A: b\r\n c\r\n\r\n",
    "chunks without an end": CHUNKED + b"2\r\n{}\r\n",
    "trailers without an end": CHUNKED + b"2\r\n{}\r\n0\r\nX-A: b\r\n",
    "a long head": OK + b"X-A: b\r\n" * 40_000 + b"Content-Length: 2\r\n\r\n{}",
    "a long header": OK + b"X-A: " + b"b" * 400_000 + b"\r\nContent-Length: 2\r\n\r\n{}",
    "a long reason": b"HTTP/1.1 200 " + b"b" * 400_000 + b"\r\nContent-Length: 2\r\n\r\n{}",
    "long trailers": CHUNKED + b"2\r\n{}\r\n0\r\n" + b"X-A: b\r\n" * 40_000 + b"\r\n",
    "a long trailer": CHUNKED + b"2\r\n{}\r\n0\r\nX-A: " + b"b" * 400_000 + b"\r\n\r\n",
    "a long extension": CHUNKED + b"2;" + b"a" * 400_000 + b"\r\n{}\r\n0\r\n\r\n",
}
LENGTHY = {name for name in BROKEN if "long" in name and "longer" not in name}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("eager", [True, False])
def test_what_is_malformed_is_no_answer(run: Run, name: str, eager: bool) -> None:
    """H-21."""
    raw = BROKEN[name]
    most = 50_000 if name in LENGTHY else max(len(raw), 1)
    with pytest.raises(BrokenAnswer):
        run(read([raw[i : i + most] for i in range(0, len(raw), most)], end=True, eager=eager))


@example(name="a body where there is none", cuts=[37], eager=True)
@example(name="chunks where there are none", cuts=[46], eager=True)
@given(st.sampled_from(sorted(BROKEN.keys() - LENGTHY)), st.lists(st.integers(0, 500), max_size=8), st.booleans())
@settings(deadline=None, max_examples=300)
def test_what_is_malformed_is_no_answer_wherever_it_is_split(run: Run, name: str, cuts: list[int], eager: bool) -> None:
    """With what is read while it comes, a body that is whole may have been taken before something came behind it."""
    raw = BROKEN[name]
    try:
        got = run(read(cut(raw, cuts), end=True, eager=eager))
    except BrokenAnswer:
        return
    assert eager
    assert name in ("a body where there is none", "chunks where there are none")
    assert (got.body, got.usable) == (b"", False)


LATER = {
    "another answer": ONE,
    "the beginning of one": b"HTTP/1.1 200 OK\r\nX-A",
    "a letter": b"H",
    "no HTTP": b"\x00",
    "an interim answer": b"HTTP/1.1 103 A\r\n\r\n",
    "a body": b"{}",
}


@pytest.mark.parametrize("name", LATER)
@pytest.mark.parametrize("answer", [ONE, CHUNKED + chunk(b"{}") + chunk(b"")])
def test_what_comes_behind_an_answer_ends_the_use_of_its_connection(run: Run, answer: bytes, name: str) -> None:
    """H-21."""

    async def scenario() -> None:
        async with connected() as (ours, _):
            feed(ours, answer)
            assert (await ours.head(), await ours.read(), await ours.read()) == (AnswerHead(200, "", ""), b"{}", b"")
            assert ours.usable
            feed(ours, LATER[name])
            assert not ours.usable
            with pytest.raises(BrokenAnswer):
                ours.send(CALL)

    run(scenario())


@pytest.mark.parametrize("name", LATER)
@pytest.mark.parametrize("answer", [ONE, CHUNKED + chunk(b"{}") + chunk(b"")])
def test_who_awaits_a_body_has_it_at_once_whatever_comes_behind_it(run: Run, answer: bytes, name: str) -> None:
    """In the same piece: nothing more would come to wake him."""

    async def scenario() -> None:
        async with connected() as (ours, _), asyncio.timeout(5):
            head, _, body = answer.partition(b"\r\n\r\n")
            feed(ours, head + b"\r\n\r\n")
            await ours.head()
            reading = asyncio.create_task(to_end(ours))
            await asyncio.sleep(0)
            feed(ours, body + LATER[name])
            assert await reading == [b"{}"]
            assert not ours.usable

    run(scenario())


@pytest.mark.parametrize("name", LATER)
def test_what_comes_before_the_call_is_no_answer_to_it(run: Run, name: str) -> None:
    """And is noticed at once, not by waiting for another answer until the deadline."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            _, ours = await loop.create_connection(
                lambda: UpstreamConnection(loop, read_room()), *listener.getsockname()
            )
            theirs, _ = listener.accept()
        with theirs:
            feed(ours, LATER[name])
            assert not ours.usable
            with pytest.raises(BrokenAnswer):
                ours.send(CALL)
            ours.abort()
            await until(lambda: ours._transport is None)

    run(scenario())


SWITCHING = {
    "in order": b"HTTP/1.1 101 A\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "with a length": b"HTTP/1.1 101 A\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\n",
    "in order, with more": b"HTTP/1.1 101 A\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" + ONE,
    "without a word": b"HTTP/1.1 101 A\r\n\r\n",
    "without a word, with more": b"HTTP/1.1 101 A\r\n\r\n" + ONE,
}


@pytest.mark.parametrize("name", SWITCHING)
@pytest.mark.parametrize("eager", [True, False])
def test_a_connection_that_switched_protocols_is_not_used_again(run: Run, name: str, eager: bool) -> None:
    try:
        got = run(read([SWITCHING[name]], eager=eager))
    except BrokenAnswer:
        return
    assert (got.head.status, got.body, got.usable) == (101, b"", False)


KEPT = {
    "HTTP/1.1": (ONE, True),
    "HTTP/1.1 that closes": (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}", False),
    "HTTP/1.1 that closes among others": (OK + b"Connection: x, Close\r\nContent-Length: 2\r\n\r\n{}", False),
    "HTTP/1.0": (ONE.replace(b"1.1", b"1.0"), False),
    "HTTP/1.0 that says it stays": (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}", True),
    "204": (b"HTTP/1.1 204 No\r\n\r\n", True),
    "304": (b"HTTP/1.1 304 No\r\nContent-Length: 0\r\n\r\n", True),
    "304 that tells a length, and may send as much": (b"HTTP/1.1 304 No\r\nContent-Length: 2\r\n\r\n", False),
    "an empty line behind": (ONE + b"\r\n", True),
}


@pytest.mark.parametrize("name", KEPT)
def test_a_connection_is_used_again_if_the_answer_lets_it(run: Run, name: str) -> None:
    raw, kept = KEPT[name]
    assert run(read([raw])).usable is kept


def test_an_answer_to_a_call_that_is_still_on_its_way_ends_the_use_of_its_connection(run: Run) -> None:
    """The rest of the call would be read as part of the next one."""

    async def scenario() -> None:
        async with connected() as (ours, _):
            feed(ours, ONE)
            assert await ours.read() == b"{}"
            assert ours.usable
            ours.send(bytes(64 << 20))
            feed(ours, ONE)
            assert (await ours.head()).status == 200
            assert (await ours.read(), await ours.read()) == (b"{}", b"")
            assert not ours.usable

    run(scenario())


def test_an_end_that_comes_while_the_call_is_stuck_ends_the_wait(run: Run) -> None:
    """U-12: nothing more can come, although our own way is open still."""

    async def scenario() -> None:
        async with connected() as (ours, theirs), asyncio.timeout(2):
            feed(ours, ONE)
            ours.send(bytes(64 << 20))
            theirs.shutdown(socket.SHUT_WR)
            with pytest.raises(BrokenAnswer):
                await ours.head()
            await until(lambda: ours._transport is None)

    run(scenario())


def test_an_answer_that_nobody_takes_is_left_in_the_socket_and_read_later(run: Run) -> None:
    """A slow client costs a bounded amount of memory, and loses nothing."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        size = 32 << 20
        async with connected() as (ours, theirs), asyncio.timeout(20):
            raw = OK + b"Content-Length: %d\r\n\r\n" % size + bytes(size)
            sending = asyncio.create_task(loop.sock_sendall(theirs, raw))
            await ours.head()
            await until(lambda: ours._paused)
            for _ in range(100):
                await asyncio.sleep(0)
            assert READ_BYTES < ours._waiting_bytes < 4 * READ_BYTES
            assert not sending.done()
            parts = await to_end(ours)
            await sending
            assert max(map(len, parts)) < 4 * READ_BYTES
            assert (sum(map(len, parts)), ours.usable) == (size, True)

    run(scenario())


@pytest.mark.parametrize("how", ["aborted", "reset"])
def test_a_connection_that_is_lost_while_nothing_is_read_fails_the_reader(run: Run, how: str) -> None:
    async def scenario() -> None:
        async with connected() as (ours, theirs), asyncio.timeout(5):
            sending = asyncio.create_task(
                asyncio.get_running_loop().sock_sendall(theirs, CHUNKED + b"fffffff\r\n" + bytes(32 << 20))
            )
            await ours.head()
            await until(lambda: ours._paused)
            sending.cancel()
            await asyncio.wait([sending])
            if how == "aborted":
                ours.abort()
                await until(lambda: ours._transport is None)
            else:
                theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                theirs.close()
            with pytest.raises(BrokenAnswer):
                await to_end(ours)
            assert not ours.usable

    run(scenario())


def test_a_body_of_the_smallest_chunks_costs_no_more_than_its_bytes_allow(run: Run) -> None:
    """One that comes in reads with hardly anything but framing between them is no flood."""
    pieces = [CHUNKED, *(piece for _ in range(40_000) for piece in (b"1\r\n", b"a\r\n")), b"0\r\n\r\n"]
    assert run(read(pieces)).body == b"a" * 40_000


def test_a_deadline_fails_who_waits_for_a_head_or_a_body(run: Run) -> None:
    async def scenario() -> None:
        for before, wait in ((b"", "head"), (CHUNKED, "read")):
            async with connected() as (ours, _):
                feed(ours, before)
                waiting = asyncio.create_task(getattr(ours, wait)())
                await asyncio.sleep(0)
                ours.expire()
                with pytest.raises(TimeoutError):
                    await waiting
                assert not ours.usable

    run(scenario())


def test_what_is_raised_again_holds_on_to_nobody_who_asked(run: Run) -> None:
    """A kept error that knew where it was raised would refer to its own connection, and neither would ever be freed."""

    async def scenario() -> None:
        async with connected() as (ours, theirs):
            theirs.close()
            for _ in range(2):
                with pytest.raises(BrokenAnswer, match="lost before the answer was whole") as failed:
                    await ours.head()
                assert failed.value is not ours._error
            assert ours._error is not None
            assert ours._error.__traceback__ is None

    run(scenario())
