"""Upstreams that redirect, lie, break off, hang, swamp or smuggle: one error in the dialect, and the next call is well."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.end_to_end.scene import CHAT, MESSAGES, Scene, staged
from tests.rig.fault_proxy import FaultProxy, HalfClose, Refuse, ResetAfter
from tests.rig.invariants import Footprint
from tests.rig.raw_client import Response, chunk
from tests.rig.scripted_upstream import (
    Close,
    Pause,
    Reset,
    Script,
    ScriptedUpstream,
    Send,
    after_interim,
    body_answer,
    event,
    html_answer,
    http,
    json_answer,
    redirect,
    sse_answer,
    truncated,
    two_lengths,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
JSON = [("Content-Type", "application/json")]
EVENTS = [("Content-Type", "text/event-stream")]
HASTE = {"connect_seconds": 1, "first_byte_seconds": 1, "idle_seconds": 1, "total_seconds": 3}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("upstreams")) as scene:
        yield scene


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hasty(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("hasty"), {"upstreams": {"default": HASTE}}) as scene:
        yield scene


def answer(text: str = "Hello", **members: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "c-1", "object": "chat.completion", "model": "m-large", "choices": [choice], **members}


def delta(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return event({"id": "c-1", "object": "chat.completion.chunk", "model": "m-large", "choices": [choice]})


DONE = event("[DONE]")
STREAM = [delta("Hel"), delta("lo"), DONE]


def raw(data: bytes, *then: Close | Reset | Pause) -> Script:
    return (Send(data), *then)


async def well(scene: Scene) -> None:
    """The next call gets its own answer, whatever connection it takes."""
    scene.upstream.script(json_answer(200, answer("the next one", usage=USAGE)))
    after = await scene.ask(scene.ordinary(), accepted=True)
    assert after.status == 200
    assert after.json()["choices"][0]["message"]["content"] == "the next one"
    await scene.at_peace()


class Row(NamedTuple):
    script: Script
    outcome: str
    status: int = 502


ONE_JSON = http(200, [*JSON, ("Content-Length", "2")], b"{}")
BEFORE_AN_ANSWER = {
    "G-03 307 to elsewhere": Row(redirect("http://127.0.0.2:9/v1/chat/completions"), "upstream_error"),
    "G-03 302": Row(redirect("//b.example/", 302), "upstream_error"),
    "G-03 308 to itself": Row(redirect(CHAT, 308), "upstream_error"),
    "U-03 reset before the head": Row((Reset(),), "upstream_unreachable"),
    "U-03 closed before the head": Row((Close(),), "upstream_unreachable"),
    "U-03 reset in the head": Row(raw(b"HTTP/1.1 200 OK\r\nContent-Ty", Reset()), "upstream_unreachable"),
    "U-03 closed in the head": Row(raw(b"HTTP/1.1 200 OK\r\nContent-Ty", Close()), "upstream_unreachable"),
    "U-03 reset in the body": Row(raw(ONE_JSON[:-1], Reset()), "upstream_truncated"),
    "U-04 less than announced": Row(truncated(b'{"choices": [], "usage": null}'), "upstream_truncated"),
    "U-04 half a document up to the close": Row(
        raw(http(200, JSON) + json.dumps(answer()).encode()[:50], Close()), "upstream_error"
    ),
    "U-04 a stream of nothing": Row(sse_answer([]), "upstream_truncated"),
    "U-05 429 in seconds": Row(json_answer(429, {}, [("Retry-After", "7")]), "upstream_error", 503),
    "U-05 429 in an absurd time": Row(json_answer(429, {}, [("Retry-After", "9" * 40)]), "upstream_error", 503),
    "U-05 429 at a date": Row(
        json_answer(429, {}, [("Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT")]), "upstream_error", 503
    ),
    "U-06 401": Row(json_answer(401, {"error": {"message": "canary-upstream-key sk-abcdefgh12345678"}}), "upstream_error"),
    "U-06 403": Row(json_answer(403, {"error": {"message": "canary-upstream-"}}), "upstream_error"),
    "U-06 500": Row(json_answer(500, {"error": {"message": "canary-upstream- /etc/passwd"}}), "upstream_error", 500),
    "U-06 500 in HTML": Row(html_answer(500), "upstream_error", 500),
    "U-06 502 in HTML": Row(html_answer(502), "upstream_error"),
    "U-06 503 and nothing": Row(body_answer(503, b"", "text/plain"), "upstream_error", 503),
    "U-06 529": Row(json_answer(529, {"type": "error", "error": {"type": "overloaded_error"}}), "upstream_error", 529),
    "U-06 200 in HTML": Row(html_answer(200), "upstream_error"),
    "U-06 200 and nothing": Row(body_answer(200, b"", "application/json"), "upstream_error"),
    "U-06 200 and no type": Row(raw(http(200, [("Content-Length", "2")], b"{}")), "upstream_error"),
    "U-06 200 and a list": Row(json_answer(200, []), "upstream_error"),
    "U-06 200 and text": Row(body_answer(200, b"hello", "application/json"), "upstream_error"),
    "U-10 gzip": Row(
        body_answer(200, gzip.compress(b"{}"), "application/json", [("Content-Encoding", "gzip")]), "upstream_error"
    ),
    "U-10 a bomb": Row(
        body_answer(200, gzip.compress(bytes(50 << 20)), "application/json", [("Content-Encoding", "gzip")]),
        "upstream_error",
    ),
    "U-10 br over a stream": Row(
        sse_answer(STREAM, headers=[("Content-Encoding", "br")]), "upstream_error"
    ),
    "U-11 101": Row(raw(http("101 Switching Protocols", [("Upgrade", "x"), ("Connection", "upgrade")])), "upstream_error"),
    "U-11 101 and more": Row(
        raw(http("101 Switching Protocols", [("Upgrade", "websocket"), ("Connection", "upgrade")]) + ONE_JSON),
        "upstream_error",
    ),
    "U-11 204 with a body": Row(raw(http(204, [*JSON, ("Content-Length", "2")], b"{}")), "upstream_error"),
    "U-11 206": Row(json_answer(206, answer()), "upstream_error"),
    "U-11 201": Row(json_answer(201, answer()), "upstream_error"),
    "U-11 304": Row(raw(http(304, JSON)), "upstream_error"),
    "U-11 999": Row(json_answer(999, answer()), "upstream_error"),
    "U-11 199 in a row": Row(raw(http(103) * 5000 + http(500, [("Content-Length", "0")])), "upstream_error", 500),
    "H-21 no HTTP": Row(raw(b"+PONG\r\n\r\n", Close()), "upstream_unreachable"),
    "H-21 another version": Row(raw(ONE_JSON.replace(b"HTTP/1.1", b"HTTP/3.0"), Close()), "upstream_unreachable"),
    "H-21 two lengths": Row(
        raw(http(200, [*JSON, ("Content-Length", "2"), ("Content-Length", "9")], b"{}"), Close()), "upstream_unreachable"
    ),
    "H-21 a negative length": Row(raw(http(200, [*JSON, ("Content-Length", "-2")], b"{}"), Close()), "upstream_unreachable"),
    "H-21 a bad chunk": Row(
        raw(http(200, [*JSON, ("Transfer-Encoding", "chunked")], b"0x2\r\n{}\r\n0\r\n\r\n"), Close()), "upstream_truncated"
    ),
    "H-21 a header of 1 MB": Row(raw(http(200, [("X-A", "b" * (1 << 20))]), Close()), "upstream_unreachable"),
    "H-21 100,000 headers": Row(raw(http(200, [("X-A", "b")] * 100_000), Close()), "upstream_unreachable"),
    "D-09 an event of 10 MB": Row(sse_answer([delta("y" * (10 << 20)), DONE]), "upstream_error"),
    "D-09 a document of 40 MB": Row(json_answer(200, answer("y" * (40 << 20))), "upstream_error"),
}


@pytest.mark.parametrize("name", BEFORE_AN_ANSWER)
async def test_what_is_no_answer_becomes_an_error_in_the_dialect(scene: Scene, name: str) -> None:
    """And nothing of it reaches the client, nothing is charged, nothing is tried again."""
    row = BEFORE_AN_ANSWER[name]
    before, calls = len(scene.gate.records("exchange")), scene.calls
    scene.upstream.script(row.script)
    refused = await scene.ask(scene.ordinary(stream="stream" in name or "event" in name), accepted=True, within=10)
    assert refused.status == row.status, refused
    assert b"canary-upstream" not in refused.raw
    assert (refused.header("retry-after") is not None) == name.startswith("U-05")
    record = (await scene.gate.wait_for_records(before + 1))[-1]
    assert (record["outcome"], record["usage"]["source"]) == (row.outcome, "none")
    assert scene.calls == calls + 1
    await well(scene)


BROKEN_STREAMS: dict[str, tuple[Script, str]] = {
    "U-03 reset": ((*sse_answer(STREAM[:1], end=False), Pause(0.05), Reset()), "upstream_truncated"),
    "U-03 closed within a chunk": (
        (*sse_answer(STREAM[:1], end=False), Send(b"ff\r\ndata: {"), Close()),
        "upstream_truncated",
    ),
    "U-04 up to the close, without its end": (
        (*sse_answer(STREAM[:2], chunked=False),),
        "upstream_truncated",
    ),
    "U-04 ended in order, without its end": (sse_answer(STREAM[:2]), "upstream_truncated"),
    "U-04 in the middle of an event": (
        (*sse_answer([STREAM[0], STREAM[1][:-20]], chunked=False),),
        "upstream_truncated",
    ),
    "D-09 an event of 10 MB": (sse_answer([STREAM[0], delta("y" * (10 << 20)), DONE]), "upstream_error"),
    "D-09 a comment of 10 MB": (sse_answer([STREAM[0], b":" + b"y" * (10 << 20), DONE]), "upstream_error"),
    "D-09 an endless line": (
        (*sse_answer([STREAM[0], *[b"data: " + b"y" * 65_536] * 64], end=False), Pause(asyncio.Event())),
        "upstream_error",
    ),
    "H-21 a bad chunk": ((*sse_answer(STREAM[:1], end=False), Send(b"+5\r\nhello\r\n"), Close()), "upstream_truncated"),
}


@pytest.mark.parametrize("name", BROKEN_STREAMS)
async def test_a_stream_that_breaks_ends_with_an_error_event(scene: Scene, name: str) -> None:
    """In the dialect, in whole chunks, with what came charged by estimate."""
    script, outcome = BROKEN_STREAMS[name]
    before = len(scene.gate.records("exchange"))
    scene.upstream.script(script)
    broken = await scene.ask(scene.ordinary(stream=True), accepted=True)
    assert broken.status == 200
    assert broken.body.startswith(STREAM[0])
    assert DONE not in broken.body
    last = broken.body.rstrip().rpartition(b"\n\n")[2]
    assert json.loads(last.removeprefix(b"data: "))["error"]["type"] == "server_error"
    record = (await scene.gate.wait_for_records(before + 1))[-1]
    assert (record["outcome"], record["usage"]["source"]) == (outcome, "estimate")
    assert record["usage"]["input"] > 0
    assert record["usage"]["output"] > 0
    await well(scene)


async def test_a_message_stream_that_breaks_ends_with_an_error_event(scene: Scene) -> None:
    """U-04 in Anthropic's dialect: no `message_stop`, so an `error` event."""
    start = event({"type": "message_start", "message": {"usage": {"input_tokens": 3, "output_tokens": 1}}}, "message_start")
    scene.upstream.script(sse_answer([start]))
    broken = await scene.ask(scene.ordinary(path=MESSAGES, stream=True), accepted=True, dialect="anthropic")
    name, data = broken.body.rstrip().rpartition(b"\n\n")[2].split(b"\n")
    assert name == b"event: error"
    assert json.loads(data.removeprefix(b"data: "))["type"] == "error"
    await well(scene)


