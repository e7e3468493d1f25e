"""The rig keeps its own promises: a test is worth what its instruments are.

One file for all five instruments, because each is tested with the others.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import openai
import psutil
import pytest

from proxy.decisions import signing
from proxy.decisions.chain import Chain, Head
from tests.rig import invariants
from tests.rig.decision_log import DecisionLog
from tests.rig.fault_proxy import (
    BlackHole,
    FaultProxy,
    Garbage,
    HalfClose,
    Latency,
    LostReply,
    Refuse,
    ResetAfter,
    Slices,
)
from tests.rig.invariants import (
    Footprint,
    Witness,
    assert_accounts_settled,
    assert_alive,
    assert_at_rest,
    assert_errors_are_shaped,
    assert_invariants,
    assert_logs_verify,
    assert_no_secret_left,
    assert_one_record_each,
    assert_upstream_calls_equal_decisions,
)
from tests.rig.process import CANARY, GENEROUS_PACK, Stillgate, parse_metrics, settings_for
from tests.rig.raw_client import BrokenError, MalformedError, RawClient, chunk, get, post, request
from tests.rig.scripted_upstream import (
    Close,
    Pause,
    Reset,
    ScriptedUpstream,
    Send,
    ShutWrite,
    after_interim,
    event,
    html_answer,
    http,
    json_answer,
    redirect,
    sse_answer,
    truncated,
    two_lengths,
)

CHAT = {"model": "m-large", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 16}


async def soon(event: asyncio.Event) -> None:
    async with asyncio.timeout(2):
        await event.wait()


class Echo:
    """A plain server that answers what it gets, piece by piece, and its end with an end."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.connections = 0
        self.ended = asyncio.Event()
        self.news = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while data := await reader.read(65536):
                self.pieces.append(data)
                self.news.set()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            self.ended.set()
            writer.close()

    async def got(self, data: bytes) -> None:
        while b"".join(self.pieces) != data:
            self.news.clear()
            await soon(self.news)


