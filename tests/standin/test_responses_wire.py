"""Promises of the stand-in's responses on the wire: events in their order, what is kept, and refusals."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.standin.server import Options
from tests.standin.conftest import StartModel
from tests.standin.wire import ask

PATH = "/v1/responses"
ASKED: dict[str, Any] = {"model": "standin-large", "input": "Describe a harbour."}
REASONED: dict[str, Any] = {**ASKED, "model": "standin-reasoner", "reasoning": {"summary": "auto"}}


async def test_a_stream_has_its_events_in_order_and_says_what_the_document_says(url: str) -> None:
    whole = (await ask(url, PATH, REASONED)).json
    said = await ask(url, PATH, {**REASONED, "stream": True})
    events = [data for name, data in said.events if name == data["type"]]
    assert len(events) == len(said.events)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    kinds = [event["type"].removeprefix("response.") for event in events]
    assert list(dict.fromkeys(kinds)) == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "completed",
    ]
    final = events[-1]["response"]
    for mine, theirs in zip(final["output"], whole["output"], strict=True):
        assert {**mine, "id": ""} == {**theirs, "id": ""}
    assert final["usage"] == whole["usage"]
    assert whole["usage"]["output_tokens_details"]["reasoning_tokens"] > 0
    thought, message = whole["output"]
    pieces = {kind: "".join(event["delta"] for event in events if event["type"].endswith(kind)) for kind in
              ("summary_text.delta", "output_text.delta")}  # fmt: skip
    assert list(pieces.values()) == [thought["summary"][0]["text"], message["content"][0]["text"]]


async def test_what_is_kept_can_be_gone_on_from_and_the_rest_is_not_there(url: str) -> None:
    kept = (await ask(url, PATH, ASKED)).json
    after = await ask(url, PATH, {**ASKED, "previous_response_id": kept["id"]})
    assert after.json["usage"]["input_tokens"] > 2 * kept["usage"]["input_tokens"]
    item: Any = [{"type": "item_reference", "id": kept["output"][0]["id"]}]
    assert (await ask(url, PATH, {**ASKED, "input": item})).status == 200
    passing = (await ask(url, PATH, {**ASKED, "store": False})).json
    gone = await ask(url, PATH, {**ASKED, "previous_response_id": passing["id"]})
    assert (gone.status, gone.json["error"]["code"]) == (400, "previous_response_not_found")
    item[0]["id"] = passing["output"][0]["id"]
    assert (await ask(url, PATH, {**ASKED, "input": item})).status == 404


async def test_sealed_reasoning_is_taken_from_its_own_process_only(url: str, start_model: StartModel) -> None:
    include = {"include": ["reasoning.encrypted_content"], "store": False}
    thought, _ = (await ask(url, PATH, {**REASONED, **include})).json["output"]
    turn = [thought, {"role": "user", "content": "Go on."}]
    assert (await ask(url, PATH, {**REASONED, "input": turn})).status == 200
    for where, seal in ((await start_model(), thought["encrypted_content"]), (url, "AAAA"), (url, "é.é")):
        refused = await ask(where, PATH, {**REASONED, "input": [{**thought, "encrypted_content": seal}, *turn[1:]]})
        assert (refused.status, refused.json["error"]["code"]) == (400, "invalid_encrypted_content")


@pytest.mark.parametrize(
    ("members", "status", "param"),
    [
        ({"model": "no-such-model"}, 404, "model"),
        ({"input": []}, 400, "input"),
        ({"input": [{"role": "tool", "content": "a"}]}, 400, "input.0.role"),
        ({"input": [{"type": "reasoning", "id": "rs_nowhere", "summary": []}]}, 404, "input"),
        ({"max_output_tokens": 15}, 400, "max_output_tokens"),
        ({"reasoning": {"effort": "boundless"}}, 400, "reasoning.effort"),
        ({"tools": [{"type": "web_search"}]}, 400, "tools.0.type"),
        ({"tool_choice": {"type": "function", "name": "f"}}, 400, "tool_choice"),
        ({"text": {"format": {"type": "xml"}}}, 400, "text.format.type"),
    ],
)
async def test_each_refusal_names_what_is_wrong(url: str, members: Any, status: int, param: str) -> None:
    said = await ask(url, PATH, {**ASKED, **members})
    assert (said.status, said.json["error"]["param"]) == (status, param)


async def test_a_stranger_is_refused(start_model: StartModel) -> None:
    guarded = await start_model(Options(credential="the-key"))
    assert (await ask(guarded, PATH, ASKED)).status == 401
    assert (await ask(guarded, PATH, ASKED, {"authorization": "Bearer the-key"})).status == 200
    assert (await ask(guarded, PATH, method="GET")).status == 405