ODD_EVENTS = {
    "U-07 an error event": [event({"error": {"message": "overloaded", "type": "overloaded_error"}})],
    "U-08 bad UTF-8": [b"data: \xff\xfe\n\n"],
    "U-08 a character over two chunks": [delta("\u20ac")[:-30], delta("\u20ac")[-30:]],
    "U-08 carriage returns only": [STREAM[0].replace(b"\n", b"\r")],
    "U-08 carriage returns and line feeds": [STREAM[0].replace(b"\n", b"\r\n")],
    "U-08 a byte order mark": [b"\xef\xbb\xbf" + STREAM[0]],
    "U-08 byte for byte": [bytes([byte]) for byte in STREAM[0]],
    "U-08 lines of data": [STREAM[0].replace(b", ", b",\ndata: ")],
    "U-08 comments": [b": ping\n\n" * 1000],
    "U-08 unknown events": [event("{}", "surprise"), b"retry: 5\n\n", b"id: " + b"9" * 10_000 + b"\n\n", b"foo\n\n"],
    "U-08 no data": [b"data\n\n", b"data:\n\n", b"\n\n\n\n", b"event: x\n\n"],
    "U-09 invalid JSON": [event("{"), event("nul"), event("")],
    "U-09 NaN": [event('{"choices": [{"delta": {"content": NaN}}]}')],
    "U-09 keys twice": [event('{"choices": [], "choices": {"a": [1]}, "usage": 1, "usage": "x"}')],
    "U-09 other types": [event({"choices": {"0": 1}}), event({"choices": [[], 1, None]}), event([1]), event("1e999")],
    "U-09 deep": [event("[" * 3000 + "]" * 3000), event('{"choices":' + "[" * 3000 + "]" * 3000 + "}")],
    "D-09 50,000 small events": [b"data: {}\n\n" * 50_000],
}