@pytest.fixture
async def echo() -> Echo:
    return Echo()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[FaultProxy]:
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    async with server, FaultProxy(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as proxy:
        yield proxy


@pytest.fixture
async def client(proxy: FaultProxy) -> AsyncIterator[RawClient]:
    async with await RawClient.connect(proxy.port, within=2) as client:
        yield client


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture
async def direct(upstream: ScriptedUpstream) -> AsyncIterator[RawClient]:
    async with await RawClient.connect(upstream.port, within=2) as client:
        yield client


# The fault proxy


async def test_without_a_fault_every_byte_passes_and_is_counted(proxy: FaultProxy, client: RawClient) -> None:
    data = os.urandom(300_000)
    sending = asyncio.create_task(client.send(data))
    assert await client.exactly(len(data)) == data
    await sending
    assert proxy.delivered == {"request": len(data), "reply": len(data)}
    assert (proxy.connections, proxy.open_connections, proxy.dropped) == (1, 1, 0)
    assert not proxy.struck.is_set()


async def test_an_end_of_one_way_passes_and_the_other_way_goes_on(echo: Echo, client: RawClient) -> None:
    await client.send(b"abc")
    client.half_close()
    assert await client.to_end() == b"abc"
    assert echo.ended.is_set()


@pytest.mark.parametrize(
    ("latency", "least"), [(Latency(0.1), 0.1), (Latency(request=0.1), 0.1), (Latency(0.1, 0.1), 0.2)]
)
async def test_latency_delays_each_piece_and_delays_overlap(
    proxy: FaultProxy, client: RawClient, latency: Latency, least: float
) -> None:
    proxy.fault = latency
    began = time.perf_counter()
    for piece in b"abcdefghij":
        await client.send(bytes([piece]))
        await asyncio.sleep(0.005)
    assert await client.exactly(10) == b"abcdefghij"
    assert least + 0.04 <= time.perf_counter() - began < 0.9  # one after the other they would take 1 s


async def test_a_lost_reply_was_a_request_that_arrived(proxy: FaultProxy, client: RawClient, echo: Echo) -> None:
    proxy.fault = LostReply()
    await client.send(b"abc")
    await soon(proxy.struck)
    assert b"".join(echo.pieces) == b"abc"
    proxy.fault = None
    await client.send(b"next")
    assert await client.exactly(4) == b"next"
    assert proxy.dropped == 3


async def test_a_reply_can_be_lost_with_its_connection(proxy: FaultProxy, client: RawClient, echo: Echo) -> None:
    proxy.fault = LostReply(reset=True)
    await client.send(b"abc")
    with pytest.raises(BrokenError) as broken:
        await client.exactly(1)
    assert broken.value.reset
    assert b"".join(echo.pieces) == b"abc"


@pytest.mark.parametrize("size", [0, 1, 5])
async def test_a_reset_comes_after_exactly_n_bytes_of_the_reply(
    proxy: FaultProxy, client: RawClient, echo: Echo, size: int
) -> None:
    await client.send(b"before")
    assert await client.exactly(6) == b"before"
    proxy.fault = ResetAfter(size)
    await client.send(b"abcdefgh")
    with pytest.raises(BrokenError) as broken:
        await client.to_end()
    assert (broken.value.reset, broken.value.received) == (True, b"abcdefgh"[:size])
    await soon(echo.ended)


async def test_a_reset_can_be_counted_in_bytes_of_the_request(proxy: FaultProxy, client: RawClient, echo: Echo) -> None:
    proxy.fault = ResetAfter(3, way="request")
    await client.send(b"abcdefgh")
    with pytest.raises(BrokenError):
        await client.to_end()
    assert proxy.delivered["request"] == 3
    await soon(echo.ended)


async def test_after_a_half_close_the_client_can_still_send(proxy: FaultProxy, client: RawClient, echo: Echo) -> None:
    proxy.fault = HalfClose(2)
    await client.send(b"abc")
    assert await client.to_end() == b"ab"
    await client.send(b"def")
    await echo.got(b"abcdef")


async def test_a_black_hole_swallows_what_lives_and_accepts_what_comes(
    proxy: FaultProxy, client: RawClient, echo: Echo
) -> None:
    await client.send(b"a")
    assert await client.exactly(1) == b"a"
    proxy.fault = BlackHole()
    await client.send(b"b")
    await soon(proxy.struck)
    async with await RawClient.connect(proxy.port, within=0.05) as late:
        await late.send(b"c")
        with pytest.raises(TimeoutError):
            await late.exactly(1)
        proxy.fault = None
        await client.send(b"d")
        assert await client.exactly(1) == b"d"
    assert (echo.connections, b"".join(echo.pieces), proxy.dropped) == (1, b"ad", 2)


async def test_slices_arrive_one_by_one_and_whole(proxy: FaultProxy, client: RawClient, echo: Echo) -> None:
    proxy.fault = Slices(2, pause=0.01)
    await client.send(b"abcdefg")
    assert await client.exactly(7) == b"abcdefg"
    assert echo.pieces == [b"ab", b"cd", b"ef", b"g"]


async def test_garbage_comes_once_for_each_request(proxy: FaultProxy, client: RawClient) -> None:
    proxy.fault = Garbage(b"-BAD\r\n")
    for _ in range(2):
        await client.send(b"x" * 200_000)
        assert await client.exactly(6) == b"-BAD\r\n"
    client.half_close()
    assert await client.to_end() == b""


async def test_refusing_breaks_what_lives_and_the_same_address_comes_back(proxy: FaultProxy, client: RawClient) -> None:
    await client.send(b"a")
    assert await client.exactly(1) == b"a"
    proxy.fault = Refuse()
    with pytest.raises(BrokenError):
        await client.exactly(1)
    with pytest.raises(ConnectionRefusedError):
        await RawClient.connect(proxy.port)
    proxy.fault = None
    async with await RawClient.connect(proxy.port) as again:
        await again.send(b"b")
        assert await again.exactly(1) == b"b"


async def test_a_target_that_is_away_shows_as_a_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with FaultProxy(f"http://127.0.0.1:{port}") as proxy, await RawClient.connect(proxy.port) as client:
        with pytest.raises(BrokenError) as broken:
            await client.exactly(1)
    assert broken.value.reset


async def test_unix_sockets_are_forwarded_too(echo: Echo, tmp_path: Path) -> None:
    server = await asyncio.start_unix_server(echo.serve, tmp_path / "echo.sock")
    async with server, FaultProxy(f"unix://{tmp_path}/echo.sock") as proxy:
        assert proxy.url == f"unix://{tmp_path}/echo.sock.faulty"
        async with await RawClient.connect(Path(proxy.url.removeprefix("unix://"))) as client:
            await client.send(b"abc")
            assert await client.exactly(3) == b"abc"
            proxy.fault = Refuse()
            with pytest.raises(BrokenError):
                await client.exactly(1)
            with pytest.raises(ConnectionRefusedError):
                await RawClient.connect(Path(proxy.url.removeprefix("unix://")))


async def test_the_url_is_the_targets_with_another_address() -> None:
    async with FaultProxy("redis://:word@127.0.0.1:9/2") as proxy:
        assert proxy.url == f"redis://:word@127.0.0.1:{proxy.port}/2"


# The raw client


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
async def test_an_answer_reads_the_same_however_it_was_cut(
    upstream: ScriptedUpstream, direct: RawClient, size: int
) -> None:
    body = chunk(b"hello") + chunk(b" world") + b"0\r\nX-Sum: 1\r\n\r\n"
    raw = http(200, [("X-Odd", " two  words "), ("transfer-ENCODING", "chunked")], body)
    upstream.script([Send(raw[at : at + size]) for at in range(0, len(raw), size)])
    response = await direct.ask(post("/v1/messages", CHAT))
    assert response.raw == raw
    assert response.chunks == [b"hello", b" world"]
    assert response.head.headers == [("X-Odd", "two  words"), ("transfer-ENCODING", "chunked")]


@pytest.mark.parametrize(
    "raw",
    [
        http(200, [("Content-Length", "1"), ("Content-Length", "1")], b"x"),
        http(200, [("Content-Length", "1"), ("Transfer-Encoding", "chunked")], chunk(b"")),
        http(200, [("Transfer-Encoding", "gzip, chunked")], chunk(b"")),
        http(200, [("Content-Length", "+1")], b"x"),
        http(200, [("Content-Length", "1_0")], b"x" * 10),
        http(200, [("Transfer-Encoding", "chunked")], b"0x1\r\nx\r\n0\r\n\r\n"),
        http(200, [("Transfer-Encoding", "chunked")], b"1\r\nxy\r\n0\r\n\r\n"),
        b"HTTP/1.1 200 OK\r\nName : value\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
    ],
)
async def test_an_answer_of_unclear_length_is_not_read(
    upstream: ScriptedUpstream, direct: RawClient, raw: bytes
) -> None:
    upstream.script([Send(raw)])
    with pytest.raises(MalformedError):
        await direct.ask(get("/"))


async def test_a_deadline_bounds_a_drip_and_shows_what_came(upstream: ScriptedUpstream) -> None:
    upstream.script([step for byte in b"HTTP/1.1 200 OK" for step in (Send(bytes([byte])), Pause(0.02))])
    async with await RawClient.connect(upstream.port, within=0.1) as client:
        await client.send(get("/"))
        with pytest.raises(TimeoutError, match="HT"):
            await client.response()


@pytest.mark.parametrize(("status", "is_head"), [(204, False), (304, False), (200, True)])
async def test_an_answer_without_a_body_is_whole_at_its_head(
    upstream: ScriptedUpstream, direct: RawClient, status: int, is_head: bool
) -> None:
    upstream.script([Send(http(status, [("Content-Length", "5")]))])
    await direct.send(get("/"))
    assert (await direct.response(to_head_request=is_head)).body == b""


def test_a_request_has_the_lines_it_was_given_and_no_other() -> None:
    assert request("GET", "/ a", [("x", " y"), ("X", "")], b"z") == b"GET /\x20a HTTP/1.1\r\nx:  y\r\nX: \r\n\r\nz"


# The scripted upstream


async def test_a_request_is_recorded_byte_for_byte(upstream: ScriptedUpstream, direct: RawClient) -> None:
    raw = request("POST", "/x?y", [("hOST", "a"), ("N", "1"), ("n", "2"), ("Transfer-Encoding", "chunked")])
    raw += chunk(b"ab") + chunk(b"c") + chunk(b"")
    await direct.send(raw, pieces_of=3)
    assert (await direct.response()).status == 404
    (recorded,) = upstream.requests
    assert (recorded.raw, recorded.body, recorded.target) == (raw, b"abc", "/x?y")
    assert recorded.headers[:3] == [("hOST", "a"), ("N", "1"), ("n", "2")]


async def test_a_request_counts_from_its_head_on(upstream: ScriptedUpstream, direct: RawClient) -> None:
    await direct.send(request("POST", "/", [("Content-Length", "9")], b"half"))
    direct.close()
    with pytest.raises(AssertionError, match="0 of 1 requests"):
        await upstream.wait_for_requests(1, within=0.05)
    assert [(r.complete, r.body) for r in upstream.requests] == [(False, b"")]


async def test_scripts_come_first_and_the_default_after_them(upstream: ScriptedUpstream, direct: RawClient) -> None:
    upstream.script(json_answer(503, {}), lambda asked: json_answer(418, asked.json()))
    for expected in (503, 418, 200):
        assert (await direct.ask(post("/v1/chat/completions", CHAT))).status == expected
    assert (upstream.scripted, upstream.reported, len(upstream.connections)) == (2, [upstream.usage], 1)


async def test_what_is_no_request_is_noted(upstream: ScriptedUpstream, direct: RawClient) -> None:
    await direct.send(request("POST", "/", [("Content-Length", "1"), ("Transfer-Encoding", "chunked")]))
    assert await direct.to_end() == b""
    assert len(upstream.malformed) == 1


async def test_the_usual_answers_are_what_the_official_clients_read(upstream: ScriptedUpstream) -> None:
    upstream.usage = (5, 3)
    messages: Any = CHAT["messages"]
    async with openai.AsyncOpenAI(api_key="k", base_url=f"{upstream.url}/v1", max_retries=0) as chat:
        answer = await chat.chat.completions.create(model="m-large", messages=messages)
        stream = await chat.chat.completions.create(
            model="m-large", messages=messages, stream=True, stream_options={"include_usage": True}
        )
        chunks = [part async for part in stream]
    assert answer.choices[0].message.content == "Hello from upstream"
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Hello from upstream"
    assert answer.usage is not None
    assert chunks[-1].usage is not None
    assert {(u.prompt_tokens, u.completion_tokens) for u in (answer.usage, chunks[-1].usage)} == {(5, 3)}
    async with anthropic.AsyncAnthropic(api_key="k", base_url=upstream.url, max_retries=0) as claude:
        message = await claude.messages.create(model="m-large", max_tokens=9, messages=messages)
        async with claude.messages.stream(model="m-large", max_tokens=9, messages=messages) as events:
            streamed = await events.get_final_message()
    for final in (message, streamed):
        assert [(block.type, getattr(block, "text", "")) for block in final.content] == [
            ("text", "Hello from upstream")
        ]
        assert (final.usage.input_tokens, final.usage.output_tokens) == (5, 3)


async def test_interim_answers_come_before_the_real_one(upstream: ScriptedUpstream, direct: RawClient) -> None:
    upstream.script(after_interim(html_answer(502), 100, 103))
    await direct.send(get("/"))
    assert [(await direct.response()).status for _ in range(3)] == [100, 103, 502]


@pytest.mark.parametrize(
    ("script", "broken", "status"),
    [
        (truncated(b'{"id"', missing=3), aiohttp.ClientPayloadError, 200),
        (two_lengths(), aiohttp.ClientResponseError, None),
        ([Reset()], aiohttp.ClientOSError, None),
        ([Close()], aiohttp.ServerDisconnectedError, None),
        ((*sse_answer([event("a")], end=False), Reset()), aiohttp.ClientPayloadError, 200),
        (sse_answer([event("a")], chunked=False), None, 200),
        (redirect("http://elsewhere.test/"), None, 307),
        (html_answer(500), None, 500),
    ],
)
async def test_aiohttp_meets_each_script_as_it_is_meant(
    upstream: ScriptedUpstream, script: Any, broken: type[Exception] | None, status: int | None
) -> None:
    upstream.script(script)
    seen, error = None, None
    async with aiohttp.ClientSession() as session:
        try:
            async with session.post(upstream.url, json=CHAT, allow_redirects=False) as answer:
                seen = answer.status
                await answer.read()
        except aiohttp.ClientError as caught:
            error = caught
    assert (seen, type(error) if error else None) == (status, broken)


async def test_a_raw_client_tells_a_truncated_answer_from_a_reset(
    upstream: ScriptedUpstream, direct: RawClient
) -> None:
    upstream.script((*sse_answer([event("a"), event("b")], end=False), Reset()))
    with pytest.raises(BrokenError) as broken:
        await direct.ask(get("/"))
    assert broken.value.reset
    assert bytes(direct.received).endswith(chunk(event("b")))


async def test_a_close_by_the_client_is_seen_in_the_middle_of_a_script(upstream: ScriptedUpstream) -> None:
    upstream.script([*sse_answer([event("a")], end=False), Pause(asyncio.Event())])
    async with await RawClient.connect(upstream.port) as client:
        await client.send(get("/"))
        await client.head()
        assert await client.chunk() == event("a")
        assert upstream.open_connections == 1
        with pytest.raises(AssertionError, match="still open"):
            await upstream.wait_closed(0, within=0.02)
    await upstream.wait_closed(0)
    assert upstream.open_connections == 0


async def test_a_script_waits_until_it_is_told_to_go_on(upstream: ScriptedUpstream, direct: RawClient) -> None:
    go = asyncio.Event()
    upstream.script([Send(b"HTTP/1.1 200 OK\r\n\r\n"), Pause(go), Send(b"late"), ShutWrite()])
    await direct.send(get("/"))
    assert (await direct.head()).status == 200
    go.set()
    assert await direct.to_end() == b"late"
    await direct.send(get("/after"))
    assert [r.target for r in await upstream.wait_for_requests(2)] == ["/", "/after"]


async def test_a_connection_can_be_met_before_it_asked(upstream: ScriptedUpstream) -> None:
    upstream.script_connection([Send(b"early"), Reset()])
    async with await RawClient.connect(upstream.port) as client:
        with pytest.raises(BrokenError) as broken:
            await client.to_end()
    assert (broken.value.received, broken.value.reset, upstream.requests) == (b"early", True, [])


# The process

# Stands in for the product: announces itself, serves the admin socket, has a child with a session of its own.
STAND_IN = """
import http.server, json, os, pathlib, signal, socketserver, subprocess, sys
if sys.argv[1] != "serve":
    sys.exit(print(*sys.argv[1:]))
settings = json.loads(pathlib.Path(sys.argv[-1]).read_text())
data = pathlib.Path(settings["data"])
data.mkdir(exist_ok=True)
(data / "master.secret").write_text("master-of-all-secrets")
(data / "decisions").mkdir(exist_ok=True)
child = subprocess.Popen(["sleep", "60"], cwd=data, env={}, start_new_session=True)
(data / "admin.sock").unlink(missing_ok=True)
signal.signal(signal.SIGTERM, lambda *_: (child.kill(), child.wait(), sys.exit(7)))
class Admin(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        metrics = b'# TYPE stillgate_loop_lag_seconds gauge\\nstillgate_loop_lag_seconds{worker="0"} 0.01\\n'
        bodies = {"/metrics": metrics, "/environment": json.dumps(dict(os.environ)).encode()}
        self.answer(200, bodies.get(self.path, b'{}'))
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(201, json.dumps({"id": "key_1", "secret": "sgk_0123456789abcdefghijABCDEFGHIJ", **asked}).encode())
    def address_string(self):
        return "admin"
with socketserver.UnixStreamServer(str(data / "admin.sock"), Admin) as server:
    announced = {"data": "http://127.0.0.1:9", "admin": "", "pid": os.getpid(), "workers": [os.getpid()], "ready": True}
    (data / "serve.json").write_text(json.dumps(announced))
    server.serve_forever()
"""
COMMAND = [sys.executable, "-c", STAND_IN]


def running(folder: Path, upstream_url: str | None = None) -> Any:
    return Stillgate.start(folder, upstream_url=upstream_url, command=COMMAND)


@pytest.mark.parametrize(
    ("overrides", "path", "expected"),
    [
        (None, ("listen", "port"), 0),
        ({"listen": {"port": 5}}, ("listen",), {"host": "127.0.0.1", "port": 5}),
        ({"limits": {"body_bytes": 9}}, ("limits",), {"body_bytes": 9}),
        ({"models": {"m-small": None}}, ("models", "m-small"), None),
        ({"store": None}, ("store",), None),
        ({"upstreams": {"default": {"idle": 1}}}, ("upstreams", "default", "url"), "http://127.0.0.1:9"),
    ],
)
def test_settings_are_the_rigs_with_a_tests_own_over_them(
    overrides: dict[str, Any] | None, path: tuple[str, ...], expected: object
) -> None:
    found: Any = settings_for(overrides, "http://127.0.0.1:9")
    for name in path:
        found = found.get(name)
    assert found == expected


def test_without_an_upstream_none_is_named() -> None:
    assert "upstreams" not in settings_for(None, None)


async def test_it_writes_its_files_for_nobody_else_and_scrubs_the_environment(tmp_path: Path) -> None:
    async with running(tmp_path, "http://127.0.0.1:9") as gate:
        assert gate.credential.startswith(CANARY)
        assert (tmp_path / "upstream.key").read_text() == gate.credential
        assert (tmp_path / "upstream.key").stat().st_mode & 0o777 == 0o600
        assert json.loads((tmp_path / "pack.yaml").read_text()) == GENEROUS_PACK
        assert json.loads((tmp_path / "settings.yaml").read_text()) == gate.settings
        status, environment = await gate.admin_request("GET", "/environment")
    assert status == 200
    assert set(environment) - {"LC_CTYPE"} == {"PATH", "HOME", "LANG"}


async def test_it_speaks_to_what_it_started(tmp_path: Path) -> None:
    async with running(tmp_path) as gate:
        assert gate.port == 9
        assert await gate.create_key(account="a") == gate.keys[0]["secret"]
        assert gate.keys[0]["account"] == "a"
        assert await gate.metrics() == {'stillgate_loop_lag_seconds{worker="0"}': 0.01}
        done = await gate.cli("keys", "list")
        assert done.stdout.split() == ["keys", "list", "--config", str(gate.config)]
        assert set(gate.rss()) == set(gate.fds()) == set(gate.workers) < set(gate.pids())


async def test_a_restart_is_another_process_and_every_exit_code_is_told(tmp_path: Path) -> None:
    async with running(tmp_path) as gate:
        first = gate.pid
        await gate.restart()
        assert gate.pid != first
        assert await gate.terminate() == 7
        assert gate.pids() == []


async def test_what_lost_its_parent_is_killed_too(tmp_path: Path) -> None:
    bystander = await asyncio.create_subprocess_exec("sleep", "60", cwd=tmp_path)
    async with running(tmp_path) as gate:
        psutil.Process(gate.pid).kill()
        assert await gate.exit_code() == -9
        assert len(gate.pids()) == 1
        await gate.kill_everything()
        assert gate.pids() == []
    assert bystander.returncode is None
    bystander.kill()
    await bystander.wait()


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("import sys; sys.exit('no such pack')", "(?s)ended with 1 .*no such pack"),
        (
            "import sys, time; print('still loading', file=sys.stderr, flush=True); time.sleep(60)",
            "(?s)not ready .*still load",
        ),
    ],
)
async def test_a_start_that_fails_shows_what_the_child_said(tmp_path: Path, script: str, complaint: str) -> None:
    command = [sys.executable, "-c", script]
    with pytest.raises(AssertionError, match=complaint):
        async with Stillgate.start(tmp_path, upstream_url=None, command=command, within=0.5):
            pytest.fail("it is not ready")
    assert not [p.pid for p in psutil.process_iter() if p.pid != os.getpid() and str(tmp_path) in " ".join(_line(p))]


