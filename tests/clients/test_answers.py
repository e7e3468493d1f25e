"""The bytes of answers: what stands in a head, what never does, and how fast a stream goes."""

from __future__ import annotations

import asyncio
import re
import socket

import pytest
import uvloop
from aiohttp import HttpVersion, web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from proxy.clients.answers import Answer, AnswerWriter, Reply
from proxy.clock import SystemClock, VirtualClock
from tests.clients.test_listener import PATIENT, listening
from tests.rig.raw_client import RawClient, get

CLOCK = VirtualClock(1_700_000_000.0)


def asked(method: str = "GET", version: tuple[int, int] = (1, 1), **headers: str) -> web.Request:
    return make_mocked_request(method, "/", CIMultiDict(headers), version=HttpVersion(*version))


def head(answer: Answer) -> str:
    return bytes(answer).decode().partition("\r\n\r\n")[0]


def test_the_head_of_an_answer_is_ours_word_for_word() -> None:
    writer = AnswerWriter(CLOCK)
    answer = writer.whole(asked(), 529, "application/json", b"{}", {"x-request-id": "a b"}, "ratelimit: 1\r\n")
    assert bytes(answer) == (
        b"HTTP/1.1 529 Overloaded\r\ncontent-type: application/json\r\ncontent-length: 2\r\nx-request-id: a b\r\n"
        b"ratelimit: 1\r\nvia: 1.1 stillgate\r\ndate: Tue, 14 Nov 2023 22:13:20 GMT\r\n\r\n{}"
    )
    assert head(writer.whole(asked(), 299, "a/b", b"", {})).startswith("HTTP/1.1 299 \r\n")


@pytest.mark.parametrize("value", ["a\r\nset-cookie: b", "a\nb", "a\0", "\x1f", "\x7f", "caf\u00e9", "a\tb"])
def test_a_value_that_could_end_its_line_or_be_read_in_two_ways_is_left_out(value: str) -> None:
    said = head(AnswerWriter(CLOCK).whole(asked(), 200, "a/b", b"", {"x-request-id": value, "x-other": " !~"}))
    assert "x-request-id" not in said
    assert "\r\nx-other:  !~\r\n" in said


def test_the_date_is_that_of_the_second() -> None:
    clock = VirtualClock(1_700_000_000.0)
    writer, seen = AnswerWriter(clock), []
    for step in (0.0, 0.5, 0.6):
        clock.advance(step)
        seen += re.findall(r"22:13:\d\d", head(writer.whole(None, 200, "a/b", b"", {})))
    assert seen == ["22:13:20", "22:13:20", "22:13:21"]


@pytest.mark.parametrize(
    ("request_", "close", "kept"),
    [
        (asked(), False, True),
        (asked(), True, False),
        (None, False, False),
        (asked(version=(1, 0)), False, False),
        (asked(version=(1, 0), Connection="keep-alive"), False, False),
        (asked(Upgrade="h2c"), False, False),
    ],
)
def test_a_connection_is_kept_only_where_what_follows_can_be_read(
    request_: web.Request | None, *, close: bool, kept: bool
) -> None:
    answer = AnswerWriter(CLOCK).whole(request_, 200, "a/b", b"x", {}, close=close)
    assert answer.keep_alive is kept
    assert ("\r\nconnection: close" in head(answer) + "\r\n") is not kept


def test_an_answer_to_head_says_how_long_it_would_be_and_has_no_body() -> None:
    answer = bytes(AnswerWriter(CLOCK).whole(asked("HEAD"), 200, "a/b", b"xyz", {}))
    assert b"\r\ncontent-length: 3\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


async def _held_at_most() -> int:
    """Stream 2.6 MB faster than a client can take them; return how much of it was ever held back here."""
    writer, held = AnswerWriter(SystemClock()), [0]

    async def handler(request: web.BaseRequest) -> Reply:
        stream = writer.stream(request, 200, "text/plain", {})
        assert request.transport is not None
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        for _ in range(40):
            await stream.send(bytes(65_536))
            held.append(request.transport.get_write_buffer_size())
        return stream

    async with listening(handler, PATIENT) as (_, port, _), await RawClient.connect(port, within=10) as client:
        assert len((await client.ask(get("/"))).body) == 40 * 65_536
    return max(held)


def test_a_stream_waits_for_a_client_that_is_behind() -> None:
    """D-04, in process."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(_held_at_most()) < 262_144


async def _streamed_to(version: bytes) -> bytes:
    writer = AnswerWriter(CLOCK)

    async def handler(request: web.BaseRequest) -> Reply:
        stream = writer.stream(request, 200, "a/b", {})
        for piece in (b"one", b"", b"two"):
            await stream.send(piece)
        return stream

    async with listening(handler, PATIENT) as (_, port, _), await RawClient.connect(port, within=10) as client:
        await client.send(b"GET / HTTP/" + version + b"\r\nHost: a\r\nConnection: close\r\n\r\n")
        return await client.to_end()


@pytest.mark.parametrize(
    ("version", "framing", "body"),
    [
        (b"1.1", b"transfer-encoding: chunked", b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"),
        (b"1.0", b"x-accel-buffering: no", b"onetwo"),
    ],
)
def test_a_stream_ends_in_a_way_that_its_clients_version_knows(version: bytes, framing: bytes, body: bytes) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(_streamed_to(version)) == (
            b"HTTP/1.1 200 OK\r\ncontent-type: a/b\r\n" + framing + b"\r\nvia: 1.1 stillgate\r\n"
            b"date: Tue, 14 Nov 2023 22:13:20 GMT\r\nconnection: close\r\n\r\n" + body
        )
