"""An upstream that is not there, or stops: given up in its time, told to the client, and used again when it is back."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.end_to_end.scene import Scene, delta, staged
from tests.rig.fault_proxy import FaultProxy, HalfClose, Refuse, ResetAfter
from tests.rig.raw_client import chunk
from tests.rig.scripted_upstream import Pause, Script, ScriptedUpstream, Send, http, sse_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")
JSON = [("Content-Type", "application/json")]
EVENTS = [("Content-Type", "text/event-stream")]
STREAM = [delta("Hello")]
ONE_JSON = http(200, [*JSON, ("Content-Length", "2")], b"{}")
TIMES = {"connect_seconds": 0.5, "first_byte_seconds": 2.5, "idle_seconds": 1, "total_seconds": 5}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def between() -> AsyncIterator[tuple[ScriptedUpstream, FaultProxy]]:
    async with ScriptedUpstream() as upstream, FaultProxy(upstream.url) as between:
        yield upstream, between


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(
    tmp_path_factory: pytest.TempPathFactory, between: tuple[ScriptedUpstream, FaultProxy]
) -> AsyncIterator[Scene]:
    """A proxy with short limits, whose environment names another proxy that must never be asked."""
    upstream, faults = between
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.setblocking(False)
        where = f"http://127.0.0.1:{other.getsockname()[1]}"
        names = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
        command = ["env", *(f"{name}={where}" for name in names), sys.executable, "-m", "proxy.cli"]
        folder, settings = tmp_path_factory.mktemp("away"), {"upstreams": {"default": TIMES}}
        async with staged(folder, settings, upstream=upstream, upstream_url=faults.url, command=command) as scene:
            yield scene
        with pytest.raises(BlockingIOError):
            other.accept()


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
    "U-13 a body that stops": ((Send(ONE_JSON[:-1]), Pause(asyncio.Event())), 504, "upstream_timeout", False),
    "U-13 a stream that never begins": (
        (Send(http(200, [*EVENTS, ("Transfer-Encoding", "chunked")])), Pause(asyncio.Event())),
        504,
        "upstream_timeout",
        True,
    ),
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
        (Send(http(500, [*JSON, ("Content-Length", "9")], b"{")), Pause(asyncio.Event())),
        500,
        "upstream_error",
        False,
    ),
    "U-11 101 that stops": (
        (Send(http("101 Switching Protocols", [("Upgrade", "x"), ("Connection", "upgrade")])), Pause(asyncio.Event())),
        502,
        "upstream_error",
        False,
    ),
}


async def test_an_upstream_that_stops_is_given_up_in_time(scene: Scene) -> None:
    """U-02, U-13: a head that is not whole in its time, a pause within a body, or an answer that takes for ever."""

    async def wait(name: str) -> tuple[str, int, bool, float]:
        streamed = SLOW[name][3]
        began = asyncio.get_running_loop().time()
        got = await scene.ask(scene.ordinary(stream=streamed, user=name), accepted=True, within=9)
        return name, got.status, b'"error"' in got.body, asyncio.get_running_loop().time() - began

    usual = scene.upstream.default
    scene.upstream.default = lambda asked: SLOW[asked.json()["user"]][0]
    before = len(scene.gate.records("exchange"))
    try:
        results = await asyncio.gather(*(wait(name) for name in SLOW))
    finally:
        scene.upstream.default = usual
    assert [row[:3] for row in results] == [(name, status, True) for name, (_, status, _, _) in SLOW.items()]
    for name, _, _, took in results:
        most = 6.5 if "drips" in name else 4 if "U-02" in name or "interim" in name else 2
        assert took < most, (name, took)
    records = (await scene.gate.wait_for_records(before + len(SLOW)))[before:]
    assert sorted(record["outcome"] for record in records) == sorted(outcome for _, _, outcome, _ in SLOW.values())
    for connection in scene.upstream.connections:
        await scene.upstream.wait_closed(connection.index)
    await scene.goes_on()


async def test_an_upstream_that_is_away_is_a_502_and_used_again_when_it_is_back(
    scene: Scene, between: tuple[ScriptedUpstream, FaultProxy]
) -> None:
    """U-01, U-03, U-12: refused, reset and half-closed connections, the pooled ones too."""
    for fault in (Refuse(), ResetAfter(0), ResetAfter(20), ResetAfter(0, "request"), HalfClose(30)):
        between[1].fault = fault
        answer = await scene.ask(scene.ordinary(), accepted=True)
        assert answer.status == 502, fault
        between[1].fault = None
        assert (await scene.ask(scene.ordinary(), accepted=True)).status == 200
    await scene.at_peace()