def _line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_a_torn_line_needs_its_repair_record(tmp_path: Path) -> None:
    log = tmp_path / "w1.jsonl"
    log.write_bytes(b'{"kind": "start"}\n{"kind": "exch\n{"kind": "exchange"}\n{"kind": "ex')
    with pytest.raises(AssertionError, match="1 torn lines and 0 repair records"):
        DecisionLog(tmp_path).records()
    with log.open("ab") as file:
        file.write(b'\n{"kind": "repair"}\n{"kind": "repair"}\n')
    assert DecisionLog(tmp_path).records("exchange") == [{"kind": "exchange"}]


def test_a_metric_is_found_by_its_labels_in_order() -> None:
    text = '# TYPE m counter\nm_total{z="1",a="x y"} 2\n# TYPE g gauge\ng 0.5\n'
    assert parse_metrics(text) == {'m_total{a="x y",z="1"}': 2.0, "g": 0.5}


# The invariants


def record(key: str = "x1", **columns: Any) -> dict[str, Any]:
    usage = {"input": 11, "output": 7, "source": "upstream"}
    units = {"reserved": {"output_tokens": 16}, "settled": {"output_tokens": 7}}
    return {
        "kind": "exchange", "id": key, "effect": "allow", "outcome": "answered", "status": 200,
        "model": "m-large", "model_used": "", "usage": usage, "quotas": ["q"], "code": "", **units, **columns,
    }  # fmt: skip


