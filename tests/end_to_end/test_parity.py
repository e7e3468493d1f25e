"""The same scenes in every API and form: none is a way around what holds for the others.

One proxy serves the file; each test has an account of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from tests.end_to_end.parity import (
    IN_EACH,
    IN_EACH_FORM,
    IN_EACH_STREAM,
    PACK,
    PER_KEY,
    SETTINGS,
    TEXTS,
    TOKENS,
    Customer,
    body_of,
    documents,
    limits_of,
    script_of,
    without_usage,
)
from tests.end_to_end.scene import Scene, staged
from tests.rig.raw_client import post
from tests.rig.scripted_upstream import (
    Pause,
    Reset,
    Script,
    body_answer,
    html_answer,
    json_answer,
    sse_answer,
    truncated,
)
from tests.rig.speech import COUNT, EMBEDDINGS, SPEECHES, Speech
from tests.rig.structured_fields import read_list

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("parity"), SETTINGS, pack=PACK) as scene:
        yield scene
        await scene.at_peace()


@IN_EACH_FORM
async def test_an_answer_is_passed_on_as_it_came_and_charged_what_it_used(
    scene: Scene, speech: Speech, streamed: bool
) -> None:
    customer = await Customer.of(scene, speech, streamed=streamed)
    body = body_of(speech, streamed=streamed)
    shown = speech.usage_asked if streamed else {}
    answer, record = await customer.ask(script_of(body, streamed=streamed), **shown)
    assert (answer.status, answer.body) == (200, body)
    tokens_in, tokens_out = speech.charges(TOKENS)
    assert record["usage"] == {"input": tokens_in, "output": tokens_out, "source": "upstream"}
    cost = tokens_in + 2 * tokens_out
    settled = {"requests": 1, "input_tokens": tokens_in, "output_tokens": tokens_out, "cost_usd": cost}
    assert (record["settled"], record["cost_microusd"]) == (settled, cost)
    assert record["reserved"]["output_tokens"] == (16 if speech.length else 0)
    assert (record["reserved"]["input_tokens"] > 0) == (speech is not COUNT)
    assert (record["dialect"], record["outcome"], record["effect"]) == (speech.name, "answered", "allow")
    assert (record["model"], record["chunks"] > 0, record["bytes_out"]) == ("m-large", True, len(body))
    sent = scene.upstream.requests[-1]
    assert sent.target == speech.path
    assert sent.json() == {**speech.ask("hi"), **({"stream": True} if streamed else {}), **shown}


@IN_EACH_FORM
async def test_what_passes_both_ways_is_what_each_api_needs_and_nothing_of_anybody_else(
    scene: Scene, speech: Speech, streamed: bool
) -> None:
    customer = await Customer.of(scene, speech, streamed=streamed)
    customer.headers += [("anthropic-version", "2024-01-01"), ("OpenAI-Organization", "org-1"), ("Cookie", "a=b")]
    answer, record = await customer.ask()
    assert (answer.status, record["outcome"]) == (200, "answered")
    sent = scene.upstream.requests[-1]
    names = {name.lower() for name, _ in sent.headers}
    assert {"openai-organization", "cookie"}.isdisjoint(names)
    assert ("anthropic-version" in names, "x-api-key" in names) == (speech.family == "anthropic",) * 2
    assert sent.header("x-request-id") == record["id"] == answer.header(speech.request_id)
    theirs = {"set-cookie", "openai-organization", "anthropic-organization-id", "server"}
    assert theirs.isdisjoint(name.lower() for name, _ in answer.head.headers)


@IN_EACH_STREAM
async def test_whether_a_client_sees_the_usage_changes_nothing_of_its_charge(scene: Scene, speech: Speech) -> None:
    """Q-02."""
    customer = await Customer.of(scene, speech, streamed=True)
    ways: list[dict[str, Any]] = [{}]
    if speech.usage_asked:
        ways += [speech.usage_asked, {"stream_options": {"include_usage": False}}]
    records = []
    for streamed, members in [(False, {}), *((True, each) for each in ways)]:
        customer.streamed = streamed
        script = script_of(body_of(speech, streamed=streamed), streamed=streamed)
        records.append((await customer.ask(script, **members))[1])
    charges = [(record["usage"], record["cost_microusd"], record["settled"]) for record in records]
    assert charges[0][0] == {"input": TOKENS[0], "output": TOKENS[1], "source": "upstream"}
    assert charges == charges[:1] * len(charges)


@IN_EACH_FORM
async def test_what_an_upstream_does_not_say_is_estimated(scene: Scene, speech: Speech, streamed: bool) -> None:
    customer = await Customer.of(scene, speech, streamed=streamed)
    body = without_usage(body_of(speech, streamed=streamed), streamed=streamed)
    _, record = await customer.ask(script_of(body, streamed=streamed))
    tokens_in, tokens_out, source = (record["usage"][name] for name in ("input", "output", "source"))
    assert (tokens_out > 0) == bool(speech.length)
    assert (tokens_in > 0, source) == ((False, "upstream") if speech is COUNT else (True, "estimate"))
    assert record["settled"]["requests"] == 1


@IN_EACH
@pytest.mark.parametrize(("status", "told"), [(400, 400), (404, 404), (500, 500), (429, 503), (401, 502)])
async def test_an_upstreams_refusal_comes_in_the_callers_words_and_costs_nothing(
    scene: Scene, speech: Speech, status: int, told: int
) -> None:
    customer = await Customer.of(scene, speech)
    refusal = json_answer(status, {"type": "error", "error": {"type": "x", "message": "its words", "code": "y"}})
    answer, record = await customer.ask(refusal)
    assert (answer.status, record["status"]) == (told, told)
    assert ("its words" in answer.json()["error"]["message"]) == (told < 500)
    assert (record["settled"]["input_tokens"], record["settled"]["output_tokens"]) == (0, 0)
    assert record["settled"]["requests"] == int(told < 500)


BROKEN: dict[str, Callable[[bytes], Script]] = {
    "a page": lambda _: html_answer(200),
    "another kind": lambda body: body_answer(200, body, "text/plain"),
    "half": lambda body: truncated(body[: len(body) // 2], len(body)),
    "nothing of it": lambda _: json_answer(200, {"surprise": True}),
}


@IN_EACH
@pytest.mark.parametrize("how", BROKEN)
async def test_a_document_that_is_none_is_an_error_and_nothing_is_charged(
    scene: Scene, speech: Speech, how: str
) -> None:
    customer = await Customer.of(scene, speech)
    answer, record = await customer.ask(BROKEN[how](body_of(speech, streamed=False)))
    assert (answer.status, "error" in answer.json()) == (502, True)
    assert set(record["settled"].values()) == {0}


@pytest.mark.parametrize("speech", [EMBEDDINGS, COUNT], ids=lambda each: each.name)
async def test_where_there_is_no_stream_none_is_asked_for_or_passed_on(scene: Scene, speech: Speech) -> None:
    customer = await Customer.of(scene, speech)
    calls = scene.calls
    refused, record = await customer.ask(stream=True)
    assert (refused.status, scene.calls, record["effect"]) == (400, calls, "deny")
    assert "`stream` must not be true" in refused.json()["error"]["message"]
    for unasked in ([b"data: {}\n\n"], [b"data: [DONE]\n\n"]):
        answer, record = await customer.ask(sse_answer(unasked))
        assert (answer.status, set(record["settled"].values())) == (502, {0})
    answer, _ = await customer.ask(stream=False)
    assert (answer.status, "stream" in scene.upstream.requests[-1].json()) == (200, False)


@IN_EACH_STREAM
@pytest.mark.parametrize("ending", ["reset", "end"])
async def test_a_stream_that_breaks_ends_with_an_error_and_is_charged_what_came(
    scene: Scene, speech: Speech, ending: str
) -> None:
    customer = await Customer.of(scene, speech, streamed=True)
    assert speech.events is not None
    came = speech.events(TEXTS * 5, "m-large", TOKENS)[:10]
    script = sse_answer(came) if ending == "end" else (*sse_answer(came, end=False), Pause(0.05), Reset())
    answer, record = await customer.ask(script)
    *_, last = documents(answer.body, streamed=True)
    assert (answer.status, "error" in last, record["outcome"]) == (200, True, "upstream_truncated")
    assert record["usage"]["source"] == "estimate"
    assert 0 < record["usage"]["output"] <= 16


@IN_EACH_FORM
async def test_a_client_that_leaves_closes_the_upstream_and_pays_for_what_was_made(
    scene: Scene, speech: Speech, streamed: bool
) -> None:
    customer = await Customer.of(scene, speech, streamed=streamed)
    body = body_of(speech, streamed=streamed)
    held = asyncio.Event()
    half = body[: body.rfind(b"\n\n", 0, len(body) * 2 // 3) + 2] if streamed else b""
    before, calls = len(scene.gate.records("exchange")), len(scene.upstream.requests)
    scene.upstream.script((*(sse_answer([half], end=False) if streamed else ()), Pause(held)))
    async with await scene.connect() as client:
        await client.send(customer.request())
        await scene.upstream.wait_for_requests(calls + 1)
        if streamed:
            await client.until(b"harbour")
    record = (await scene.gate.wait_for_records(before + 1))[-1]
    await scene.upstream.wait_closed(scene.upstream.requests[-1].connection)
    held.set()
    assert (record["dialect"], record["outcome"]) == (speech.name, "client_left")
    assert record["usage"]["source"] == "estimate"
    assert (record["usage"]["input"] > 0) == (speech is not COUNT)
    assert streamed <= (record["usage"]["output"] > 0) <= bool(speech.length)


@IN_EACH_FORM
@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"surprise": 1}, "surprise"),
        ({"model": "m-none"}, "model does not exist"),
        ({"model": ["m-large"]}, "`model` must be"),
        ({"thread_id": "t_1"}, "kept at the upstream"),
        ({"api_base": "https://example.com"}, "api_base"),
    ],
)
async def test_what_is_refused_is_refused_in_the_callers_words_and_goes_nowhere(
    scene: Scene, speech: Speech, streamed: bool, members: dict[str, Any], says: str
) -> None:
    customer = await Customer.of(scene, speech, streamed=streamed)
    calls = scene.calls
    answer, record = await customer.ask(**members)
    assert (answer.status, scene.calls) == (404 if "does not exist" in says else 400, calls)
    assert says in answer.json()["error"]["message"]
    assert (record["effect"], record["outcome"], record["settled"]) == ("deny", "refused", {})


@IN_EACH
async def test_a_text_is_missed_where_it_has_to_be(scene: Scene, speech: Speech) -> None:
    customer = await Customer.of(scene, speech)
    for wrong in ({}, 5, {"id": "pmpt_1"}):
        members: dict[str, Any] = {speech.reads: wrong}
        answer, _ = await customer.ask(**members)
        assert answer.status == 400
        assert f"`{speech.reads}`" in answer.json()["error"]["message"]


@IN_EACH_FORM
async def test_a_limit_holds_in_every_api_and_is_told_in_its_headers(
    scene: Scene, speech: Speech, streamed: bool
) -> None:
    """Q-16: answers tell beforehand what is left, and the upstream's own figures pass nowhere."""
    customer = await Customer.of(scene, speech, streamed=streamed)
    theirs = [
        ("x-ratelimit-limit-requests", "9"),
        ("anthropic-ratelimit-requests-limit", "9"),
        ("ratelimit", '"x";r=9'),
    ]
    for number in range(PER_KEY):
        script = script_of(body_of(speech, streamed=streamed), streamed=streamed, headers=theirs)
        answer, _ = await customer.ask(script)
        assert answer.status == 200
        assert limits_of(answer, speech)["requests"] == (PER_KEY, PER_KEY - 1 - number)
        counted = {
            "requests",
            *(["input-tokens"] if speech is not COUNT else []),
            *(["output-tokens"] if speech.length else []),
        }
        policies, left = (dict(read_list(answer.header(name) or "")) for name in ("ratelimit-policy", "ratelimit"))
        assert policies.keys() == left.keys() == counted
        assert policies["requests"] == {"q": PER_KEY, "qu": "requests", "w": 3_600}
        assert left["requests"]["r"] == PER_KEY - 1 - number
    calls = scene.calls
    refused, record = await customer.ask()
    assert (refused.status, scene.calls, record["by"], record["effect"]) == (429, calls, "each", "deny")
    assert int(refused.header("retry-after") or 0) > 0
    if speech.family == "openai":
        assert limits_of(refused, speech)["requests"] == (PER_KEY, 0)
        assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    else:
        assert limits_of(refused, speech)["requests"] == (PER_KEY, 0)
        assert refused.json()["error"]["type"] == "rate_limit_error"
    # Another API of the same caller is no way around it.
    other = next(each for each in SPEECHES if each.family == speech.family and each is not speech)
    customer.speech, customer.streamed = other, False
    assert (await customer.ask())[0].status == 429


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/v1/batches", "Batches are not available"),
        ("/v1/files", "Files are not available"),
        ("/v1/realtime?model=m-large", "Realtime sessions are not available"),
        ("/v1/files/file-1/content", "Files are not available"),
        ("/v1/nothing", "There is nothing here."),
        ("/v1/embeddings/", "There is nothing here."),
    ],
)
async def test_what_is_not_served_is_a_404_that_says_why(scene: Scene, path: str, says: str) -> None:
    """Q-11: what nobody counts is closed."""
    for headers, dialect in (([], "openai"), ([("anthropic-version", "2023-06-01")], "anthropic")):
        answer = await scene.ask(post(path, {}, headers), accepted=False, dialect=dialect)  # type: ignore[arg-type]
        assert (answer.status, says in answer.json()["error"]["message"]) == (404, True)
