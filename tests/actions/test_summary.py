"""Promises about summaries of withheld reasoning: where they stand, what the helper is told, and what a failure leaves."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.actions.base import AnswerAction, Question, Tools
from proxy.actions.withhold import Withhold
from proxy.clock import VirtualClock
from proxy.dialects.base import Dialect
from proxy.dialects.strict_json import write
from proxy.exchange import Call, Exchange, Help, Helped, Principal, Usage
from proxy.rules.pack_file.loading import check_pack
from proxy.rules.pack_file.offered import Offered
from proxy.wire import SUMMED_BYTES, filled
from tests.actions.composing import Ladder
from tests.actions.test_withhold import (
    BLOCKS,
    CHAT,
    LEFT,
    MESSAGES,
    SEAL,
    SECRET,
    assembled_chat,
    assembled_message,
    assert_no_canary,
    call_of,
    chat_document,
    chat_stream,
    message_document,
    message_stream,
    opened,
    without_handle,
)
from tests.dialects.streams import chat_chunk, cut, data, event, read_by_a_client

SUMMARY = 'It weighed two "ways" \\ and took\nthe \U0001f426 second.'
WANTED = {"reasoning": True, "summary": {"model": "small", "within": "1500ms", "tokens": 60}}
FORMS = [(dialect, stream) for dialect in (CHAT, MESSAGES) for stream in (True, False)]
NAMES = [f"{dialect.name}-{'stream' if stream else 'document'}" for dialect, stream in FORMS]


MADE = Helped(Help.MADE, SUMMARY, Usage(20, 7))
SPELT = orjson.dumps(SUMMARY)


class Helper:
    """Answers every question in the same way, and keeps what it was asked."""

    def __init__(self, answer: Helped = MADE) -> None:
        self.asked: list[Question] = []
        self._answer = answer

    async def __call__(self, question: Question) -> Helped:
        self.asked.append(question)
        return self._answer


def got(dialect: Dialect, call: Call, pieces: list[bytes], helper: Helper | None) -> bytes:
    """Return what a client gets of an answer."""

    async def run() -> bytes:
        principal = Principal("k", "a", "acme", "free", 0.0, {})
        exchange = Exchange("ex", dialect.name, "192.0.2.1", "", "", 0.0, principal, call)
        tools = Tools(VirtualClock(), ask=helper)
        action = Withhold.read(WANTED).begin(exchange, tools)
        assert isinstance(action, AnswerAction)
        transform = action.on_answer(dialect.wire(streamed=call.stream))
        decoder = dialect.decoder(call, streamed=call.stream, every=True)
        chunks = [chunk for piece in [*pieces, b""] for chunk in (decoder.feed(piece) if piece else decoder.finish())]
        left = [*(made for chunk in chunks for made in transform.feed(chunk)), *transform.end()]
        assert transform.changed
        whole = [made for chunk in left for made in filled(chunk, [(await gap.ask()).text for gap in chunk.gaps])]
        return b"".join(dialect.encode(chunk, streamed=call.stream) for chunk in whole)

    return asyncio.run(run())


@settings(deadline=None)
@given(st.integers(1, 40), st.lists(st.integers(0, 10**6), max_size=30))
def test_a_chat_says_the_summary_where_its_reasoning_was(size: int, cuts: list[int]) -> None:
    helper = Helper()
    document = got(CHAT, call_of(CHAT, stream=False), [chat_document()], helper)
    message = without_handle(json.loads(document)["choices"][0]["message"])
    assert (message["reasoning_content"], message["content"]) == (SUMMARY, LEFT)
    assert "reasoning" not in message, "once, though the upstream says it under two names"
    asked = call_of(CHAT, stream=True, stream_options={"include_usage": True})
    streamed = got(CHAT, asked, cut(chat_stream(size), cuts), helper)
    assert {name: assembled_chat(streamed)[name] for name in message} == message
    assert [question.text for question in helper.asked] == [SECRET, SECRET]
    spoken = [chunk["choices"][0]["delta"] for chunk in read_by_a_client(streamed) if chunk["choices"]]
    told = [bool(delta.get("reasoning_content")) for delta in spoken]
    assert told.count(True) == 1
    assert told.index(True) < [bool(delta.get("content")) for delta in spoken].index(True)
    for out in (document, streamed):
        assert_no_canary(out, SECRET, SEAL)


@settings(deadline=None)
@given(st.integers(1, 40), st.lists(st.integers(0, 10**6), max_size=30))
def test_a_message_has_the_summary_in_a_block_that_bears_the_handle(size: int, cuts: list[int]) -> None:
    helper = Helper()
    document = got(MESSAGES, call_of(MESSAGES, stream=False), [message_document()], helper)
    streamed = got(MESSAGES, call_of(MESSAGES, stream=True), cut(message_stream(size), cuts), helper)
    for message in (json.loads(document), assembled_message(streamed)):
        thinking, _, redacted = message["content"][:3]
        assert (thinking["type"], thinking["thinking"]) == ("thinking", SUMMARY)
        assert opened(thinking["signature"]) == BLOCKS[0]
        assert opened(redacted["data"]) == BLOCKS[2], "there is no text in it to be summed up"
    assert [question.text for question in helper.asked] == [SECRET, SECRET]
    deltas = [
        each["delta"]["type"] for each in read_by_a_client(streamed) if each.get("index") == 0 and "delta" in each
    ]
    assert deltas == ["thinking_delta", "signature_delta"]
    for out in (document, streamed):
        assert_no_canary(out, SECRET, SEAL)


@pytest.mark.parametrize(("dialect", "stream"), FORMS, ids=NAMES)
def test_without_a_summary_the_answer_is_the_one_that_has_none(dialect: Dialect, stream: bool) -> None:
    call = call_of(dialect, stream=stream)
    answer = {CHAT: (chat_document(), chat_stream(5)), MESSAGES: (message_document(), message_stream(5))}[dialect][
        stream
    ]

    def without_handles(out: bytes) -> list[bytes]:
        return [part.partition(b'"')[2] for part in out.split(b"sgr1.")[1:]] + [out.split(b"sgr1.")[0]]

    failed, nobody = got(dialect, call, [answer], Helper(Helped(Help.LATE))), got(dialect, call, [answer], None)
    assert without_handles(failed) == without_handles(nobody)


def test_the_helper_is_told_what_to_do_apart_from_what_was_thought() -> None:
    helper = Helper()
    got(CHAT, call_of(CHAT, stream=False), [chat_document()], helper)
    [question] = helper.asked
    assert (question.model, question.tokens, question.within) == ("small", 60, 1.5)
    assert "at most 30 words" in question.instruction
    assert SECRET not in question.instruction


@pytest.mark.parametrize(("dialect", "stream"), FORMS, ids=NAMES)
@pytest.mark.parametrize(("letter", "least"), [("x", 65_536), ("\u4e2d", 65_533), ("\ud83d", 20_000)])
def test_of_long_reasoning_the_helper_gets_the_beginning(
    dialect: Dialect, stream: bool, letter: str, least: int
) -> None:
    thought, pieces = letter * 1_000, 150
    if dialect is CHAT and stream:
        answer = b"".join(data(chat_chunk({"reasoning": thought})) for _ in range(pieces)) + b"data: [DONE]\n\n"
    elif dialect is CHAT:
        choice = {"index": 0, "message": {"content": "ok", "reasoning": thought * pieces}, "finish_reason": "stop"}
        answer = json.dumps({"choices": [choice]}).encode()
    elif stream:
        block = {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}
        delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": thought}}
        answer = b"".join(map(event, [block, *[delta] * pieces, {"type": "content_block_stop", "index": 0}]))
    else:
        answer = json.dumps({"content": [{"type": "thinking", "thinking": thought * pieces}]}).encode()
    helper = Helper()
    got(dialect, call_of(dialect, stream=stream), cut(answer, [*range(0, len(answer), 16_384)]), helper)
    [question] = helper.asked
    assert least <= len(question.text.encode()) <= SUMMED_BYTES
    assert set(question.text) == {letter if letter.isprintable() else "?"}


@pytest.mark.parametrize(("dialect", "stream"), FORMS, ids=NAMES)
def test_one_answer_asks_for_eight_summaries_and_no_more(dialect: Dialect, stream: bool) -> None:
    count = 12
    if dialect is CHAT and stream:
        answer = data(chat_chunk(*[{"reasoning": "so"}] * count)) + b"data: [DONE]\n\n"
    elif dialect is CHAT:
        message = {"content": "ok", "reasoning": "so"}
        choices = [{"index": index, "message": message, "finish_reason": "stop"} for index in range(count)]
        answer = write({"choices": choices})
    elif stream:
        answer = b"".join(
            event(
                {"type": "content_block_start", "index": index, "content_block": {"type": "thinking", "thinking": "so"}}
            )
            + event({"type": "content_block_stop", "index": index})
            for index in range(count)
        )
    else:
        answer = write({"content": [{"type": "thinking", "thinking": "so"}] * count})
    helper = Helper()
    out = got(dialect, call_of(dialect, stream=stream), [answer], helper)
    assert len(helper.asked) == out.count(SPELT) == 8
    assert b'"so"' not in out


def test_reasoning_that_goes_on_after_text_is_summed_up_again() -> None:
    deltas = [
        {"reasoning": "first "},
        {"reasoning": "one"},
        {"content": "A"},
        {"reasoning": "then two"},
        {"content": "B"},
    ]
    helper = Helper()
    answer = b"".join(data(chat_chunk(delta)) for delta in deltas) + b"data: [DONE]\n\n"
    out = got(CHAT, call_of(CHAT, stream=True), [answer], helper)
    assert [question.text for question in helper.asked] == ["first one", "then two"]
    said = [next(iter(chunk["choices"][0]["delta"].items())) for chunk in read_by_a_client(out)]
    assert said == [("reasoning", SUMMARY), ("content", "A"), ("reasoning", SUMMARY), ("content", "B")]


@pytest.mark.parametrize(("dialect", "stream"), FORMS, ids=NAMES)
async def test_what_came_of_it_is_counted_and_other_actions_work_on(dialect: Dialect, stream: bool) -> None:
    pace = ("pace", {"first_token": "1s"})
    ladder = Ladder(("withhold", WANTED), ("reroute", {"model": "small"}), pace, ask=Helper())
    answer = {CHAT: (chat_document(), chat_stream(5)), MESSAGES: (message_document(), message_stream(5))}[dialect][
        stream
    ]
    done = await ladder.answer(dialect, call_of(dialect, stream=stream), answer, streamed=stream)
    assert done.helped == {"made": 1, "input": 20, "output": 7}
    assert SPELT in done.body
    models = [
        document.get("model") for document in (read_by_a_client(done.body) if stream else [json.loads(done.body)])
    ]
    assert set(models) <= {None, "m"}, "also where the summary stands"
    assert done.verdict.actions == ("reroute", "withhold", "pace")


@pytest.mark.parametrize(("dialect", "stream"), FORMS, ids=NAMES)
@pytest.mark.parametrize(
    ("lower", "higher", "asked"), [(WANTED, "reasoning", 0), ("reasoning", WANTED, 0), (WANTED, WANTED, 1)]
)
async def test_of_several_rungs_that_withhold_one_without_a_summary_is_enough_to_have_none(
    dialect: Dialect,
    stream: bool,
    lower: Any,
    higher: Any,
    asked: int,
) -> None:
    helper = Helper()
    ladder = Ladder(("withhold", lower), ("withhold", higher), ask=helper)
    answer = {CHAT: (chat_document(), chat_stream(5)), MESSAGES: (message_document(), message_stream(5))}[dialect][
        stream
    ]
    done = await ladder.answer(dialect, call_of(dialect, stream=stream), answer, streamed=stream)
    assert len(helper.asked) == done.body.count(SPELT) == asked
    assert_no_canary(done.body, SECRET, SEAL)


def test_a_pack_whose_helper_the_settings_do_not_list_does_not_come_into_force() -> None:
    pack = """\
apiVersion: stillgate/v1
kind: PolicyPack
metadata: {name: a, version: 1.0.0, owner: b}
ladder:
  - {rung: r, score: 10, do: [{withhold: {reasoning: true, summary: {model: smal}}}], disclose: header}
"""
    _, problems = check_pack(pack.encode(), "a.yaml", offered=Offered(frozenset({"small", "large"})))
    errors = [problem.sentence() for problem in problems if "model" in problem.sentence()]
    assert errors == ["the settings list no model 'smal' - did you mean 'small'?"]
