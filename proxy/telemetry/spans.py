"""Sends two spans for each sampled exchange to a collector: the exchange, and its call upstream. OTLP over HTTP.

Laws:
- The only file that imports opentelemetry; it is imported where `trace.otlp_url` is set, and nowhere else.
- The loop never waits for a collector: a thread sends, and `_BOUND` spans may wait; the others are counted as lost.
- No text of a prompt or an answer, no key; callers have the pseudonyms that the decision record has.

Names are those of OpenTelemetry's conventions for generative AI (the latest, gen_ai.provider.name) and for HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import requests
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from proxy.decision import Effect, Outcome, UsageSource
from proxy.decisions.ending import Ending
from proxy.decisions.pseudonyms import Names
from proxy.exchange import Call, Exchange
from proxy.log import get

_BOUND: Final = 4096  # spans, of about two kilobytes each
_BATCH: Final = 512
_EVERY_MS: Final = 1000
_SEND_S: Final = 5.0
_CLOSE_S: Final = 2.0
_CLAIM_CHARS: Final = 128
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_UNSET, _ERROR = Status(StatusCode.UNSET), Status(StatusCode.ERROR)
_WORK: Final = {"completions": "text_completion", "embeddings": "embeddings", "count_tokens": "count_tokens"}
# Outcomes of exchanges that failed, whatever their status: the answer may have begun.
_FAILED: Final = frozenset(Outcome) - {Outcome.ANSWERED, Outcome.LOCAL, Outcome.REFUSED, Outcome.CLIENT_LEFT}


class Address(NamedTuple):
    """Where an upstream is."""

    host: str
    port: int


class Spans:
    """Sends spans; `close` ends it.

    `instance` names this process, `names` returns the pseudonyms of an exchange's caller, `addresses` are those of the
    upstreams by their names, `paths` those of the dialects.
    """

    def __init__(
        self,
        url: str,
        version: str,
        instance: str,
        names: Callable[[Exchange], Names],
        addresses: Mapping[str, Address],
        paths: Mapping[str, str],
        headers: Mapping[str, str],
    ) -> None:
        # The library logs with every batch that the collector is away; we log it once.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._exporter = _Counted(url, headers)
        self._processor = BatchSpanProcessor(
            self._exporter,
            max_queue_size=_BOUND,
            schedule_delay_millis=_EVERY_MS,
            max_export_batch_size=_BATCH,
            export_timeout_millis=_SEND_S * 1000,
        )
        self._resource = Resource(
            {"service.name": "stillgate", "service.version": version, "service.instance.id": instance}
        )
        self._scope = InstrumentationScope("stillgate", version)
        self._names = names
        self._addresses = addresses
        self._paths = paths
        self._told = 0
        self._no_room = 0

    def tell(self, ending: Ending) -> None:
        """Send the spans of an exchange that has ended, if it is sampled."""
        trace = ending.exchange.trace
        if not trace.sampled:
            return
        called = ending.upstream_seconds is not None
        if self._told - self._exporter.done + 1 + called > _BOUND:
            self._no_room += 1 + called
            return
        self._told += 1 + called
        ours = _context(trace.trace_id, trace.exchange_id)
        start = int(ending.exchange.started * 1e9)
        end = start + int(ending.total * 1e9)
        shared, failed = _shared(ending), ending.outcome in _FAILED
        self._send(
            self._name(ending),
            ours,
            SpanKind.SERVER,
            parent=_context(trace.trace_id, trace.parent, theirs=True) if trace.parent else None,
            links=() if trace.link is None else (Link(_context(*trace.link, theirs=True)),),
            attributes={**shared, **self._of_exchange(ending)},
            times=(start, end),
            failed=ending.status >= 500 or (failed and ending.status < 400),
        )
        if ending.upstream_seconds is not None:
            self._send(
                f"{shared['gen_ai.operation.name']} {ending.model_used}",
                _context(trace.trace_id, trace.span_id),
                SpanKind.CLIENT,
                parent=ours,
                attributes={**shared, **self._of_call(ending)},
                times=(max(start, end - int(ending.upstream_seconds * 1e9)), end),
                failed=failed,
            )

    def _send(
        self,
        name: str,
        context: SpanContext,
        kind: SpanKind,
        *,
        parent: SpanContext | None,
        attributes: dict[str, Any],
        times: tuple[int, int],
        failed: bool,
        links: Sequence[Link] = (),
    ) -> None:
        # A tracer would give it other ids, and take ten times as long for the same.
        span = ReadableSpan(
            name,
            context,
            parent,
            self._resource,
            attributes,
            links=links,
            kind=kind,
            status=_ERROR if failed else _UNSET,
            start_time=times[0],
            end_time=times[1],
            instrumentation_scope=self._scope,
        )
        self._processor.on_end(span)

    def numbers(self) -> dict[str, float]:
        """Return what the metrics say of it."""
        return {
            "stillgate_spans_sent_total": self._exporter.done - self._exporter.refused,
            "stillgate_spans_lost_total": self._no_room + self._exporter.refused,
        }

    async def close(self) -> None:
        """Send waiting spans, for a moment; those that the collector does not take by then are lost."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def end() -> None:
            self._processor.shutdown()  # type: ignore[no-untyped-call]  # its library left it out
            if not loop.is_closed():
                loop.call_soon_threadsafe(ended.set)

        # Not in the loop's own pool, since the process would wait for its threads.
        threading.Thread(target=end, name="last-spans", daemon=True).start()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await ended.wait()
        except TimeoutError:
            get("telemetry").warning("spans are lost", spans=self._told - self._exporter.done)

    def _name(self, ending: Ending) -> str:
        """Return a name of the exchange from a small set: nothing that a client made up is in it."""
        if ending.outcome is Outcome.LOCAL:
            return "GET /v1/models"
        return f"POST {self._paths.get(ending.exchange.dialect, '')}"

    def _of_exchange(self, ending: Ending) -> dict[str, Any]:
        exchange, names = ending.exchange, self._names(ending.exchange)
        method, _, path = self._name(ending).partition(" ")
        said = {
            "http.request.method": method,
            "http.route": path,
            "http.response.status_code": ending.status,
            "stillgate.exchange.id": exchange.id,
            "stillgate.effect": ending.verdict.effect.value,
            "stillgate.outcome": ending.outcome.value,
            "stillgate.pack.digest": ending.pack_digest,
            "stillgate.account": names.account,
            "stillgate.tenant": names.tenant,
        }
        if exchange.call is not None:
            said["gen_ai.request.model"] = exchange.call.model[:_CLAIM_CHARS]
            said |= _longest(exchange.call)
        if ending.verdict.rung:
            said["stillgate.rung"] = ending.verdict.rung
        return said

    def _of_call(self, ending: Ending) -> dict[str, Any]:
        said: dict[str, Any] = {"gen_ai.request.model": ending.model_used}
        if ending.exchange.call is not None and ending.verdict.effect is Effect.ALLOW:  # else it may have been lowered
            said |= _longest(ending.exchange.call)
        if (address := self._addresses.get(ending.upstream)) is not None:
            said["server.address"], said["server.port"] = address
        if ending.model_said:
            said["gen_ai.response.model"] = ending.model_said
        if ending.usage_source is not UsageSource.NONE:
            said["gen_ai.usage.input_tokens"], said["gen_ai.usage.output_tokens"] = ending.usage[:2]
            said["stillgate.usage.source"] = ending.usage_source.value
        return said


