"""A whole ladder in a running proxy: who is flagged, what tells him so, what stays whole, and that it can be undone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.end_to_end.customers import record_of
from tests.end_to_end.people import run
from tests.end_to_end.scene import CHAT, MESSAGES, Scene, chat, staged
from tests.rig.raw_client import Response, post
from tests.rig.scripted_upstream import Script, body_answer, sse_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")
URL = "https://verify.example.com/start"
COARSE = {"logprobs": {"top": 1, "decimals": 1}}
SLOW = {"first_token": "300ms", "tokens_per_second": 200}
PACK: dict[str, Any] = {
    "apiVersion": "stillgate/v1",
    "kind": "PolicyPack",
    "metadata": {"name": "whole-ladder", "version": "1", "owner": "tests"},
    "defaults": {"mode": "enforce"},
    "rules": [
        {
            "id": f"says-{word}",
            # Once is enough, so that a flag that was lifted does not come back with the next request.
            "when": {"request.stop_sequences": {"eq": number}},
            "flag": {"name": word, "on": "account", "score": score, "ttl": "1d"},
        }
        for number, (word, score) in enumerate((("limited", 60), ("challenged", 150)), 2)
    ],
    "ladder": [
        {"rung": "coarse", "score": 20, "do": [{"drop": ["logit_bias", COARSE]}]},
        {"rung": "clamp", "score": 30, "do": [{"clamp": {"max_output_tokens": 8, "n": 1, "context_tokens": 2000}}]},
        {"rung": "slow", "score": 40, "do": [{"pace": SLOW}]},
        {"rung": "other", "score": 50, "do": [{"reroute": {"model": "m-small"}}]},
        {"rung": "verify", "score": 100, "do": [{"challenge": {"url": URL, "verified_by": "identity"}}]},
    ],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("degraded"), pack=PACK) as scene:
        yield scene
        await scene.at_peace()


class Customer:
    """One account of its own, in either dialect."""

    count = 0

    def __init__(self, scene: Scene, secret: str, name: str, path: str) -> None:
        self.scene, self.secret, self.name, self.path = scene, secret, name, path

    @classmethod
    async def of(cls, scene: Scene, path: str, **fields: Any) -> Customer:
        cls.count += 1
        name = f"customer-{cls.count}"
        return cls(scene, await scene.gate.create_key(account=name, tenant=name, **fields), name, path)

    async def ask(self, script: Script | None = None, **members: Any) -> tuple[Response, dict[str, Any]]:
        if script is not None:
            self.scene.upstream.script(script)
        head = [("Authorization", f"Bearer {self.secret}")] if self.path == CHAT else [("x-api-key", self.secret)]
        dialect: Any = "openai" if self.path == CHAT else "anthropic"
        raw = post(self.path, chat(**{"max_tokens": 400, **members}), head)
        response = await self.scene.ask(raw, accepted=True, dialect=dialect)
        name = response.header("x-request-id") or response.header("request-id")
        return response, await record_of(self.scene.gate, name)

    async def says(self, stops: int) -> Response:
        """Do what a rule flags."""
        stop = ["a", "b", "c"][:stops]
        members: dict[str, Any] = {"stop" if self.path == CHAT else "stop_sequences": stop}
        response, _ = await self.ask(**members)
        return response

    async def is_lifted(self, flag: str) -> None:
        lifted = run(self.scene.gate, "flags", "lift", "account", self.name, flag, "--why", "a customer's mistake")
        assert lifted.exit_code == 0, lifted.output


async def stored(scene: Scene, customer: Customer) -> None:
    """Wait until a flag has reached the store, where a reviewer finds it."""
    async with asyncio.timeout(10):
        while True:
            _, found = await scene.gate.admin_request("GET", f"/flags?account={customer.name}")
            if found["flags"]:
                return
            await asyncio.sleep(0.05)


# As the two APIs write: a document on lines of its own, a stream of compact events; words and arguments of a call.
CHOICE: dict[str, Any] = {
    "index": 0,
    "message": {
        "role": "assistant",
        "content": "Grüße: 3 < 4",
        "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": '{"a": [1, 2]}'}}],
    },
    "logprobs": {"content": [{"token": "G", "logprob": -0.123456, "bytes": [71], "top_logprobs": []}]},
    "finish_reason": "stop",
}
USAGE = {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17}
COMPLETION: dict[str, Any] = {
    "id": "c",
    "object": "chat.completion",
    "model": "m-large",
    "choices": [CHOICE],
    "usage": USAGE,
}
CONTENT: list[Any] = [
    {"type": "text", "text": "Grüße: 3 < 4"},
    {"type": "tool_use", "id": "t", "name": "f", "input": {"a": [1]}},
]
MESSAGE: dict[str, Any] = {"id": "m", "type": "message", "role": "assistant", "model": "m-large", "content": CONTENT}
MESSAGE |= {"stop_reason": "tool_use", "usage": {"input_tokens": 9, "output_tokens": 8}}


def compact(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def named(document: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (document["type"].encode(), compact(document))


def chat_events() -> list[bytes]:
    head = {"id": "c", "object": "chat.completion.chunk", "model": "m-large"}
    first = {"index": 0, "delta": {"content": "Grüße:"}, "logprobs": CHOICE["logprobs"], "finish_reason": None}
    other = {"index": 0, "delta": {"content": " 3 < 4"}, "logprobs": None, "finish_reason": None}
    last = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    chunks = [{**head, "choices": [choice]} for choice in (first, other, last)] + [
        {**head, "choices": [], "usage": USAGE}
    ]
    return [b"data: %b\n\n" % compact(chunk) for chunk in chunks] + [b"data: [DONE]\n\n"]


def message_events() -> list[bytes]:
    start = {**MESSAGE, "content": [], "stop_reason": None}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Grüße: 3 < 4"}}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 8}}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": start}, delta, end, {"type": "message_stop"}]
    return [named(each) for each in events]


def upstream(path: str, model: str = "m-large", *, stream: bool) -> tuple[Script, bytes]:
    """Return a script and its body, as a model of that name answers."""
    if stream:
        events = chat_events() if path == CHAT else message_events()
        events = [each.replace(b"m-large", model.encode()) for each in events]
        return sse_answer(events), b"".join(events)
    document = json.dumps(COMPLETION if path == CHAT else MESSAGE, indent=2, ensure_ascii=False) + "\n"
    body = document.replace("m-large", model).encode()
    return body_answer(200, body, "application/json"), body


def asked(path: str, *, stream: bool) -> dict[str, Any]:
    if path == MESSAGES:
        return {"stream": stream}
    usage = {"stream_options": {"include_usage": True}} if stream else {}
    return {"logprobs": True, "top_logprobs": 5, "n": 2, "logit_bias": {"1": 2}, "stream": stream, **usage}


FORMS = [(path, stream) for path in (CHAT, MESSAGES) for stream in (True, False)]
NAMES = [f"{path}-{'stream' if stream else 'document'}" for path, stream in FORMS]


@pytest.mark.parametrize(("path", "stream"), FORMS, ids=NAMES)
async def test_a_flag_that_is_lifted_leaves_no_trace(scene: Scene, path: str, *, stream: bool) -> None:
    """E-16: never on the unflagged, every degraded answer logged with rule and version; and undone byte for byte."""
    customer = await Customer.of(scene, path)
    members = asked(path, stream=stream)
    script, whole = upstream(path, stream=stream)
    before, record = await customer.ask(script, **members)
    assert (before.body, record["effect"], record["rung"], record["model_used"]) == (whole, "allow", "", "m-large")
    sent = scene.upstream.requests[-1].body
    await customer.says(2)
    script, _ = upstream(path, "m-small", stream=stream)
    flagged, record = await customer.ask(script, **members)
    assert flagged.body == (whole.replace(b"-0.123456", b"-0.1") if path == CHAT else whole)
    assert (record["effect"], record["by"], record["rung"]) == ("degrade", "other", "other")
    dropped = ["drop"] if path == CHAT else []
    assert sorted(record["actions"]) == sorted([*dropped, "clamp", "pace", "reroute"])
    assert (record["flags"], record["model_used"], record["pack_name"]) == (["limited"], "m-small", "whole-ladder")
    assert len(record["pack_digest"]) == 64
    assert record["id"] in {begun["id"] for begun in scene.gate.records("begin")}
    body = scene.upstream.requests[-1].json()
    assert (body["model"], body["max_tokens"], body.get("n"), body.get("logit_bias")) == (
        ("m-small", 8, 1 if path == CHAT else None, None)
    )
    await stored(scene, customer)
    await customer.is_lifted("limited")
    async with asyncio.timeout(10):
        while record["effect"] != "allow":
            script, whole = upstream(path, stream=stream)
            after, record = await customer.ask(script, **members)
    assert (after.body, record["rung"], record["model_used"]) == (whole, "", "m-large")
    assert _without_ids(after) == _without_ids(before)
    assert scene.upstream.requests[-1].body == sent


@pytest.mark.parametrize(("path", "stream"), FORMS, ids=NAMES)
async def test_a_flagged_answer_differs_in_nothing_but_what_was_done(scene: Scene, path: str, *, stream: bool) -> None:
    """E-15: of one answer by one upstream, the flagged caller sees the same headers and bytes; time is what tells."""
    clean, probing = await Customer.of(scene, path), await Customer.of(scene, path)
    await probing.says(2)
    members = {"stream": stream, "max_tokens": 4}
    times = []
    for _ in range(5):
        script, _ = upstream(path, stream=stream)
        plain, first = await clean.ask(script, **members)
        script, _ = upstream(path, "m-small", stream=stream)
        flagged, second = await probing.ask(script, **members)
        assert _without_ids(flagged) == _without_ids(plain)
        # Figures that nobody asked for pass as they came.
        assert flagged.body == plain.body
        times.append((first["ms"]["total"], second["ms"]["total"]))
        assert (first["effect"], second["effect"]) == ("allow", "degrade")
    assert min(second for _, second in times) > 200, "the pace is what an attacker can measure"


def _without_ids(response: Response) -> list[tuple[str, str]]:
    told = {"date", "x-request-id", "request-id", "content-length"}
    return [(name, "" if name.lower() in told else value) for name, value in response.head.headers]


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_a_conversation_that_is_too_long_is_refused_in_the_callers_dialect(scene: Scene, path: str) -> None:
    customer = await Customer.of(scene, path)
    long = [{"role": "user", "content": "x" * 9000}]
    assert (await customer.ask(messages=long))[0].status == 200
    await customer.says(2)
    calls = scene.calls
    refused, record = await customer.ask(messages=long, stream=True)
    error = refused.json()["error"]
    assert (refused.status, error["type"]) == (400, "invalid_request_error")
    assert "prompt is too long" in error["message"]
    assert error.get("code") == ("context_length_exceeded" if path == CHAT else None)
    assert (record["effect"], record["by"], record["actions"]) == ("deny", "clamp", ["clamp"])
    assert (scene.calls, record["settled"]) == (calls, {})


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_a_challenged_account_goes_on_once_the_flag_is_lifted_or_it_was_verified(scene: Scene, path: str) -> None:
    customer = await Customer.of(scene, path)
    refused = await customer.says(3)
    reference = refused.header("x-request-id") or refused.header("request-id")
    assert (refused.status, refused.header("x-should-retry")) == (403, "false")
    error = refused.json()["error"]
    assert error["message"] == f"Please verify this account to go on: {URL} (ref {reference})."
    assert error.get("code") == ("verification_required" if path == CHAT else None)
    _, record = await customer.ask()
    assert (record["effect"], record["by"], record["actions"]) == ("deny", "verify", ["challenge"])
    secret = await scene.gate.create_key(
        account=customer.name, tenant=customer.name, attributes={"identity": "person-7"}
    )
    verified = Customer(scene, secret, customer.name, path)
    _, record = await verified.ask()
    assert (record["effect"], record["rung"]) == ("degrade", "verify"), "the flag stands, and with it the lower rungs"
    assert "challenge" not in record["actions"]
    await stored(scene, customer)
    await customer.is_lifted("challenged")
    async with asyncio.timeout(10):
        while record["effect"] != "allow":
            _, record = await customer.ask()
