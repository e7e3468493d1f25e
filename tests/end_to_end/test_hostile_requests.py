"""Requests that are plain HTTP and meant badly: odd paths, methods, headers, upgrades."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from json import dumps

import pytest
import pytest_asyncio

from proxy.admin import ROUTES
from tests.end_to_end.scene import CHAT, MESSAGES, Scene, answer, chat, sized, staged
from tests.rig.invariants import Dialect
from tests.rig.raw_client import Response, chunk, get, post, request
from tests.rig.scripted_upstream import Recorded, after_interim, json_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")
LIMIT = 65_536
JSON = ("Content-Type", "application/json")
SETTINGS = {"limits": {"body_bytes": LIMIT}, "listen": {"hosts": ["a", "127.0.0.1", "Api.Example.com", "::1"]}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("requests"), SETTINGS) as scene:
        yield scene


PATHS = [
    *("/", "//v1/chat/completions", "/v1//chat/completions", "/v1/chat/completions/", "/V1/chat/completions"),
    *("/v1/chat/../chat/completions", "/v1/%2e%2e/v1/chat/completions", "/v1/chat%2fcompletions", "/v1/models/"),
    *("/v1/chat/completions;x", "/v1/chat/completions%00", "/v1/chat/completions%20", "/v1/chat/completions."),
    *("/v1/chat/completion\xc0\xb3", "/%76%31/chat/completions", "/v1/chat\\completions", "/./v1/chat/completions"),
    *("/v1/chat/completions#x", "/v1/embeddings/", "/v1/completions/x", "/v1/files", "/v1/batches", "/v1/responses/r"),
    "/v1/models/m-large",
    *("/metrics", "/healthz", "/readyz", "/keys", "/keys/import", "/status", "/debug", "/docs", "/openapi.json"),
    *("/admin", "/config", "/.env", "/server-status", "/v1/admin/keys", "/%2e%2e/keys", "/v1/../keys"),
    *sorted({route.path.replace("{", "").replace("}", "") for route in ROUTES} - {"/keys", "/keys/import", "/status"}),
]


@pytest.mark.parametrize("path", PATHS)
async def test_a_path_that_is_not_in_the_table_is_not_found(scene: Scene, path: str) -> None:
    """B-07, G-12, Q-11."""
    calls = scene.calls
    for raw in (post(path, chat(), [scene.bearer]), get(path, [scene.bearer])):
        answer = await scene.ask(raw, accepted=False)
        assert answer.status == (404 if path.isascii() else 400)
    assert scene.calls == calls


HOSTS = {
    "b.example": 421,
    "127.0.0.2": 421,
    "a.b.example": 421,
    "b.a": 421,
    "a.": 421,
    "[::2]": 421,
    "API.example.COM:8443": 200,
    "a:1": 200,
    "[::1]:80": 200,
    "127.0.0.1": 200,
}


@pytest.mark.parametrize("host", HOSTS)
async def test_only_hosts_that_the_settings_name_are_served(scene: Scene, host: str) -> None:
    """B-05."""
    raw = scene.ordinary().replace(b"Host: 127.0.0.1", f"Host: {host}".encode())
    families: list[tuple[str, Dialect]] = [(CHAT, "openai"), (MESSAGES, "anthropic")]
    for path, dialect in families:
        asked = raw.replace(CHAT.encode(), path.encode())
        if HOSTS[host] == 200:
            assert (await scene.ask(asked, dialect=dialect)).status == 200
            continue
        refused = await scene.refused(asked, at_once=True, dialect=dialect, accepted=False)
        assert refused.status == 421
        assert host.encode() not in refused.body
    await scene.at_peace()


EDGES: dict[str, tuple[list[tuple[str, str]], bool]] = {
    "128 headers": ([(f"X-{number}", "b") for number in range(124)], True),
    "129 headers": ([(f"X-{number}", "b") for number in range(125)], False),
    "a value of 8 kB": ([("X-A", "b" * 8000)], True),
    "a value of 9 kB": ([("X-A", "b" * 9000)], False),
    "64 kB in all": ([(f"X-{number}", "b" * 8000) for number in range(8)] + [("X-A", "b" * 1300)], True),
    "66 kB in all": ([(f"X-{number}", "b" * 8000) for number in range(8)] + [("X-A", "b" * 2000)], False),
}


@pytest.mark.parametrize("name", EDGES)
async def test_a_head_may_be_so_large_and_no_larger_however_it_comes(scene: Scene, name: str) -> None:
    """B-10, H-17: in one segment or in many of a byte."""
    extra, taken = EDGES[name]
    raw = scene.ordinary(*extra)
    for pieces_of in (None, 1000, 1) if len(raw) < 20_000 else (None, 7000):
        async with await scene.connect() as client:
            with suppress(ConnectionError):
                await client.send(raw, pieces_of=pieces_of)
            answer = scene.witness.saw(await client.response(), accepted=taken)
        assert answer.status == 200 if taken else answer.status in {400, 431}, (pieces_of, answer)
    await scene.at_peace()


SEGMENTED = ["GET", "POST", "POST chunked", "a bad length", "two hosts", "no version"]


@pytest.mark.parametrize("name", SEGMENTED)
async def test_a_request_in_segments_of_a_byte_is_what_it_is_in_one(scene: Scene, name: str) -> None:
    """H-17."""
    body = dumps(chat()).encode()
    whole = {
        "GET": get("/v1/models", [scene.bearer]),
        "POST": scene.ordinary(),
        "POST chunked": request(
            "POST",
            CHAT,
            [("Host", "a"), scene.bearer, JSON, ("Transfer-Encoding", "chunked")],
            chunk(body) + chunk(b""),
        ),
        "a bad length": request("POST", CHAT, [("Host", "a"), scene.bearer, JSON, ("Content-Length", "+1")], b"{"),
        "two hosts": get("/v1/models", [("Host", "a"), scene.bearer]),
        "no version": b"GET /v1/models\r\n\r\n",
    }[name]
    statuses = []
    for pieces_of in (None, 1):
        async with await scene.connect() as client:
            with suppress(ConnectionError):
                await client.send(whole, pieces_of=pieces_of)
            statuses.append(scene.witness.saw(await client.response()).status)
    assert statuses == ([200, 200] if name in SEGMENTED[:3] else [505, 505] if name == "no version" else [400, 400])
    await scene.at_peace()


MULTIPART = {
    "ordinary": (b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm-large\r\n--b--\r\n', "boundary=b"),
    "no boundary": (b"--\r\n\r\n", ""),
    "dashes": (b"-" * 60_000, f"boundary={'-' * 70}"),
    "10,000 parts": (b"--b\r\n\r\n\r\n" * 6_000, "boundary=b"),
    "a file outside": (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="../../../../tmp/canary"\r\n\r\nx\r\n--b--\r\n',
        "boundary=b",
    ),
    "a charset": (b'--b\r\nContent-Disposition: form-data; name="_charset_"\r\n\r\nutf-7\r\n--b--\r\n', "boundary=b"),
    "in itself": (b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" * 900, "boundary=b"),
}


@pytest.mark.parametrize("name", MULTIPART)
async def test_forms_are_read_nowhere(scene: Scene, name: str) -> None:
    """J-13: no path takes one, so none is parsed, and no name in one is a path."""
    body, parameters = MULTIPART[name]
    calls = scene.calls
    for path, status in (
        *[(path, 415) for path in (CHAT, MESSAGES)],
        *[(f"/v1/{path}", 404) for path in ("audio/transcriptions", "files", "images/edits", "uploads")],
    ):
        raw = sized(scene, body, ("Content-Type", f"multipart/form-data; {parameters}"), path=path)
        answer = await scene.ask(raw, dialect="anthropic" if path == MESSAGES else "openai")
        assert answer.status == status
    assert scene.calls == calls
    await scene.at_peace()


METHODS = ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "PURGE", "QUERY", "M-SEARCH"]


@pytest.mark.parametrize("method", METHODS)
async def test_another_method_is_not_allowed(scene: Scene, method: str) -> None:
    """H-12; a HEAD's answer has no body, or the next answer on the connection would begin with it."""
    async with await scene.connect() as client:
        for path in (CHAT, MESSAGES, "/v1/models"):
            if (method, path) == ("GET", "/v1/models"):
                continue
            await client.send(request(method, path, [("Host", "a"), scene.bearer]))
            answer = await client.response(to_head_request=method == "HEAD")
            assert answer.status == 405
            assert answer.header("allow") == ("GET" if path == "/v1/models" else "POST")
        last = scene.witness.saw(await client.ask(scene.ordinary()))
        assert last.status == 200
    await scene.at_peace()


