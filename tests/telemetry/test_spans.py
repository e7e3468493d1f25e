"""Spans go to a collector that takes them, and cost nothing but a count where none does."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from proxy.decision import Effect, Outcome, UsageSource, Verdict
from proxy.decisions.ending import Ending
from proxy.exchange import Call
from proxy.telemetry.spans import Address, Spans, address_of
from proxy.trace_context import Remote, Trace
from tests.decisions.endings import STARTED, ending, exchange, recorder
from tests.rig.collector import Collector, Span

NAMES = recorder().pseudonyms
NOWHERE = "http://127.0.0.1:9/v1/traces"


def sender(url: str, headers: Mapping[str, str] | None = None) -> Spans:
    return Spans(
        url,
        "1.2.3",
        "host-0",
        lambda ended: NAMES.names(ended.principal, ended.peer, ended.user_agent),
        {"models": Address("models.example.com", 8443)},
        {"openai.chat": "/v1/chat/completions"},
        headers or {},
    )


def ended(number: int = 1, *, sampled: bool = True, link: Remote | None = None, parent: str = "", **how: Any) -> Ending:
    trace = Trace(f"{number:032x}", f"{number:015x}1", f"{number:015x}2", sampled, parent=parent, link=link)
    return ending(exchange(trace=trace), **how)


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with Collector() as collector:
        yield collector


async def sent(collector: Collector, *endings: Ending) -> list[Span]:
    """Send the spans of these endings and close; return what came, in the order of its ids."""
    spans = sender(collector.url)
    for one in endings:
        spans.tell(one)
    await spans.close()
    numbers = spans.numbers()
    assert numbers == {"stillgate_spans_sent_total": len(collector.spans), "stillgate_spans_lost_total": 0}
    return sorted(collector.spans, key=lambda span: span.span_id)


async def test_a_collector_gets_its_credential_and_no_answer_of_its_leads_anywhere_else(collector: Collector) -> None:
    async with Collector() as other:
        collector.status, collector.leads_to = 307, other.url
        spans = sender(collector.url, {"authorization": "Bearer canary-collector"})
        spans.tell(ended())
        await spans.close()
    assert {headers["authorization"] for headers in collector.headers} == {"Bearer canary-collector"}
    assert other.headers == []
    assert spans.numbers()["stillgate_spans_lost_total"] == 2


async def test_an_exchange_is_a_span_and_its_call_upstream_another_within(collector: Collector) -> None:
    around, call = await sent(collector, ended(7, model_used="large", model_said="large-2026"))
    assert (around.name, around.kind, around.parent) == ("POST /v1/chat/completions", "server", "")
    assert (call.name, call.kind, call.parent) == ("chat large", "client", around.span_id)
    assert (around.trace_id, around.span_id) == (f"{7:032x}", f"{7:015x}1")
    assert (call.trace_id, call.span_id) == (f"{7:032x}", f"{7:015x}2")
    assert around.start == int(STARTED * 1e9)
    assert around.end - around.start == 12_345_600
    assert (call.end, call.end - call.start) == (around.end, 12_100_000)
    assert not around.failed
    names = NAMES.names(exchange().principal, "", "")
    assert around.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "large",
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "stillgate.exchange.id": "xg_0123456789",
        "stillgate.effect": "allow",
        "stillgate.outcome": "answered",
        "stillgate.pack.digest": "sha256:" + "a" * 64,
        "stillgate.account": names.account,
        "stillgate.tenant": names.tenant,
    }
    assert call.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "large",
        "gen_ai.response.model": "large-2026",
        "gen_ai.usage.input_tokens": 500,
        "gen_ai.usage.output_tokens": 311,
        "stillgate.usage.source": "upstream",
        "server.address": "models.example.com",
        "server.port": 8443,
    }
    assert around.resource["service.name"] == "stillgate"
    assert around.resource["service.instance.id"] == "host-0"


ENDS: dict[str, tuple[dict[str, Any], str | None, tuple[bool, ...]]] = {
    "denied": (
        {"status": 429, "outcome": Outcome.REFUSED, "code": "rate_limit_exceeded", "upstream_seconds": None},
        "rate_limit_exceeded",
        (False,),
    ),
    "unavailable": (
        {"status": 503, "outcome": Outcome.REFUSED, "code": "service_unavailable", "upstream_seconds": None},
        "service_unavailable",
        (True,),
    ),
    "the upstream's error": (
        {"status": 502, "outcome": Outcome.UPSTREAM_ERROR, "code": "upstream_error"},
        "upstream_error",
        (True, True),
    ),
    "the upstream refused": (
        {"status": 400, "outcome": Outcome.UPSTREAM_ERROR, "code": "invalid"},
        "invalid",
        (False, True),
    ),
    "a stream that broke": ({"outcome": Outcome.UPSTREAM_TRUNCATED}, "upstream_truncated", (True, True)),
    "the client left": ({"status": 499, "outcome": Outcome.CLIENT_LEFT}, None, (False, False)),
}


@pytest.mark.parametrize(("how", "error", "failed"), ENDS.values(), ids=ENDS)
async def test_an_error_is_named_and_told_from_what_the_client_did(
    collector: Collector, how: dict[str, Any], error: str | None, failed: tuple[bool, ...]
) -> None:
    spans = await sent(collector, ended(usage_source=UsageSource.NONE, **how))
    assert {span.attributes.get("error.type") for span in spans} == {error}
    assert tuple(span.failed for span in spans) == failed
    assert "gen_ai.usage.input_tokens" not in spans[-1].attributes


async def test_the_longest_answer_that_was_asked_for_is_told_of_a_call_only_if_nothing_changed_it(
    collector: Collector,
) -> None:
    call = Call("large", stream=False, body={}, max_output_tokens=77)
    spans = []
    for number, effect in ((1, Effect.ALLOW), (2, Effect.DEGRADE)):
        trace = Trace(f"{number:032x}", f"{number:015x}1", f"{number:015x}2", sampled=True)
        spans.append(ending(exchange(trace=trace, call=call), verdict=Verdict(effect, rung="lowered")))
    told = [span.attributes.get("gen_ai.request.max_tokens") for span in await sent(collector, *spans)]
    assert told == [77, 77, 77, None]
    assert [span.attributes.get("stillgate.rung") for span in collector.spans] == ["lowered", None] * 2


async def test_a_trusted_client_is_the_parent_and_another_one_is_linked_to(collector: Collector) -> None:
    link = Remote("a" * 32, "b" * 16)
    spans = await sent(collector, ended(1, parent="c" * 16), ended(2, link=link), ended(3, sampled=False))
    assert [(span.parent, span.links) for span in spans if span.kind == "server"] == [
        ("c" * 16, []),
        ("", [tuple(link)]),
    ]


async def test_while_the_collector_is_away_spans_wait_bounded_and_the_rest_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("proxy.telemetry.spans._CLOSE_S", 0.2)
    spans = sender(NOWHERE)
    began = time.perf_counter()
    for number in range(1, 5001):
        spans.tell(ended(number))
    took = time.perf_counter() - began
    lost = spans.numbers()["stillgate_spans_lost_total"]
    assert 10_000 - 4096 <= lost <= 10_000
    assert took < 5.0  # some microseconds a span, and no wait for anybody
    began = time.perf_counter()
    await spans.close()
    assert time.perf_counter() - began < 2.0


async def test_what_a_collector_refuses_is_counted_and_nothing_is_sent_twice(collector: Collector) -> None:
    collector.status = 400
    spans = sender(collector.url)
    spans.tell(ended(1))
    await spans.close()
    assert spans.numbers() == {"stillgate_spans_sent_total": 0, "stillgate_spans_lost_total": 2}
    assert len(collector.raw) == 1


async def test_a_collector_that_never_answers_holds_up_neither_loop_nor_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.telemetry.spans._CLOSE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        spans = sender(f"http://127.0.0.1:{listener.getsockname()[1]}/v1/traces")
        for number in range(1, 400):
            spans.tell(ended(number))
        async with asyncio.timeout(5):
            theirs, _ = await asyncio.get_running_loop().sock_accept(listener)
        with theirs:
            began = time.perf_counter()
            await spans.close()
            assert time.perf_counter() - began < 2.0


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://api.example.com/v1", ("api.example.com", 443)),
        ("http://[::1]:8081", ("::1", 8081)),
        ("http://a", ("a", 80)),
    ],
)
def test_an_upstream_is_named_by_host_and_port(url: str, address: tuple[str, int]) -> None:
    assert address_of(url) == address


async def test_without_a_collector_none_of_it_is_loaded() -> None:
    loaded = "{name.split('.')[0] for name in sys.modules} & {'opentelemetry', 'requests', 'google'}"
    code = f"import proxy.processes.worker, sys; sys.exit(bool({loaded}))"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0