def promise(name: str, holds: bool) -> AbstractContextManager[object]:
    """Expect a check to pass, or to complain by its name."""
    return nullcontext() if holds else pytest.raises(AssertionError, match=name)


async def answer(upstream: ScriptedUpstream, *headers: tuple[str, str]) -> Any:
    """Get one answer, as if through a gateway that adds `headers`."""
    upstream.script(json_answer(200, {"ok": 1}, headers))
    async with await RawClient.connect(upstream.port) as client:
        return await client.ask(post("/v1/chat/completions", CHAT, [("x-request-id", "x1")]))


@pytest.mark.parametrize(
    ("records", "holds"),
    [
        ([record()], True),
        ([], False),
        ([record(), record()], False),
        ([record(effect="deny", outcome="refused")], False),
        ([record(outcome="local")], False),
        ([record(effect="degrade"), record("x2", outcome="local")], True),
        ([record(outcome="client_left"), record("x2", outcome="upstream_unreachable")], True),
        ([record("x2", outcome="refused"), record()], False),
        ([record("x2")], False),
    ],
)
async def test_i1_every_call_upstream_is_a_decision(
    upstream: ScriptedUpstream, records: list[dict[str, Any]], holds: bool
) -> None:
    await answer(upstream)
    with promise("I1|P1", holds):
        assert_upstream_calls_equal_decisions(records, upstream)


