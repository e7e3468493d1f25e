"""What actions do to responses: all that this API tells twice agrees, and what was withheld is nowhere."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.actions.base import ModelFacts, Rejection, Tools
from proxy.actions.offers import LEFT_OUT
from proxy.actions.reroute import Reroute
from proxy.clock import VirtualClock
from proxy.dialects.strict_json import write
from proxy.errors import BadRequest
from proxy.exchange import Call
from proxy.keyed.sealed_reasoning import PREFIX, SealedReasoning
from proxy.secrets import Purpose
from tests.actions.calls import EXCHANGE, HI, RESPONSES, acted, body, response
from tests.actions.composing import Ladder
from tests.dialects import responses
from tests.dialects.streams import cut, event, read_by_a_client
from tests.marks.texts import PROSE

SEALED = SealedReasoning(Tools(VirtualClock()).key(Purpose.REASONING), EXCHANGE.principal.tenant)
TAGGED = ["<thi", "nk>The can", "ary</thi", "nk>", "Four", "."]
SECRETS = (b"seventeen", responses.SEAL.encode())


def output(texts: list[str], *, figures: bool = False) -> list[dict[str, Any]]:
    return [responses.thought(), responses.said(texts, figures=figures), responses.called()]


async def answered(
    ladder: Ladder, texts: list[str], call: Call | None = None, *, streamed: bool, figures: bool = False, **members: Any
) -> tuple[dict[str, Any], bytes]:
    """Return the response that a client reads, and its bytes."""
    made = responses.stream if streamed else lambda items, _, **more: responses.document(items, **more)
    upstream = made(output(texts, figures=figures), texts, **members)
    done = await ladder.answer(RESPONSES, call or response(stream=streamed), upstream, streamed=streamed)
    return responses.assembled(done.body) if streamed else json.loads(done.body), done.body


def pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


@pytest.mark.parametrize("size", [1, 7, 400])
async def test_a_marked_text_is_the_same_wherever_it_is_told(size: int) -> None:
    ladder = Ladder(("mark", {}))
    whole, _ = await answered(ladder, [PROSE], streamed=False)
    marked = whole["output"][1]["content"][0]["text"]
    assert marked != PROSE
    final, _ = await answered(ladder, pieces(PROSE, size), streamed=True)
    assert final["output"][1]["content"][0]["text"] == marked
    assert final["output"][2] == responses.called()


@pytest.mark.parametrize("streamed", [False, True])
async def test_withheld_reasoning_is_nowhere_and_its_handle_is_the_same_everywhere(streamed: bool) -> None:
    final, sent = await answered(Ladder(("withhold", "reasoning")), TAGGED, streamed=streamed, figures=True)
    assert not [secret for secret in (*SECRETS, b"canary", b"think") if secret in sent]
    thought, said, called = final["output"]
    assert thought.keys() == {"id", "type", "summary", "encrypted_content"}
    assert (thought["id"], thought["summary"]) == (responses.THOUGHT_ID, [])
    assert thought["encrypted_content"].startswith(PREFIX)
    assert (said["content"][0]["text"], said["content"][0]["logprobs"] or []) == ("Four.", [])
    assert called == responses.called()
    assert final["usage"] == responses.USAGE
    if streamed:
        assert not [each for each in read_by_a_client(sent) if each["type"].startswith("response.reasoning")]
        added = [each["item"] for each in read_by_a_client(sent) if each["type"] == "response.output_item.added"]
        assert added[0] == {"id": responses.THOUGHT_ID, "type": "reasoning", "summary": []}


@settings(deadline=None)
@given(st.lists(st.integers(0, 100_000), max_size=30))
def test_however_a_stream_is_split_the_same_is_withheld(cuts: list[int]) -> None:
    wire = RESPONSES.wire(streamed=True)
    transform = wire.without_reasoning(lambda _: PREFIX, None)
    decoder = RESPONSES.decoder(response(), streamed=True, every=True)
    stream = responses.stream(output(["Four."]), ["Four."])
    chunks = [chunk for piece in cut(stream, cuts) for chunk in decoder.feed(piece)] + decoder.finish()
    sent = b"".join(RESPONSES.encode(each, streamed=True) for chunk in chunks for each in transform.feed(chunk))
    assert not [secret for secret in SECRETS if secret in sent]
    assert [each["type"] for each in read_by_a_client(sent)][-1] == "response.completed"


@pytest.mark.parametrize(
    "unread",
    [
        b"event: response.reasoning_text.delta\ndata: {nothing\n\n",
        event({"type": "response.reasoning_text.delta", "delta": "seventeen"}),
        event({"type": "response.reasoning.delta", "delta": {"text": "seventeen"}}),
        event({"type": "response.content_part.added", "part": {"type": "reasoning_text", "text": "seventeen"}}),
        event({"type": "response.anything", "output_index": 0, "text": "seventeen"}),
    ],
)
async def test_reasoning_in_events_that_nobody_knows_is_withheld(unread: bytes) -> None:
    begun = {"type": "response.output_item.added", "output_index": 0, "item": responses.thought(summary=[], content=[])}
    last = {"type": "response.completed", "response": responses.response([])}
    ladder = Ladder(("withhold", "reasoning"))
    done = await ladder.answer(RESPONSES, response(), event(begun) + unread + event(last), streamed=True)
    assert not [secret for secret in SECRETS if secret in done.body]
    assert [each["type"] for each in read_by_a_client(done.body)] == [begun["type"], last["type"]]


@pytest.mark.parametrize(
    "item",
    [
        responses.thought(),
        {**responses.thought(), "summary": []},
        {name: value for name, value in responses.thought().items() if name != "content"},
        {name: value for name, value in responses.thought().items() if name != "encrypted_content"},
        responses.thought(signature=responses.SEAL, format="anthropic-claude-v1"),
        {"id": "rs_1", "type": "reasoning", "summary": [], "signature": responses.SEAL},
    ],
)
@pytest.mark.parametrize("with_id", [True, False])
async def test_a_handle_that_comes_back_is_what_it_stands_for(item: dict[str, Any], with_id: bool) -> None:
    ladder = Ladder(("withhold", "reasoning"))
    done = await ladder.answer(RESPONSES, response(), responses.document([item]), streamed=False)
    assert not [secret for secret in SECRETS if secret in done.body]
    (handle,) = json.loads(done.body)["output"]
    assert handle != item
    if not with_id:
        handle.pop("id")
        item = {name: value for name, value in item.items() if name != "id"}
    asked = response(input=[handle, {"role": "user", "content": "Go on."}])
    restored = RESPONSES.put_back(asked, SEALED)
    assert restored.body["input"][0] == item
    assert asked.body["input"][0] == handle
    assert RESPONSES.put_back(restored, SEALED) is restored


async def test_an_item_that_two_rungs_have_withheld_comes_back_as_it_was() -> None:
    """The second has sealed the first one's handle; one of other making stays, as the API may be behind such a proxy."""
    ladder = Ladder(("withhold", "reasoning"), ("withhold", {"reasoning": True, "tags": ["plan"]}))
    other = SealedReasoning(b"x" * 32, "t").seal({"type": "reasoning", "held": "{}"})
    for item in (responses.thought(), responses.thought(encrypted_content=other)):
        done = await ladder.answer(RESPONSES, response(), responses.document([item]), streamed=False)
        assert RESPONSES.put_back(response(input=json.loads(done.body)["output"]), SEALED).body["input"] == [item]