async def test_what_a_client_says_about_itself_goes_nowhere(scene: Scene) -> None:
    """B-02, B-03, B-04, B-06, B-12: the upstream gets our headers, our credential, and what the list allows."""
    theirs = [
        ("Connection", "authorization, x-api-key, via, content-type, x-request-id, accept, anthropic-version"),
        *[("x_api_key", "a"), ("X_Forwarded_For", "1.2.3.4"), ("Content_Length", "1"), ("Authorization_", "a")],
        *[("OpenAI-Organization", "org-1"), ("OpenAI-Project", "p"), ("anthropic-beta", "b"), ("x-goog-user", "u")],
        *[("Cookie", "a=b"), ("Forwarded", "for=1.2.3.4"), ("X-Forwarded-For", "1.2.3.4"), ("X-Real-IP", "1.2.3.4")],
        *[("X-Original-URL", "/admin"), ("X-Rewrite-URL", "/admin"), ("X-HTTP-Method-Override", "DELETE")],
        *[
            ("X-Request-Id", "mine"),
            ("traceparent", f"00-{'a' * 32}-{'b' * 16}-01"),
            ("tracestate", "a=b"),
            ("Via", "1.0 evil"),
            ("User-Agent", "me"),
        ],
        *[("Proxy-Authorization", "Basic x"), ("TE", "trailers"), ("Keep-Alive", "5"), ("Accept-Encoding", "gzip")],
        *[("X-Stainless-Lang", "python"), ("Accept", "text/html"), ("Range", "bytes=0-1")],
        *[("If-None-Match", "*"), ("Max-Forwards", "0"), ("Proxy-Connection", "keep-alive"), ("HTTP2-Settings", "A")],
    ]
    ours = {
        "traceparent",
        "host",
        "accept",
        "accept-encoding",
        "content-type",
        "content-length",
        "user-agent",
        "via",
        "x-request-id",
    }
    for path, bearer, extra in (
        (CHAT, ("authorization", f"Bearer {scene.gate.credential}"), set[str]()),
        (MESSAGES, ("x-api-key", scene.gate.credential), {"anthropic-version"}),
    ):
        once = ("Idempotency-Key", path)
        answer = await scene.ask(scene.ordinary(*theirs, once, path=path + "?api_base=http://b.example/&key=x"))
        sent = scene.upstream.requests[-1]
        assert sent.target == path
        assert {name.lower() for name, _ in sent.headers} == ours | extra | {bearer[0]}
        assert sent.header(bearer[0]) == bearer[1]
        assert sent.header("host") == scene.upstream.url.removeprefix("http://")
        assert sent.header("via") == "1.1 stillgate"
        assert sent.header("x-request-id") not in {None, "mine"}
        assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", parent := sent.header("traceparent") or "")
        assert {"a" * 32, "b" * 16}.isdisjoint(parent.split("-"))
        assert sent.header("accept-encoding") == "identity"
        assert sent.header("user-agent") == "stillgate"
        names = {name.lower() for name, _ in answer.head.headers if "ratelimit" not in name}
        assert names <= {"content-type", "content-length", "x-request-id", "request-id", "via", "date"}
        assert answer.header("via") == "1.1 stillgate"
    await scene.at_peace()