@pytest.mark.parametrize("name", ODD_EVENTS)
async def test_odd_events_are_passed_on_byte_for_byte(scene: Scene, name: str) -> None:
    """S-02; what came is charged, and an error inside is recorded as one."""
    before = len(scene.gate.records("exchange"))
    pieces = [*ODD_EVENTS[name], DONE]
    scene.upstream.script(sse_answer(pieces))
    got = await scene.ask(scene.ordinary(stream=True, stream_options={"include_usage": True}), accepted=True, within=10)
    assert got.status == 200
    assert got.body == b"".join(pieces)
    record = (await scene.gate.wait_for_records(before + 1))[-1]
    assert record["outcome"] == ("upstream_error" if name.startswith("U-07") else "answered")
    assert record["usage"]["source"] == "estimate"
    await well(scene)


ABSURD: dict[str, Any] = {
    "missing": None,
    "null": {"prompt_tokens": None, "completion_tokens": None},
    "negative": {"prompt_tokens": -5, "completion_tokens": -5},
    "text": {"prompt_tokens": "5", "completion_tokens": "5"},
    "a fraction": {"prompt_tokens": 5.5, "completion_tokens": 1.0},
    "true": {"prompt_tokens": True, "completion_tokens": True},
    "absurd": {"prompt_tokens": 1 << 62, "completion_tokens": 1 << 62},
    "beyond 64 bits": {"prompt_tokens": 1 << 80, "completion_tokens": 5},
    "half of it": {"prompt_tokens": 5},
    "a list": [1, 2],
    "a number": 7,
}