async def test_a_summary_alone_is_withheld_for_nothing() -> None:
    bare = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "seventeen"}]}
    done = await Ladder(("withhold", "reasoning")).answer(
        RESPONSES, response(), responses.document([bare]), streamed=False
    )
    assert json.loads(done.body)["output"] == [{**bare, "summary": []}]


@pytest.mark.parametrize("seal", [PREFIX, PREFIX + "AAAA", SEALED.seal({"type": "thinking", "held": "{}"}),
                                  SealedReasoning(b"x" * 32, "t").seal({"type": "reasoning", "held": "{}"}),
                                  SEALED.seal({"type": "reasoning", "held": '{"content":"\\ud83d"}'})])  # fmt: skip
def test_a_handle_that_this_tenant_was_not_given_is_refused(seal: str) -> None:
    asked = response(input=[{"type": "reasoning", "summary": [], "encrypted_content": seal}])
    with pytest.raises(BadRequest) as refused:
        RESPONSES.put_back(asked, SEALED)
    assert (refused.value.code, refused.value.param) == ("invalid_encrypted_content", "input[0].encrypted_content")


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("actions", "told"),
    [
        ([("clamp", {"max_output_tokens": 40, "temperature": {"max": 0.5}})], {"max_output_tokens", "temperature"}),
        ([("clamp", {"tools": 1})], {"tool_choice", "tools"}),
        ([("drop", ["logprobs"])], {"top_logprobs"}),
        ([("clamp", {"images": 1})], {"prompt"}),
        ([("mark", {"style": True, "words": False})], {"instructions"}),
    ],
)
async def test_what_was_asked_is_told_in_the_callers_own_words(
    actions: list[Any], told: set[str], streamed: bool
) -> None:
    asked: dict[str, Any] = {"instructions": "Rhyme.", "temperature": 1.5, "top_logprobs": 5, "tools": named("a", "b")}
    asked["tool_choice"] = {"type": "allowed_tools", "mode": "auto", "tools": named("a", "b")}
    shown = {name: {"type": "input_image", "image_url": f"https://example.com/{name}.png"} for name in "ab"}
    asked["prompt"] = {"id": "pmpt_1", "variables": shown}
    sent: dict[str, Any] = {"instructions": "Rhyme. And so on.", "temperature": 0.5, "max_output_tokens": 40}
    sent |= {"top_logprobs": 0, "tools": named("a"), "tool_choice": "auto", "prompt": {"id": "pmpt_1", "variables": {}}}
    final, bytes_ = await answered(Ladder(*actions), ["a"], response(**asked), streamed=streamed, **sent)
    names = ("instructions", "max_output_tokens", "prompt", "temperature", "tool_choice", "tools", "top_logprobs")
    assert {name: final[name] for name in names} == {
        name: asked.get(name) if name in told else sent[name] for name in names
    }
    for each in read_by_a_client(bytes_):
        assert {name: each.get("response", final)[name] for name in names} == {name: final[name] for name in names}


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_servers_own_sum_of_all_texts_agrees_too(streamed: bool) -> None:
    final, sent = await answered(
        Ladder(("withhold", "reasoning")), TAGGED, streamed=streamed, output_text="<think>The canary</think>Four."
    )
    assert final["output_text"] == "Four."
    assert b"canary" not in sent


