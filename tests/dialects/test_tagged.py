"""Promises about the ids in an answer: the client reads them with their tag wherever they stand, and nothing else new."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.dialects.openai_responses import OpenAIResponses
from proxy.dialects.tagged import TaggedDecoder
from proxy.exchange import Call, Chunk
from proxy.keyed.issued_ids import IssuedIds, taken
from tests.dialects import responses
from tests.dialects.streams import cut, read_by_a_client, sent

DIALECT = OpenAIResponses()
CALL = DIALECT.read(b'{"model":"m","input":"hi"}')
IDS = IssuedIds(b"k" * 32, "acme", "default", frozenset())
TEXTS = [f"word{number} " for number in range(40)]
OUTPUT = [responses.thought(), responses.said(TEXTS), responses.called()]
GIVEN = (responses.RESPONSE_ID, responses.THOUGHT_ID, responses.MESSAGE_ID, responses.CALL_ID)


def through(pieces: list[bytes], *, streamed: bool, every: bool = False) -> list[Chunk]:
    assert CALL.gives is not None
    inner = DIALECT.decoder(CALL, streamed=streamed, every=every)
    decoder = TaggedDecoder(inner, CALL.gives, IDS, every=every)
    return [chunk for piece in pieces for chunk in decoder.feed(piece)] + decoder.finish()


def shown(body: bytes) -> bytes:
    """Return an answer with a tag behind each id, wherever it is a value."""
    for each in GIVEN:
        body = body.replace(json.dumps(each).encode(), json.dumps(IDS.give(each)).encode())
    return body


@settings(deadline=None)
@given(st.lists(st.integers(0, 100_000), max_size=30), st.booleans())
def test_every_id_of_a_stream_has_its_tag_however_it_is_split(cuts: list[int], every: bool) -> None:
    stream = responses.stream(OUTPUT, TEXTS)
    chunks = through(cut(stream, cuts), streamed=True, every=every)
    assert sent(DIALECT, chunks, streamed=True) == shown(stream)
    if every:
        assert [chunk.data for chunk in chunks] == read_by_a_client(shown(stream))


@pytest.mark.parametrize("indent", [None, 2])
def test_every_id_of_a_document_has_its_tag(indent: int | None) -> None:
    document = json.dumps(json.loads(responses.document(OUTPUT)), indent=indent).encode()
    for every in (False, True):
        (chunk,) = through([document], streamed=False, every=every)
        assert chunk.raw == shown(document)
    assert chunk.data == json.loads(shown(document))


@pytest.mark.parametrize("streamed", [False, True])
def test_beside_an_id_a_number_that_no_machine_word_holds_stays_as_it_is(streamed: bool) -> None:
    large = 123_456_789_012_345_678_901_234_567_890
    document = responses.document([responses.said(["a"])], metadata={"large": large})
    body = b"data: " + b'{"type":"response.completed","response":%b}\n\n' % document if streamed else document
    (chunk,) = through([body], streamed=streamed, every=True)
    assert chunk.data == json.loads(shown(body).removeprefix(b"data: "))


def test_an_event_of_many_lines_is_read_as_it_is_sent() -> None:
    (event,) = read_by_a_client(responses.stream([responses.said(["a"])], ["a"]))[-1:]
    lines = json.dumps(event, indent=1).encode().splitlines()
    body = b"event: response.completed\n" + b"".join(b"data: %b\n" % line for line in lines) + b"\n"
    (chunk,) = through([body], streamed=True, every=True)
    assert chunk.data == json.loads(shown(json.dumps(event).encode()))


def test_a_text_that_names_an_id_stays_as_it_is() -> None:
    text = f'{{"id":"{responses.RESPONSE_ID}"}} and {responses.MESSAGE_ID}, "x":"{responses.CALL_ID}'
    stream = responses.stream([responses.said([text])], [text])
    documents = read_by_a_client(sent(DIALECT, through([stream], streamed=True), streamed=True))
    assert documents[-1]["response"]["output"][0]["content"][0]["text"] == text
    assert [each["delta"] for each in documents if "delta" in each] == [text]


@pytest.mark.parametrize(
    "members",
    [
        {"metadata": {"id": "resp_ofsomebody"}},
        {"tools": [{"type": "function", "name": "f", "parameters": {"id": "resp_ofsomebody"}}]},
        {"user": "resp_ofsomebody"},
    ],
)
def test_what_the_client_made_up_is_given_no_tag(members: dict[str, Any]) -> None:
    (chunk,) = through([responses.document([], **members)], streamed=False)
    assert IDS.give("resp_ofsomebody") not in (chunk.raw or b"").decode()


def test_the_response_before_is_named_as_the_client_named_it() -> None:
    (chunk,) = through([responses.document([], previous_response_id="resp_before")], streamed=False, every=True)
    assert chunk.data is not None
    assert chunk.data["previous_response_id"] == IDS.give("resp_before")


@pytest.mark.parametrize(
    "item",
    [
        {"id": "ci_0a1b2c", "type": "code_interpreter_call", "container_id": "cntr_0a1b2c", "code": "1", "outputs": []},
        {
            "id": "sh_0a1b2c",
            "type": "shell_call",
            "call_id": "call_1",
            "action": {"commands": ["ls"]},
            "environment": {"type": "container_reference", "container_id": "cntr_0a1b2c"},
        },
    ],
)
def test_a_container_is_given_with_its_item(item: dict[str, Any]) -> None:
    (chunk,) = through([responses.document([item])], streamed=False, every=True)
    assert chunk.data is not None
    (out,) = chunk.data["output"]
    assert out["id"] == IDS.give(item["id"])
    assert out.get("environment", out)["container_id"] == IDS.give("cntr_0a1b2c")
    call = DIALECT.read(json.dumps({"model": "m", "input": [out]}).encode())
    assert taken(call, IDS).body["input"][0].get("environment", item)["container_id"] == "cntr_0a1b2c"


def test_the_id_of_a_call_stays_its_own_where_the_item_has_the_same() -> None:
    item = {**responses.called(), "id": "call_0a1b2c", "call_id": "call_0a1b2c"}
    for every in (False, True):
        (chunk,) = through([responses.document([item])], streamed=False, every=every)
        (out,) = json.loads(chunk.raw or b"")["output"]
        assert (out["id"], out["call_id"]) == (IDS.give("call_0a1b2c"), "call_0a1b2c")


def test_a_program_is_named_by_its_call_where_its_item_has_the_same() -> None:
    program = {"type": "program", "id": "call_0a1b2c", "call_id": "call_0a1b2c", "code": "f()", "fingerprint": "x"}
    used = {**responses.called(), "caller": {"type": "program", "caller_id": "call_0a1b2c"}}
    (chunk,) = through([responses.document([program, used])], streamed=False)
    first, second = json.loads(chunk.raw or b"")["output"]
    assert first["id"] == IDS.give("call_0a1b2c")
    assert (first["call_id"], second["caller"]["caller_id"]) == ("call_0a1b2c", "call_0a1b2c")


def test_reasoning_that_a_model_was_not_given_is_named_as_its_client_knows_it() -> None:
    left_out = {"type": "reasoning", "id": "rs_0a1b2c", "action": "removed", "reason": "model_mismatch"}
    document = responses.document([responses.said(["a"])], input_transformations=[left_out, 5])
    (chunk,) = through([document], streamed=False)
    assert json.loads(chunk.raw or b"")["input_transformations"] == [{**left_out, "id": IDS.give("rs_0a1b2c")}, 5]


@pytest.mark.parametrize("id_", [5, None, [], "x", "a" * 1_025, 'quo"te" quo"te'])
def test_an_id_of_another_shape_is_passed_on_as_it_is(id_: Any) -> None:
    document = responses.document([{**responses.said(["a"]), "id": id_}], id=id_)
    (chunk,) = through([document], streamed=False)
    assert chunk.raw == document


def test_the_ids_of_one_answer_are_bounded() -> None:
    items = [{**responses.said(["a"]), "id": f"msg_{number:06}"} for number in range(5_000)]
    (chunk,) = through([responses.document(items)], streamed=False, every=True)
    assert chunk.data is not None
    tagged = [item for item in chunk.data["output"] if IDS.take(item["id"]) is not None]
    assert len(tagged) == 4_095  # and the response itself


def test_calls_of_other_apis_give_no_ids() -> None:
    assert Call("m", stream=False, body={}).gives is None
