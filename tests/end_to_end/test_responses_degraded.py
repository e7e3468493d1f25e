"""Responses on a ladder and in trouble, through a running proxy: what the client reads, what is charged, what is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio

from proxy.keyed.sealed_reasoning import PREFIX
from tests.dialects import responses
from tests.dialects.streams import event, read_by_a_client
from tests.end_to_end.customers import openai_client, record_of
from tests.end_to_end.scene import Scene, staged
from tests.marks.texts import PROSE
from tests.rig.raw_client import Response, post
from tests.rig.scripted_upstream import Close, Pause, Script, body_answer, json_answer, sse_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATH = "/v1/responses"
SECRETS = (b"seventeen", responses.SEAL.encode())
TEXTS = [PROSE[start : start + 9] for start in range(0, len(PROSE), 9)]
MOST = 40
PACK: dict[str, Any] = {
    "apiVersion": "stillgate/v1",
    "kind": "PolicyPack",
    "metadata": {"name": "responses", "version": "1", "owner": "tests"},
    "defaults": {"mode": "enforce"},
    "quotas": [
        {"id": "few", "per": "account", "limits": [{"measure": "requests", "max": MOST, "window": "1h"}]},
    ],
    "rules": [
        {
            "id": "free",
            "when": {"account.plan": "free"},
            "flag": {"name": "free", "on": "account", "score": 60, "ttl": "1d"},
        },
    ],
    "ladder": [
        {
            "rung": "all",
            "score": 60,
            "disclose": "header",
            "do": [
                {"drop": ["logprobs"]},
                {"clamp": {"max_output_tokens": 64}},
                {"withhold": "reasoning"},
                {"mark": {"style": True}},
                {"pace": {"tokens_per_second": 1000, "jitter": 0}},
            ],
        },
    ],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("responses"), pack=PACK) as scene:
        yield scene
        await scene.at_peace()


class Customer:
    """One account, of a plan."""

    def __init__(self, scene: Scene, secret: str) -> None:
        self.scene, self.secret = scene, secret

    @classmethod
    async def of(cls, scene: Scene, account: str, plan: str) -> Customer:
        return cls(scene, await scene.gate.create_key(account=account, tenant=account, plan=plan))

    async def ask(self, script: Script | None, **members: Any) -> tuple[Response, dict[str, Any]]:
        if script is not None:
            self.scene.upstream.script(script)
        raw = post(PATH, {"model": "m-large", "input": "hi", **members}, [("Authorization", f"Bearer {self.secret}")])
        response = await self.scene.ask(raw, accepted=True)
        return response, await record_of(self.scene.gate, response.header("x-request-id"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def flagged(scene: Scene) -> Customer:
    return await Customer.of(scene, "flagged", "free")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plain(scene: Scene) -> Customer:
    return await Customer.of(scene, "plain", "pro")


def output() -> list[dict[str, Any]]:
    return [responses.thought(), responses.said(TEXTS, figures=True), responses.called()]


def events(*, broken_at: int | None = None, **members: Any) -> Script:
    blocks = [block + b"\n\n" for block in responses.stream(output(), TEXTS, **members).split(b"\n\n") if block]
    return sse_answer(blocks[:broken_at])


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_whole_ladder_leaves_one_answer_that_agrees_with_itself(
    scene: Scene, flagged: Customer, streamed: bool
) -> None:
    asked: dict[str, Any] = {"instructions": "Rhyme.", "top_logprobs": 3, "include": ["message.output_text.logprobs"]}
    told: dict[str, Any] = {"instructions": "Rhyme. And more.", "max_output_tokens": 64}
    script = events(**told) if streamed else body_answer(200, responses.document(output(), **told), "application/json")
    answer, record = await flagged.ask(script, stream=streamed, **asked)
    assert (answer.status, record["effect"], record["outcome"]) == (200, "degrade", "answered")
    assert set(record["actions"]) == {"drop", "clamp", "withhold", "mark", "pace"}
    assert answer.header("stillgate-limited") == "1"
    assert (record["usage"]["input"], record["usage"]["output"]) == (7, 30)
    sent = scene.upstream.requests[-1].json()
    assert sent["max_output_tokens"] == 64
    assert sent["instructions"].startswith("Rhyme.\n\n")
    assert (sent["include"], "top_logprobs" in sent) == ([], False)
    assert not [secret for secret in SECRETS if secret in answer.body]
    untagged = _without_tags(answer.body)
    final = responses.assembled(untagged) if streamed else json.loads(untagged)
    thought, said, called = final["output"]
    assert thought["encrypted_content"].startswith(PREFIX)
    assert said["content"][0]["text"] != PROSE
    assert len(said["content"][0]["text"].split()) == pytest.approx(len(PROSE.split()), rel=0.2)
    assert not said["content"][0]["logprobs"]
    assert called == responses.called()
    assert (final["instructions"], final["max_output_tokens"], final["top_logprobs"]) == ("Rhyme.", None, 3)


def _without_tags(body: bytes) -> bytes:
    """Take the tags off, having seen that every event has the same ones."""
    documents = read_by_a_client(body) or [json.loads(body)]
    shown = {response["id"] for each in documents if "id" in (response := each.get("response", each))}
    shown |= {each["item_id"] for each in documents if "item_id" in each}
    shown |= {item["id"] for each in documents for item in each.get("response", each).get("output", ())}
    by_id: dict[str, str] = {}
    for each in shown:
        given, mark, tag = each.rpartition("_sg")
        assert (mark, len(tag)) == ("_sg", 20)
        assert by_id.setdefault(given, each) == each
        body = body.replace(each.encode(), given.encode())
    return body


async def test_a_withheld_thought_goes_back_as_it_was(scene: Scene, flagged: Customer) -> None:
    upstream = body_answer(200, responses.document(output()), "application/json")
    answer, _ = await flagged.ask(upstream)
    turn = answer.json()["output"]
    result = {"type": "function_call_output", "call_id": "call_1", "output": "rain"}
    await flagged.ask(upstream, input=[{"role": "user", "content": "hi"}, *turn, result])
    _, thought, said, called, _ = scene.upstream.requests[-1].json()["input"]
    assert thought == responses.thought()
    assert (said["id"], called) == (responses.MESSAGE_ID, responses.called())
    other = await Customer.of(scene, "other", "pro")
    refused, record = await other.ask(None, input=[turn[0]])
    assert (refused.status, refused.json()["error"]["code"]) == (400, "invalid_encrypted_content")
    assert record["by"] == "request"


async def test_who_is_on_no_rung_gets_the_upstreams_bytes_but_for_the_tags(plain: Customer) -> None:
    answer, record = await plain.ask(events(), stream=True)
    assert _without_tags(answer.body) == responses.stream(output(), TEXTS)
    assert (record["effect"], record["usage"]["source"]) == ("allow", "upstream")


@pytest.mark.parametrize("customer", ["plain", "flagged"])
async def test_a_stream_that_breaks_off_ends_with_an_error_that_clients_raise_and_is_charged(
    scene: Scene, plain: Customer, flagged: Customer, customer: str
) -> None:
    who = {"plain": plain, "flagged": flagged}[customer]
    scene.upstream.script((*events(broken_at=-12)[:-1], Close()))
    async with openai_client(scene.gate, who.secret) as client:
        stream = await client.responses.create(model="m-large", input="hi", stream=True)
        with pytest.raises(openai.APIError, match="broke off"):
            async for _ in stream:
                pass
    record = await record_of(scene.gate, stream.response.headers["x-request-id"])
    assert (record["outcome"], record["usage"]["source"]) == ("upstream_truncated", "estimate")
    assert record["usage"]["output"] >= min(len(PROSE) // 3, 64 if customer == "flagged" else 10**6)


async def test_a_client_that_leaves_in_mid_stream_is_charged_what_it_got(scene: Scene, plain: Customer) -> None:
    """P4, Q-03."""
    at = {"item_id": responses.MESSAGE_ID, "output_index": 0, "content_index": 0, "logprobs": []}
    pieces = [event({"type": "response.output_text.delta", **at, "delta": "x" * 600, "obfuscation": "pad"})] * 5
    scene.upstream.script((*sse_answer(pieces, end=False), Pause(asyncio.Event())))
    before, calls = len(scene.gate.records("exchange")), scene.calls
    asked = {"model": "m-large", "input": "hi", "stream": True, "max_output_tokens": 4000}
    async with await scene.connect() as client:
        await client.send(post(PATH, asked, [("Authorization", f"Bearer {plain.secret}")]))
        sent = (await scene.upstream.wait_for_requests(calls + 1))[-1]
        for _ in pieces:
            await client.until(b'"obfuscation":"pad"}')
        client.close()
        await scene.upstream.wait_closed(sent.connection, within=1.0)
    record = (await scene.gate.wait_for_records(before + 1))[-1]
    assert (record["outcome"], record["usage"]["source"]) == ("client_left", "estimate")
    assert record["usage"]["output"] == 1000, "three bytes a token"


@pytest.mark.parametrize(
    ("status", "document", "given", "says"),
    [
        (400, {"error": {"message": "No such tool.", "code": "bad_tool", "param": "tools"}}, 400, "No such tool."),
        (429, {"error": {"message": "org-secret is over its limit"}}, 503, "busy"),
        (500, {"error": {"message": "trace"}}, 500, "could not answer"),
        (401, {"error": {"message": "Incorrect API key sk-live-123456789012"}}, 502, "could not answer"),
    ],
)
async def test_an_upstreams_refusal_is_told_in_the_apis_own_shape(
    plain: Customer, status: int, document: Any, given: int, says: str
) -> None:
    answer, record = await plain.ask(json_answer(status, document))
    assert answer.status == given
    assert says in answer.json()["error"]["message"]
    assert record["usage"]["output"] == 0


async def test_a_failure_inside_a_stream_is_passed_on_and_recorded(plain: Customer) -> None:
    failed = responses.response([], "failed", error={"code": "server_error", "message": "m"}, usage=None)
    begun = {"type": "response.created", "sequence_number": 0, "response": responses.response([], "in_progress")}
    last = {"type": "response.failed", "sequence_number": 1, "response": failed}
    answer, record = await plain.ask(sse_answer(map(event, (begun, last))), stream=True)
    assert read_by_a_client(answer.body)[-1]["type"] == "response.failed"
    assert (record["outcome"], record["usage"]["source"]) == ("upstream_error", "estimate")


async def test_a_quota_is_told_in_the_apis_headers(scene: Scene) -> None:
    tiny = await Customer.of(scene, "tiny", "pro")
    upstream = body_answer(200, responses.document(output()), "application/json")
    for _ in range(MOST):
        assert (await tiny.ask(upstream))[0].status == 200
    async with openai_client(scene.gate, tiny.secret) as client:
        with pytest.raises(openai.RateLimitError) as limited:
            await client.responses.create(model="m-large", input="hi")
    headers = limited.value.response.headers
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == (str(MOST), "0")


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"background": True}, "background"),
        ({"input": [{"type": "mcp_call"}]}, "input[0].type"),
        ({"tools": [{"type": "mcp", "server_url": "https://elsewhere.example.com"}]}, "tools[0].type"),
    ],
)
async def test_what_cannot_be_accounted_never_goes_upstream(
    scene: Scene, plain: Customer, members: dict[str, Any], param: str
) -> None:
    calls = scene.calls
    async with openai_client(scene.gate, plain.secret) as client:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.responses.create(**{"model": "m-large", "input": "hi", **members})
    assert refused.value.param == param
    assert scene.calls == calls


async def test_what_lies_below_is_not_there_and_says_why(scene: Scene, plain: Customer) -> None:
    async with openai_client(scene.gate, plain.secret) as client:
        for ask in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
            with pytest.raises(openai.NotFoundError, match="given once, as an answer"):
                await ask("resp_0a1b2c")