@pytest.mark.parametrize("streamed", [False, True])
async def test_without_figures_a_list_of_them_is_empty(streamed: bool) -> None:
    asked = response(include=["message.output_text.logprobs"], top_logprobs=3)
    final, sent = await answered(Ladder(("drop", ["logprobs"])), ["a", "b"], asked, streamed=streamed, figures=True)
    assert not final["output"][1]["content"][0]["logprobs"]
    assert b"-0.1234" not in sent
    if streamed:
        assert b'"logprobs":null' not in sent


@pytest.mark.parametrize(
    ("what", "call", "changed"),
    [
        (["logprobs"], response(top_logprobs=5), {"top_logprobs": None}),
        (
            ["logprobs"],
            response(include=["message.output_text.logprobs", "reasoning.encrypted_content"]),
            {"include": ["reasoning.encrypted_content"]},
        ),
        (["top_logprobs"], response(top_logprobs=5, include=["message.output_text.logprobs"]), {"top_logprobs": None}),
        ([{"logprobs": {"top": 1}}], response(top_logprobs=5), {"top_logprobs": 1}),
        (["logprobs"], response(include=None), {}),
    ],
)
async def test_figures_are_not_asked_for(what: Any, call: Call, changed: dict[str, Any]) -> None:
    assert await body("drop", what, call) == changed