@pytest.mark.parametrize("name", ABSURD)
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_usage_that_cannot_be_true_is_estimated(scene: Scene, name: str, *, streamed: bool) -> None:
    """Q-04."""
    before = len(scene.gate.records("exchange"))
    usage = {} if name == "missing" else {"usage": ABSURD[name]}
    ended = event({"id": "c-1", "object": "chat.completion.chunk", "model": "m-large", "choices": [], **usage})
    scene.upstream.script(sse_answer([*STREAM[:2], ended, DONE]) if streamed else json_answer(200, answer(**usage)))
    got = await scene.ask(scene.ordinary(stream=streamed), accepted=True)
    assert got.status == 200
    record = (await scene.gate.wait_for_records(before + 1))[-1]
    assert record["usage"]["source"] == "estimate"
    assert 0 < record["usage"]["output"] <= 16
    await scene.at_peace()


async def test_cookies_and_headers_of_the_upstream_reach_nobody(scene: Scene) -> None:
    """B-11, G-13: not the client, and not the upstream again with another customer's call."""
    theirs = [
        *[("Set-Cookie", "session=canary-upstream-cookie; Path=/"), ("Set-Cookie2", "canary-upstream-cookie")],
        *[("Server", "canary-upstream-x"), ("X-Powered-By", "canary-upstream-x"), ("Via", "1.1 canary-upstream-x")],
        *[("openai-organization", "canary-upstream-x"), ("anthropic-organization-id", "canary-upstream-x")],
        *[("x-ratelimit-limit-requests", "1"), ("Retry-After", "1"), ("Alt-Svc", "h3=canary-upstream-x")],
        *[("Location", "http://canary-upstream-x/"), ("X-Request-Id", "canary-upstream-x"), ("Trailer", "X-A")],
        *[("Strict-Transport-Security", "max-age=1"), ("Content-Disposition", "attachment; filename=canary-upstream-x")],
    ]
    for script in (json_answer(200, answer(usage=USAGE), theirs), sse_answer(STREAM, headers=theirs)):
        scene.upstream.script(script)
        got = await scene.ask(scene.ordinary(stream=len(script) > 1), accepted=True)
        names = {name.lower() for name, _ in got.head.headers}
        assert names <= {
            *("content-type", "content-length", "transfer-encoding", "cache-control", "x-request-id", "via", "date")
        }
        assert b"canary-upstream" not in got.raw
    await well(scene)
    assert all(sent.header("cookie") is None for sent in scene.upstream.requests)