@pytest.mark.parametrize(
    ("ids", "headers", "accepted", "holds"),
    [
        (["x1"], [("x-request-id", "x1")], None, True),
        (["x1"], [("Request-Id", "x1")], True, True),
        (["x1", "x1"], [("x-request-id", "x1")], None, False),
        (["x2"], [("x-request-id", "x1")], None, False),
        ([], [], None, False),
        (["x1"], [("x-request-id", "x1"), ("x-request-id", "x1")], None, False),
        (["x1"], [("x-request-id", "x1")], False, False),
        (["x2"], [("x-request-id", "x1")], False, True),
    ],
)
async def test_i2_what_a_client_saw_has_one_record(
    upstream: ScriptedUpstream, ids: list[str], headers: list[tuple[str, str]], accepted: bool | None, holds: bool
) -> None:
    witness = Witness()
    witness.saw(await answer(upstream, *headers), accepted=accepted)
    with promise("I2", holds):
        assert_one_record_each([record(key) for key in ids], witness)


@pytest.mark.parametrize(
    ("columns", "holds"),
    [
        ({}, True),
        ({"reserved": {"output_tokens": 16}, "settled": {"output_tokens": 6}}, False),
        ({"reserved": {"cost_usd": 50}, "settled": {"cost_usd": 24}}, False),
        ({"reserved": {"cost_usd": 50}, "settled": {"cost_usd": 25}}, True),
        ({"reserved": {"requests": 1}, "settled": {"requests": None}}, False),
        ({"reserved": {"requests": 1}, "settled": {"requests": -1}}, False),
        ({"usage": {"input": 11, "output": 8, "source": "upstream"}, "reserved": {}, "settled": {}}, False),
        ({"usage": {"input": 11, "output": 8, "source": "estimate"}, "reserved": {}, "settled": {}}, True),
    ],
)
def test_i4_no_less_is_charged_than_was_reported(columns: dict[str, Any], holds: bool) -> None:
    upstream = ScriptedUpstream()
    upstream.reported.append((11, 7))
    with promise("I4", holds):
        assert_accounts_settled([record(**columns)], upstream, settings_for(None, None)["models"])