def named(*names: str) -> list[dict[str, Any]]:
    return [{"type": "function", "name": name} for name in names]


def space(*names: str) -> dict[str, Any]:
    return {"type": "namespace", "name": "n", "description": "", "tools": named(*names)}


WEB = {"type": "web_search"}
IMAGE = {"type": "input_image", "image_url": "https://example.com/1.png"}
SHOWN = {"type": "function_call_output", "call_id": "c", "output": [IMAGE]}
GONE_IMAGE = {**LEFT_OUT, "type": "input_text"}


def stored(filled_in: dict[str, Any]) -> dict[str, Any]:
    return {"id": "pmpt_1", "variables": {"picture": filled_in, "city": "Paris"}}


@pytest.mark.parametrize(
    ("bounds", "call", "changed"),
    [
        ({"max_output_tokens": 100}, response(), {"max_output_tokens": 100}),
        ({"max_output_tokens": 100}, response(max_output_tokens=99), {}),
        ({"max_output_tokens": 3}, response(), {"max_output_tokens": 16}),
        ({"max_output_tokens": 3}, response(max_output_tokens=16), {}),
        ({"temperature": {"max": 0.5}}, response(temperature=1), {"temperature": 0.5}),
        ({"temperature": {"max": 0.5}}, response(temperature=1, reasoning={"effort": "low"}), {}),
        ({"temperature": {"max": 0.5}}, response(temperature=1, reasoning={"effort": "none"}), {"temperature": 0.5}),
        ({"tools": 1}, response(tools=named("a", "b")), {"tools": named("a")}),
        (
            {"tools": 1},
            response(tools=named("a", "b"), tool_choice={"type": "function", "name": "b"}),
            {"tools": named("b")},
        ),
        ({"tools": 1}, response(tools=[*named("a"), WEB], tool_choice=WEB), {"tools": [WEB]}),
        ({"tools": 2}, response(tools=[space("a", "b", "c"), WEB]), {"tools": [space("a", "b")]}),
        ({"tools": 2}, response(tools=[WEB, space("a", "b", "c"), WEB]), {"tools": [WEB, space("a")]}),
        ({"tools": 3}, response(tools=[WEB, space("a", "b")]), {}),
        (
            {"tools": 1},
            response(tools=[WEB, space("a", "b")], tool_choice={"type": "function", "name": "b"}),
            {"tools": [space("b")]},
        ),
        (
            {"tools": 1},
            response(
                tools=named("a", "b", "c"),
                tool_choice={"type": "allowed_tools", "mode": "auto", "tools": named("a", "c")},
            ),
            {
                "tools": named("a"),
                "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": named("a")},
            },
        ),
        ({"images": 0}, response(input=[SHOWN]), {"input": [{**SHOWN, "output": [GONE_IMAGE]}]}),
        (
            {"images": 1},
            response(input=[{"role": "user", "content": [IMAGE]}, SHOWN]),
            {"input": [{"role": "user", "content": [GONE_IMAGE]}, SHOWN]},
        ),
        ({"images": 0}, response(input="an image"), {}),
        ({"images": 0}, response(prompt=stored(IMAGE), input="x"), {"prompt": stored(GONE_IMAGE)}),
        (
            {"images": 1},
            response(prompt=stored(IMAGE), input=[{"role": "user", "content": [IMAGE]}]),
            {"prompt": stored(GONE_IMAGE)},
        ),
        ({"images": 1}, response(prompt=stored(IMAGE)), {}),
    ],
)
async def test_what_is_beyond_a_bound_is_brought_within_it(bounds: Any, call: Call, changed: dict[str, Any]) -> None:
    assert await body("clamp", bounds, call) == changed


