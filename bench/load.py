"""The load: a few connections, each with one request on its way at a time, every answer compared with what is right.

Law: an answer that is not the expected one, byte for byte, ends the benchmark.
"""

from __future__ import annotations

import asyncio
import itertools
import operator
from array import array
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from time import perf_counter_ns
from typing import NamedTuple, cast

from bench.traffic import LAST_EVENT, PATH, answer_body, request_body, stream_events
from bench.wire import LAST_CHUNK, body_of, is_chunked

_DRAIN_S = 20.0
_SHOWN_BYTES = 400
_PROMPTS = 499  # a prime number, so that each key comes to send all of them


class BenchError(Exception):
    """Something could not be measured."""


class Script(NamedTuple):
    """What the clients send, in turn and for ever, and the body that each must get.

    None: none in particular, since it is changed for each account in another way, but one with the right end; `seen`
    has those that came.
    """

    requests: Iterator[bytes]
    expected: bytes | None
    seen: set[bytes]

    @classmethod
    def of(cls, secrets: Sequence[str], *, stream: bool, changed: bool = False, **asked: object) -> Script:
        """Return the script of one kind of traffic: each key in turn, each time with another prompt."""
        bodies = [request_body(stream=stream, number=number, **asked) for number in range(_PROMPTS)]
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
            f"Accept: application/json\r\nUser-Agent: bench/1.0\r\nContent-Length: {len(bodies[0])}\r\n\r\n"
        )
        expected = b"".join(stream_events(usage=False)) if stream else answer_body()
        heads = [(head % secret).encode() for secret in secrets]
        requests = map(operator.add, itertools.cycle(heads), itertools.cycle(bodies))
        return cls(requests, None if changed else expected, set())

    def is_right(self, body: bytes) -> bool:
        """Tell whether a body is one that was to come."""
        if self.expected is not None:
            return body == self.expected
        self.seen.add(body)
        return body.endswith(LAST_EVENT)


class Flow:
    """Clients at work; its counters only grow, so that a difference of two readings is what came between them."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.exchanges = 0
        self.pieces = 0  # reads that the answers took
        self.gaps_ns = array("q")  # between two reads of one answer
        self.durations_ns: list[int] = []
        self.stopping = False
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(self, why: str) -> None:
        """End the benchmark."""
        if not self._failed.done():
            self._failed.set_exception(BenchError(why))

    async def go_on(self, seconds: float) -> None:
        """Let the clients work. Raises BenchError as soon as one of them met something wrong."""
        await asyncio.wait([self._failed], timeout=seconds)
        if self._failed.done():
            self._failed.result()


class _Client(asyncio.Protocol):
    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._pieces: list[bytes] = []
        self._tail = b""
        self._chunked = False
        self._began = self._last = 0
        self._transport: asyncio.Transport | None = None
        self.left: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own do not inherit from it
        self._ask()

    def connection_lost(self, exc: BaseException | None) -> None:
        if not self._flow.stopping:
            self._flow.fail(f"a connection was closed: {exc or 'without a word'}")
        self.left.set_result(None)

    def data_received(self, data: bytes) -> None:
        now = perf_counter_ns()
        if self._pieces:
            self._flow.gaps_ns.append(now - self._last)
        else:
            self._chunked = is_chunked(data)
        self._last = now
        self._pieces.append(data)
        self._tail = (self._tail + data[-len(LAST_CHUNK) :])[-len(LAST_CHUNK) :]
        if self._chunked and self._tail != LAST_CHUNK:
            return  # joining what came, each time something comes, would cost more than the proxy
        body = body_of(b"".join(self._pieces))
        if body is not None:
            self._answered(body)

    def _ask(self) -> None:
        assert self._transport is not None
        self._pieces = []
        self._tail = b""
        self._began = perf_counter_ns()
        self._transport.write(next(self._flow.script.requests))

    def _answered(self, body: bytes) -> None:
        flow = self._flow
        flow.durations_ns.append(perf_counter_ns() - self._began)
        if not self._pieces[0].startswith(b"HTTP/1.1 200 ") or not flow.script.is_right(body):
            flow.fail(f"a wrong answer: {self._pieces[0][:_SHOWN_BYTES]!r}")
        flow.exchanges += 1
        flow.pieces += len(self._pieces)
        if flow.stopping and self._transport is not None:
            self._transport.close()
        else:
            self._ask()


@asynccontextmanager
async def flowing(port: int, script: Script, concurrency: int, *, apart: float = 0.0) -> AsyncIterator[Flow]:
    """Keep `concurrency` clients at work on a port of the loopback; at the end each gets its last answer.

    Each begins so many seconds after the one before.
    """
    loop = asyncio.get_running_loop()
    flow = Flow(script)
    clients: list[_Client] = []
    for _ in range(concurrency):
        _, client = await loop.create_connection(lambda: _Client(flow), "127.0.0.1", port)
        clients.append(client)
        await asyncio.sleep(apart)
    try:
        yield flow
    finally:
        flow.stopping = True
        _, late = await asyncio.wait([client.left for client in clients], timeout=_DRAIN_S)
    if late:
        raise BenchError(f"{len(late)} of {concurrency} answers never came")
    await flow.go_on(0)
