"""A collector for traces: takes OTLP over HTTP on loopback, reads the protobuf, and keeps the spans."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_WITHIN_S = 10


class Span(NamedTuple):
    """One span as it came; ids are hexadecimal, times nanoseconds."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent: str
    links: list[tuple[str, str]]
    start: int
    end: int
    failed: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]


class Collector:
    """Listens inside `async with`; answers with `status`, and only then keeps what came.

    `raw` are the bodies and `headers` what came with them; it leads whoever asks to `leads_to`.
    """

    def __init__(self) -> None:
        self.status = 200
        self.spans: list[Span] = []
        self.raw: list[bytes] = []
        self.headers: list[Mapping[str, str]] = []
        self.leads_to = ""
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1/traces"

    async def wait_for(self, count: int) -> list[Span]:
        """Return the spans once there are `count`."""
        try:
            async with asyncio.timeout(_WITHIN_S):
                while len(self.spans) < count:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{len(self.spans)} of {count} spans came in {_WITHIN_S} s: {self.spans}") from None
        return self.spans

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.raw.append(body)
        self.headers.append(request.headers.copy())
        if self.status == 200:
            assert request.content_type == "application/x-protobuf"
            self.spans += _spans(ExportTraceServiceRequest.FromString(body))
            self._news.set()
        led = {"location": self.leads_to} if self.leads_to else None
        return web.Response(status=self.status, content_type="application/x-protobuf", headers=led)


def _spans(said: ExportTraceServiceRequest) -> list[Span]:
    return [
        Span(
            span.name,
            {2: "server", 3: "client"}[span.kind],
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
            [(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
            span.start_time_unix_nano,
            span.end_time_unix_nano,
            span.status.code == 2,
            _values(span.attributes),
            _values(of.resource.attributes),
        )
        for of in said.resource_spans
        for scope in of.scope_spans
        for span in scope.spans
    ]


def _values(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