# What RFC 9110 and 9112 ask of a proxy: what a client sends, and what must then be true of the two requests and answers.
DUTIES: dict[str, tuple[list[tuple[str, str]], Callable[[Recorded, Response], bool]]] = {
    "S-04 Connection and what it names": (
        [("Connection", "X-Mine, keep-alive"), ("X-Mine", "1"), ("Keep-Alive", "timeout=5")],
        lambda sent, _: not {"connection", "x-mine", "keep-alive"} & names_of(sent.headers),
    ),
    "S-04 the other hop-by-hop fields": (
        [("TE", "trailers"), ("Trailer", "X-A"), ("Proxy-Connection", "close"), ("Proxy-Authorization", "Basic eA==")],
        lambda sent, _: not {"te", "trailer", "proxy-connection", "proxy-authorization"} & names_of(sent.headers),
    ),
    "S-04 Via, both ways": (
        [("Via", "1.0 before")],
        lambda sent, got: sent.header("via") == "1.1 stillgate" == got.header("via"),
    ),
    "S-04 the proxy's own version": (
        [],
        lambda sent, got: sent.head.start.endswith(" HTTP/1.1") and got.head.start.startswith("HTTP/1.1 "),
    ),
    "S-04 its own framing": (
        [],
        lambda sent, got: (
            sent.header("content-length") == str(len(sent.body)) and got.header("content-length") == str(len(got.body))
        ),
    ),
    "S-04 its own host": ([], lambda sent, _: (sent.header("host") or "").startswith("127.0.0.1:")),
    "S-04 a date": ([], lambda _, got: (got.header("date") or "").endswith(" GMT")),
    "S-04 Expect is answered here": ([("Expect", "100-continue")], lambda sent, _: sent.header("expect") is None),
    "S-04 Max-Forwards is for TRACE and OPTIONS": (
        [("Max-Forwards", "0")],
        lambda sent, _: sent.header("max-forwards") is None,
    ),
}