async def test_an_input_that_is_too_long_is_refused_where_it_stands() -> None:
    refused = await acted("clamp", {"context_tokens": 1000}, response(prompt={"id": "pmpt_1"}), text_bytes=3000)
    assert isinstance(refused, Rejection)
    assert refused.error is not None
    assert (refused.error.code, refused.error.param) == ("context_length_exceeded", "input")


@pytest.mark.parametrize(
    ("members", "upstream", "sent"),
    [
        ({}, "second", {"model": "small"}),
        ({"previous_response_id": "resp_1"}, "default", {"model": "small"}),
        ({"previous_response_id": "resp_1"}, "second", {}),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "second", {}),
        (
            {"input": [{"type": "message", "id": "msg_1", "role": "assistant", "content": "a"}]},
            "second",
            {"model": "small", "input": [{"type": "message", "role": "assistant", "content": "a"}]},
        ),
        (
            {"input": [{"type": "message", "id": "msg_1", "role": "assistant", "content": "a"}]},
            "default",
            {"model": "small"},
        ),
    ],
)
async def test_a_call_goes_to_another_upstream_only_without_what_the_first_one_keeps(
    members: dict[str, Any], upstream: str, sent: dict[str, Any]
) -> None:
    models = {"m": ModelFacts(upstream="default"), "small": ModelFacts(upstream=upstream)}
    call = response(**members)
    action = Reroute("small").begin(replace(EXCHANGE, call=call), Tools(VirtualClock(), models=models))
    made = await action.on_call(call)
    assert isinstance(made, Call)
    assert made.body == {**call.body, **sent}
    RESPONSES.read(write(made.body))


@pytest.mark.parametrize("content", ["Hm. <think>", [{"type": "output_text", "text": "Hm. <think>"}]])
async def test_a_tag_that_the_caller_opened_for_the_model_is_open(content: Any) -> None:
    asked = response(input=[*HI, {"role": "assistant", "content": content}], stream=True)
    final, sent = await answered(
        Ladder(("withhold", "reasoning")), ["The can", "ary</think>", "Four."], asked, streamed=True
    )
    assert final["output"][1]["content"][0]["text"] == "Four."
    assert b"canary" not in sent


STRUCTURED: Any = {"text": {"format": {"type": "json_schema", "name": "n", "schema": {}}}}


def updated(**members: Any) -> list[dict[str, Any]]:
    """Return a conversation that says on its way how to answer."""
    return [*HI, {"type": "configuration_update", **members}]


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        (response(**STRUCTURED), '{"a": "<think>b</think>"}'),
        (response(input=updated(**STRUCTURED)), '{"a": "<think>b</think>"}'),
        (response(input=updated(reasoning={"effort": "low"}), **STRUCTURED), '{"a": "<think>b</think>"}'),
        (response(input=updated(text={"format": {"type": "text"}}), **STRUCTURED), '{"a": ""}'),
    ],
)
async def test_structured_output_is_left_whole_unless_another_form_is_asked_for_too(asked: Call, left: str) -> None:
    text = '{"a": "<think>b</think>"}'
    final, _ = await answered(Ladder(("withhold", "reasoning")), [text], asked, streamed=True)
    assert final["output"][1]["content"][0]["text"] == left


