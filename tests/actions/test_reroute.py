"""Another model answers: under the name that was asked for unless the rung discloses, and never in another dialect."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from proxy.actions.base import Action, AnswerAction, ModelFacts
from proxy.actions.reroute import Reroute
from proxy.exchange import Call, Chunk
from tests.actions.calls import CHAT, COMPLETIONS, EXCHANGE, MESSAGES, RESPONSES, TOOLS, chat, message
from tests.dialects.streams import chat_chunk


def begun(call: Call, facts: ModelFacts, *, disclosed: bool = False, dialect: str = "openai.chat") -> Action:
    tools = TOOLS._replace(models={"small": facts}, disclosed=disclosed)
    return Reroute.read({"model": "small"}).begin(replace(EXCHANGE, call=call, dialect=dialect), tools)


@pytest.mark.parametrize(
    ("call", "changed"),
    [
        (chat(), {}),
        (chat(max_tokens=500), {}),
        (chat(max_tokens=5000), {"max_tokens": 2000}),
        (chat(max_completion_tokens=5000, n=2), {"max_completion_tokens": 2000}),
        (message(), {"max_tokens": 2000}),
        (
            message(thinking={"type": "enabled", "budget_tokens": 3000}),
            {"max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1999}},
        ),
    ],
)
async def test_the_other_model_is_asked_for_no_more_than_it_gives(call: Call, changed: dict[str, Any]) -> None:
    made = await begun(call, ModelFacts(2000)).on_call(call)
    assert isinstance(made, Call)
    assert made.model == "small"
    assert made.body == {**call.body, "model": "small", **changed}
    dialect = MESSAGES if call.length_member == "max_tokens" else CHAT
    assert dialect.read(dialect.write(made)).max_output_tokens == made.max_output_tokens


@pytest.mark.parametrize("facts", [ModelFacts(), ModelFacts(dialects=frozenset({"openai.chat"}))])
async def test_a_model_is_taken_only_where_its_upstream_speaks_the_callers_dialect(facts: ModelFacts) -> None:
    assert await begun(chat(), facts).on_call(call := chat()) is not call
    other = message()
    made = await begun(other, facts, dialect="anthropic.messages").on_call(other)
    assert (made is other) == bool(facts.dialects)


async def test_who_asks_for_that_model_anyway_gets_it_unchanged() -> None:
    call = chat(model="small")
    action = begun(call, ModelFacts(1))
    assert await action.on_call(call) is call
    assert not isinstance(action, AnswerAction)


ANSWERS = [
    (CHAT, False, {"model": "small-1", "choices": [{"index": 0, "message": {"content": "the model small-1"}}]}),
    (CHAT, True, {**chat_chunk({"content": "I am small-1"}), "model": "small-1"}),
    (MESSAGES, False, {"type": "message", "model": "small-1", "content": [{"type": "text", "text": "small-1"}]}),
    (MESSAGES, True, {"type": "message_start", "message": {"model": "small-1", "content": [], "usage": {}}}),
]


@pytest.mark.parametrize(("dialect", "streamed", "document"), ANSWERS)
def test_an_answer_bears_the_name_that_was_asked_for(dialect: Any, streamed: bool, document: dict[str, Any]) -> None:
    action = begun(chat(), ModelFacts())
    assert isinstance(action, AnswerAction)
    transform = action.on_answer(dialect.wire(streamed=streamed))
    (out,) = transform.feed(Chunk(b"...", document))
    assert json.dumps(out.data) == json.dumps(document).replace('"model": "small-1"', '"model": "m"')
    assert transform.changed
    assert out.raw is None


WORDS = "small-1 is overloaded"
SAID = {"type": "overloaded_error", "code": None, "message": WORDS, "metadata": {"provider_name": WORDS}}
FAILED = {"type": "overloaded_error", "code": None, "message": "The model API could not answer."}
FAILURES: list[tuple[Any, bool, dict[str, Any], dict[str, Any]]] = [
    (CHAT, True, {"error": SAID}, {"error": FAILED}),
    (CHAT, False, {"error": WORDS}, {"error": FAILED["message"]}),
    (CHAT, True, {"choices": [{"index": 0, "error": SAID}]}, {"choices": [{"index": 0, "error": FAILED}]}),
    (COMPLETIONS, True, {"error": SAID}, {"error": FAILED}),
    (MESSAGES, True, {"type": "error", "error": SAID}, {"type": "error", "error": FAILED}),
    (MESSAGES, False, {"type": "error", "error": SAID}, {"type": "error", "error": FAILED}),
    (RESPONSES, False, {"output": [], "error": SAID}, {"output": [], "error": FAILED}),
    (RESPONSES, True, {"type": "error", "message": WORDS}, {"type": "error", "message": FAILED["message"]}),
    (
        RESPONSES,
        True,
        {"type": "response.failed", "response": {"error": SAID}},
        {"type": "response.failed", "response": {"error": FAILED}},
    ),
]


@pytest.mark.parametrize(("dialect", "streamed", "document", "left"), FAILURES)
def test_a_failure_within_an_answer_names_no_other_model(
    dialect: Any, streamed: bool, document: dict[str, Any], left: dict[str, Any]
) -> None:
    action = begun(chat(), ModelFacts())
    assert isinstance(action, AnswerAction)
    transform = action.on_answer(dialect.wire(streamed=streamed))
    (out,) = transform.feed(Chunk(b"...", document))
    assert (out.data, transform.changed) == (left, True)


@pytest.mark.parametrize(("dialect", "streamed", "document"), ANSWERS[:2])
def test_a_chunk_with_the_right_name_or_none_is_left_byte_for_byte(
    dialect: Any,
    streamed: bool,
    document: dict[str, Any],
) -> None:
    action = begun(chat(), ModelFacts())
    assert isinstance(action, AnswerAction)
    transform = action.on_answer(dialect.wire(streamed=streamed))
    for chunk in (Chunk(b"...", {**document, "model": "m"}), Chunk(b"data: [DONE]\n\n"), Chunk(b"x", {"choices": []})):
        assert [*transform.feed(chunk)] == [chunk]
    assert not transform.changed


def test_where_the_rung_discloses_the_answer_passes_as_the_upstream_made_it() -> None:
    assert not isinstance(begun(chat(), ModelFacts(), disclosed=True), AnswerAction)
