"""The pieces of the benchmark answer each other; how fast they are is no test's business."""

from __future__ import annotations

import asyncio
import os

import pytest

from bench.crowd import crowd
from bench.degraded import PACK
from bench.frames import serving
from bench.hunt import hunt_costs
from bench.load import BenchError, Script, flowing
from bench.meter import in_turn_us
from bench.pass_through import client_session, pass_through
from bench.prints import prints_costs
from bench.rounds import BARE, OURS
from bench.rules import rules_costs
from bench.stage import Proxy
from bench.steps import gateway_steps
from bench.traffic import CHUNKS, PATH, answer_body, request_body, stream_events
from bench.upstream import canned_upstream
from bench.wire import LAST_CHUNK, body_of, chunk
from proxy.rules.pack_file.loading import load_pack

_LOAD_S = 0.1


def test_the_traffic_has_the_sizes_that_the_figures_are_about() -> None:
    assert len({request_body(stream=False, number=number) for number in range(10)}) == 10
    assert {len(request_body(stream=False, number=number)) for number in range(10)} == {2048}
    assert len(answer_body()) == 1536
    assert len(stream_events(usage=False)) == CHUNKS + 1
    assert all(160 <= len(event) <= 240 for event in stream_events(usage=False)[:-1])


@pytest.mark.parametrize("asked", [False, True])
async def test_the_canned_upstream_sends_the_usage_of_a_stream_only_when_asked(asked: bool) -> None:
    body = request_body(stream=True)
    if asked:
        body = body.removesuffix(b"}") + b',"stream_options":{"include_usage":true}}'
    async with canned_upstream() as upstream, client_session() as session:
        async with session.post(upstream.url + PATH, data=body) as answer:
            assert await answer.read() == b"".join(stream_events(usage=asked))


@pytest.mark.parametrize("stream", [False, True])
async def test_the_load_gets_the_right_answers_through_the_bare_pass_through(stream: bool) -> None:
    script = Script.of(["sk-1", "sk-2"], stream=stream)
    async with canned_upstream() as upstream, pass_through(upstream.url) as port:
        async with flowing(port, script, concurrency=4) as flow:
            await flow.go_on(_LOAD_S)
    assert flow.exchanges >= 4
    assert flow.exchanges == len(flow.durations_ns)
    assert flow.pieces >= flow.exchanges


def test_what_is_changed_for_each_account_has_to_have_the_right_end_only() -> None:
    script = Script.of(["sk-1"], stream=True, changed=True, logprobs=True)
    assert b'"logprobs":true' in next(script.requests)
    assert script.is_right(b"".join(stream_events(usage=False)))
    assert script.is_right(b"".join(stream_events(usage=False)[1:]))
    assert not script.is_right(b"".join(stream_events(usage=False)[:-1]))
    assert len(script.seen) == 3


def test_the_pack_with_actions_at_work_is_one() -> None:
    assert [rung.name for rung in load_pack(PACK).ladder] == ["strip"]


async def test_a_crowd_of_streams_is_measured_at_the_pace_of_a_model() -> None:
    async with canned_upstream() as upstream, pass_through(upstream.url) as port:
        script = Script.of(["sk-1"], stream=True)
        proxies = dict.fromkeys((BARE, OURS), Proxy(os.getpid(), port))
        found, answered = await crowd(proxies, upstream, script, 0.3, print, streams=20, pause=0.005)
    assert answered >= 2 * 20
    assert found[OURS]["gaps"] >= 200
    assert found[OURS]["gap_p50_ms"] >= 2.5  # half of the pause: two pieces may be read late, never all of them


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 Oops\r\nContent-Length: %d\r\n\r\n" % len(answer_body()) + answer_body(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"data: {}\n\n") + LAST_CHUNK,
    ],
)
async def test_a_wrong_answer_ends_the_load(answer: bytes) -> None:
    async with serving(lambda: _Canned(answer)) as port:
        with pytest.raises(BenchError, match="a wrong answer"):
            async with flowing(port, Script.of(["sk-1"], stream=False), concurrency=1) as flow:
                await flow.go_on(5)


async def test_a_connection_that_is_cut_ends_the_load() -> None:
    async with serving(lambda: _Canned(None)) as port:
        with pytest.raises(BenchError, match="a connection was closed"):
            async with flowing(port, Script.of(["sk-1"], stream=False), concurrency=1) as flow:
                await flow.go_on(5)


@pytest.mark.parametrize(
    "message",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabcdef",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"abc") + chunk(b"def") + LAST_CHUNK,
    ],
)
def test_a_body_is_there_with_its_last_byte_and_not_before(message: bytes) -> None:
    assert body_of(message) == b"abcdef"
    assert [body_of(message[:end]) for end in range(len(message))] == [None] * len(message)


async def test_every_step_of_the_waterfall_can_be_done_again_and_again() -> None:
    async with gateway_steps() as steps:
        plain_us, streamed_us = [await in_turn_us(each, batches=1) for each in steps]
    assert all(median > 0 for median in (*plain_us.values(), *streamed_us.values()))
    # What an exchange does not do takes no turn between its steps, whose caches it would empty.
    assert not any(name.startswith("stream:") for name in plain_us)
    assert not any(name.startswith("answer: read") for name in streamed_us)


async def test_the_rules_that_are_measured_are_all_loaded_and_judge() -> None:
    assert all(cost > 0 for cost in (await rules_costs(batches=1, loads=1)).values())


async def test_the_prints_of_every_kind_of_prompt_are_measured() -> None:
    assert all(cost > 0 for cost in (await prints_costs(batches=1)).values())


async def test_the_hunt_is_measured_on_traffic_in_which_it_finds_the_campaign_and_nobody_else() -> None:
    costs = await hunt_costs(exchanges=10_000, accounts=500)
    assert costs.pop("others") == 0
    assert all(cost > 0 for cost in costs.values())


class _Canned(asyncio.Protocol):
    """Answers whatever comes with the same bytes, or by hanging up."""

    def __init__(self, answer: bytes | None) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert data
        if self._answer is None:
            self._transport.close()
        else:
            self._transport.write(self._answer)
