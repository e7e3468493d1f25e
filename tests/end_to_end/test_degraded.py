"""A whole ladder in a running proxy: who is flagged, what tells him so, what stays whole, and that it can be undone."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.end_to_end.customers import record_of
from tests.end_to_end.people import run
from tests.end_to_end.scene import Scene, staged
from tests.rig.raw_client import Response, post
from tests.rig.scripted_upstream import Script, body_answer, sse_answer
from tests.rig.speech import CHAT, COMPLETIONS, COUNT, FORM_NAMES, FORMS, MESSAGES, RESPONSES, SPEECHES, Speech

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
    """One account of its own, in any dialect."""

    count = 0

    def __init__(self, scene: Scene, secret: str, name: str, speech: Speech) -> None:
        self.scene, self.secret, self.name, self.speech = scene, secret, name, speech

    @classmethod
    async def of(cls, scene: Scene, speech: Speech, **fields: Any) -> Customer:
        cls.count += 1
        name = f"customer-{cls.count}"
        return cls(scene, await scene.gate.create_key(account=name, tenant=name, **fields), name, speech)

    async def ask(self, script: Script | None = None, **members: Any) -> tuple[Response, dict[str, Any]]:
        if script is not None:
            self.scene.upstream.script(script)
        speech = self.speech
        long = {speech.length: 400} if speech.length else {}
        raw = post(speech.path, {**speech.ask("hi"), **long, **members}, speech.headers(self.secret))
        response = await self.scene.ask(raw, accepted=True, dialect=speech.family)
        return response, await record_of(self.scene.gate, response.header(speech.request_id))

    async def says(self, stops: int) -> Response:
        """Do what a rule flags, in the API of the same vendor that can."""
        able = CHAT if self.speech.family == "openai" else MESSAGES
        members: dict[str, Any] = {able.stops: ["a", "b", "c"][:stops]}
        response, _ = await Customer(self.scene, self.secret, self.name, able).ask(**members)
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


FIGURES = {"tokens": ["G"], "token_logprobs": [-0.123456], "top_logprobs": [{}], "text_offset": [0]}


def events_of(speech: Speech) -> list[bytes]:
    if speech is CHAT:
        return chat_events()
    if speech is MESSAGES:
        return message_events()
    assert speech.events is not None
    events = speech.events(["Grüße:", " 3 < 4"], "m-large", (9, 8))
    if speech is RESPONSES:  # the first piece has them, and all that tells it again but the second
        figures = b'"logprobs":%b' % compact(CHOICE["logprobs"]["content"])
        at = next(number for number, each in enumerate(events) if b"text.delta" in each)
        again = [each.replace(b'"logprobs":[]', figures) for each in events[at + 2 :]]
        return [*events[:at], events[at].replace(b'"logprobs":[]', figures), events[at + 1], *again]
    first, *rest = events
    return [first.replace(b'"logprobs":null', b'"logprobs":%b' % compact(FIGURES)), *rest]


def document_of(speech: Speech) -> dict[str, Any]:
    if speech in (CHAT, MESSAGES):
        return COMPLETION if speech is CHAT else MESSAGE
    document = speech.document("Grüße: 3 < 4", "m-large", (9, 8))
    for choice in document.get("choices", ()):
        choice["logprobs"] = FIGURES
    for item in document.get("output", ()):
        item["content"][0]["logprobs"] = CHOICE["logprobs"]["content"]
    return document


def upstream(speech: Speech, model: str = "m-large", length: int = 400, *, stream: bool) -> tuple[Script, bytes]:
    """Return a script and its body, as a model of that name answers; a response also says how long it might be."""

    def told(text: bytes) -> bytes:
        return re.sub(rb'("max_output_tokens": ?)\d+', rb"\g<1>%d" % length, text.replace(b"m-large", model.encode()))

    if stream:
        events = list(map(told, events_of(speech)))
        return sse_answer(events), b"".join(events)
    document = json.dumps(document_of(speech), indent=2, ensure_ascii=False) + "\n"
    body = told(document.encode())
    return body_answer(200, body, "application/json"), body


def asked(speech: Speech, *, stream: bool) -> dict[str, Any]:
    if not PROBED.get(speech):
        return {"stream": True} if stream else {}
    several = {"n": 2, "logit_bias": {"1": 2}} if speech.stops else {}
    return {**PROBED[speech], **several, "stream": stream, **(speech.usage_asked if stream else {})}


# How log-probabilities are asked for, where there are any.
PROBED: dict[Speech, dict[str, Any]] = {
    CHAT: {"logprobs": True, "top_logprobs": 5},
    RESPONSES: {"include": ["message.output_text.logprobs"], "top_logprobs": 5},
    COMPLETIONS: {"logprobs": 5},
}
READ = pytest.mark.parametrize("speech", [each for each in SPEECHES if each is not COUNT], ids=lambda each: each.name)


@pytest.mark.parametrize(("speech", "stream"), FORMS, ids=FORM_NAMES)
async def test_a_flag_that_is_lifted_leaves_no_trace(scene: Scene, speech: Speech, *, stream: bool) -> None:
    """E-16: never on the unflagged, every degraded answer logged with rule and version; and undone byte for byte."""
    customer = await Customer.of(scene, speech)
    members = asked(speech, stream=stream)
    script, whole = upstream(speech, stream=stream)
    before, record = await customer.ask(script, **members)
    assert (before.body, record["effect"], record["rung"], record["model_used"]) == (whole, "allow", "", "m-large")
    sent = scene.upstream.requests[-1].body
    await customer.says(2)
    # Where nothing is written no other model is asked, and this ladder finds nothing to change.
    model = "m-small" if speech.length else "m-large"
    shorter = 16 if speech is RESPONSES else 8  # that API takes no less
    script, _ = upstream(speech, model, shorter, stream=stream)
    flagged, record = await customer.ask(script, **members)
    assert flagged.body == (whole.replace(b"-0.123456", b"-0.1") if speech in PROBED else whole)
    dropped = ["drop"] if speech in PROBED else []
    done = [*dropped, "clamp", "pace", "reroute"] if speech.length else []
    assert (record["effect"], record["by"]) == (("degrade", "other") if done else ("allow", ""))
    assert sorted(record["actions"]) == sorted(done)
    assert (record["flags"], record["model_used"], record["rung"]) == (["limited"], model, "other")
    assert (record["pack_name"], len(record["pack_digest"])) == ("whole-ladder", 64)
    assert (record["id"] in {begun["id"] for begun in scene.gate.records("begin")}) == bool(done)
    body = scene.upstream.requests[-1].json()
    assert (body["model"], body.get(speech.length), body.get("n"), body.get("logit_bias")) == (
        (model, shorter if done else None, 1 if "n" in members else None, None)
    )
    await stored(scene, customer)
    await customer.is_lifted("limited")
    async with asyncio.timeout(10):
        while record["flags"]:
            script, whole = upstream(speech, stream=stream)
            after, record = await customer.ask(script, **members)
    assert (after.body, record["rung"], record["model_used"]) == (whole, "", "m-large")
    assert _without_ids(after) == _without_ids(before)
    assert scene.upstream.requests[-1].body == sent


@pytest.mark.parametrize(("speech", "stream"), FORMS, ids=FORM_NAMES)
async def test_a_flagged_answer_differs_in_nothing_but_what_was_done(
    scene: Scene, speech: Speech, *, stream: bool
) -> None:
    """E-15: of one answer by one upstream, the flagged caller sees the same headers and bytes; time is what tells."""
    clean, probing = await Customer.of(scene, speech), await Customer.of(scene, speech)
    await probing.says(2)
    members = {**({"stream": True} if stream else {}), **({speech.length: 4} if speech.length else {})}
    times = []
    for _ in range(5):
        script, _ = upstream(speech, length=4, stream=stream)
        plain, first = await clean.ask(script, **members)
        script, _ = upstream(speech, "m-small" if speech.length else "m-large", 4, stream=stream)
        flagged, second = await probing.ask(script, **members)
        assert _without_ids(flagged) == _without_ids(plain)
        # Figures that nobody asked for pass as they came.
        assert flagged.body == plain.body
        times.append((first["ms"]["total"], second["ms"]["total"]))
        assert (first["effect"], second["effect"]) == ("allow", "degrade" if speech.length else "allow")
    slowed = min(second for _, second in times) > 200
    assert slowed == bool(speech.length), "the pace is what an attacker can measure, where there is any"


def _without_ids(response: Response) -> list[tuple[str, str]]:
    """Return the headers without what differs from one answer to the next: ids, lengths and the moment."""
    told = re.compile("date|x-request-id|request-id|content-length|.*-reset.*", re.IGNORECASE)
    return [
        (name, "" if told.fullmatch(name) else re.sub(";t=[0-9]+", "", value)) for name, value in response.head.headers
    ]


@READ
async def test_a_conversation_that_is_too_long_is_refused_in_the_callers_dialect(scene: Scene, speech: Speech) -> None:
    customer = await Customer.of(scene, speech)
    long = {speech.reads: speech.ask("x" * 9000)[speech.reads]}
    assert (await customer.ask(**long))[0].status == 200
    await customer.says(2)
    calls = scene.calls
    members: dict[str, Any] = {**long, **({"stream": True} if speech.events else {})}
    refused, record = await customer.ask(**members)
    error = refused.json()["error"]
    assert (refused.status, error["type"]) == (400, "invalid_request_error")
    assert "prompt is too long" in error["message"]
    told = ("context_length_exceeded", speech.reads) if speech.family == "openai" else (None, None)
    assert (error.get("code"), error.get("param")) == told
    assert (record["effect"], record["by"], record["actions"]) == ("deny", "clamp", ["clamp"])
    assert (scene.calls, record["settled"]) == (calls, {})


@pytest.mark.parametrize("speech", SPEECHES, ids=lambda each: each.name)
async def test_a_challenged_account_goes_on_once_the_flag_is_lifted_or_it_was_verified(
    scene: Scene, speech: Speech
) -> None:
    customer = await Customer.of(scene, speech)
    await customer.says(3)
    refused, record = await customer.ask()
    reference = refused.header(speech.request_id)
    assert (refused.status, refused.header("x-should-retry")) == (403, "false")
    error = refused.json()["error"]
    assert error["message"] == f"Please verify this account to go on: {URL} (ref {reference})."
    assert error.get("code") == ("verification_required" if speech.family == "openai" else None)
    assert (record["effect"], record["by"], record["actions"]) == ("deny", "verify", ["challenge"])
    secret = await scene.gate.create_key(
        account=customer.name, tenant=customer.name, attributes={"identity": "person-7"}
    )
    verified = Customer(scene, secret, customer.name, speech)
    _, record = await verified.ask()
    assert record["rung"] == "verify", "the flag stands, and with it the lower rungs"
    assert record["effect"] == ("degrade" if speech.length else "allow")
    assert "challenge" not in record["actions"]
    await stored(scene, customer)
    await customer.is_lifted("challenged")
    async with asyncio.timeout(10):
        while record["flags"] or record["effect"] != "allow":
            _, record = await customer.ask()


async def test_nothing_that_was_said_is_kept_unless_the_settings_ask_for_it(scene: Scene) -> None:
    customer = await Customer.of(scene, CHAT)
    await customer.says(2)
    _, record = await customer.ask()
    assert (record["effect"], record["sampled"]) == ("degrade", False)
    assert not (scene.gate.data / "samples").exists()
    assert not scene.gate.records("sample")