@pytest.mark.parametrize("told", ["text", "part", "item", "response", "elsewhere"])
async def test_a_text_that_is_only_told_whole_is_looked_through_all_the_same(told: str) -> None:
    text = "<think>The canary</think>Four."
    item = responses.said([text])
    place = {"output_index": 0, "content_index": 0}
    events: dict[str, dict[str, Any]] = {
        "text": {"type": "response.output_text.done", **place, "text": text},
        "part": {"type": "response.content_part.done", **place, "part": item["content"][0]},
        "item": {"type": "response.output_item.done", "output_index": 0, "item": item},
        "elsewhere": {"type": "response.output_text.delta", **place, "delta": text},  # as LiteLLM makes a stream up
    }
    output = [responses.thought(), item] if told == "elsewhere" else [item]
    last = {"type": "response.completed", "response": responses.response(output, output_text=text)}
    stream = b"".join(event(each) for each in (events.get(told), last) if each is not None)
    done = await Ladder(("withhold", "reasoning")).answer(RESPONSES, response(stream=True), stream, streamed=True)
    assert b"canary" not in done.body
    final = read_by_a_client(done.body)[-1]["response"]
    assert (final["output"][-1]["content"][0]["text"], final["output_text"]) == ("Four.", "Four.")


async def test_a_server_that_sends_a_text_only_whole_is_believed() -> None:
    said = responses.said(["Four."])
    events = [
        {"type": "response.output_item.done", "output_index": 0, "item": said},
        {"type": "response.completed", "response": responses.response([said])},
    ]
    done = await Ladder(("mark", {})).answer(RESPONSES, response(), b"".join(map(event, events)), streamed=True)
    assert read_by_a_client(done.body) == events


BEGUN = {
    "part": {"type": "response.content_part.added", "output_index": 0, "content_index": 0, "item_id": "msg_1"},
    "item": {"type": "response.output_item.added", "output_index": 0},
}


@pytest.mark.parametrize("pieces", [[], ["ary</think>", "Four."]])
@pytest.mark.parametrize("told", [["part"], ["item"], ["item", "part"]])
async def test_a_text_with_which_a_part_is_added_is_its_first_piece(told: list[str], pieces: list[str]) -> None:
    first = "<think>The can" if pieces else "<think>The canary</think>Four."
    item, begun = responses.said([first, *pieces]), responses.said([first])
    holders = {"part": {"part": begun["content"][0]}, "item": {"item": begun}}
    place = {"output_index": 0, "content_index": 0, "item_id": responses.MESSAGE_ID}
    events = [{**BEGUN[name], **holders[name]} for name in told]
    events += [{"type": "response.output_text.delta", **place, "delta": piece} for piece in pieces]
    events += [
        {"type": "response.content_part.done", **place, "part": item["content"][0]},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": responses.response([item])},
    ]
    stream = b"".join(map(event, events))
    done = await Ladder(("withhold", "reasoning")).answer(RESPONSES, response(), stream, streamed=True)
    assert not [secret for secret in (b"canary", b"The can", b"think") if secret in done.body]
    read = read_by_a_client(done.body)
    assert read[-1]["response"]["output"][0]["content"][0]["text"] == "Four."
    begun_with = read[0]["part"] if told[0] == "part" else read[0]["item"]["content"][0]
    deltas = [each["delta"] for each in read if each["type"].endswith(".delta")]
    assert "".join([begun_with["text"], *deltas]) == "Four."
    untouched = await Ladder(("withhold", "reasoning")).answer(
        RESPONSES, response(), stream.replace(b"think>", b"b>"), streamed=True
    )
    assert read_by_a_client(untouched.body) == read_by_a_client(stream.replace(b"think>", b"b>"))


async def test_a_text_with_which_a_part_is_added_is_marked() -> None:
    item = responses.said([PROSE])
    events = [
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": responses.response([item])},
    ]
    done = await Ladder(("mark", {})).answer(RESPONSES, response(), b"".join(map(event, events)), streamed=True)
    whole, _ = await answered(Ladder(("mark", {})), [PROSE], streamed=False)
    read = read_by_a_client(done.body)
    deltas = "".join(each["delta"] for each in read if each["type"].endswith(".delta"))
    marked = whole["output"][1]["content"][0]["text"]
    assert read[0]["item"]["content"][0]["text"] + deltas == marked
    assert read[-1]["response"]["output"][0]["content"][0]["text"] == marked
