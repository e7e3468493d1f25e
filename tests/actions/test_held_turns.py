"""Promises about chats that call tools while their reasoning is withheld: the turn can be returned, and is then whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.actions.base import Tools
from proxy.clock import VirtualClock
from proxy.dialects.strict_json import write
from proxy.keyed.sealed_reasoning import MAX_BLOCK_BYTES, PREFIX, SealedReasoning
from proxy.secrets import Purpose
from tests.actions.calls import CHAT, EXCHANGE, chat
from tests.actions.composing import Ladder
from tests.actions.test_summary import SUMMARY, WANTED, Helper
from tests.actions.test_withhold import SEAL, SECRET, TOOL_CALL, assert_no_canary, tokens
from tests.dialects.streams import chat_chunk, data, read_by_a_client

SEALED = SealedReasoning(Tools(VirtualClock()).key(Purpose.REASONING), EXCHANGE.principal.tenant)
WITHHOLD = ("withhold", "reasoning")
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
TEXT = {"type": "reasoning.text", "text": SECRET, "format": "anthropic-claude-v1", "index": 0}
# What servers show of one thought: as text, as items, as the blocks of the API behind, as something that nobody reads.
THOUGHTS: dict[str, dict[str, Any]] = {
    "text": {"reasoning_content": SECRET},
    "text under two names": {"reasoning": SECRET, "reasoning_content": SECRET},
    "items": {"reasoning": SECRET, "reasoning_details": [{**TEXT, "signature": SEAL}]},
    "sealed items": {"reasoning_details": [TEXT, {"type": "reasoning.encrypted", "data": SEAL, "index": 1}]},
    "blocks": {
        "reasoning_content": SECRET,
        "thinking_blocks": [{"type": "thinking", "thinking": SECRET, "signature": SEAL}],
    },
    "items of several kinds": {
        "reasoning_details": [
            {"type": "reasoning.summary", "summary": SECRET, "id": "a", "index": 0},
            {"type": "reasoning.text", "text": SECRET, "signature": None, "index": 1},
            {"type": "reasoning.text", "text": SECRET, "signature": SEAL, "index": 2},
            {"type": "reasoning.encrypted", "data": SEAL, "index": 3},
            {"type": "reasoning.encrypted", "data": SEAL, "index": 3},
        ]
    },
    "opaque": {"reasoning_opaque": SEAL},
}


def message_of(thought: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": "Let me look.", "tool_calls": [TOOL_CALL], **thought, **members}


def document(*messages: dict[str, Any]) -> bytes:
    choices = [{"index": at, "message": each, "finish_reason": "tool_calls"} for at, each in enumerate(messages)]
    return write({"id": "c", "object": "chat.completion", "model": "m", "choices": choices})


def pieces_of(name: str, value: Any, size: int) -> list[dict[str, Any]]:
    """Return the deltas that tell a member, as servers send it: texts bit by bit, a signature with the last."""
    if type(value) is str:
        return [{name: token} for token in tokens(value, size)]
    deltas: list[dict[str, Any]] = []
    for item in value:
        said = next((member for member in ("text", "summary", "thinking") if member in item), None)
        if said is None:
            deltas.append({name: [item]})
            continue
        rest = {member: each for member, each in item.items() if member not in {said, "signature"}}
        deltas += [{name: [{**rest, said: token}]} for token in tokens(item[said], size)]
        if "signature" in item:
            deltas.append({name: [{**rest, said: "", "signature": item["signature"]}]})
    return deltas


def stream(message: dict[str, Any], size: int, *, ends: bool = True) -> bytes:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    for name in message.keys() - {"role", "content", "tool_calls"}:
        deltas += pieces_of(name, message[name], size)
    deltas += [{"content": token} for token in tokens(message["content"] or "", size)]
    deltas += [{"tool_calls": [{"index": at, **each}]} for at, each in enumerate(message.get("tool_calls") or ())]
    last = chat_chunk({})
    last["choices"][0]["finish_reason"] = "tool_calls"
    chunks = [*map(chat_chunk, deltas), *([last] if ends else [])]
    return b"".join(map(data, chunks)) + b"data: [DONE]\n\n"


def assembled(body: bytes) -> dict[str, Any]:
    """Put a message together as clients do: texts and arguments go on, lists grow."""
    whole: dict[str, Any] = {"content": ""}
    for chunk in read_by_a_client(body):
        for choice in chunk["choices"]:
            for name, value in choice["delta"].items():
                if type(value) is str and name != "role":
                    whole[name] = whole.get(name, "") + value
                elif type(value) is list and name != "tool_calls":
                    whole[name] = [*whole.get(name, ()), *value]
                else:
                    whole[name] = value
    for each in whole.get("tool_calls", ()):
        each.pop("index", None)
    return whole


def returned(message: dict[str, Any]) -> dict[str, Any]:
    """Return what the model gets of a turn that its client returns with the result."""
    result = {"role": "tool", "tool_call_id": "call_1", "content": "rain"}
    asked = chat(messages=[{"role": "user", "content": "Hello."}, message, result], tools=TOOLS)
    message_back: dict[str, Any] = CHAT.put_back(asked, SEALED).body["messages"][1]
    return message_back


async def got(ladder: Ladder, body: bytes, *, streamed: bool, cuts: list[int] | None = None) -> bytes:
    done = await ladder.answer(CHAT, chat(tools=TOOLS, stream=streamed), body, streamed=streamed, cuts=cuts)
    return done.body


@pytest.mark.parametrize("thought", THOUGHTS.values(), ids=THOUGHTS)
async def test_a_turn_that_calls_a_tool_comes_back_as_the_model_gave_it(thought: dict[str, Any]) -> None:
    said = message_of(thought)
    whole = await got(Ladder(WITHHOLD), document(said), streamed=False)
    told = json.loads(whole)["choices"][0]["message"]
    assert_no_canary(whole, SECRET, SEAL)
    assert told.keys() - said.keys() == set()
    assert returned(told) == said
    bits = await got(Ladder(WITHHOLD), stream(said, 4), streamed=True)
    assert_no_canary(bits, SECRET, SEAL)
    assert returned(assembled(bits)) == said


@settings(deadline=None)
@given(st.sampled_from(list(THOUGHTS.values())), st.integers(1, 30), st.lists(st.integers(0, 10**6), max_size=30))
async def test_however_a_stream_is_split_the_turn_is_whole(thought: dict[str, Any], size: int, cuts: list[int]) -> None:
    said = message_of(thought)
    bits = await got(Ladder(WITHHOLD), stream(said, size), streamed=True, cuts=cuts)
    assert_no_canary(bits, SECRET, SEAL)
    assert returned(assembled(bits)) == said


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_turn_that_calls_no_tool_has_no_handle(streamed: bool) -> None:
    said = message_of(THOUGHTS["items"], tool_calls=None)
    body = await got(Ladder(WITHHOLD), stream(said, 9) if streamed else document(said), streamed=streamed)
    assert PREFIX.encode() not in body
    assert_no_canary(body, SECRET, SEAL)


async def test_the_handle_comes_before_the_end_of_its_choice_and_once() -> None:
    body = await got(Ladder(WITHHOLD), stream(message_of(THOUGHTS["text"]), 3), streamed=True)
    told = [chunk["choices"][0] for chunk in read_by_a_client(body)]
    bearing = [at for at, choice in enumerate(told) if choice["delta"].get("reasoning_content")]
    assert bearing == [len(told) - 2]
    assert told[-1]["finish_reason"] == "tool_calls"


async def test_a_server_that_says_no_end_has_the_handle_before_the_last_event() -> None:
    said = message_of(THOUGHTS["items"])
    body = await got(Ladder(WITHHOLD), stream(said, 5, ends=False), streamed=True)
    assert body.endswith(b"data: [DONE]\n\n")
    assert returned(assembled(body)) == said


async def test_what_is_thought_after_a_call_comes_back_too() -> None:
    deltas: list[dict[str, Any]] = [
        {"reasoning_content": "first "},
        {"tool_calls": [{"index": 0, **TOOL_CALL}]},
        {"reasoning_content": "and last"},
    ]
    body = b"".join(data(chat_chunk(delta)) for delta in deltas) + b"data: [DONE]\n\n"
    told = assembled(await got(Ladder(WITHHOLD), body, streamed=True))
    assert returned({"role": "assistant", **told})["reasoning_content"] == "first and last"


async def test_each_choice_has_its_own() -> None:
    both = [message_of(THOUGHTS["text"]), message_of({"reasoning_content": "another"}), message_of({}, tool_calls=None)]
    body = json.loads(await got(Ladder(WITHHOLD), document(*both), streamed=False))
    told = [choice["message"] for choice in body["choices"]]
    assert [returned(message) for message in told[:2]] == both[:2]
    assert told[2] == both[2]


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_two_rungs_withhold_comes_back_as_it_was(streamed: bool) -> None:
    ladder = Ladder(WITHHOLD, ("withhold", {"reasoning": True, "tags": ["plan"]}))
    for thought in THOUGHTS.values():
        said = message_of(thought)
        body = await got(ladder, stream(said, 7) if streamed else document(said), streamed=streamed)
        assert returned(assembled(body) if streamed else json.loads(body)["choices"][0]["message"]) == said


@pytest.mark.parametrize("rungs", [1, 2])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", ["text", "items", "blocks"])
async def test_a_summary_stands_before_the_handle_and_is_no_thought(name: str, streamed: bool, rungs: int) -> None:
    said, helper = message_of(THOUGHTS[name]), Helper()
    ladder = Ladder(*[("withhold", WANTED)] * rungs, ask=helper)
    body = await got(ladder, stream(said, 7) if streamed else document(said), streamed=streamed)
    told = assembled(body) if streamed else json.loads(body)["choices"][0]["message"]
    shown = told["reasoning" if name == "items" else "reasoning_content"]
    assert shown.startswith(SUMMARY)
    assert (PREFIX in shown) == (name == "text")
    assert returned(told) == said
    assert [question.text for question in helper.asked] == [SECRET]


@pytest.mark.parametrize("streamed", [False, True])
async def test_reasoning_beyond_all_measure_is_withheld_without_a_handle(streamed: bool) -> None:
    details = [{"type": "reasoning.text", "text": "x" * (MAX_BLOCK_BYTES + 1), "index": 0}]
    for thought in ("x" * (MAX_BLOCK_BYTES + 1), details, '\n"' * (MAX_BLOCK_BYTES // 3)):
        said = message_of({"reasoning_content" if type(thought) is str else "reasoning_details": thought})
        body = await got(Ladder(WITHHOLD), stream(said, 65_536) if streamed else document(said), streamed=streamed)
        told = assembled(body) if streamed else json.loads(body)["choices"][0]["message"]
        assert told == message_of({})


async def test_half_of_a_character_is_withheld_and_the_turn_is_refused_when_it_comes_back() -> None:
    """As the request would be that has it: a model that was cut off calls no tool, and no request may have it."""
    body = document(message_of({"reasoning_content": "cut off"})).replace(b"cut off", b"cut \\ud83d")
    told = json.loads(await got(Ladder(WITHHOLD), body, streamed=False))["choices"][0]["message"]
    assert told["reasoning_content"].startswith(PREFIX)
    with pytest.raises(Exception, match="could not be verified"):
        returned(told)


async def test_long_reasoning_in_small_items_has_a_handle() -> None:
    """As 40,000 tokens that a server tells one by one, each with all that it says of its item."""
    said = message_of({"reasoning_details": [{**TEXT, "text": "ab c" * 40_000}]})
    told = assembled(await got(Ladder(WITHHOLD), stream(said, 4), streamed=True))
    assert returned(told) == said


async def test_a_handle_is_nothing_that_the_model_wrote_and_takes_no_time() -> None:
    answers = [stream(message_of({"reasoning_content": "hm " * many}), 60) for many in (2, 20_000)]
    ladder = Ladder(WITHHOLD, ("pace", {"tokens_per_second": 10}))
    waits = [
        (await ladder.answer(CHAT, chat(tools=TOOLS, stream=True), each, streamed=True)).waited for each in answers
    ]
    assert 0 < waits[0] < 60
    assert waits[1] < 2 * waits[0], "a pace is jittered"
