"""Promises about answers of chat completions: bytes are relayed as they came, and what they say is counted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk

from proxy.dialects.openai_chat import OpenAIChat
from proxy.errors import UpstreamFailed
from proxy.exchange import Call, Chunk, Usage
from tests.dialects.streams import chat_chunk, cut, data, decode, known, read_by_a_client, sent

DIALECT = OpenAIChat()
SHOWN = Call("m", stream=True, body={})
HIDDEN = Call("m", stream=True, body={}, hide_usage=True)
_USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
_DONE = b"data: [DONE]\n\n"
_TEXTS = [
    data(chat_chunk({"role": "assistant", "content": ""})),
    data(chat_chunk({"content": "Hé"})),
    b": ping\n\n",
    data(chat_chunk({"content": "llo"})),
]
_STREAM = b"".join(_TEXTS) + data(chat_chunk(usage=_USAGE)) + _DONE

_events = st.one_of(
    st.sampled_from([*_TEXTS, data(chat_chunk(usage=_USAGE)), data(chat_chunk({}, usage=None)), _DONE]),
    st.sampled_from(
        [
            b"data: {\n\n",
            b"data: {}\n\n",
            b"data: []\n\n",
            b"data: {\xff}\n\n",
            b'data: {"usage":NaN}\r\n\r\n',
            b'data: {"choices":1,"usage":1,"error":1}\n\n',
            b'data: {"choices":[1,{"delta":[[1]]},{"delta":{"content":[{"text":1}]}}]}\n\n',
            b"event: x\ndata: {}\ndata: 1\n\n",
            b"data: " + b"[" * 3_000 + b"\n\n",
            b"\r\r\n",
        ]
    ),
    st.binary(max_size=20),
)
_streams = st.lists(_events, max_size=12).map(b"".join)


@settings(deadline=None)
@given(_streams, st.lists(st.integers(0, 10_000), max_size=6))
def test_a_stream_is_relayed_byte_for_byte(body: bytes, cuts: list[int]) -> None:
    chunks, progress = decode(DIALECT, SHOWN, cut(body, cuts), streamed=True)
    assert b"".join(chunk.raw or b"" for chunk in chunks) == body
    assert known(progress) == known(decode(DIALECT, SHOWN, [body], streamed=True)[1])


_BEGINS_WITH_USAGE = b',"usage":nulldata: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n'


@settings(deadline=None)
@given(_streams, st.lists(st.integers(0, 10_000), max_size=6))
@example(_BEGINS_WITH_USAGE, [1])
@example(b"data: {}\n\n" + _BEGINS_WITH_USAGE, [10])
@example(b"data: {}\n\n" + _BEGINS_WITH_USAGE, [20])
def test_where_a_stream_is_split_does_not_change_what_hiding_leaves(body: bytes, cuts: list[int]) -> None:
    chunks, progress = decode(DIALECT, HIDDEN, cut(body, cuts), streamed=True)
    whole, known_at_once = decode(DIALECT, HIDDEN, [body], streamed=True)
    assert known(progress) == known(known_at_once)
    documents = read_by_a_client(sent(DIALECT, chunks, streamed=True))
    assert documents == read_by_a_client(sent(DIALECT, whole, streamed=True))
    assert not [document for document in documents if "usage" in document]


def test_of_a_spoken_answer_the_words_are_counted_and_not_the_sound() -> None:
    spoken = [{"audio": {"transcript": "word "}}, {"audio": {"data": "A" * 4_000}}]
    events = b"".join(data(chat_chunk(delta)) for _ in range(50) for delta in spoken)
    for pieces in ([events], cut(events, list(range(0, 200_000, 9_000)))):
        chunks, progress = decode(DIALECT, SHOWN, pieces, streamed=True)
        assert progress.output_bytes == 50 * len("word ")
        assert b"".join(chunk.raw or b"" for chunk in chunks) == events


_THOUGHT = {"completion_tokens_details": {"reasoning_tokens": 94}}


@pytest.mark.parametrize(
    ("usage", "known_as"),
    [
        ({"prompt_tokens": 32, "completion_tokens": 103, "total_tokens": 135, **_THOUGHT}, Usage(32, 103, 94)),
        ({"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135, **_THOUGHT}, Usage(32, 103, 94)),
        ({"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135}, Usage(32, 103, 94)),
        ({"prompt_tokens": 32, "total_tokens": 135}, Usage(32, 103, 103)),
        ({"prompt_tokens": 32, "completion_tokens": 93, **_THOUGHT}, Usage(32, 93, 93)),
        ({"prompt_tokens": 32, "completion_tokens": 9, "completion_tokens_details": None}, Usage(32, 9)),
        (
            {"prompt_tokens": 32, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": -1}},
            Usage(32, 9),
        ),
        ({"prompt_tokens": 32, "completion_tokens": 9}, Usage(32, 9)),
        ({"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 9}, Usage(32, 9)),
        ({"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": "135"}, Usage(32, 9)),
        ({"prompt_tokens": 32, "completion_tokens": "9", "total_tokens": 135}, None),
        ({"completion_tokens": 9, "total_tokens": 135}, None),
        ({"prompt_tokens": 32}, None),
    ],
)
def test_what_was_thought_is_counted_whether_or_not_it_is_among_the_tokens_written(
    usage: dict[str, Any], known_as: Usage | None
) -> None:
    stream = b"".join(_TEXTS) + data(chat_chunk(usage=usage)) + _DONE
    for call in (SHOWN, HIDDEN):
        assert decode(DIALECT, call, [stream], streamed=True)[1].usage == known_as
    document = json.dumps({"choices": [], "usage": usage}).encode()
    assert decode(DIALECT, SHOWN, [document], streamed=False)[1].usage == known_as


def test_what_came_is_counted() -> None:
    _, progress = decode(DIALECT, SHOWN, [_STREAM], streamed=True)
    assert progress.usage == Usage(7, 5)
    assert progress.output_bytes == len("Héllo".encode())
    assert progress.complete
    assert progress.failed == ""


def test_the_count_is_right_at_every_moment() -> None:
    decoder = DIALECT.decoder(SHOWN, streamed=True)
    decoder.feed(_TEXTS[1])
    assert (decoder.progress.output_bytes, decoder.progress.usage, decoder.progress.complete) == (
        len("Hé".encode()),
        None,
        False,
    )


@pytest.mark.parametrize(
    ("deltas", "chars"),
    [
        ([{"content": "abc"}, {"content": "de"}], 5),
        ([{"refusal": "no"}], 2),
        ([{"reasoning_content": "hm", "content": "a"}], 3),
        ([{"reasoning": "hm"}], 2),
        ([{"tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "f", "arguments": '{"a":1}'}}]}], 7),
        ([{"tool_calls": [{"index": 0, "custom": {"name": "f", "input": "abc"}}]}], 3),
        ([{"function_call": {"name": "f", "arguments": "{}"}}], 2),
        ([{"audio": {"id": "audio_1", "data": "AAAA", "transcript": "hi"}}], 2),
        ([{"role": "assistant", "content": None}], 0),
    ],
)
def test_everything_that_the_model_wrote_counts_as_output(deltas: list[dict[str, Any]], chars: int) -> None:
    _, progress = decode(DIALECT, SHOWN, [data(chat_chunk(*deltas))], streamed=True)
    assert progress.output_bytes == chars
    message = {"choices": [{"message": delta, "logprobs": {"content": [{"token": "abc"}]}} for delta in deltas]}
    _, progress = decode(DIALECT, SHOWN, [json.dumps(message).encode()], streamed=False)
    assert progress.output_bytes == chars


@pytest.mark.parametrize("count", [-1, 1.5, "5", True, None, 10**9 + 1, [], {}])
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
def test_a_figure_that_cannot_be_true_counts_as_not_sent(name: str, count: Any) -> None:
    usage = {**_USAGE, name: count}
    _, progress = decode(DIALECT, SHOWN, [data(chat_chunk(usage=usage))], streamed=True)
    assert progress.usage is None
    _, progress = decode(DIALECT, SHOWN, [json.dumps({"choices": [], "usage": usage}).encode()], streamed=False)
    assert progress.usage is None


def test_a_true_figure_outlives_a_false_one() -> None:
    stream = data(chat_chunk(usage=_USAGE)) + data(chat_chunk(usage={**_USAGE, "prompt_tokens": -1}))
    _, progress = decode(DIALECT, SHOWN, [stream], streamed=True)
    assert progress.usage == Usage(7, 5)


def test_usage_that_only_we_asked_for_is_taken_out() -> None:
    stream = (
        data(chat_chunk({"content": "a"}, usage=None))
        + data(chat_chunk({"content": "b"}, usage=_USAGE))
        + data(chat_chunk(usage=_USAGE))
        + _DONE
    )
    chunks, progress = decode(DIALECT, HIDDEN, [stream], streamed=True)
    expected = data(chat_chunk({"content": "a"})) + data(chat_chunk({"content": "b"})) + _DONE
    assert sent(DIALECT, chunks, streamed=True) == expected
    assert progress.usage == Usage(7, 5)
    assert progress.complete


def test_what_carries_no_usage_is_left_as_it_came_while_hiding() -> None:
    first = b'data: { "choices" : [], "prompt_filter_results": [] }\n\n'
    chunks, _ = decode(DIALECT, HIDDEN, [first, *_TEXTS, _DONE], streamed=True)
    assert sent(DIALECT, chunks, streamed=True) == first + b"".join(_TEXTS) + _DONE


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("written", [{}, {"separators": (",", ":")}, {"ensure_ascii": False}])
def test_what_is_left_is_written_as_it_came_whether_it_is_read_event_by_event_or_not(
    together: bool, written: dict[str, Any]
) -> None:
    def stream(**usage: Any) -> bytes:
        events = [json.dumps(chat_chunk({"content": text}, **usage), **written) for text in ("Hé", "llo", "!")]
        return "".join(f"data: {event}\n\n" for event in events).encode() + _DONE

    decoder = DIALECT.decoder(HIDDEN, streamed=True, every=not together)
    chunks = [*decoder.feed(stream(usage=None)), *decoder.finish()]
    assert sent(DIALECT, chunks, streamed=True) == stream()


def test_an_error_is_never_hidden() -> None:
    chunks, progress = decode(DIALECT, HIDDEN, [data({"error": {"type": "e"}, "usage": _USAGE})], streamed=True)
    assert sent(DIALECT, chunks, streamed=True) == data({"error": {"type": "e"}})
    assert progress.failed == "e"


def test_usage_in_an_unterminated_end_is_hidden_too() -> None:
    chunks, progress = decode(DIALECT, HIDDEN, [data(chat_chunk(usage=_USAGE))[:-1]], streamed=True)
    assert chunks == []
    assert progress.usage == Usage(7, 5)


@pytest.mark.parametrize(
    ("error", "failed"),
    [
        ({"type": "server_error", "code": None}, "server_error"),
        ({"code": "rate_limit_exceeded"}, "rate_limit_exceeded"),
        ({"type": 5}, "error"),
        ({"type": "a\nb"}, "error"),
        ({"type": "e" * 65}, "error"),
        ("broken", "error"),
    ],
)
def test_an_error_inside_an_answer_is_noticed_and_relayed(error: Any, failed: str) -> None:
    body = data({"error": error})
    chunks, progress = decode(DIALECT, SHOWN, [body], streamed=True)
    assert (progress.failed, progress.complete) == (failed, False)
    assert sent(DIALECT, chunks, streamed=True) == body
    _, progress = decode(DIALECT, SHOWN, [json.dumps({"error": error}).encode()], streamed=False)
    assert (progress.failed, progress.complete) == (failed, False)


def test_a_stream_without_its_end_marker_is_not_complete() -> None:
    _, progress = decode(DIALECT, SHOWN, _TEXTS, streamed=True)
    assert not progress.complete


def test_a_document_is_one_chunk_at_the_end() -> None:
    body = b' {"choices": [{"message": {"content": "hi"}}], "usage": {"prompt_tokens": 7, "completion_tokens": 5}}\n'
    decoder = DIALECT.decoder(SHOWN, streamed=False)
    assert [chunk for byte in body for chunk in decoder.feed(bytes([byte]))] == []
    assert not decoder.progress.complete
    assert decoder.finish() == [Chunk(body, json.loads(body))]
    assert (decoder.progress.complete, decoder.progress.usage) == (True, Usage(7, 5))


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"<html>", b'{"choices":', b'{"a":"\xff"}', b"[" * 5_000])
def test_an_answer_that_is_no_json_object_is_the_upstreams_failure(body: bytes) -> None:
    decoder = DIALECT.decoder(SHOWN, streamed=False)
    decoder.feed(body)
    with pytest.raises(UpstreamFailed):
        decoder.finish()


@pytest.mark.parametrize("body", [b"{}", b'{"choices":{}}', b'{"object":"list","data":[]}'])
def test_a_document_of_another_shape_is_not_complete(body: bytes) -> None:
    _, progress = decode(DIALECT, SHOWN, [body], streamed=False)
    assert not progress.complete


def test_a_document_over_the_limit_is_the_upstreams_failure() -> None:
    decoder = DIALECT.decoder(SHOWN, streamed=False)
    mebibyte = b" " * (1 << 20)
    for _ in range(32):
        assert decoder.feed(mebibyte) == []
    with pytest.raises(UpstreamFailed, match="too large"):
        decoder.feed(b" ")


@pytest.mark.parametrize(
    ("chunk", "streamed", "written"),
    [
        (Chunk(b"as it came", {"a": 1}), True, b"as it came"),
        (Chunk(b"as it came", {"a": 1}), False, b"as it came"),
        (Chunk(None, {"a": 1}), True, b'data: {"a":1}\n\n'),
        (Chunk(None, {"a": 1}, "e"), True, b'event: e\ndata: {"a":1}\n\n'),
        (Chunk(None, {"a": 1}), False, b'{"a":1}'),
        (Chunk(None), True, b""),
    ],
)
def test_a_changed_chunk_is_written_anew(chunk: Chunk, streamed: bool, written: bytes) -> None:
    assert DIALECT.encode(chunk, streamed=streamed) == written


def test_the_samples_here_are_what_the_official_client_expects() -> None:
    ChatCompletionChunk.model_validate(chat_chunk({"content": "a"}, usage=_USAGE), strict=True)


@pytest.mark.parametrize("hide_usage", [False, True])
@pytest.mark.parametrize("together", [1, 7, 100])
def test_text_that_is_not_read_is_estimated_closely(together: int, hide_usage: bool) -> None:
    words = [f"wörd{number} " for number in range(300)]
    usage = {"usage": None} if hide_usage else {}
    events = [data(chat_chunk({"role": "assistant", "content": ""}, **usage))]
    events += [data(chat_chunk({"content": word}, **usage)) for word in words]
    pieces = [b"".join(events[start : start + together]) for start in range(0, len(events), together)]
    chunks, progress = decode(DIALECT, Call("m", True, {}, hide_usage=hide_usage), pieces, streamed=True)
    written = len("".join(words).encode())
    assert written <= progress.output_bytes <= 1.5 * written
    assert len(chunks) <= len(pieces) + together
    assert b"usage" not in sent(DIALECT, chunks, streamed=True)


@pytest.mark.parametrize(
    "thought",
    [
        {"reasoning_details": [{"type": "reasoning.text", "text": "so", "signature": "seal"}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "seal"}]},
        {"thinking_blocks": [{"type": "thinking", "thinking": "so", "signature": "seal"}]},
        {"thinking_blocks": [{"type": "redacted_thinking", "data": "seal"}]},
    ],
)
def test_the_seals_of_what_was_thought_are_seen_pass(thought: dict[str, Any]) -> None:
    stream = b"".join(_TEXTS) * 40 + data(chat_chunk(thought)) + b"".join(_TEXTS) * 40 + _DONE
    _, progress = decode(DIALECT, SHOWN, [stream], streamed=True)
    assert progress.signatures == ["seal"]
    answer = json.dumps({"choices": [{"message": {"role": "assistant", "content": "a", **thought}}]}).encode()
    _, progress = decode(DIALECT, SHOWN, [answer], streamed=False)
    assert progress.signatures == ["seal"]
