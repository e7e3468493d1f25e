"""Promises about answers of responses: bytes are relayed as they came, and what they say is counted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from proxy.dialects.openai_responses import OpenAIResponses
from proxy.errors import UpstreamFailed
from proxy.exchange import Call, Chunk, Usage
from proxy.wire import Kind
from tests.dialects import responses
from tests.dialects.streams import cut, data, decode, event, known, read_by_a_client, sent

DIALECT = OpenAIResponses()
CALL = Call("m", stream=True, body={})
TEXTS = ["Hé", "llo", " there."]
OUTPUT = [responses.thought(), responses.said(TEXTS), responses.called()]
STREAM = responses.stream(OUTPUT, TEXTS)
DOCUMENT = responses.document(OUTPUT)
_EVENTS = [block + b"\n\n" for block in STREAM.split(b"\n\n") if block]
_ENDLESS = b"".join(_EVENTS[:-1])


def known_of(*pieces: bytes, streamed: bool = True) -> Any:
    return decode(DIALECT, CALL, list(pieces), streamed=streamed)[1]


_odd = st.sampled_from(
    [
        b"event: response.output_text.delta\ndata: {\n\n",
        b'data: {"type":1,"delta":[],"item":5,"response":[]}\n\n',
        b'data: {"type":"response.completed","response":{"usage":7,"output":[1,{"type":"message","content":[1]}]}}\n\n',
        b'data: {"type":"response.failed","response":null}\n\n',
        b"data: [DONE]\n\n",
        b": ping\r\n\r\n",
    ]
)


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(_EVENTS) | _odd | st.binary(max_size=20), max_size=12).map(b"".join),
    st.lists(st.integers(0, 10_000), max_size=6),
)
@example(STREAM, [1, 500, 900])
def test_a_stream_is_relayed_byte_for_byte(body: bytes, cuts: list[int]) -> None:
    chunks, progress = decode(DIALECT, CALL, cut(body, cuts), streamed=True)
    assert b"".join(chunk.raw or b"" for chunk in chunks) == body
    assert known(progress) == known(known_of(body))


@settings(deadline=None)
@given(st.lists(st.integers(0, 100_000), max_size=40))
def test_however_a_stream_is_split_it_says_what_the_document_says(cuts: list[int]) -> None:
    progress = known_of(*cut(STREAM, cuts))
    whole = known_of(DOCUMENT, streamed=False)
    assert known(progress) == known(whole) == (Usage(7, 30, 9), True, "")
    assert progress.signatures == whole.signatures == [responses.SEAL]


def test_what_a_search_has_found_is_nothing_that_the_model_wrote() -> None:
    found = {"type": "file_search_call", "id": "fs_1", "results": [{"file_id": "file_1", "text": "x" * 9_000}]}
    tools = {"type": "tool_search_output", "tools": [{"type": "function", "parameters": {"properties": {"input": {}}}}]}
    document = responses.document([found, tools, responses.said(TEXTS)], usage=None)
    assert known_of(document, streamed=False).output_bytes == len("".join(TEXTS).encode())
    written = DIALECT.wire(streamed=False).written(Chunk(None, json.loads(document)))
    assert written == len("".join(TEXTS).encode())


def test_everything_that_the_model_wrote_counts_as_output_once() -> None:
    written = 2 * len("".join(responses.THOUGHTS)) + len("".join(TEXTS).encode()) + len(responses.ARGUMENTS)
    assert (
        written <= known_of(*_EVENTS[:-1]).output_bytes <= 1.1 * written
    )  # an escaped character counts as two or three
    without_usage = json.dumps({**json.loads(DOCUMENT), "usage": None}).encode()
    assert known_of(without_usage, streamed=False).output_bytes == written


@pytest.mark.parametrize("together", [1, 7, 100])
@pytest.mark.parametrize("padded", [False, True])
def test_text_that_is_not_read_is_estimated_closely(together: int, padded: bool) -> None:
    words = [f"wörd{number} " for number in range(300)]
    at = {"item_id": responses.MESSAGE_ID, "output_index": 0, "content_index": 0, "logprobs": []}
    events = [
        event({"type": "response.output_text.delta", **at, "delta": word, "sequence_number": 100 + number}
              | ({"obfuscation": "x" * (16 - len(word))} if padded else {}))
        for number, word in enumerate(words)
    ]  # fmt: skip
    pieces = [b"".join(events[start : start + together]) for start in range(0, len(events), together)]
    chunks, progress = decode(DIALECT, CALL, pieces, streamed=True)
    written = len("".join(words).encode())
    assert written <= progress.output_bytes <= 1.5 * written
    assert len(chunks) <= len(pieces) + together
    again = event({"type": "response.output_text.done", **at, "text": "".join(words), "sequence_number": 500})
    assert known_of(*pieces, again).output_bytes == progress.output_bytes


@pytest.mark.parametrize(
    ("last", "complete", "failed", "refused"),
    [
        ({"type": "response.completed", "response": responses.response([])}, True, "", False),
        ({"type": "response.incomplete", "response": responses.response([], "incomplete")}, True, "", False),
        (
            {
                "type": "response.incomplete",
                "response": responses.response([], "incomplete", incomplete_details={"reason": "content_filter"}),
            },
            True,
            "",
            True,
        ),
        (
            {
                "type": "response.failed",
                "response": responses.response([], "failed", error={"code": "server_error", "message": "m"}),
            },
            False,
            "server_error",
            False,
        ),
        ({"type": "error", "code": "overloaded", "message": "m", "param": None}, False, "overloaded", False),
        ({"type": "error", "error": {"type": "too_many_requests"}}, False, "too_many_requests", False),
        ({"type": "response.refusal.delta", "delta": "I cannot."}, False, "", True),
        ({"type": "response.output_text.done", "text": "a"}, False, "", False),
    ],
)
def test_how_an_answer_ended_is_noticed(last: dict[str, Any], complete: bool, failed: str, refused: bool) -> None:
    progress = known_of(_ENDLESS + event(last))
    assert (progress.complete, progress.failed, progress.refused) == (complete, failed, refused)


def test_a_document_says_that_it_failed_or_that_the_model_declined() -> None:
    declined = {**responses.said([""]), "content": [{"type": "refusal", "refusal": "I cannot."}]}
    assert known_of(responses.document([declined]), streamed=False).refused
    failed = responses.document([], error={"code": "server_error", "message": "m"})
    assert known_of(failed, streamed=False).failed == "server_error"
    assert not known_of(b'{"object":"list","data":[]}', streamed=False).complete


def test_the_seal_of_a_conversation_that_was_made_shorter_is_noted_too() -> None:
    item = {"type": "compaction", "id": "cmp_0a1b2c", "encrypted_content": "c2VhbA=="}
    assert known_of(responses.document([item]), streamed=False).signatures == ["c2VhbA=="]
    assert known_of(event({"type": "response.output_item.done", "item": item})).signatures == ["c2VhbA=="]


@pytest.mark.parametrize("count", [-1, 1.5, "5", True, None, 10**9 + 1])
@pytest.mark.parametrize("name", ["input_tokens", "output_tokens"])
def test_a_figure_that_cannot_be_true_counts_as_not_sent(name: str, count: Any) -> None:
    usage = {**responses.USAGE, name: count}
    assert known_of(responses.stream([], [], usage=usage)).usage is None
    assert known_of(responses.document([], usage=usage), streamed=False).usage is None


@pytest.mark.parametrize(
    ("drawn", "added"),
    [
        ({"input_tokens": 50, "output_tokens": 4_160}, (50, 4_160)),
        ({"output_tokens": -1}, (0, 0)),
        (None, (0, 0)),
        (7, (0, 0)),
    ],
)
def test_tokens_of_pictures_that_a_tool_made_are_charged_too(drawn: Any, added: tuple[int, int]) -> None:
    used = {"tool_usage": {"image_gen": drawn, "web_search": {"num_requests": 0}}}
    total = Usage(7 + added[0], 30 + added[1], 9)
    assert known_of(responses.stream([], [], **used)).usage == total
    assert known_of(responses.document([], **used), streamed=False).usage == total


def test_an_error_of_ours_reaches_the_client_as_the_events_own_words() -> None:
    body = STREAM[:-40] + DIALECT.error_event(UpstreamFailed("in plain words"), "x")
    last = read_by_a_client(body)[-1]
    assert (last["type"], last["message"], last["error"]["message"]) == ("error", "in plain words", "in plain words")
    assert known_of(body).failed


def test_the_samples_here_are_what_the_official_client_expects() -> None:
    Response.model_validate(json.loads(DOCUMENT) | {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []})
    events: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    for each in read_by_a_client(STREAM):
        if "response" not in each:
            events.validate_python(each)


def test_what_is_not_changed_is_sent_as_it_came() -> None:
    for body, streamed in ((STREAM, True), (DOCUMENT, False), (data({"type": "x"}), True)):
        chunks, _ = decode(DIALECT, CALL, [body], streamed=streamed)
        assert sent(DIALECT, chunks, streamed=streamed) == body


@pytest.mark.parametrize("kind", [{}, [], 1, None])
def test_an_event_whose_type_is_no_word_tells_no_end(kind: object) -> None:
    chunk = Chunk(None, {"type": kind, "response": {"model": "m"}})
    assert [part.kind for part in DIALECT.wire(streamed=True).parts(chunk)] == [Kind.MODEL]
