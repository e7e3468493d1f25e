"""Streams that are marked: each event that came is there, in its place, so that only wordings tell them from others."""

from __future__ import annotations

import json
import re
import tracemalloc
from functools import partial
from itertools import accumulate
from typing import Any

import pytest

from proxy.actions.base import AnswerAction
from proxy.actions.lane import Lane
from proxy.actions.mark import Mark
from proxy.dialects.base import ChunkDecoder, Dialect
from proxy.dialects.framed import FramedDecoder
from proxy.exchange import Chunk, Saying
from proxy.marks.marking import Marking
from proxy.wire import Transform, Wire
from tests.actions.calls import CHAT, COMPLETIONS, EXCHANGE, MESSAGES, RESPONSES, TOOLS, chat
from tests.actions.composing import Ladder
from tests.dialects.streams import chat_chunk, data
from tests.marks.texts import PROSE, key

DELTA = {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0}


def tokens(text: str) -> list[str]:
    """Return a text in pieces as models write it: a few letters at a time, and signs by themselves."""
    return re.findall(r"\s?[A-Za-z]{1,5}|[^\sA-Za-z]+|\s+", text)


def as_chat(token: str, **members: Any) -> dict[str, Any]:
    return chat_chunk({"content": token, **members})


def as_completion(token: str) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "text": token, "logprobs": None, "finish_reason": None}]}


def with_figures(token: str) -> dict[str, Any]:
    made = as_chat(token)
    made["choices"][0]["logprobs"] = {"content": [{"token": token, "logprob": -0.5}]}
    return made


