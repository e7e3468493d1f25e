"""What the two proxies stand on, compared without what ours does in between: how a request comes in and an answer goes
out, and how the upstream is called.

Laws: every number is CPU time of this process per exchange, so that of the load is in it, alike on both sides; the
difference is what counts. It may be negative: then our frame is cheaper than aiohttp's own.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web

from bench.load import Script, flowing
from bench.pass_through import client_session, web_server
from bench.traffic import PATH, answer_body, request_body, stream_events
from bench.upstream import canned_upstream
from proxy.clients.answers import AnswerWriter, Reply
from proxy.clients.connection import Deadlines
from proxy.clients.listener import Caps, Listener
from proxy.clock import SystemClock
from proxy.dialects import dialects
from proxy.steps.intake import Reader
from proxy.upstream.model_api import Origin, Upstream

_CONCURRENCY = 16
_CALLS = 200
_MANY = 10_000
_BODY_BYTES = 10 << 20
_DEADLINES = Deadlines(header=60, body=60, body_bytes_per_second=1024, idle=60, write_stall=60)

Handler = Callable[[web.BaseRequest], Awaitable[Reply]]


def listener(handle: Handler) -> Listener:
    """Return the product's listener with limits that nobody meets."""
    answers = AnswerWriter(SystemClock())
    return Listener(
        handle,
        on_error=lambda _, status, __: answers.whole(None, status, "application/json", b"{}", {}),
        on_refused=lambda _: None,
        deadlines=_DEADLINES,
        caps=Caps(total=_MANY, per_peer=_MANY),
    )


@asynccontextmanager
async def serving(server: Callable[[], asyncio.Protocol]) -> AsyncIterator[int]:
    """Accept connections on a free port of the loopback and yield it."""
    async with await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1]


async def frame_differences_us(rounds: int, seconds: float) -> dict[str, float]:
    """Return by how much ours is dearer: server side for a plain answer and for a streamed one, and client side."""
    async with AsyncExitStack() as stack:
        ports = {
            "bare": await stack.enter_async_context(_bare_server()),
            "ours": await stack.enter_async_context(_our_server()),
        }
        plain, streamed = (Script.of(["sk-none"], stream=stream) for stream in (False, True))
        return {
            "plain": await _difference(lambda name: _flow_us(ports[name], plain, seconds), rounds),
            "streamed": await _difference(lambda name: _flow_us(ports[name], streamed, seconds), rounds),
            "client": await _difference(await _callers(stack), rounds),
        }


async def _difference(measure: Callable[[str], Awaitable[float]], rounds: int) -> float:
    found: dict[str, list[float]] = {"bare": [], "ours": []}
    for _ in range(rounds):
        for name, each in found.items():
            each.append(await measure(name))
    return statistics.median(found["ours"]) - statistics.median(found["bare"])


async def _flow_us(port: int, script: Script, seconds: float) -> float:
    async with flowing(port, script, _CONCURRENCY) as flow:
        await flow.go_on(seconds / 4)
        before, began = flow.exchanges, time.process_time()
        await flow.go_on(seconds)
        return (time.process_time() - began) / (flow.exchanges - before) * 1e6


@asynccontextmanager
async def _bare_server() -> AsyncIterator[int]:
    body, pieces = answer_body(), stream_events(usage=False)

    async def handle(request: web.Request) -> web.StreamResponse:
        if b'"stream":true' not in await request.read():
            return web.Response(body=body, headers={"Content-Type": "application/json"})
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await stream.prepare(request)
        for piece in pieces:
            await stream.write(piece)
        await stream.write_eof()
        return stream

    async with web_server(handle) as port:
        yield port


@asynccontextmanager
async def _our_server() -> AsyncIterator[int]:
    answers, headers = AnswerWriter(SystemClock()), {"x-request-id": "ex_" + "0" * 24}
    body, pieces = answer_body(), stream_events(usage=False)

    async def handle(request: web.BaseRequest) -> Reply:
        if b'"stream":true' not in (await reader.read_body(request, "bench", 503) or b""):
            return answers.whole(request, 200, "application/json", body, headers)
        stream = answers.stream(request, 200, "text/event-stream; charset=utf-8", headers)
        for piece in pieces:
            await stream.send(piece)
        return stream

    reader = Reader(_DEADLINES, _BODY_BYTES)
    async with serving(listener(handle)) as port:
        yield port
    reader.close()


async def _callers(stack: AsyncExitStack) -> Callable[[str], Awaitable[float]]:
    """Return what calls the upstream both ways, many times in a row, and says what one call cost."""
    url = (await stack.enter_async_context(canned_upstream())).url
    session = await stack.enter_async_context(client_session())
    origin = Origin("default", url, "sk-none", connect=5, first_byte=600, idle=120, total=1800, connections=1024)
    upstream = Upstream(origin)
    stack.callback(upstream.close)
    body = request_body(stream=False)
    few: Mapping[str, str] = {"Authorization": "Bearer sk-none", "Content-Type": "application/json"}
    dialect = dialects()[PATH]

    async def call_bare() -> None:
        async with session.post(url + PATH, data=body, headers=few) as answer:
            await answer.read()

    async def call_ours() -> None:
        answer = await upstream.post(dialect, {"x-request-id": "ex_" + "0" * 24}, body, stream=False)
        while await answer.read():
            pass
        answer.close()

    calls: dict[str, Callable[[], Awaitable[None]]] = {"bare": call_bare, "ours": call_ours}

    async def measure(name: str) -> float:
        call = calls[name]
        began = time.process_time()
        for _ in range(_CALLS):
            await call()
        return (time.process_time() - began) / _CALLS * 1e6

    return measure
