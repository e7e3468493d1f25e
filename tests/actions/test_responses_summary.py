"""Summaries in responses: told in events of their own and wherever the item is told again, the same as in a document."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.actions.base import Ask, Tools
from proxy.clock import VirtualClock
from proxy.exchange import Help, Helped
from proxy.keyed.sealed_reasoning import PREFIX, SealedReasoning
from proxy.secrets import Purpose
from tests.actions.calls import EXCHANGE, RESPONSES, response
from tests.actions.composing import Done, Ladder
from tests.actions.test_summary import SPELT, SUMMARY, WANTED, Helper
from tests.dialects import responses
from tests.dialects.streams import event, read_by_a_client
from tests.marks.texts import PROSE

SEALED = SealedReasoning(Tools(VirtualClock()).key(Purpose.REASONING), EXCHANGE.principal.tenant)
THOUGHT = "".join(responses.THOUGHTS)
SECRETS = (b"seventeen", responses.SEAL.encode())
TOLD = [{"type": "summary_text", "text": SUMMARY}]
LATE = Helped(Help.LATE)
PIECES = [PROSE[start : start + 9] for start in range(0, len(PROSE), 9)]


def output(texts: list[str]) -> list[dict[str, Any]]:
    """Return an output that thinks before it says something, and again before it calls a function."""
    return [responses.thought(), responses.said(texts), responses.thought(id="rs_2"), responses.called()]


async def answered(
    ladder: Ladder, items: list[dict[str, Any]], texts: list[str], *, streamed: bool, cuts: list[int] | None = None
) -> tuple[dict[str, Any], Done]:
    """Return the response that a client reads, in which all that is told again agrees, and what became of it."""
    upstream = responses.stream(items, texts) if streamed else responses.document(items)
    done = await ladder.answer(RESPONSES, response(stream=streamed), upstream, streamed=streamed, cuts=cuts)
    assert not [secret for secret in SECRETS if secret in done.body]
    return responses.assembled(done.body) if streamed else json.loads(done.body), done


def withheld(ask: Ask | None) -> Ladder:
    return Ladder(("withhold", WANTED), ask=ask)


def about(body: bytes, number: int) -> list[dict[str, Any]]:
    """Return the events of an item of a stream."""
    return [each for each in read_by_a_client(body) if each.get("output_index") == number]


def returned(item: dict[str, Any]) -> dict[str, Any]:
    """Return what the model API is given of an item that the client returns."""
    restored: dict[str, Any] = RESPONSES.put_back(response(input=[item]), SEALED).body["input"][0]
    return restored


def opened(final: dict[str, Any]) -> dict[str, Any]:
    """Return a response as it is but for its handles, which are another each time: what they stand for is there instead."""
    items = [
        {**item, "encrypted_content": returned(item)} if "encrypted_content" in item else item
        for item in final["output"]
    ]
    return {**final, "output": items}


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 10**6), max_size=30))
def test_however_a_stream_is_cut_it_says_what_the_document_says(cuts: list[int]) -> None:
    """Every event that tells an item again agrees with the ones before, and all are numbered without a gap."""
    helper = Helper()
    items = output(["Fo", "ur."])
    document, _ = asyncio.run(answered(withheld(helper), items, [], streamed=False))
    final, done = asyncio.run(answered(withheld(helper), items, ["Fo", "ur."], streamed=True, cuts=cuts))
    assert opened(final) == opened(document)
    assert [item.get("summary") for item in final["output"]] == [TOLD, None, TOLD, None]
    assert [question.text for question in helper.asked] == [THOUGHT] * 4
    assert done.helped == {"made": 2, "input": 40, "output": 14}


async def test_a_summary_is_told_in_the_events_that_the_api_has_for_it() -> None:
    final, done = await answered(withheld(Helper()), output(["Four."]), ["Four."], streamed=True)
    for number, name in ((0, responses.THOUGHT_ID), (2, "rs_2")):
        added, *told, whole = about(done.body, number)
        assert (added["type"], added["item"]["summary"]) == ("response.output_item.added", [])
        kind, at = "response.reasoning_summary", {"item_id": name, "output_index": number, "summary_index": 0}
        first = added["sequence_number"] + 1
        assert told == [
            {"type": f"{kind}_part.added", **at, "sequence_number": first, "part": {**TOLD[0], "text": ""}},
            {"type": f"{kind}_text.delta", **at, "sequence_number": first + 1, "delta": SUMMARY},
            {"type": f"{kind}_text.done", **at, "sequence_number": first + 2, "text": SUMMARY},
            {"type": f"{kind}_part.done", **at, "sequence_number": first + 3, "part": TOLD[0]},
        ]
        assert (whole["type"], whole["item"]) == ("response.output_item.done", final["output"][number])
    names = [line.removeprefix(b"event: ") for line in done.body.split(b"\n") if line.startswith(b"event: ")]
    assert names == [each["type"].encode() for each in read_by_a_client(done.body)]


@pytest.mark.parametrize("streamed", [False, True])
async def test_without_a_summary_the_answer_is_the_one_that_has_none(streamed: bool) -> None:
    failed, done = await answered(withheld(Helper(LATE)), output(["Four."]), ["Four."], streamed=streamed)
    nobody, other = await answered(withheld(None), output(["Four."]), ["Four."], streamed=streamed)
    assert opened(failed) == opened(nobody)
    assert (done.helped, other.helped) == ({"late": 2}, {})
    if streamed:
        events = [[each["type"] for each in read_by_a_client(each.body)] for each in (done, other)]
        assert events[0] == events[1]
        assert not [each for each in events[0] if "summary" in each]


async def test_a_summary_that_fails_leaves_the_others_where_they_are() -> None:
    helper = Helper()

    async def second(question: Any) -> Helped:
        made = await helper(question)
        return made if len(helper.asked) == 2 else LATE

    final, _ = await answered(withheld(second), output(["Four."]), ["Four."], streamed=True)
    assert [item.get("summary") for item in final["output"]] == [[], None, TOLD, None]


ITEM = responses.thought()
ITEMS: dict[str, tuple[dict[str, Any], str]] = {
    "its text": ({**ITEM, "content": [{"type": "reasoning_text", "text": "seventeen"}] * 2}, "seventeen\nseventeen"),
    "the summary that the API gave": ({**ITEM, "content": []}, THOUGHT),
    "no text": ({**ITEM, "summary": [], "content": []}, ""),
    "no content": ({name: value for name, value in ITEM.items() if name != "content"}, THOUGHT),
    "no sealed content": ({name: value for name, value in ITEM.items() if name != "encrypted_content"}, THOUGHT),
    "nothing listed": ({**ITEM, "summary": None, "content": ["seventeen", {"text": 17}]}, ""),
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("what", ITEMS)
async def test_the_text_of_an_item_is_summed_up_and_comes_back_by_its_handle(what: str, streamed: bool) -> None:
    item, text = ITEMS[what]
    events = [
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "summary": [], "content": []}},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": responses.response([item])},
    ]
    upstream = b"".join(map(event, events)) if streamed else responses.document([item])
    helper = Helper()
    done = await withheld(helper).answer(RESPONSES, response(), upstream, streamed=streamed)
    assert [question.text for question in helper.asked] == ([text] if text else [])
    final = read_by_a_client(done.body)[-1]["response"] if streamed else json.loads(done.body)
    [thought] = final["output"]
    assert thought["summary"] == (TOLD if text else [])
    assert thought["encrypted_content"].startswith(PREFIX)
    assert returned(thought) == item
    if streamed:
        assert [each["item"] for each in about(done.body, 0) if each["type"].endswith("done") and "item" in each] == [
            thought
        ]
        assert b"sequence_number" not in done.body


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("lower", "higher", "asked"), [(WANTED, "reasoning", 0), ("reasoning", WANTED, 0), (WANTED, WANTED, 1)]
)
async def test_of_several_rungs_that_withhold_one_without_a_summary_is_enough_to_have_none(
    lower: Any, higher: Any, asked: int, streamed: bool
) -> None:
    """However many of them have sealed it, the original comes back."""
    helper = Helper()
    ladder = Ladder(("withhold", lower), ("withhold", higher), ask=helper)
    final, _ = await answered(ladder, output(["Four."]), ["Four."], streamed=streamed)
    assert len(helper.asked) == 2 * asked
    assert [item.get("summary") for item in final["output"]] == [TOLD, None, TOLD, None] if asked else [[], None] * 2
    assert returned(final["output"][0]) == responses.thought()


@pytest.mark.parametrize("streamed", [False, True])
async def test_one_answer_asks_for_eight_summaries_and_no_more(streamed: bool) -> None:
    helper = Helper()
    items = [responses.thought(id=f"rs_{number}") for number in range(12)]
    final, _ = await answered(withheld(helper), items, [], streamed=streamed)
    assert len(helper.asked) == 8
    assert [item["summary"] for item in final["output"]] == [TOLD] * 8 + [[]] * 4


@pytest.mark.parametrize("streamed", [False, True])
async def test_other_actions_work_on_beside_it(streamed: bool) -> None:
    """What is marked, clamped and paced is so all the same, and nothing of it is done to the summary."""
    actions = [("withhold", WANTED), ("mark", {}), ("reroute", {"model": "small"}), ("pace", {"first_token": "1s"})]
    final, done = await answered(Ladder(*actions, ask=Helper()), output(PIECES), PIECES, streamed=streamed)
    alone, _ = await answered(Ladder(("mark", {})), [responses.said(PIECES)], PIECES, streamed=False)
    assert final["output"][1] == alone["output"][0]
    assert [item.get("summary") for item in final["output"]] == [TOLD, None, TOLD, None]
    assert final["model"] == "m"
    assert done.waited == pytest.approx(1.0, rel=0.3)
    assert set(done.verdict.actions) == {"withhold", "mark", "reroute", "pace"}


async def test_an_item_that_is_told_twice_is_summed_up_once() -> None:
    """What an upstream tells of it later says the summary too."""
    whole = {"type": "response.output_item.done", "output_index": 0, "item": responses.thought()}
    last = {"type": "response.incomplete", "response": responses.response([responses.thought()], "incomplete")}
    helper = Helper()
    upstream = b"".join(map(event, [whole, whole, last]))
    done = await withheld(helper).answer(RESPONSES, response(), upstream, streamed=True)
    *_, first, second, end = read_by_a_client(done.body)
    assert len(helper.asked) == 1
    assert first == second
    assert first["item"]["summary"] == end["response"]["output"][0]["summary"] == TOLD
    assert done.body.count(b"summary_text.delta") == 2, "as the event's name and as its type"


@pytest.mark.parametrize("number", [None, "0", [0], 7.5])
async def test_an_item_without_a_number_is_withheld_without_a_summary(number: object) -> None:
    whole = {"type": "response.output_item.done", "output_index": number, "item": responses.thought()}
    last = {"type": "response.completed", "response": responses.response([responses.thought()])}
    helper = Helper()
    upstream = b"".join(map(event, [whole, last]))
    done = await withheld(helper).answer(RESPONSES, response(), upstream, streamed=True)
    assert not helper.asked
    assert [each["type"] for each in read_by_a_client(done.body)] == [whole["type"], last["type"]]
    assert not [secret for secret in (*SECRETS, SPELT) if secret in done.body]


async def test_where_nothing_is_withheld_an_upstreams_own_summaries_stay_as_they_came() -> None:
    """Also where they do not agree: no action has told them."""
    other = responses.thought(summary=[{"type": "summary_text", "text": "another"}])
    events = responses.stream(output(["Four."]), ["Four."]).split(b"\n\n")
    last = event(
        {"type": "response.completed", "sequence_number": len(events) - 2, "response": responses.response([other])}
    )
    upstream = b"\n\n".join(events[:-2]) + b"\n\n" + last
    done = await Ladder(("pace", {"first_token": "1s"})).answer(RESPONSES, response(), upstream, streamed=True)
    assert done.waited
    assert done.body == upstream
