"""Upstreams that redirect, lie, break off, swamp or smuggle: one error in the dialect, and the next call is well."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

import pytest
import pytest_asyncio

from tests.end_to_end.scene import CHAT, Scene, answer, delta, staged
from tests.rig.raw_client import chunk
from tests.rig.scripted_upstream import (
    Close,
    Pause,
    Reset,
    Script,
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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("upstreams")) as scene:
        yield scene


DONE = event("[DONE]")
STREAM = [delta("Hel"), delta("lo"), DONE]


def raw(data: bytes, *then: Close | Reset | Pause) -> Script:
    return (Send(data), *then)


class Row(NamedTuple):
    script: Script
    outcome: str
    status: int = 502


SHORT_OF_ITS_LENGTH = {status: http(status, [*JSON, ("Content-Length", "99")], b'{"err') for status in (413, 503, 529)}
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
    "U-06 401": Row(
        json_answer(401, {"error": {"message": "canary-upstream-key sk-abcdefgh12345678"}}), "upstream_error"
    ),
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
        body_answer(
            200, gzip.compress(bytes(50 << 20), compresslevel=1), "application/json", [("Content-Encoding", "gzip")]
        ),
        "upstream_error",
    ),
    "U-10 br over a stream": Row(sse_answer(STREAM, headers=[("Content-Encoding", "br")]), "upstream_error"),
    "U-11 101": Row(
        raw(http("101 Switching Protocols", [("Upgrade", "x"), ("Connection", "upgrade")])), "upstream_error"
    ),
    "U-11 101 and more": Row(
        raw(http("101 Switching Protocols", [("Upgrade", "websocket"), ("Connection", "upgrade")]) + ONE_JSON),
        "upstream_error",
    ),
    "U-06 a 413 that breaks off": Row(raw(SHORT_OF_ITS_LENGTH[413], Reset()), "upstream_error", 413),
    "U-06 a 529 that breaks off": Row(raw(SHORT_OF_ITS_LENGTH[529], Close()), "upstream_error", 529),
    "U-06 a 503 that stalls": Row(raw(SHORT_OF_ITS_LENGTH[503], Pause(60.0)), "upstream_error", 503),
    "U-11 204 with a body": Row(raw(http(204, [*JSON, ("Content-Length", "2")], b"{}")), "upstream_unreachable"),
    "U-11 206": Row(json_answer(206, answer()), "upstream_error"),
    "U-11 201": Row(json_answer(201, answer()), "upstream_error"),
    "U-11 304": Row(raw(http(304, JSON)), "upstream_error"),
    "U-11 999": Row(json_answer(999, answer()), "upstream_error"),
    "U-11 199 in a row": Row(raw(http(103) * 5000 + http(500, [("Content-Length", "0")])), "upstream_error", 500),
    "H-21 no HTTP": Row(raw(b"+PONG\r\n\r\n", Close()), "upstream_unreachable"),
    "H-21 another version": Row(raw(ONE_JSON.replace(b"HTTP/1.1", b"HTTP/3.0"), Close()), "upstream_unreachable"),
    "H-21 two lengths": Row(
        raw(http(200, [*JSON, ("Content-Length", "2"), ("Content-Length", "9")], b"{}"), Close()),
        "upstream_unreachable",
    ),
    "H-21 a negative length": Row(
        raw(http(200, [*JSON, ("Content-Length", "-2")], b"{}"), Close()), "upstream_unreachable"
    ),
    "H-21 a bad chunk": Row(
        raw(http(200, [*JSON, ("Transfer-Encoding", "chunked")], b"0x2\r\n{}\r\n0\r\n\r\n"), Close()),
        "upstream_unreachable",
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
    assert refused.header("retry-after") is None  # they did not say when
    record = (await scene.gate.wait_for_records(before + 1))[-1]
    assert (record["outcome"], record["usage"]["source"]) == (row.outcome, "none")
    assert scene.calls == calls + 1
    await scene.goes_on()


async def test_cookies_and_headers_of_the_upstream_reach_nobody(scene: Scene) -> None:
    """B-11, G-13, Q-16: not the client, and not the upstream again with another customer's call."""
    theirs = [
        *[("Set-Cookie", "session=canary-upstream-cookie; Path=/"), ("Set-Cookie2", "canary-upstream-cookie")],
        *[("Server", "canary-upstream-x"), ("X-Powered-By", "canary-upstream-x"), ("Via", "1.1 canary-upstream-x")],
        *[("openai-organization", "canary-upstream-x"), ("anthropic-organization-id", "canary-upstream-x")],
        *[("x-ratelimit-limit-requests", "1"), ("Retry-After", "1"), ("Alt-Svc", "h3=canary-upstream-x")],
        *[("Location", "http://canary-upstream-x/"), ("X-Request-Id", "canary-upstream-x"), ("Trailer", "X-A")],
        *[
            ("Strict-Transport-Security", "max-age=1"),
            ("Content-Disposition", "attachment; filename=canary-upstream-x"),
        ],
    ]
    for script in (json_answer(200, answer(usage=USAGE), theirs), sse_answer(STREAM, headers=theirs)):
        scene.upstream.script(script)
        got = await scene.ask(scene.ordinary(stream=len(script) > 1), accepted=True)
        names = {name.lower() for name, _ in got.head.headers if not name.startswith("x-ratelimit-")}
        assert names <= {
            *("content-type", "content-length", "transfer-encoding", "cache-control", "x-request-id", "via", "date"),
            *("ratelimit-policy", "ratelimit"),
        }
        assert got.header("x-ratelimit-limit-requests") == "1000000"  # the pack's, not theirs
        assert b"canary-upstream" not in got.raw
    await scene.goes_on()
    assert all(sent.header("cookie") is None for sent in scene.upstream.requests)


async def test_interim_answers_are_read_over(scene: Scene) -> None:
    """U-11: 100 and 103 are not for our client."""
    scene.upstream.script(after_interim(json_answer(200, answer(usage=USAGE)), 100, 103, 103))
    got = await scene.ask(scene.ordinary(), accepted=True)
    assert got.json()["choices"][0]["message"]["content"] == "Hello"
    await scene.goes_on()


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
    "no HTTP behind the end of a body whose head came before": lambda: (
        Send(http(200, [*JSON, ("Content-Length", "14")])),
        Pause(0.1),
        Send(b'{"choices":[]}more of it'),
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
    await scene.goes_on()
