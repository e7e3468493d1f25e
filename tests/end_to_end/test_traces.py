"""Traces of the real thing: a client's, the record's, the upstream's and the collector's are one; row B-12."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.end_to_end.scene import CHAT, MESSAGES, staged
from tests.rig.collector import Collector
from tests.rig.raw_client import get

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PROMPT = "canary-prompt-of-a-customer"


async def test_logs_and_traces_of_all_sides_join_and_hold_neither_prompts_nor_keys(tmp_path: Path) -> None:
    """B-12: trusted, the client's trace goes on; malformed or sent twice, a new one begins, and nothing is an error."""
    credential = tmp_path / "collector.header"
    credential.write_text("Authorization: Bearer canary-collector\n")
    async with (
        Collector() as collector,
        staged(
            tmp_path,
            {
                "trace": {
                    "otlp_url": collector.url,
                    "otlp_header_file": str(credential),
                    "trust_clients": True,
                }
            },
        ) as scene,
    ):
        parent = ("traceparent", f"00-{TRACE}-{SPAN}-01")
        said: dict[str, Any] = {"messages": [{"role": "user", "content": PROMPT}]}
        for path, streamed in ((CHAT, False), (MESSAGES, True)):
            asked = scene.ordinary(parent, ("tracestate", "ours=1"), path=path, stream=streamed, **said)
            assert (await scene.ask(asked)).status == 200
            upstream = scene.upstream.requests[-1]
            assert upstream.header("tracestate") == "ours=1"
        for bad in ([("traceparent", "00-nonsense-01")], [parent, parent]):
            assert (await scene.ask(scene.ordinary(*bad, **said))).status == 200
        assert (await scene.ask(scene.ordinary(model="none-such"), accepted=True)).status == 404
        assert (await scene.ask(get("/v1/models", [scene.bearer]), accepted=True)).status == 200
        spans = await collector.wait_for(4 * 2 + 2)
        records = {record["id"]: record for record in await scene.gate.wait_for_records(6)}
        around = [span for span in spans if span.kind == "server"]
        assert {span.attributes["stillgate.exchange.id"] for span in around} == records.keys()
        calls = {span.parent: span for span in spans if span.kind == "client"}
        sent = {request.header("x-request-id"): request.header("traceparent") for request in scene.upstream.requests}
        for span in around:
            record = records[span.attributes["stillgate.exchange.id"]]
            assert record["trace_id"] == span.trace_id
            assert record["account"] == span.attributes["stillgate.account"]
            assert record["pack_digest"] == span.attributes["stillgate.pack.digest"]
            if record["id"] in sent:
                call = calls.pop(span.span_id)
                assert sent[record["id"]] == f"00-{span.trace_id}-{call.span_id}-01"
                assert call.attributes["gen_ai.response.model"] == "m-large"
                used = record["usage"]
                assert (used["input"], used["output"]) == (
                    call.attributes["gen_ai.usage.input_tokens"],
                    call.attributes["gen_ai.usage.output_tokens"],
                )
        assert calls == {}
        assert [span.parent for span in around if span.trace_id == TRACE] == [SPAN, SPAN]
        assert len({span.trace_id for span in around}) == 5
        assert {span.name for span in around} == {f"POST {CHAT}", f"POST {MESSAGES}", "GET /v1/models"}
        async with asyncio.timeout(5):  # the one who sends hears that they arrived a little later than we
            while (await scene.gate.metrics())["stillgate_spans_sent_total"] != len(spans):
                await asyncio.sleep(0.05)
        assert {headers["authorization"] for headers in collector.headers} == {"Bearer canary-collector"}
        told = json.dumps(spans)
        for secret in (PROMPT, scene.key, scene.gate.credential, "acme-1"):
            assert secret not in told
        await scene.at_peace()
