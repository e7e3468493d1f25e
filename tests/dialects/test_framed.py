"""Promises about events that are read by their frame: what is read, counted and written is what it is without."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.dialects import framed as frames
from proxy.dialects.anthropic_messages import AnthropicMessages
from proxy.dialects.base import ChunkDecoder, Dialect
from proxy.dialects.framed import FramedDecoder
from proxy.dialects.openai_chat import OpenAIChat
from proxy.dialects.openai_completions import OpenAICompletions
from proxy.exchange import Call, Chunk, Progress
from tests.dialects.streams import chat_chunk, cut, data, event, read_by_a_client, sent

CHAT, MESSAGES, COMPLETIONS = OpenAIChat(), AnthropicMessages(), OpenAICompletions()
CALLS: dict[Dialect, Call] = {
    CHAT: CHAT.read(b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}'),
    MESSAGES: MESSAGES.read(b'{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}'),
    COMPLETIONS: COMPLETIONS.read(b'{"model":"m","stream":true,"prompt":"hi"}'),
}
WORDS = [
    "The",
    " committee",
    " met",
    " on",
    " Tuesday",
    ",",
    " and",
    " nobody",
    " knew",
    " why",
    ".",
    " Never",
    " mind",
]
ODD = ["", '"', "\\", "\n", "\u00e9", "\U0001f600", "content", "delta", "m", "\x7f", "</think>", "{}", " " * 70]
USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
TEXTS = st.lists(st.one_of(st.sampled_from(WORDS), st.sampled_from(ODD), st.text(max_size=4)), max_size=40)


def spoken(text: str, lane: int = 0, **members: Any) -> dict[str, Any]:
    """Return a chunk of a chat that carries on one choice's text."""
    made = chat_chunk({"content": text}, usage=None, **members)
    made["choices"][0]["index"] = lane
    return made


def completed(text: str, **members: Any) -> dict[str, Any]:
    """Return a chunk of a text's completion."""
    choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": None, **members}
    return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}


def piece(text: str, index: int = 0, **members: Any) -> dict[str, Any]:
    """Return an event of a message that carries on a block's text."""
    delta = {"type": "text_delta", "text": text, **members}
    return {"type": "content_block_delta", "index": index, "delta": delta}


def chat(chunks: list[dict[str, Any]]) -> bytes:
    """Return a chat's stream, with its usage, in which chunks stand in the midst."""
    last = spoken("") | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    documents = [spoken("") | {"choices": [{"index": 0, "delta": {"role": "assistant"}}]}, *chunks, last]
    return b"".join(map(data, [*documents, chat_chunk(usage=USAGE)])) + b"data: [DONE]\n\n"