async def test_interim_answers_are_read_over(scene: Scene) -> None:
    """U-11: 100 and 103 are not for our client."""
    scene.upstream.script(after_interim(json_answer(200, answer(usage=USAGE)), 100, 103, 103))
    got = await scene.ask(scene.ordinary(), accepted=True)
    assert got.json()["choices"][0]["message"]["content"] == "Hello"
    await well(scene)


def smuggled() -> bytes:
    body = json.dumps(answer("smuggled", usage=USAGE)).encode()
    return http("200 OK", [*JSON, ("Content-Length", str(len(body)))], body)


SMUGGLING: dict[str, Callable[[], Script]] = {
    "in one piece": lambda: raw(
        http(200, [*JSON, ("Content-Length", "14")], b'{"choices":[]}') + smuggled(),
    ),
    "behind the end of a body whose head came before": lambda: (
        Send(http(200, [*JSON, ("Content-Length", "14")])),
        Pause(0.1),
        Send(b'{"choices":[]}' + smuggled()),
    ),
    "behind the last chunk": lambda: (
        Send(http(200, [*EVENTS, ("Transfer-Encoding", "chunked")])),
        Send(chunk(STREAM[0])),
        Pause(0.1),
        Send(chunk(DONE) + chunk(b"") + smuggled()),
    ),
    "a moment after the end": lambda: (
        Send(http(200, [*JSON, ("Content-Length", "14")], b'{"choices":[]}')),
        Pause(0.1),
        Send(smuggled()),
    ),
    "part of a head": lambda: raw(
        http(200, [*JSON, ("Content-Length", "14")], b'{"choices":[]}') + b"HTTP/1.1 200 OK\r\nX-A: ",
    ),
    "both lengths": two_lengths,
}


@pytest.mark.parametrize("name", SMUGGLING)
async def test_what_comes_behind_an_answer_is_nobodys_answer(scene: Scene, name: str) -> None:
    """H-21, U-16: the connection is not used again, so that nothing waits there for the next customer."""
    scene.upstream.script(SMUGGLING[name]())
    await scene.ask(scene.ordinary(stream="chunk" in name), accepted=True)
    await asyncio.sleep(0.2)  # what a script sends later has come by then
    await well(scene)