def names_of(headers: Sequence[tuple[str, str]]) -> set[str]:
    return {name.lower() for name, _ in headers}


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
@pytest.mark.parametrize("duty", DUTIES)
async def test_a_proxy_does_what_the_standards_ask_of_one(scene: Scene, duty: str, version: str) -> None:
    """S-04; whatever the upstream answers before and besides: interim answers and fields of its own connection."""
    headers, holds = DUTIES[duty]
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    theirs = [
        ("Connection", "X-Theirs"),
        ("X-Theirs", "1"),
        ("Keep-Alive", "timeout=9"),
        ("Proxy-Authenticate", "Basic"),
    ]
    scene.upstream.script(after_interim(json_answer(200, answer(usage=usage), theirs), 100, 103))
    raw = scene.ordinary(*headers).replace(b"HTTP/1.1", version.encode(), 1)
    async with await scene.connect() as client:
        await client.send(raw)
        got = await client.response()
        if got.status == 100:  # asked for by Expect, and by HTTP/1.1 only
            assert (dict(headers).get("Expect"), version) == ("100-continue", "HTTP/1.1")
            got = await client.response()
    assert scene.witness.saw(got, accepted=True).status == 200
    assert got.header("connection") in (None, "close")  # our own
    assert not {"x-theirs", "keep-alive", "proxy-authenticate"} & names_of(got.head.headers)
    assert holds(scene.upstream.requests[-1], got)


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS"])
@pytest.mark.parametrize("target", [CHAT, "*"])
async def test_a_request_that_may_go_no_further_goes_no_further(scene: Scene, method: str, target: str) -> None:
    """S-04: with `Max-Forwards: 0` or without."""
    calls = scene.calls
    for forwards in ([("Max-Forwards", "0")], []):
        answered = await scene.ask(request(method, target, [("Host", "a"), scene.bearer, *forwards]), accepted=False)
        assert answered.status in (400, 404, 405)
    assert scene.calls == calls


ODD_VALUES = ["\xe4\xff", "a" * 8000, "{{7*7}} ${x} {0.__class__}", '"}{"', "\u2028".encode().decode("latin-1")]


@pytest.mark.parametrize("value", ODD_VALUES)
async def test_odd_bytes_in_headers_that_are_kept_break_nothing(scene: Scene, value: str) -> None:
    """A-07, B-09, G-06: the record of the exchange is one line, and the exchange is answered or refused."""
    for name in ("User-Agent", "X-Request-Id", "X-Forwarded-For", "anthropic-version"):
        for path in (CHAT, MESSAGES):
            answer = await scene.ask(
                scene.ordinary((name, value), path=path),
                dialect="anthropic" if path == MESSAGES or name == "anthropic-version" else "openai",
            )
            assert answer.status in {200, 400}, (name, answer)
    await scene.at_peace()