def message(texts: list[str]) -> bytes:
    """Return a message's stream, with a second block and a ping in the midst of its text."""
    half = len(texts) // 2
    documents: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "msg_1", "model": "m", "usage": {"input_tokens": 3}}}
    ]
    for index, block in enumerate((texts[:half], texts[half:])):
        documents += [
            {"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}},
            *(piece(text, index) for text in block),
            {"type": "ping"},
            {"type": "content_block_stop", "index": index},
        ]
    documents += [
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ]
    return b"".join(map(event, documents))


def completion(texts: list[str]) -> bytes:
    """Return the stream of a text's completion."""
    documents = [*map(completed, texts), completed("", finish_reason="length")]
    return b"".join(map(data, documents)) + b"data: [DONE]\n\n"


def piece_event(text: str) -> bytes:
    return event(piece(text))


def said_otherwise(text: bytes) -> bytes:
    """Return a chunk of a chat in which these bytes stand between the quotes of its text."""
    return data(spoken(" two")).replace(b" two", text)


def decoding(dialect: Dialect, *, by_frames: bool) -> ChunkDecoder:
    decoder = dialect.decoder(CALLS[dialect], streamed=True, every=True)
    if by_frames:
        decoder = FramedDecoder(decoder, dialect.wire(streamed=True), partial(dialect.encode, streamed=True))
    return decoder


def read(dialect: Dialect, pieces: list[bytes], *, framed: bool) -> tuple[list[Chunk], Progress]:
    decoder = decoding(dialect, by_frames=framed)
    return [chunk for piece in pieces for chunk in decoder.feed(piece)] + decoder.finish(), decoder.progress


def sayings(dialect: Dialect, pieces: list[bytes]) -> list[str]:
    chunks, _ = read(dialect, pieces, framed=True)
    return [text for chunk in chunks if chunk.saying is not None for text in chunk.saying.texts]


def check(dialect: Dialect, stream: bytes, cuts: list[int]) -> None:
    pieces = cut(stream, cuts)
    framed, progress = read(dialect, pieces, framed=True)
    whole, expected = read(dialect, pieces, framed=False)
    assert progress == expected
    assert sent(dialect, framed, streamed=True) == sent(dialect, whole, streamed=True)


@settings(deadline=None)
@given(TEXTS, st.lists(st.integers(0, 100_000), max_size=20))
def test_a_message_is_read_as_without_frames(texts: list[str], cuts: list[int]) -> None:
    check(MESSAGES, message(texts), cuts)


@settings(deadline=None)
@given(TEXTS, st.lists(st.integers(0, 100_000), max_size=20))
def test_a_completion_is_read_as_without_frames(texts: list[str], cuts: list[int]) -> None:
    check(COMPLETIONS, completion(texts), cuts)


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.builds(spoken, st.sampled_from(WORDS + ODD), st.integers(0, 2)),
            st.builds(spoken, st.sampled_from(WORDS), obfuscation=st.text("abcXYZ019", max_size=9)),
            st.builds(lambda text: chat_chunk({"reasoning_content": text}), st.sampled_from(WORDS)),
            st.builds(lambda text: spoken(text, error={"message": text}), st.sampled_from(WORDS)),
            st.builds(lambda text: chat_chunk({"content": text, "refusal": text}), st.sampled_from(WORDS)),
        ),
        max_size=40,
    ),
    st.lists(st.integers(0, 100_000), max_size=20),
)
def test_a_chat_is_read_as_without_frames(chunks: list[dict[str, Any]], cuts: list[int]) -> None:
    check(CHAT, chat(chunks), cuts)


@pytest.mark.parametrize(
    ("dialect", "stream"),
    [
        (CHAT, chat([spoken(text) for text in WORDS * 3])),
        (CHAT, chat([spoken(text, obfuscation=f"x{number}abc") for number, text in enumerate(WORDS * 3)])),
        (CHAT, chat([spoken(text, lane) for text in WORDS for lane in range(3)])),
        (COMPLETIONS, completion(WORDS * 3)),
        (MESSAGES, message(WORDS * 3)),
    ],
    ids=["chat", "padded", "choices", "completion", "message"],
)
@pytest.mark.parametrize("size", [700, 100_000])
def test_most_events_are_read_by_their_frame(dialect: Dialect, stream: bytes, size: int) -> None:
    pieces = cut(stream, [*range(0, len(stream), size)])
    of_text = sum(b'"text":"' in line or b'"content":"' in line for line in stream.split(b"\n\n"))
    assert len(sayings(dialect, pieces)) > of_text * 0.6


def test_events_on_end_with_one_frame_are_one_chunk() -> None:
    said = b"".join(data(spoken(text, obfuscation=f"{text}abc")) for text in WORDS)
    chunks, _ = read(CHAT, [chat([spoken(text) for text in WORDS]), said], framed=True)
    assert [len(chunk.saying.texts) for chunk in chunks if chunk.saying is not None] == [len(WORDS) - 1] * 2