def with_usage(token: str) -> dict[str, Any]:
    return {**as_chat(token), "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}


def as_message(token: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": token}}


def finished(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event with the end of its choice in it."""
    return {**event, "choices": [{**event["choices"][0], "finish_reason": "stop"}]}


def called(piece: str) -> dict[str, Any]:
    return chat_chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": piece}}]})


PLAIN = [as_chat(token) for token in tokens(PROSE[:2500])]
COMPLETED = [as_completion(token) for token in tokens(PROSE[:2500])]
ENDED = finished(chat_chunk({}))
TOKENS: list[tuple[Dialect, list[dict[str, Any]]]] = [
    (CHAT, [as_chat("", role="assistant"), *PLAIN, ENDED]),
    (CHAT, [as_chat("Well,", role="assistant"), *PLAIN, ENDED]),
    (CHAT, [*PLAIN[:-1], finished(PLAIN[-1])]),
    (CHAT, [*PLAIN[:-9], as_chat(""), *PLAIN[-9:], as_chat(""), with_usage(""), ENDED]),
    (CHAT, [*PLAIN, called('{"a"'), called(": 1}"), ENDED]),
    (CHAT, [*(with_figures(token) for token in tokens(PROSE[:2500])), ENDED]),
    (CHAT, [*(with_usage(token) for token in tokens(PROSE[:2500])), ENDED]),
    (COMPLETIONS, [*COMPLETED, finished(as_completion(""))]),
    (COMPLETIONS, [*COMPLETED[:-1], finished(COMPLETED[-1])]),
    (MESSAGES, [*map(as_message, tokens(PROSE[:2500])), {"type": "content_block_stop", "index": 0}]),
    (RESPONSES, [{**DELTA, "delta": token, "logprobs": []} for token in tokens(PROSE[:2500])]),
]


@pytest.mark.parametrize(("dialect", "events"), TOKENS)
@pytest.mark.parametrize("framed", [False, True])
async def test_a_marked_stream_has_the_events_of_the_one_that_came(
    dialect: Dialect, events: list[dict[str, Any]], *, framed: bool
) -> None:
    wire = dialect.wire(streamed=True)
    transform = await marking(wire)
    decoder: ChunkDecoder = dialect.decoder(chat(), streamed=True, every=True)
    if framed:
        decoder = FramedDecoder(decoder, wire, partial(dialect.encode, streamed=True))
    body = b"".join(map(data, events)) + (b"data: [DONE]\n\n" if dialect in (CHAT, COMPLETIONS) else b"")
    chunks = [*decoder.feed(body), *decoder.finish()]
    made = [*(each for chunk in chunks for each in transform.feed(chunk)), *transform.end()]
    out = b"".join(dialect.encode(each, streamed=True) for each in made)
    came, gone = said_in_each(dialect, body), said_in_each(dialect, out)
    assert transform.changed
    assert len(gone) == len(came)
    assert [text is None for text in gone] == [text is None for text in came]
    assert all(gone[at] for at, text in enumerate(came) if text)
    same = sum(one == other for one, other in zip(gone, came, strict=True))
    assert same > 0.8 * len(came)


async def marking(wire: Wire) -> Transform:
    """Return what marks a stream."""
    action = Mark.read({}).begin(EXCHANGE, TOOLS)
    await action.on_call(chat())
    assert isinstance(action, AnswerAction)
    return action.on_answer(wire)


def said_in_each(dialect: Dialect, body: bytes) -> list[str | None]:
    """Return the text of each event of a stream, None of one that has no place for it."""
    wire = dialect.wire(streamed=True)
    found: list[str | None] = []
    for line in body.split(b"\n"):
        if line.startswith(b"data: {"):
            texts = [part.text for part in wire.parts(Chunk(line, json.loads(line[6:]))) if part.kind == "text"]
            found.append("".join(texts) if texts else None)
    return found


@pytest.mark.parametrize("dialect", [CHAT, COMPLETIONS])
def test_an_event_that_is_added_is_padded_as_the_others_are(dialect: Dialect) -> None:
    wire = dialect.wire(streamed=True)
    event = {**(as_chat("Bread is") if dialect is CHAT else as_completion("Bread is")), "obfuscation": "01234567"}
    wire.parts(like := Chunk(data(event), event))
    for text in ("old", " and good", "\N{HORIZONTAL ELLIPSIS}"):
        made = wire.delta(like, 0, text).data
        assert made is not None
        assert len(text) + len(made["obfuscation"]) == 16


LINES = [b"data: %b\n\n", b"data:%b\n\n", b"data: %b\r\n\r\n", b"id: 7\ndata: %b\n\n", b": so\ndata:%b\n\n"]
NAMED = [b"event: %b\ndata: %b\n\n", b"event:%b\ndata:%b\n\n", b"id: 7\r\nevent: %b\r\ndata: %b\r\n\r\n"]


@pytest.mark.parametrize(("dialect", "events"), TOKENS)
@pytest.mark.parametrize("lines", [*LINES, *NAMED])
async def test_a_changed_event_is_written_as_the_others_are(
    dialect: Dialect, events: list[dict[str, Any]], lines: bytes
) -> None:
    wire = dialect.wire(streamed=True)
    transform = await marking(wire)
    names = [str(each.get("type", "message")).encode() for each in events]
    written = [json.dumps(each).encode() for each in events]
    body = b"".join(map(lines.__mod__, zip(names, written, strict=True) if lines in NAMED else written))
    decoder = FramedDecoder(
        dialect.decoder(chat(), streamed=True, every=True), wire, partial(dialect.encode, streamed=True)
    )
    chunks = [*decoder.feed(body), *decoder.finish()]
    made = [*(each for chunk in chunks for each in transform.feed(chunk)), *transform.end()]
    assert transform.changed
    out = b"".join(dialect.encode(each, streamed=True) for each in made)
    assert re.sub(rb"\{.*\}", b"", out) == re.sub(rb"\{.*\}", b"", body)


@pytest.mark.parametrize("size", [90, 300, 5_000])
async def test_however_a_stream_is_read_its_events_are_the_same(size: int) -> None:
    body = b"".join(map(data, [*PLAIN, ENDED])) + b"data: [DONE]\n\n"
    outs = []
    for cuts, framed in ((range(0, len(body), size), True), ((), False)):
        done = await Ladder(("mark", {})).answer(
            CHAT, chat(stream=True), body, streamed=True, cuts=list(cuts), framed=framed
        )
        outs.append(said_in_each(CHAT, done.body))
    assert outs[0] == outs[1]
    assert len(outs[0]) == len(PLAIN) + 1


@pytest.mark.parametrize("framed", [False, True])
async def test_events_without_a_text_are_not_lost_behind_the_last_word(*, framed: bool) -> None:
    events = [as_chat("Yes."), as_chat(""), with_usage(""), ENDED]
    body = b"".join(map(data, events)) + b"data: [DONE]\n\n"
    call = chat(stream=True, stream_options={"include_usage": True})
    done = await Ladder(("mark", {})).answer(CHAT, call, body, streamed=True, framed=framed)
    assert done.body == body


@pytest.mark.parametrize("words", [3, 12, 40])
async def test_a_text_is_in_order_where_its_event_calls_a_tool_too(words: int) -> None:
    text = " ".join(PROSE.split()[:words])
    event = chat_chunk({"content": text, "tool_calls": called("{}")["choices"][0]["delta"]["tool_calls"]})
    before = [as_chat(token) for token in tokens(text + " ")]
    body = b"".join(map(data, [*before, event, finished(chat_chunk({}))])) + b"data: [DONE]\n\n"
    done = await Ladder(("mark", {})).answer(CHAT, chat(stream=True), body, streamed=True)
    whole = {"model": "m", "choices": [{"index": 0, "message": {"content": f"{text} {text}"}}]}
    document = await Ladder(("mark", {})).answer(CHAT, chat(), json.dumps(whole).encode(), streamed=False)
    gone = said_in_each(CHAT, done.body)
    assert "".join(text or "" for text in gone) == json.loads(document.body)["choices"][0]["message"]["content"]
    assert len(gone) == len(before) + 2


@pytest.mark.parametrize("behind", [" ", "\n", " " * 200, " " + "z" * 200])
@pytest.mark.parametrize("size", [6, 9])
async def test_no_event_is_added_where_what_comes_last_is_no_word(behind: str, size: int) -> None:
    words = PROSE.split()
    for count in range(60, 72):
        text = " ".join(words[:count]) + behind
        events = [as_chat(text[at : at + size]) for at in range(0, len(text), size)]
        body = b"".join(map(data, [*events, ENDED])) + b"data: [DONE]\n\n"
        done = await Ladder(("mark", {})).answer(CHAT, chat(stream=True), body, streamed=True)
        assert done.body != body
        assert len(said_in_each(CHAT, done.body)) == len(events) + 1


@pytest.mark.parametrize("framed", [False, True])
async def test_each_event_has_its_own_padding_where_all_say_the_same(*, framed: bool) -> None:
    said = ["Bread is", *[" word"] * 40]
    padded = [data({**as_chat(text), "obfuscation": f"{at:04}"}) for at, text in enumerate(said)]
    events = [*padded, data(ENDED), b"data: [DONE]\n\n"]
    ends = list(accumulate(map(len, events)))
    done = await Ladder(("mark", {})).answer(
        CHAT, chat(stream=True), b"".join(events), streamed=True, cuts=ends[:-1], framed=framed
    )
    assert done.body == b"".join(events)


async def test_what_waits_for_the_end_keeps_the_moments_of_its_events() -> None:
    wire = CHAT.wire(streamed=True)
    transform = await marking(wire)
    like = Chunk(None, as_chat(""))
    head, _, tail = data(as_chat("-")).partition(b'"-"')
    said = [Saying(0, [text], head, [tail], like) for text in ("Bread ", "is ", "good ", "now ")]
    moments = [1.0, 1.0, 2.0, 2.5]
    paced = [Chunk(None, not_before=moment, saying=each) for moment, each in zip(moments, said, strict=True)]
    assert [each for chunk in paced for each in transform.feed(chunk)] == []
    *made, end = transform.feed(Chunk(data(ENDED), ENDED))
    assert [(each.not_before, CHAT.encode(each, streamed=True).count(b"data: ")) for each in made] == [
        (1.0, 2),
        (2.0, 1),
        (2.5, 1),
    ]
    assert end.data == ENDED


@pytest.mark.parametrize("framed", [False, True])
async def test_an_event_with_a_long_text_comes_once(*, framed: bool) -> None:
    text = (PROSE * 9)[:9_000]
    events = [as_chat("Well. "), as_chat(text, role="assistant"), ENDED]
    body = b"".join(b"id: %d\n%b" % (at, data(event)) for at, event in enumerate(events)) + b"data: [DONE]\n\n"
    done = await Ladder(("mark", {})).answer(CHAT, chat(stream=True), body, streamed=True, framed=framed)
    gone = said_in_each(CHAT, done.body)
    assert len(gone) == 4
    assert (done.body.count(b'"role"'), done.body.count(b"id: 1\n")) == (1, 1)
    whole = {"model": "m", "choices": [{"index": 0, "message": {"content": f"Well. {text}"}}]}
    document = await Ladder(("mark", {})).answer(CHAT, chat(), json.dumps(whole).encode(), streamed=False)
    assert "".join(said or "" for said in gone) == json.loads(document.body)["choices"][0]["message"]["content"]


@pytest.mark.parametrize("words", [3, 12, 900])
async def test_texts_of_one_message_keep_their_places(words: int) -> None:
    said = [
        " ".join(PROSE.split()[:80]) + " ",
        " ".join((PROSE * 9).split()[:words]),
        " Some more of it, for instance.",
    ]
    parts = [{"type": "text", "text": text} for text in said]
    whole = {"model": "m", "choices": [{"index": 0, "message": {"content": [*parts, *parts]}}]}
    document = await Ladder(("mark", {})).answer(CHAT, chat(), json.dumps(whole).encode(), streamed=False)
    read = [part["text"] for part in json.loads(document.body)["choices"][0]["message"]["content"]]
    body = b"".join(map(data, [as_chat(""), *[chat_chunk({"content": parts})] * 2, ENDED])) + b"data: [DONE]\n\n"
    done = await Ladder(("mark", {})).answer(CHAT, chat(stream=True), body, streamed=True)
    assert "".join(text or "" for text in said_in_each(CHAT, done.body)) == "".join(read)
    for text, came in zip(read, [*said, *said], strict=True):
        assert text[:4] == came[:4]
        assert abs(len(text) - len(came)) < 20 + len(came) // 50


async def test_what_waits_keeps_its_order_before_texts_of_one_message() -> None:
    def listed(*texts: str) -> dict[str, Any]:
        return chat_chunk({"content": [{"type": "text", "text": text} for text in texts]})

    words = [f"{word} " for word in PROSE.split()[:60]]
    events = [listed(*words[:3]), *map(as_chat, words[3:6]), listed(*words[6:9]), as_chat(words[9], role="assistant")]
    events += [listed(*words[10:13]), listed(*words[13:40]), as_chat(words[40]), listed(*words[41:]), ENDED]
    body = b"".join(map(data, events)) + b"data: [DONE]\n\n"
    done = await Ladder(("mark", {})).answer(CHAT, chat(stream=True), body, streamed=True)
    whole = {"model": "m", "choices": [{"index": 0, "message": {"content": "".join(words)}}]}
    document = await Ladder(("mark", {})).answer(CHAT, chat(), json.dumps(whole).encode(), streamed=False)
    gone = said_in_each(CHAT, done.body)
    assert "".join(text or "" for text in gone) == json.loads(document.body)["choices"][0]["message"]["content"]
    assert done.body.count(b'"role"') == 1


@pytest.mark.parametrize("chars", [200_000, 20_000, 2_000])
async def test_of_large_events_few_wait(chars: int) -> None:
    transform = await marking(CHAT.wire(streamed=True))
    event = {**as_chat(""), "x": "y" * chars}
    came = data(event)
    assert not [*transform.feed(Chunk(data(PLAIN[0]), PLAIN[0]))]
    sent = [chunk.raw for _ in range(200) for chunk in transform.feed(Chunk(came, event))]
    assert set(sent) == {came}
    assert (200 - len(sent)) * chars <= 131_072


def test_of_thousands_of_events_without_a_text_nothing_is_kept() -> None:
    def tell(empty: int) -> bool:
        lane: Lane[str] = Lane(Marking(key("c-1")))
        for word in PROSE[:400].split(" "):
            texts = [f"{word} ", *[""] * empty]
            lane.feed(texts, texts)
        lane.end()
        return lane.changed

    assert tell(0)
    tracemalloc.start()
    try:
        assert all(tell(empty) for empty in range(300, 320))
        assert tracemalloc.get_traced_memory()[0] < 600_000
    finally:
        tracemalloc.stop()