async def test_a_refusal_comes_before_100_and_not_after(scene: Scene) -> None:
    """H-07: whoever has no key, is too large or sends something else is never asked for the body."""
    expect = ("Expect", "100-continue")
    body = dumps(chat()).encode()
    large = [("Host", "a"), scene.bearer, JSON, expect, ("Content-Length", str(LIMIT + 1))]
    rows = [
        (request("POST", CHAT, large), 413),
        (request("POST", CHAT, [*large[:2], expect, ("Content-Length", "9"), ("Content-Type", "text/plain")]), 415),
        (request("POST", CHAT, [large[0], JSON, expect, ("Content-Length", "9")]), 401),
        (request("POST", CHAT, [large[0], ("x-api-key", "a"), JSON, expect, ("Content-Length", "9")]), 401),
        (request("POST", CHAT, [*large[:3], ("Expect", "a"), ("Content-Length", "9")]), 417),
        (request("POST", CHAT, [*large[:4], expect, ("Content-Length", "9")]), 417),
        (request("POST", "/v1/nothing", [*large[:4], ("Content-Length", "9")]), 404),
        (request("PUT", CHAT, [*large[:4], ("Content-Length", "9")]), 405),
    ]
    for raw, status in rows:
        assert (await scene.refused(raw, at_once=False)).status == status, raw
    for framing, framed in (
        (("Content-Length", str(len(body))), body),
        (("Transfer-Encoding", "chunked"), chunk(body) + chunk(b"")),
    ):
        async with await scene.connect() as client:
            for _ in range(2):  # on the same connection twice: nothing is left over
                await client.send(request("POST", CHAT, [("Host", "a"), scene.bearer, JSON, expect, framing]))
                interim = await client.response()
                assert (interim.status, interim.head.headers) == (100, [])
                assert scene.witness.saw(await client.ask(framed)).status == 200
    old = request("POST", CHAT, [("Host", "a"), scene.bearer, JSON, expect, ("Content-Length", str(len(body)))], body)
    answer = await scene.ask(old.replace(b"HTTP/1.1", b"HTTP/1.0", 1))
    assert answer.status == 200, "HTTP/1.0 knows no 100"
    await scene.at_peace()


UPGRADES = {
    "H-09 unknown": [("Upgrade", "x"), ("Connection", "upgrade")],
    "H-10 h2c": [("Upgrade", "h2c"), ("Connection", "Upgrade, HTTP2-Settings"), ("HTTP2-Settings", "AAMAAABk")],
    "H-11 WebSocket": [
        *[("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")],
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ],
    "TCP": [("Upgrade", "tcp"), ("Connection", "upgrade")],
}


@pytest.mark.parametrize("name", UPGRADES)
async def test_nothing_is_upgraded_and_what_comes_behind_is_not_read(scene: Scene, name: str) -> None:
    """The parser loses bytes behind an upgrade that it does not know, so the connection must not go on."""
    calls = scene.calls
    async with await scene.connect() as client:
        await client.send(scene.ordinary(*UPGRADES[name]) + post(CHAT, chat()) + scene.ordinary())
        answer = scene.witness.saw(await client.response())
        assert (answer.status, answer.header("connection")) == (200, "close")
        with suppress(EOFError):
            assert await client.to_end() == b""
    assert scene.calls == calls + 1
    assert not {"upgrade", "http2-settings"} & {n.lower() for n, _ in scene.upstream.requests[-1].headers}
    assert (await scene.ask(get(CHAT, [scene.bearer, *UPGRADES[name]]))).status == 405
    await scene.at_peace()


async def test_the_body_of_a_get_is_no_request(scene: Scene) -> None:
    """H-06, 0.CL: it is read over, whatever it looks like."""
    calls = scene.calls
    async with await scene.connect() as client:
        inner = scene.ordinary()
        headers = [("Host", "a"), scene.bearer, ("Content-Length", str(len(inner)))]
        await client.send(request("GET", "/v1/models", headers, inner) + scene.ordinary())
        first = scene.witness.saw(await client.response())
        assert first.status == 200
        assert b'"object":"list"' in first.body
        second = scene.witness.saw(await client.response())
        assert b"chat.completion" in second.body
    assert scene.calls == calls + 1
    await scene.at_peace()