SLOW: dict[str, tuple[Script, int, str, bool]] = {
    "U-02 no head": ((Pause(asyncio.Event()),), 504, "upstream_timeout", False),
    "U-02 a head in drops": (
        tuple(step for byte in ONE_JSON * 9 for step in (Send(bytes([byte])), Pause(0.3))),
        504,
        "upstream_timeout",
        False,
    ),
    "U-11 interim answers for ever": (
        tuple(step for _ in range(99) for step in (Send(http(103)), Pause(0.3))),
        504,
        "upstream_timeout",
        False,
    ),
    "U-13 a body that stops": (raw(ONE_JSON[:-1], Pause(asyncio.Event())), 504, "upstream_timeout", False),
    "U-13 a stream that stops": (
        (*sse_answer(STREAM[:1], end=False), Pause(asyncio.Event())),
        200,
        "upstream_timeout",
        True,
    ),
    "U-13 a stream that drips for ever": (
        (*sse_answer(STREAM[:1], end=False), *(step for _ in range(99) for step in (Send(chunk(b":")), Pause(0.3)))),
        200,
        "upstream_timeout",
        True,
    ),
    "U-06 an error that stops": (
        raw(http(500, [*JSON, ("Content-Length", "9")], b"{"), Pause(asyncio.Event())),
        504,
        "upstream_timeout",
        False,
    ),
    "U-11 101 that stops": (
        raw(http("101 Switching Protocols", [("Upgrade", "x"), ("Connection", "upgrade")]), Pause(asyncio.Event())),
        502,
        "upstream_error",
        False,
    ),
}


async def test_an_upstream_that_stops_is_given_up_in_time(hasty: Scene) -> None:
    """U-02, U-13: all at once, since each takes its second, or its three in all where it keeps us busy."""

    async def wait(name: str) -> tuple[str, int, bool, bool]:
        _, _, _, streamed = SLOW[name]
        began = asyncio.get_running_loop().time()
        got = await hasty.ask(hasty.ordinary(stream=streamed, user=name), accepted=True, within=8)
        took = asyncio.get_running_loop().time() - began
        in_time = took < (5.5 if any(word in name for word in ("drops", "for ever")) else 2.5)
        return name, got.status, b'"error"' in got.body, in_time

    usual = hasty.upstream.default
    hasty.upstream.default = lambda asked: SLOW[asked.json()["user"]][0]
    try:
        results = await asyncio.gather(*(wait(name) for name in SLOW))
    finally:
        hasty.upstream.default = usual
    assert results == [(name, status, True, True) for name, (_, status, _, _) in SLOW.items()]
    outcomes = sorted(record["outcome"] for record in await hasty.gate.wait_for_records(len(SLOW)))
    assert outcomes == sorted(outcome for _, _, outcome, _ in SLOW.values())
    for connection in hasty.upstream.connections:
        await hasty.upstream.wait_closed(connection.index)
    await well(hasty)


async def test_a_long_wait_for_the_head_is_no_long_wait_within_the_body(tmp_path: Any) -> None:
    """U-13: the idle limit counts from the head on, also for the first piece."""
    times = {"first_byte_seconds": 30, "idle_seconds": 1}
    async with staged(tmp_path, {"upstreams": {"default": times}}) as scene:
        scene.upstream.script((Send(http(200, [*EVENTS, ("Transfer-Encoding", "chunked")])), Pause(asyncio.Event())))
        answer = await scene.ask(scene.ordinary(stream=True), accepted=True, within=4)
        assert answer.status == 504
        await scene.at_peace()


async def test_an_upstream_that_is_away_is_a_502_and_used_again_when_it_is_back(tmp_path: Any) -> None:
    """U-01, U-03, U-12: refused, reset and half-closed connections, through a proxy that breaks them."""
    async with ScriptedUpstream() as upstream, FaultProxy(upstream.url) as between:
        async with staged(tmp_path, upstream=upstream, upstream_url=between.url) as scene:
            for fault in (Refuse(), ResetAfter(0), ResetAfter(20), ResetAfter(0, "request"), HalfClose(30)):
                between.fault = fault
                answer = await scene.ask(scene.ordinary(), accepted=True)
                assert answer.status == 502, fault
                between.fault = None
                assert (await scene.ask(scene.ordinary(), accepted=True)).status == 200
            await scene.at_peace()


async def test_the_environment_chooses_no_proxy(tmp_path: Any) -> None:
    """The credential goes to the configured origin, whatever `HTTP_PROXY` says."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.setblocking(False)
        where = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        names = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
        command = ["env", *(f"{name}={where}" for name in names), sys.executable, "-m", "proxy.cli"]
        async with staged(tmp_path, command=command) as scene:
            assert (await scene.ask(scene.ordinary(), accepted=True)).status == 200
            await scene.at_peace()
        with pytest.raises(BlockingIOError):
            proxy.accept()
