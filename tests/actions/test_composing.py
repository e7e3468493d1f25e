"""Any two actions together do what each does alone, in either order, dialect and form; what none touches stays whole."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from proxy.actions import ACTIONS, REFUSING
from proxy.decision import Effect
from proxy.dialects.base import Dialect
from proxy.exchange import Call
from tests.actions.calls import (
    CHAT,
    COMPLETIONS,
    COUNT,
    EMBEDDINGS,
    HI,
    MESSAGES,
    RESPONSES,
    chat,
    completion,
    count,
    embedding,
    message,
    response,
)
from tests.actions.composing import Ladder, Said, said
from tests.dialects.responses import called, document, stream
from tests.dialects.responses import said as said_in
from tests.dialects.streams import chat_chunk, data, event

# Every action that there is, so that a new one is tried with all the others.
EXAMPLES: dict[str, Any] = {
    "drop": ["logit_bias", {"logprobs": {"top": 1, "decimals": 1}}, {"embeddings": {"degrees": 5}}],
    "mark": {},
    "clamp": {"max_output_tokens": 2000, "n": 1, "temperature": {"max": 1}, "tools": 1, "images": 0},
    "withhold": "reasoning",
    "pace": {"first_token": "1s", "tokens_per_second": 10, "jitter": 0},
    "reroute": {"model": "small"},
    "challenge": {"url": "https://verify.example.com"},
    "reject": {},
}
REFUSE = {kind.name for kind in REFUSING}
# They read all prose, which takes log-probabilities away; what they make of it has tests of its own.
READ_PROSE = {"mark", "withhold"}
PAIRS = list(itertools.permutations(EXAMPLES, 2))
WRITING = (CHAT, RESPONSES, COMPLETIONS, MESSAGES)
FORMS = [(dialect, streamed) for dialect in WRITING for streamed in (True, False)]
NAMES = [f"{dialect.name}-{'stream' if streamed else 'document'}" for dialect, streamed in FORMS]

TEXTS = ["The capital of France", " is Paris.", " Its mayor is not me."]
ARGUMENTS = '{"city": "Paris", "floor": 3}'
FINE = {"token": "The", "logprob": -0.123456, "bytes": [84], "top_logprobs": [{"token": "A", "logprob": -0.5}] * 3}
COARSE = {"token": "The", "logprob": -0.1, "bytes": [84], "top_logprobs": [{"token": "A", "logprob": -0.5}]}
FIGURES = {
    "tokens": ["The"],
    "token_logprobs": [-0.123456],
    "top_logprobs": [{"A": -0.5, "B": -0.6}],
    "text_offset": [0],
}
ROUND = {**FIGURES, "token_logprobs": [-0.1], "top_logprobs": [{"A": -0.5}]}
# Where there are log-probabilities: as they come, and with the detail that is left.
DETAIL: dict[Dialect, tuple[Any, Any]] = {
    CHAT: (FINE, COARSE),
    RESPONSES: (FINE, COARSE),
    COMPLETIONS: (FIGURES, ROUND),
}


def call_of(dialect: Dialect) -> Call:
    tools = ["a", "b"]
    if dialect is CHAT:
        asked: dict[str, Any] = {"logprobs": True, "top_logprobs": 3, "logit_bias": {"1": 2}, "n": 2, "temperature": 2}
        functions = [{"type": "function", "function": {"name": name}} for name in tools]
        image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/1"}}]}
        return chat(**asked, tools=functions, max_tokens=9000, messages=[image, *HI])
    if dialect is RESPONSES:
        functions = [{"type": "function", "name": name} for name in tools]
        image = {"role": "user", "content": [{"type": "input_image", "image_url": "https://example.com/1"}]}
        figures = {"include": ["message.output_text.logprobs"], "top_logprobs": 3}
        return response(**figures, tools=functions, max_output_tokens=9000, temperature=2, input=[image, *HI])
    if dialect is COMPLETIONS:
        asked = {"logprobs": 3, "logit_bias": {"1": 2}, "n": 2, "temperature": 2, "max_tokens": 9000}
        return completion(prompt="Name the capital of France and its mayor.", **asked)
    image = {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://example.com/1"}}]}
    offered = [{"name": name, "input_schema": {}} for name in tools]
    return message(max_tokens=9000, tools=offered, temperature=1, messages=[image, *HI])


def answer_of(dialect: Dialect, *, streamed: bool) -> bytes:
    """Return what an upstream answers, whatever it was asked for."""
    if dialect is CHAT:
        usage = {"prompt_tokens": 9, "completion_tokens": 30, "total_tokens": 39}
        calls = [{"index": 0, "id": "c", "type": "function", "function": {"name": "a", "arguments": ARGUMENTS}}]
        if not streamed:
            holder = {"role": "assistant", "content": "".join(TEXTS), "tool_calls": calls, "refusal": None}
            choice = {"index": 0, "message": holder, "logprobs": {"content": [FINE]}, "finish_reason": "stop"}
            return json.dumps({"id": "c", "model": "small-9", "choices": [choice], "usage": usage}).encode()
        chunks = [chat_chunk({"content": text}) for text in TEXTS] + [chat_chunk({"tool_calls": calls}), chat_chunk({})]
        chunks[0]["choices"][0]["logprobs"] = {"content": [FINE]}
        chunks[-1]["choices"][0]["finish_reason"] = "stop"
        chunks.append(chat_chunk(usage=usage))
        return b"".join(data({**chunk, "model": "small-9"}) for chunk in chunks) + b"data: [DONE]\n\n"
    if dialect is RESPONSES:
        output = [said_in(TEXTS), called()]
        output[0]["content"][0]["logprobs"] = [FINE]
        told = {"model": "small-9", "max_output_tokens": 2000, "temperature": 1}
        return stream(output, TEXTS, **told) if streamed else document(output, **told)
    return _completion(streamed=streamed) if dialect is COMPLETIONS else _message(streamed=streamed)


def _completion(*, streamed: bool) -> bytes:
    usage = {"prompt_tokens": 9, "completion_tokens": 30, "total_tokens": 39}
    pieces = [*TEXTS, ""] if streamed else ["".join(TEXTS)]
    texts: list[dict[str, Any]] = [
        {"text": text, "index": 0, "logprobs": None, "finish_reason": None} for text in pieces
    ]
    texts[0]["logprobs"] = FIGURES
    texts[-1]["finish_reason"] = "stop"
    if not streamed:
        return json.dumps({"id": "t", "model": "small-9", "choices": texts, "usage": usage}).encode()
    chunks: list[dict[str, Any]] = [{"id": "t", "model": "small-9", "choices": [text]} for text in texts]
    chunks.append({"id": "t", "model": "small-9", "choices": [], "usage": usage})
    return b"".join(map(data, chunks)) + b"data: [DONE]\n\n"


def _message(*, streamed: bool) -> bytes:
    head = {"id": "m", "type": "message", "role": "assistant", "model": "small-9"}
    use = {"type": "tool_use", "id": "t", "name": "a"}
    usage = {"input_tokens": 9, "output_tokens": 30}
    if not streamed:
        content = [{"type": "text", "text": "".join(TEXTS)}, {**use, "input": json.loads(ARGUMENTS)}]
        return json.dumps({**head, "content": content, "stop_reason": "tool_use", "usage": usage}).encode()
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**head, "content": [], "stop_reason": None, "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": t}} for t in TEXTS),
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {**use, "input": {}}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": ARGUMENTS}},
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 30}},
        {"type": "message_stop"},
    ]
    return b"".join(map(event, events))


def test_every_action_that_there_is_takes_part() -> None:
    assert EXAMPLES.keys() == ACTIONS.keys()


@pytest.mark.parametrize(("dialect", "streamed"), FORMS, ids=NAMES)
@pytest.mark.parametrize(("first", "second"), PAIRS, ids=lambda name: name)
async def test_two_actions_do_what_each_does_alone(first: str, second: str, dialect: Dialect, streamed: bool) -> None:
    ladder = Ladder((first, EXAMPLES[first]), (second, EXAMPLES[second]))
    call, upstream = call_of(dialect), answer_of(dialect, streamed=streamed)
    done = await ladder.answer(dialect, call, upstream, streamed=streamed)
    at_work = {first, second}
    if at_work & REFUSE:
        refusing = first if first in REFUSE else second
        assert (done.sent, done.verdict.effect, done.verdict.actions) == (None, Effect.DENY, (refusing,))
        assert done.verdict.by.endswith(refusing)
        return
    assert done.sent is not None
    dialect.read(dialect.write(done.sent))
    # To the one side, what was asked for.
    asked, body = call.body, done.sent.body
    assert (done.sent.model, body["model"]) == (("small", "small") if "reroute" in at_work else ("m", "m"))
    longest = 2000 if "clamp" in at_work else 3000 if "reroute" in at_work else 9000
    name = "max_output_tokens" if dialect is RESPONSES else "max_tokens"
    assert (done.sent.max_output_tokens, body[name]) == (longest, longest)
    if dialect is COMPLETIONS:
        assert body["prompt"] == asked["prompt"]
    else:
        assert len(body["tools"]) == (1 if "clamp" in at_work else 2)
        name = "input" if dialect is RESPONSES else "messages"
        assert (body[name] == asked[name]) == ("clamp" not in at_work)
    dropped = dialect in DETAIL and "drop" in at_work
    if dialect in DETAIL:
        assert body["logprobs" if dialect is COMPLETIONS else "top_logprobs"] == (1 if dropped else 3)
    if dialect in (CHAT, COMPLETIONS):
        assert ("logit_bias" in body) != dropped
        assert (body["n"], body["temperature"]) == ((1, 1) if "clamp" in at_work else (2, 2))
    # To the other side, what is answered: all of it, but for figures, name, time and wordings.
    alone = await Ladder(("mark", {})).answer(dialect, call_of(dialect), upstream, streamed=streamed)
    marked = said(dialect, alone.body, streamed=streamed).text
    before, after = said(dialect, upstream, streamed=streamed), said(dialect, done.body, streamed=streamed)
    assert before == said(dialect, answer_of(dialect, streamed=not streamed), streamed=not streamed)
    assert after == Said(
        models={"m"} if "reroute" in at_work else before.models,
        text=marked if "mark" in at_work else "".join(TEXTS),
        arguments=before.arguments,
        logprobs=[] if at_work & READ_PROSE else [DETAIL[dialect][1]] if dropped else before.logprobs,
        ends=before.ends,
        usage=before.usage,
    )
    assert (done.waited > 0) == ("pace" in at_work)
    # And the record: what changed something, by the highest rung that did.
    reading = {"mark"} if marked != "".join(TEXTS) else set()
    if dialect in DETAIL:  # the first to read prose takes the figures away
        reading |= {first} if first in READ_PROSE else {second}
    changing = [name for name in (first, second) if name != "drop" or dropped]
    changing = [name for name in changing if name not in READ_PROSE or name in reading]
    assert sorted(done.verdict.actions) == sorted(changing)
    assert done.verdict.effect is (Effect.DEGRADE if changing else Effect.ALLOW)
    assert done.verdict.by.endswith(changing[-1] if changing else "")


@pytest.mark.parametrize(("dialect", "streamed"), FORMS, ids=NAMES)
async def test_the_order_of_the_rungs_makes_no_difference_to_what_comes_of_it(dialect: Dialect, streamed: bool) -> None:
    call, upstream = call_of(dialect), answer_of(dialect, streamed=streamed)
    outcomes = set()
    # With a reader of prose, pieces of a stream are cut where it lets them go.
    for names in itertools.permutations([name for name in EXAMPLES if name not in REFUSE | READ_PROSE]):
        done = await Ladder(*[(name, EXAMPLES[name]) for name in names]).answer(
            dialect, call, upstream, streamed=streamed
        )
        assert done.sent is not None
        sent = json.dumps(done.sent.body, sort_keys=True)
        outcomes.add((sent, done.body, done.waited, frozenset(done.verdict.actions)))
    assert len(outcomes) == 1


@pytest.mark.parametrize(("dialect", "streamed"), FORMS, ids=NAMES)
async def test_readers_of_prose_leave_the_same_words_in_any_order(dialect: Dialect, streamed: bool) -> None:
    upstream = answer_of(dialect, streamed=streamed)
    outcomes = []
    for names in itertools.permutations(["drop", "mark", "reroute", "withhold"]):
        ladder = Ladder(*[(name, EXAMPLES[name]) for name in names])
        done = await ladder.answer(dialect, call_of(dialect), upstream, streamed=streamed)
        outcomes.append(said(dialect, done.body, streamed=streamed))
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert outcomes[0].logprobs == []


@pytest.mark.parametrize("dialect", WRITING, ids=lambda dialect: dialect.name)
async def test_a_document_takes_as_long_as_a_stream(dialect: Dialect) -> None:
    ladder = [(name, EXAMPLES[name]) for name in EXAMPLES if name not in REFUSE]
    took = []
    for streamed in (True, False):
        upstream = answer_of(dialect, streamed=streamed)
        took.append((await Ladder(*ladder).answer(dialect, call_of(dialect), upstream, streamed=streamed)).waited)
    # A document of the one API holds arguments as an object, whose size is that of its values.
    assert took[0] == pytest.approx(took[1], abs=1.0 if dialect is MESSAGES else 0.01)


@pytest.mark.parametrize(("dialect", "streamed"), FORMS, ids=NAMES)
async def test_who_stands_on_no_rung_gets_the_upstreams_bytes(dialect: Dialect, streamed: bool) -> None:
    upstream = answer_of(dialect, streamed=streamed)
    call = call_of(dialect)
    call.hide_usage = False
    done = await Ladder().answer(dialect, call, upstream, streamed=streamed)
    assert (done.sent, done.body, done.verdict.effect, done.waited) == (call, upstream, Effect.ALLOW, 0)


@pytest.mark.parametrize(("dialect", "streamed"), FORMS, ids=NAMES)
async def test_a_ladder_that_finds_nothing_to_change_degrades_nothing(dialect: Dialect, streamed: bool) -> None:
    made = {CHAT: chat, RESPONSES: response, COMPLETIONS: completion, MESSAGES: message}[dialect]
    length = "max_output_tokens" if dialect is RESPONSES else "max_tokens"
    small = made(model="small", **{length: 9})
    small.hide_usage = False
    # Without the pace: on a clock that stands still every answer is too early.
    ladder = Ladder(*[(name, EXAMPLES[name]) for name in EXAMPLES if name not in {"pace", *REFUSE, *READ_PROSE}])
    upstream = answer_of(dialect, streamed=streamed)
    done = await ladder.answer(dialect, small, upstream, streamed=streamed)
    assert (done.sent, done.body) == (small, upstream)
    assert (done.verdict.effect, done.verdict.by, done.verdict.actions) == (Effect.ALLOW, "", ())


async def test_arguments_of_a_call_keep_every_digit_in_an_answer_that_is_rewritten() -> None:
    upstream = answer_of(MESSAGES, streamed=False).replace(b'"floor": 3', b'"floor": 123456789012345678901234567890')
    ladder = Ladder(("reroute", EXAMPLES["reroute"]))
    done = await ladder.answer(MESSAGES, call_of(MESSAGES), upstream, streamed=False)
    assert done.body == upstream.replace(b"small-9", b"m")


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("dialect", [EMBEDDINGS, COUNT], ids=lambda dialect: dialect.name)
async def test_where_nothing_is_written_only_vectors_change_and_refusals_hold(name: str, dialect: Dialect) -> None:
    call = embedding(input="hi") if dialect is EMBEDDINGS else count()
    item = {"object": "embedding", "index": 0, "embedding": [0.6, -0.8]}
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    answer = {"object": "list", "data": [item], "model": "small-9", "usage": usage}
    upstream = json.dumps(answer if dialect is EMBEDDINGS else {"input_tokens": 9}).encode()
    done = await Ladder((name, EXAMPLES[name])).answer(dialect, call, upstream, streamed=False)
    if name in REFUSE:
        assert (done.sent, done.verdict.effect, done.verdict.actions) == (None, Effect.DENY, (name,))
        return
    assert (done.sent, done.waited) == (call, 0)
    if name == "drop" and dialect is EMBEDDINGS:
        assert (done.verdict.effect, done.verdict.actions) == (Effect.DEGRADE, ("drop",))
        left = json.loads(done.body)
        assert left["data"][0].pop("embedding") != item.pop("embedding")
        assert left == answer
    else:
        assert (done.body, done.verdict.effect, done.verdict.actions) == (upstream, Effect.ALLOW, ())
