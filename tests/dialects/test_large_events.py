"""Promises about large events of a stream: each is read piece by piece while it comes, as one that is read at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxy.dialects import _answers, _passed_over
from proxy.dialects._answer_json import load, value
from proxy.dialects._answers import StreamDecoder
from proxy.dialects.anthropic_messages import AnthropicMessages
from proxy.dialects.base import ChunkDecoder, Dialect
from proxy.dialects.openai_chat import OpenAIChat
from proxy.dialects.openai_responses import OpenAIResponses
from proxy.dialects.tagged import TaggedDecoder
from proxy.exchange import Call, Chunk, Usage
from proxy.keyed.issued_ids import IssuedIds
from tests.dialects import responses
from tests.dialects.reads import counted
from tests.dialects.streams import chat_chunk, cut, data, event

CHAT, RESPONSES, MESSAGES = OpenAIChat(), OpenAIResponses(), AnthropicMessages()
CALL = Call("m", stream=True, body={})
IDS = IssuedIds(b"k" * 32, "acme", "default", frozenset())
FIGURES = [responses.figure(text) for text in (" word", "]}", '\\"', "é", "\ud83d")]
CHUNK = chat_chunk({"content": "a"}) | {"long": 10**30}
CHUNK["choices"][0]["logprobs"] = {"content": FIGURES * 9}
USAGE = {"prompt_tokens": 7, "completion_tokens": 40, "total_tokens": 47}
STREAMS = {
    "response": (RESPONSES, responses.stream([responses.said(["word "] * 9, figures=True)], ["word "] * 9)),
    "chunks": (CHAT, data(CHUNK) * 3 + data(chat_chunk(usage=USAGE)) + b"data: [DONE]\n\n"),
    "comments": (CHAT, b": here\n\n" * 9 + b": " + b"x" * 999 + b"\n" + data(CHUNK) * 2 + b"data: [DONE]\n\n"),
    "lines": (CHAT, data(CHUNK).replace(b',"finish', b'\ndata: ,"finish') * 2 + data(CHUNK)),
    "returns": (CHAT, (data(CHUNK) * 3).replace(b"\n", b"\r\n")),
    "none": (CHAT, data("x" * 999) + data(CHUNK)[:-9] + b"\n\n" + data(CHUNK) + b"data: {" + b"1," * 999 + b"}\n\n"),
    "torn": (CHAT, data(CHUNK) + data(CHUNK)[:-2]),
}


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("size", [7, 50, 400, 1 << 20])
@pytest.mark.parametrize(("dialect", "stream"), STREAMS.values(), ids=STREAMS.keys())
def test_a_large_event_is_told_of_as_one_that_is_read_at_once(
    dialect: Dialect, stream: bytes, size: int, every: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told() -> tuple[list[Any], Any]:
        decoder = dialect.decoder(CALL, streamed=True, every=every)
        chunks = [chunk for piece in pieces for chunk in decoder.feed(piece)] + decoder.finish()
        assert not every or all(chunk.data == load(_only_data(chunk), exact=large) for chunk in chunks)
        return [(chunk.raw, chunk.event) for chunk in chunks], decoder.progress

    pieces = cut(stream, [*range(0, len(stream), size)])
    large = False
    known = told()
    monkeypatch.setattr(StreamDecoder.__init__, "__defaults__", (64,))
    monkeypatch.setattr(_passed_over, "AT_ONCE_BYTES", 64)
    monkeypatch.setattr(_passed_over, "_PIECE_BYTES", 16)
    monkeypatch.setattr(_passed_over, "_LEAST_BYTES", 0)
    large = True
    assert told() == known


def _only_data(chunk: Chunk) -> bytes:
    return b"\n".join([line[6:] for line in (chunk.raw or b"").splitlines() if line.startswith(b"data: ")])


@pytest.mark.parametrize("every", [False, True])
def test_a_large_event_behind_one_that_is_large_for_its_comment_is_read_by_itself(every: bool) -> None:
    chunk = chat_chunk({"content": "a"})
    chunk["choices"][0]["logprobs"] = {"content": FIGURES[:4] * 1_000}
    decoder = CHAT.decoder(CALL, streamed=True, every=every)
    comment = decoder.feed(b'data: {"logprobs":[1,2,3]}\n: ' + b"x" * 300_000)
    small, large = decoder.feed(b"\n\n" + data(chunk | {"usage": USAGE}))
    assert (comment, small.data, decoder.progress.usage) == ([], {"logprobs": [1, 2, 3]}, Usage(7, 40))
    assert not every or large.data == chunk | {"usage": USAGE}


@pytest.mark.parametrize("every", [False, True])
def test_a_large_event_without_the_usage_that_only_we_asked_for_keeps_its_log_probabilities(every: bool) -> None:
    """Its document is written anew."""
    chunk = chat_chunk({"content": "a"})
    chunk["choices"][0]["logprobs"] = {"content": FIGURES[:4] * 1_000}
    raw = data(chunk | {"usage": None})
    decoder = CHAT.decoder(replace(CALL, hide_usage=True), streamed=True, every=every)
    chunks = [got for piece in cut(raw, [*range(0, len(raw), 65_536)]) for got in decoder.feed(piece)]
    assert len(raw) > 524_288
    assert b"".join(CHAT.encode(got, streamed=True) for got in chunks) == data(chunk)


def test_nothing_of_anthropics_api_is_passed_over() -> None:
    """The arguments of a call have names of the caller's."""
    block = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"logprobs": FIGURES * 3_000}}
    document = {"type": "content_block_start", "index": 0, "content_block": block, "usage": None}
    raw, decoder = event(document), MESSAGES.decoder(CALL, streamed=True)
    (chunk,) = [chunk for piece in cut(raw, [*range(0, len(raw), 65_536)]) for chunk in decoder.feed(piece)]
    assert len(raw) > 524_288
    assert chunk.data == document


@pytest.mark.parametrize("before", [b"data: ", b"data:"])
@pytest.mark.parametrize("tagged", [False, True])
@pytest.mark.parametrize("every", [False, True])
def test_no_more_of_a_large_event_is_read_at_once_than_of_a_small_one(
    every: bool, tagged: bool, before: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P7: nothing else runs while JSON is read, which takes a hundred milliseconds for as much."""
    seen: list[int] = []
    monkeypatch.setattr(_answers, "load", counted(load, seen))
    monkeypatch.setattr(_passed_over, "load", counted(load, seen))
    monkeypatch.setattr(_passed_over, "value", counted(value, seen))
    said = responses.said(["word "] * 20_000, figures=True)
    usage = {"input_tokens": 7, "output_tokens": 40, "total_tokens": 47}
    raw = event({"type": "response.completed", "response": responses.response([said], usage=usage)})
    raw = raw.replace(b"data: ", before)
    decoder: ChunkDecoder = RESPONSES.decoder(CALL, streamed=True, every=every)
    if tagged:
        decoder = TaggedDecoder(decoder, RESPONSES.read(b'{"model":"m","input":"hi"}').gives or list, IDS, every=every)
    chunks = [chunk for piece in cut(raw, [*range(0, len(raw), 65_536)]) for chunk in decoder.feed(piece)]
    assert decoder.progress.usage == Usage(7, 40)
    assert (b"".join(chunk.raw or b"" for chunk in chunks) == raw) is not tagged
    assert len(raw) * 0.9 < sum(seen) < len(raw) * 1.1
    assert max(seen) < 524_288 < len(raw)
