"""Promises about answers of messages: bytes are relayed as they came, and what they say is counted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types import RawMessageStreamEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from proxy.dialects.anthropic_messages import AnthropicMessages
from proxy.errors import UpstreamFailed
from proxy.exchange import Call, Chunk, Usage
from tests.dialects.streams import cut, decode, event, known, sent

DIALECT = AnthropicMessages()
CALL = Call("m", stream=True, body={})
_MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 10, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 1},
}
_START = {"type": "message_start", "message": _MESSAGE}
_BLOCK = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
_DELTA = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hé"}}
_BLOCK_END = {"type": "content_block_stop", "index": 0}
_END = {
    "type": "message_delta",
    "delta": {"stop_reason": "end_turn", "stop_sequence": None},
    "usage": {"output_tokens": 9},
}
_STOP = {"type": "message_stop"}
_DOCUMENTS: list[dict[str, Any]] = [_START, _BLOCK, {"type": "ping"}, _DELTA, _DELTA, _BLOCK_END, _END, _STOP]
_STREAM = b"".join(map(event, _DOCUMENTS))

_streams = st.lists(
    st.one_of(
        st.sampled_from(_DOCUMENTS).map(event),
        st.sampled_from(
            [
                b"event: message_start\ndata: {\n\n",
                b'data: {"type":"message_start","message":[]}\n\n',
                b'data: {"type":"message_delta","usage":1}\n\n',
                b'data: {"type":["message_stop"]}\n\n',
                b'event: \xff\ndata: {"type":"error"}\r\n\r\n',
                b'data: {"type":"content_block_delta","delta":{"partial_json":[1],"text":{"text":1}}}\n\n',
            ]
        ),
        st.binary(max_size=20),
    ),
    max_size=12,
).map(b"".join)


@settings(deadline=None)
@given(_streams, st.lists(st.integers(0, 10_000), max_size=6))
def test_a_stream_is_relayed_byte_for_byte(body: bytes, cuts: list[int]) -> None:
    chunks, progress = decode(DIALECT, CALL, cut(body, cuts), streamed=True)
    assert b"".join(chunk.raw or b"" for chunk in chunks) == body
    assert known(progress) == known(decode(DIALECT, CALL, [body], streamed=True)[1])


def test_what_came_is_counted() -> None:
    chunks, progress = decode(DIALECT, CALL, [_STREAM], streamed=True)
    assert progress.usage == Usage(10 + 3 + 4, 9)
    assert progress.output_bytes == len("HéHé".encode())
    assert (progress.complete, progress.failed) == (True, "")
    assert [chunk.event for chunk in chunks] == [document["type"] for document in _DOCUMENTS]
    assert [chunk.data for chunk in chunks] == _DOCUMENTS


def test_there_is_no_usage_before_the_output_is_known() -> None:
    _, progress = decode(DIALECT, CALL, [event(_START) + event(_BLOCK) + event(_DELTA)], streamed=True)
    assert (progress.usage, progress.output_bytes, progress.complete) == (None, len("Hé".encode()), False)


def test_the_last_figures_are_the_totals() -> None:
    later = {**_END, "usage": {"input_tokens": 50, "cache_read_input_tokens": None, "output_tokens": 20}}
    _, progress = decode(DIALECT, CALL, [event(_START) + event(_END) + event(later)], streamed=True)
    assert progress.usage == Usage(50 + 3 + 4, 20)


@pytest.mark.parametrize(("count", "known_as"), [(6, 6), (0, 0), (10, 9), (-1, 0), ("6", 0), (None, 0)])
def test_what_was_thought_is_told_of_the_tokens_written(count: Any, known_as: int) -> None:
    details = {"output_tokens_details": {"thinking_tokens": count}}
    ended = {**_END, "usage": {"output_tokens": 9, **details}}
    _, progress = decode(DIALECT, CALL, [event(_START) + event(ended)], streamed=True)
    assert progress.usage == Usage(17, 9, known_as)
    whole = {**_MESSAGE, "usage": {"input_tokens": 17, "output_tokens": 9, **details}}
    _, progress = decode(DIALECT, CALL, [json.dumps(whole).encode()], streamed=False)
    assert progress.usage == Usage(17, 9, known_as)


@pytest.mark.parametrize(
    ("iterations", "added"),
    [
        ([{"type": "compaction", "input_tokens": 50, "cache_read_input_tokens": 9, "output_tokens": 4}], (59, 4)),
        ([{"type": "message", "input_tokens": 10, "output_tokens": 1}], (0, 0)),
        ([{"type": "compaction", "input_tokens": -1, "output_tokens": 4}, 7], (0, 0)),
        (7, (0, 0)),
        (None, (0, 0)),
    ],
)
def test_what_it_took_to_make_a_conversation_shorter_is_charged_too(iterations: Any, added: tuple[int, int]) -> None:
    used = {"output_tokens": 9, "iterations": iterations, "output_tokens_details": {"thinking_tokens": 6}}
    _, progress = decode(DIALECT, CALL, [event(_START) + event({**_END, "usage": used})], streamed=True)
    assert progress.usage == Usage(17 + added[0], 9 + added[1], 6)
    whole = {**_MESSAGE, "usage": {"input_tokens": 17, **used}}
    _, progress = decode(DIALECT, CALL, [json.dumps(whole).encode()], streamed=False)
    assert progress.usage == Usage(17 + added[0], 9 + added[1], 6)


@pytest.mark.parametrize("count", [-1, 1.5, "5", True, None, 10**9 + 1, [], {}])
def test_a_figure_that_cannot_be_true_counts_as_not_sent(count: Any) -> None:
    started = {**_START, "message": {**_MESSAGE, "usage": {"input_tokens": count}}}
    _, progress = decode(DIALECT, CALL, [event(started) + event(_END)], streamed=True)
    assert progress.usage is None
    ended = {**_END, "usage": {"output_tokens": count}}
    _, progress = decode(DIALECT, CALL, [event(_START) + event(ended)], streamed=True)
    assert progress.usage is None
    _, progress = decode(DIALECT, CALL, [event(_START) + event(_END) + event(ended)], streamed=True)
    assert progress.usage == Usage(17, 9)


def test_a_false_figure_of_the_cache_spoils_the_sum() -> None:
    usage = {"input_tokens": 10, "cache_read_input_tokens": -4, "output_tokens": 1}
    _, progress = decode(DIALECT, CALL, [json.dumps({**_MESSAGE, "usage": usage}).encode()], streamed=False)
    assert progress.usage is None


@pytest.mark.parametrize(
    ("delta", "chars"),
    [
        ({"type": "text_delta", "text": "abc"}, 3),
        ({"type": "thinking_delta", "thinking": "hm"}, 2),
        ({"type": "input_json_delta", "partial_json": '{"a"'}, 4),
        ({"type": "signature_delta", "signature": "AAAA"}, 0),
    ],
)
def test_everything_that_the_model_wrote_counts_as_output(delta: dict[str, Any], chars: int) -> None:
    document = {"type": "content_block_delta", "index": 0, "delta": delta}
    _, progress = decode(DIALECT, CALL, [event(document)], streamed=True)
    assert progress.output_bytes == chars


def test_a_document_is_one_chunk_at_the_end() -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "AAAA"},
        {"type": "text", "text": "abc"},
        {"type": "tool_use", "id": "t", "name": "n", "input": {"a": ["xy", {"b": 12}]}},
    ]
    body = json.dumps({**_MESSAGE, "content": content}).encode()
    chunks, progress = decode(DIALECT, CALL, [body[:5], body[5:]], streamed=False)
    assert chunks == [Chunk(body, json.loads(body))]
    assert (progress.usage, progress.complete) == (Usage(17, 1), True)
    body = json.dumps({**_MESSAGE, "content": content, "usage": None}).encode()
    _, progress = decode(DIALECT, CALL, [body], streamed=False)
    assert (progress.usage, progress.output_bytes) == (None, len("hm" + "abc" + "a" + "xy" + "b" + "12"))


_COMPACTED = {"type": "compaction", "content": "It was said.", "signature": "AAAA", "encrypted_content": "BBBB"}


@pytest.mark.parametrize("begun", [_COMPACTED, {**_COMPACTED, "content": None, "encrypted_content": None}])
def test_the_seals_of_a_conversation_that_was_made_shorter_are_known(begun: dict[str, Any]) -> None:
    sealed = {"type": "compaction_delta", "content": "It was said.", "encrypted_content": "BBBB"}
    delta = event({"type": "content_block_delta", "index": 0, "delta": sealed})
    start = event({**_BLOCK, "content_block": begun})
    many = b"".join([event(_DELTA)] * 9)
    _, progress = decode(DIALECT, CALL, [event(_START), many, many + start, many + delta], streamed=True)
    assert list(dict.fromkeys(progress.signatures)) == ["AAAA", "BBBB"]
    _, progress = decode(DIALECT, CALL, [json.dumps({**_MESSAGE, "content": [_COMPACTED]}).encode()], streamed=False)
    assert progress.signatures == ["AAAA", "BBBB"]


@pytest.mark.parametrize("alone", [True, False])
def test_what_a_tool_of_the_api_returned_is_nothing_that_the_model_wrote(alone: bool) -> None:
    viewed = {"type": "text_editor_code_execution_view_result", "content": "x" * 9_000, "file_type": "text"}
    result = {"type": "text_editor_code_execution_tool_result", "tool_use_id": "t", "content": viewed}
    begun = event({**_BLOCK, "content_block": result})
    head = [event(_START), event(_BLOCK), *[event(_DELTA)] * 9]
    pieces = [*head, begun] if alone else [b"".join([*head, begun, event(_BLOCK_END)])]
    _, progress = decode(DIALECT, CALL, pieces, streamed=True)
    assert progress.output_bytes == 9 * len("Hé".encode())
    for streamed, body in ((True, begun), (False, json.dumps({**_MESSAGE, "content": [result]}).encode())):
        (chunk,) = decode(DIALECT, CALL, [body], streamed=streamed)[0]
        assert (
            DIALECT.wire(streamed=streamed).written(Chunk(None, json.loads(body) if not streamed else chunk.data)) == 0
        )


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"type":'])
def test_an_answer_that_is_no_json_object_is_the_upstreams_failure(body: bytes) -> None:
    decoder = DIALECT.decoder(CALL, streamed=False)
    decoder.feed(body)
    with pytest.raises(UpstreamFailed):
        decoder.finish()


@pytest.mark.parametrize(
    ("document", "failed"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}, "overloaded_error"),
        ({"type": "error"}, "error"),
        ({"type": "error", "error": []}, "error"),
    ],
)
def test_an_error_inside_an_answer_is_noticed_and_relayed(document: dict[str, Any], failed: str) -> None:
    body = event(_START) + event(document)
    chunks, progress = decode(DIALECT, CALL, [body], streamed=True)
    assert (progress.failed, progress.complete) == (failed, False)
    assert sent(DIALECT, chunks, streamed=True) == body
    _, progress = decode(DIALECT, CALL, [json.dumps(document).encode()], streamed=False)
    assert (progress.failed, progress.complete) == (failed, False)


def test_a_stream_without_its_end_marker_is_not_complete() -> None:
    _, progress = decode(DIALECT, CALL, [event(document) for document in _DOCUMENTS[:-1]], streamed=True)
    assert not progress.complete


def test_a_changed_chunk_is_written_anew() -> None:
    assert DIALECT.encode(Chunk(None, {"type": "ping"}, "ping"), streamed=True) == event({"type": "ping"})
    assert DIALECT.encode(Chunk(None, {"type": "message"}), streamed=False) == b'{"type":"message"}'


def test_the_samples_here_are_what_the_official_client_expects() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
    for document in _DOCUMENTS:
        if document["type"] != "ping":
            assert adapter.validate_python(document).type == document["type"]


@pytest.mark.parametrize("together", [1, 7, 100])
def test_text_that_is_not_read_is_estimated_closely(together: int) -> None:
    words = [f"wörd{number} " for number in range(300)]
    deltas = [{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": w}} for w in words]
    events = [event(_START), event(_BLOCK), *map(event, deltas)]
    pieces = [b"".join(events[start : start + together]) for start in range(0, len(events), together)]
    _, progress = decode(DIALECT, CALL, pieces, streamed=True)
    written = len("".join(words).encode())
    assert written <= progress.output_bytes <= 1.5 * written