OPENAI = {"message": "No.", "type": "invalid_request_error", "param": None, "code": "invalid_request"}
ANTHROPIC = {"type": "error", "error": {"type": "not_found_error", "message": "No."}, "request_id": "x1"}


@pytest.mark.parametrize(
    ("script", "dialect", "holds"),
    [
        (json_answer(400, {"error": OPENAI}), "openai", True),
        (json_answer(404, ANTHROPIC), "anthropic", True),
        (json_answer(404, ANTHROPIC), "openai", False),
        (json_answer(400, {"error": OPENAI}), "anthropic", False),
        (json_answer(400, {"error": {**OPENAI, "param": 3}}), "openai", False),
        (json_answer(400, {"error": {**OPENAI, "rule": "r"}}), "openai", False),
        (html_answer(500), "openai", False),
        ([Send(http(500, [("Content-Type", "application/json")], b"{")), Close()], "openai", False),
        (json_answer(502, {"error": {**OPENAI, "message": "Cannot connect to model.test:443"}}), "openai", False),
        (json_answer(502, {"error": {**OPENAI, "message": "open /var/log/x"}}), "openai", False),
        (json_answer(502, {"error": {**OPENAI, "message": "Traceback (most recent"}}), "openai", False),
        (sse_answer([event({"error": {**OPENAI, "message": "at 127.0.0.1:80"}})]), "openai", False),
        (sse_answer([event({"choices": [{"text": "at 127.0.0.1:80"}]})]), "openai", True),
    ],
)
async def test_i6_an_error_has_its_dialects_shape_and_names_no_place(
    upstream: ScriptedUpstream, direct: RawClient, script: Any, dialect: Any, holds: bool
) -> None:
    upstream.script(script)
    witness = Witness()
    witness.saw(await direct.ask(post("/v1/messages", CHAT)), dialect)
    with promise("I6", holds):
        assert_errors_are_shaped(witness, ["model.test"])