class _Counted(SpanExporter):
    """Sends batches in the batch thread and counts them; logs once if the collector is away, and once it is back."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self.done = 0
        self.refused = 0
        self._failing = False
        session = requests.Session()
        session.trust_env = False  # no proxies and no credentials of the environment
        session.max_redirects = 0  # spans and our credential are for the collector alone, whatever it answers
        named = {"user-agent": "stillgate", **headers}
        self._sender = OTLPSpanExporter(
            url, headers=named, timeout=_SEND_S, compression=Compression.Gzip, session=session
        )

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._sender.export(spans)
        except requests.RequestException:  # failures that the sender catches are returned as results
            result = SpanExportResult.FAILURE
        failed = result is not SpanExportResult.SUCCESS
        if failed:
            self.refused += len(spans)
        self.done += len(spans)
        if failed != self._failing:
            self._failing = failed
            say = get("telemetry").warning if failed else get("telemetry").info
            say("the collector takes no spans" if failed else "the collector takes spans again")
        return result

    def shutdown(self) -> None:
        self._sender.shutdown()  # type: ignore[no-untyped-call]  # its library left it out


def address_of(url: str) -> Address:
    """Return where an origin is."""
    parts = urlsplit(url)
    return Address(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


def _shared(ending: Ending) -> dict[str, Any]:
    """Return what both spans say."""
    family, _, endpoint = ending.exchange.dialect.partition(".")
    said: dict[str, Any] = {
        "gen_ai.operation.name": _WORK.get(endpoint, "chat"),
        "gen_ai.provider.name": family,
    }
    if ending.code or ending.outcome in _FAILED:
        said["error.type"] = ending.code or ending.outcome.value
    return said


def _longest(call: Call) -> dict[str, Any]:
    return {} if call.max_output_tokens is None else {"gen_ai.request.max_tokens": call.max_output_tokens}


def _context(trace_id: str, span_id: str, *, theirs: bool = False) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=theirs, trace_flags=_SAMPLED)
