"""Streams and usages that no upstream should send: passed on byte for byte or ended with an error event, and charged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.end_to_end.scene import MESSAGES, Scene, answer, delta, staged
from tests.rig.scripted_upstream import Close, Pause, Reset, Script, Send, event, json_answer, sse_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")
DONE = event("[DONE]")
STREAM = [delta("Hel"), delta("lo"), DONE]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("streams")) as scene:
        yield scene


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
        (*sse_answer([STREAM[0], *[b"data: " + b"y" * 65_536] * 160], end=False), Pause(asyncio.Event())),
        "upstream_error",
    ),
    "H-21 a bad chunk": (
        (*sse_answer(STREAM[:1], end=False), Pause(0.05), Send(b"+5\r\nhello\r\n")),
        "upstream_truncated",
    ),
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
    await scene.goes_on()


COMPLETE_STREAMS: dict[str, Script] = {
    "U-03 reset": (*sse_answer(STREAM, end=False), Pause(0.05), Reset()),
    "U-03 closed": (*sse_answer(STREAM, end=False), Pause(0.05), Close()),
    "U-12 never ended": (*sse_answer(STREAM, end=False), Pause(asyncio.Event())),
    "H-21 a bad chunk": (*sse_answer(STREAM, end=False), Pause(0.05), Send(b"+5\r\nhello\r\n")),
}


@pytest.mark.parametrize("name", COMPLETE_STREAMS)
async def test_a_stream_that_said_it_is_at_its_end_is_answered_however_its_connection_ends(
    tmp_path: Path, name: str
) -> None:
    """A client would take an error behind it for its answer, and could send the call again, to be charged again."""
    settings = {"upstreams": {"default": {"idle_seconds": 0.5}}}
    async with staged(tmp_path, settings) as scene:
        for _ in range(2):  # the second one has a connection of its own
            scene.upstream.script(COMPLETE_STREAMS[name])
            got = await scene.ask(scene.ordinary(stream=True), accepted=True)
            assert (got.status, got.body) == (200, b"".join(STREAM))
        records = await scene.gate.wait_for_records(2)
        assert [record["outcome"] for record in records] == ["answered"] * 2
        assert len(scene.upstream.connections) == 2


async def test_a_message_stream_that_breaks_ends_with_an_error_event(scene: Scene) -> None:
    """U-04 in Anthropic's dialect: no `message_stop`, so an `error` event."""
    start = event(
        {"type": "message_start", "message": {"usage": {"input_tokens": 3, "output_tokens": 1}}}, "message_start"
    )
    scene.upstream.script(sse_answer([start]))
    broken = await scene.ask(scene.ordinary(path=MESSAGES, stream=True), accepted=True, dialect="anthropic")
    name, data = broken.body.rstrip().rpartition(b"\n\n")[2].split(b"\n")
    assert name == b"event: error"
    assert json.loads(data.removeprefix(b"data: "))["type"] == "error"
    await scene.goes_on()


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
    await scene.goes_on()


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