@pytest.mark.parametrize(
    ("dialect", "write"),
    [
        (CHAT, lambda text: data(spoken(text))),
        (COMPLETIONS, lambda text: data(completed(text))),
        (MESSAGES, piece_event),
    ],
    ids=["chat", "completion", "message"],
)
def test_events_on_end_are_read_in_a_few_steps_all_together(
    dialect: Dialect, write: Callable[[str], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = decoding(dialect, by_frames=True)
    decoder.feed(write(" nobody") * 2)  # of which the first tells the model too
    monkeypatch.setattr(frames, "_STRING", None)  # by which they would be read one by one
    (chunk,) = decoder.feed(b"".join(map(write, WORDS * 2)))
    assert chunk.saying is not None
    assert chunk.saying.texts == WORDS * 2


def test_no_more_is_looked_at_than_some_times_what_is_read_however_often_choices_take_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[int] = []
    at_once = frames._at_once

    def counted(head: bytes, behind: bytes, data: bytes, within: tuple[int, int]) -> list[bytes]:
        looked.append(min(within[1], len(data)) - within[0])
        return at_once(head, behind, data, within)

    monkeypatch.setattr(frames, "_at_once", counted)
    two = b"".join(data(spoken(" nobody", lane=lane)) for lane in (0, 0, 1, 1))
    decoder = decoding(CHAT, by_frames=True)
    decoder.feed(two)
    for times in (1, 500):
        chunks = decoder.feed(two * times)
        assert [len(chunk.saying.texts) for chunk in chunks if chunk.saying is not None] == [2, 2] * times
    assert sum(looked) < 20 * len(two) * 500


@pytest.mark.parametrize(
    "odd",
    [
        said_otherwise(b'a"\n"b'),
        said_otherwise(b'a"\n\n"b'),
        said_otherwise(b"a\x00b"),
        said_otherwise(b"a\x1fb"),
        said_otherwise(b"a\xffb"),
        said_otherwise("a\u2028b".encode()),
        said_otherwise(rb"a\u2028b"),
        said_otherwise(rb"a\ud83d"),
        said_otherwise(b"a\\"),
        said_otherwise(rb"a\"b\\\n"),
        said_otherwise(b'a","content":"b'),
        said_otherwise(b'a"}}]}'),
        data(spoken(" two")).replace(b'"m"', b'"n"'),
        data(spoken(" two", lane=1)),
        data(spoken(" two")) + b"\n",
        data(spoken(" two")).replace(b"\n\n", b"\nid: 1\n\n"),
        data(spoken(" two")).replace(b"\n\n", b"\ndata: \n\n"),
        b": ping\n\n" + data(spoken(" two")),
        b"retry: 5\n" + data(spoken(" two")),
        data(spoken(" two"))[:-1],
        data(spoken(" two")).replace(b"data: ", b"data:"),
        data(spoken(" two")).replace(b"\n", b"\r\n"),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 5, len(WORDS)])
def test_whatever_comes_among_events_on_end_is_read_as_without_frames(odd: bytes, place: int) -> None:
    said = [data(spoken(text)) for text in WORDS]
    stream = b"".join([*said, *said[:place], odd, *said[place:], odd, *said])
    check(CHAT, stream, [])
    check(CHAT, stream, [*range(0, len(stream), 1_000)])


def test_the_first_text_behind_anything_else_is_read_whole() -> None:
    thought = chat_chunk({"reasoning_content": "Hm."}, usage=None)
    stream = chat([spoken(" one"), spoken(" two"), thought, spoken(" three"), spoken(" four")])
    assert sayings(CHAT, [stream]) == [" two", " four"]


def test_what_else_an_event_says_is_never_overlooked() -> None:
    told = spoken(" two")
    told["choices"][0]["delta"]["reasoning_content"] = " thought"
    scored = spoken(" three")
    scored["choices"][0]["logprobs"] = {"content": []}
    assert sayings(CHAT, [chat([spoken(" one"), told, spoken(" four"), scored])]) == []


def test_a_text_that_stands_twice_in_an_event_makes_no_frame() -> None:
    named = [spoken("chatcmpl-1"), spoken("content"), spoken("chat.completion.chunk")]
    assert sayings(CHAT, [chat(named)]) == []
    # Whose last member counts is the parser's affair: bytes behind the text that a client reads are none of the text.
    twice = data(spoken(" one")).replace(b'"content":" one"', b'"content":" two","content":" one"')
    chunks, _ = read(CHAT, [twice + twice.replace(b'" one"', b'" six"')], framed=True)
    assert [each["choices"][0]["delta"]["content"] for each in read_by_a_client(sent(CHAT, chunks, streamed=True))] == [
        " one",
        " six",
    ]


def test_a_text_that_may_be_half_a_character_is_read_whole() -> None:
    halves = data(spoken(" two")).replace(b" two", b"\\ud83d")
    said = data(spoken(" nil")) + data(spoken(" one"))
    assert sayings(CHAT, [said + halves + data(spoken(" two")) + data(spoken(" three"))]) == [" two", " three"]
    wrong = data(spoken(" two")).replace(b" two", b"\xff")
    assert sayings(CHAT, [said + wrong + data(spoken(" three"))]) == []


def test_the_usage_that_only_we_asked_for_is_hidden_in_sayings_too() -> None:
    chunks, progress = read(CHAT, [chat([spoken(text) for text in WORDS])], framed=True)
    assert b"usage" not in sent(CHAT, chunks, streamed=True)
    assert progress.usage is not None
    assert progress.usage.output == 7


@pytest.mark.parametrize("newline", [b"\r\n", b"\r"])
def test_other_line_ends_are_left_to_the_inner_decoder(newline: bytes) -> None:
    stream = chat([spoken(text) for text in WORDS]).replace(b"\n", newline)
    assert sayings(CHAT, [stream]) == []
    chunks, _ = read(CHAT, [stream], framed=True)
    read_again = read_by_a_client(sent(CHAT, chunks, streamed=True))
    assert [each["choices"][0]["delta"].get("content") for each in read_again[1:-1]] == WORDS


@pytest.mark.parametrize(
    ("dialect", "events"),
    [
        (CHAT, [data(spoken(" one", lane, model=f"m-{lane}")) for lane in (0, 1, 0)]),
        (
            CHAT,
            [data({**spoken(" one"), "usage": {"prompt_tokens": each, "completion_tokens": 7}}) for each in (5, 6, 5)],
        ),
        (COMPLETIONS, [data(completed(" one", content="more"))] * 3),
        (MESSAGES, [data(piece(" one", signature="s"))] * 3),
    ],
    ids=["model", "usage", "members", "seal"],
)
def test_what_an_event_tells_besides_its_text_is_counted_as_without_frames(
    dialect: Dialect, events: list[bytes]
) -> None:
    check(dialect, b"".join(events), [])


@pytest.mark.parametrize(
    "events",
    [
        [b"\xef\xbb\xbf" + data(spoken(" one"))] * 3,  # with a mark that means something at the beginning only
        [data(spoken(" one", obfuscation="abcd")).replace(b"abcd", padding) for padding in (b"abcd", b"\xff")],
        [data(spoken(" one")), data(spoken("/")).replace(b'"/"', rb'"\/"')],
    ],
    ids=["mark", "padding", "escape"],
)
def test_what_cannot_be_read_or_is_written_otherwise_passes_as_it_came(events: list[bytes]) -> None:
    call = CHAT.read(
        b'{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}]}'
    )
    decoder = FramedDecoder(
        CHAT.decoder(call, streamed=True, every=True), CHAT.wire(streamed=True), partial(CHAT.encode, streamed=True)
    )
    chunks = [chunk for each in [*events, data(spoken(" two"))] for chunk in decoder.feed(each)]
    assert sent(CHAT, chunks, streamed=True) == b"".join([*events, data(spoken(" two"))])
    assert all(chunk.saying is None for chunk in chunks[1 : len(events)])


def test_a_blank_line_that_comes_in_two_reads_ends_its_event_there() -> None:
    said = [data(spoken(text)) for text in (" one", " two", " six")]
    pieces = [said[0] + said[1][:-1], b"\n\n" + said[2] + said[1] + said[2], data({"model": "m"})]
    chunks, _ = read(CHAT, pieces, framed=True)
    whole, _ = read(CHAT, pieces, framed=False)
    assert sent(CHAT, chunks, streamed=True) == sent(CHAT, whole, streamed=True)


def test_a_stream_without_events_of_one_frame_is_given_up() -> None:
    numbered = [spoken(" word", number=number) for number in range(100)]
    stream = chat(numbered)
    assert sayings(CHAT, [stream]) == []
    # What comes behind is read whole although it would have a frame: the search was given up.
    assert sayings(CHAT, [stream, chat([spoken(text) for text in WORDS])]) == []


def test_spaces_between_tokens_stay() -> None:
    lines = [b"data: " + json.dumps(spoken(text)).encode() + b"\n\n" for text in WORDS]
    stream = b"".join(lines)
    chunks, _ = read(CHAT, [stream], framed=True)
    assert any(chunk.saying is not None for chunk in chunks)
    assert sent(CHAT, chunks, streamed=True) == stream.replace(b'"usage": null, ', b"").replace(b', "usage": null', b"")