def chained(gate: Stillgate, records: list[dict[str, Any]]) -> list[bytes]:
    """Return records as lines of one chain, with a key to verify them."""
    signing.load_or_create_signer(gate.data / "log.key", "rig")
    chain = Chain(Head.begun("w1"))
    plain = ({"v": 1, "kind": "exchange", "writer": "w1", **one} for one in records)
    return [chain.link(json.dumps(one, separators=(",", ":")).encode() + b"\n") for one in plain]


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        (lambda lines: lines, True),
        (lambda lines: [*lines, b'{"v":1,"ki'], True),
        (lambda lines: lines[:1] + lines[2:], False),
        (lambda lines: [lines[1], lines[0], lines[2]], False),
        (lambda lines: [lines[0].replace(b"allow", b"deny"), *lines[1:]], False),
        (lambda lines: [*lines, b'{"kind":"exchange"}\n'], False),
    ],
)
async def test_i7_a_log_that_was_changed_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[list[bytes]], list[bytes]], holds: bool
) -> None:
    monkeypatch.setattr("tests.rig.invariants.SETTLE_S", 0.0)
    gate = Stillgate.installed(tmp_path, upstream_url=None)
    (gate.data / "decisions").mkdir(parents=True)
    lines = change(chained(gate, [record(f"x{number}") for number in range(3)]))
    (gate.data / "decisions" / "w1.jsonl").write_bytes(b"".join(lines))
    with promise("I7", holds):
        await assert_logs_verify(gate)


async def test_everything_holds_over_an_honest_exchange(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    async with running(tmp_path, upstream.url) as gate:
        await gate.create_key()
        witness = Witness()
        witness.saw(await answer(upstream, ("x-request-id", "x1")))
        (gate.data / "decisions" / "w1.jsonl").write_bytes(b"".join(chained(gate, [record()])))
        await assert_invariants(witness, upstream, gate, before={gate: Footprint.of(gate)})


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("stdout.log", f"credential {CANARY}00"),
        ("stderr.log", "master-of-all-secrets"),
        ("stderr.log", b"master-of-all-secrets".hex()),
        ("data/decisions/w1.jsonl", '{"kind": "start", "key": "sgk_0123456789ab"}'),
        ("data/decisions/w1.jsonl", '{"kind": "start", "key": "...CDEFGHIJ"}'),
        ("witness", "set-cookie: session=canary-upstream-cookie"),
        ("upstream", "Bearer sgk_0123456789abcdefghijABCDEFGHIJ"),
    ],
)
async def test_i3_a_secret_is_found_wherever_it_leaked(
    upstream: ScriptedUpstream, tmp_path: Path, place: str, text: str
) -> None:
    async with running(tmp_path, upstream.url) as gate:
        await gate.create_key()
        witness = Witness()
        await assert_no_secret_left(gate, gate.log(), witness, upstream)
        if place == "witness":
            witness.saw_bytes(text.encode())
        elif place == "upstream":
            async with await RawClient.connect(upstream.port) as client:
                await client.ask(get("/", [("Authorization", text)]))
        else:
            (tmp_path / place).write_text(text)
        with pytest.raises(AssertionError, match="I3"):
            await assert_no_secret_left(gate, gate.log(), witness, upstream)


async def test_i8_a_worker_that_is_gone_is_missed(tmp_path: Path) -> None:
    async with running(tmp_path) as gate:
        await assert_alive(gate)
        gate.announced["workers"] = [2**22 + 1]
        with pytest.raises(AssertionError, match="I8"):
            await assert_alive(gate)


async def test_i5_descriptors_and_memory_that_do_not_come_back_are_told(
    upstream: ScriptedUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invariants, "SETTLE_S", 0.05)
    async with running(tmp_path) as gate:
        now = Footprint.of(gate)
        await assert_at_rest(gate, upstream, now)
        for less, complaint in (
            (now._replace(fds=-invariants.SPARE_FDS), "descriptors"),
            (now._replace(rss=-invariants.SPARE_RSS_BYTES), "resident"),
        ):
            with pytest.raises(AssertionError, match=complaint):
                await assert_at_rest(gate, upstream, less)
