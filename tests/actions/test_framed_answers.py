"""Promises about answers of which most events are read by their frame: whoever acts on them, nothing comes out else.

Each stream is answered twice by the same ladder, once with every event read and written as JSON.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.dialects._sse import EventSplitter
from proxy.dialects.base import Dialect
from proxy.errors import UpstreamFailed
from proxy.exchange import Call, Help, Helped, Usage
from proxy.keyed.sealed_reasoning import PREFIX
from tests.actions.calls import CHAT, COMPLETIONS, MESSAGES, chat, completion, message
from tests.actions.composing import Ladder
from tests.dialects.streams import chat_chunk

CALLS: dict[Dialect, Call] = {
    CHAT: chat(stream=True, logprobs=True, top_logprobs=3, n=3),
    COMPLETIONS: completion(stream=True, prompt="Name the capital of France and its mayor.", logprobs=3, n=3),
    MESSAGES: message(stream=True),
}
RUNGS: list[tuple[str, Any]] = [
    ("drop", ["logprobs"]),
    ("drop", [{"logprobs": {"top": 1, "decimals": 1}}]),
    ("withhold", "reasoning"),
    ("withhold", {"reasoning": True, "tags": ["plan"], "summary": {"model": "small"}}),
    ("mark", {}),
    ("clamp", {"max_output_tokens": 2000}),
    ("pace", {"first_token": "1s", "tokens_per_second": 10, "jitter": 0.2}),
    ("reroute", {"model": "small"}),
]
PROSE = (
    "However, the committee met on Tuesday, and although nobody had read the report, it decided to begin with the "
    "budget. It is important to note that a large number of people do not agree with this, since it is difficult. "
)
WORDS = [f" {word}" for word in PROSE.split()]
TAGS = ["<think>", "</think>", "<plan>", "</plan>", "<thi", "nk>", "<", "</"]
ODD = ["", '"', "\\", "\n\n", "\u00e9", "\U0001f600", "\ud83d", "\ude00", "content", "\x7f", "```\n", " " * 70, "a/b"]
LOGPROBS = {"content": [{"token": "a", "logprob": -0.123456, "top_logprobs": [{"token": "b", "logprob": -0.5}] * 3}]}
_HANDLE = re.compile(rb"%b[\w.=+/-]+" % PREFIX.encode())  # each is made with chance
USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}

texts = st.one_of(st.sampled_from(WORDS), st.sampled_from(TAGS + ODD), st.text(max_size=4))
lanes = st.sampled_from([0, 0, 0, 1, 2])
runs = st.lists(st.one_of(st.sampled_from(WORDS), texts), min_size=2, max_size=12)


def _chat(lane: int, delta: dict[str, Any], **members: Any) -> dict[str, Any]:
    own = {name: value for name, value in members.items() if name in ("finish_reason", "logprobs")}
    made = chat_chunk({}, **{name: value for name, value in members.items() if name not in own})
    made["choices"][0] = {"index": lane, "delta": delta, "finish_reason": None, **own}
    return made


def _completion(lane: int, text: str, **members: Any) -> dict[str, Any]:
    choice = {"index": lane, "text": text, "logprobs": None, "finish_reason": None, **members}
    return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}


def _said(lane: int, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": lane, "delta": delta}


def _spread(make: Callable[..., dict[str, Any]], **members: Any) -> Callable[[int, list[str]], list[dict[str, Any]]]:
    return lambda lane, run: [make(lane, text, **members) for text in run]


def several(make: Callable[..., dict[str, Any]], **members: Any) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Return several events on end that differ in their text."""
    return st.builds(_spread(make, **members), lanes, runs)


def one(make: Callable[..., dict[str, Any]], **members: Any) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.builds(lambda lane, text: [make(lane, text, **members)], lanes, texts)


def _of_chat(name: str) -> Callable[..., dict[str, Any]]:
    return lambda lane, text, **members: _chat(lane, {name: text}, **members)


def _blocks(kind: str, said: str) -> Callable[[int, list[str]], list[dict[str, Any]]]:
    return lambda lane, run: [
        {"type": "content_block_start", "index": lane, "content_block": {"type": kind, kind: ""}},
        *(_said(lane, type=f"{said}_delta", **{said: text}) for text in run),
        {"type": "content_block_stop", "index": lane},
    ]


def _padded(lane: int, run: list[str]) -> list[dict[str, Any]]:
    return [_chat(lane, {"content": text}, obfuscation=f"x{number}abc") for number, text in enumerate(run)]


calls = [{"index": 0, "id": "c", "type": "function", "function": {"name": "a", "arguments": "{}"}}]
EVENTS: dict[Dialect, st.SearchStrategy[list[dict[str, Any]]]] = {
    CHAT: st.one_of(
        several(_of_chat("content")),
        several(_of_chat("content"), usage=None, logprobs=None),
        st.builds(_padded, lanes, runs),
        several(_of_chat("reasoning_content")),
        one(_of_chat("content"), logprobs=LOGPROBS),
        one(_of_chat("content"), usage=USAGE),
        one(_of_chat("content"), usage={**USAGE, "completion_tokens": 9, "total_tokens": 14}),
        one(_of_chat("content"), model="m-2"),
        one(_of_chat("refusal")),
        one(_of_chat("content"), error={"message": "no"}),
        one(_of_chat("content"), finish_reason="stop"),
        one(lambda lane, text: _chat(lane, {"content": text, "reasoning_content": text})),
        one(lambda lane, text: _chat(lane, {"content": [{"type": "text", "text": text}]})),
        one(lambda lane, _: _chat(lane, {"tool_calls": calls})),
        one(lambda lane, text: _chat(lane, {"role": "assistant", "content": text})),
        one(lambda _, text: chat_chunk({"content": text}, {"content": text})),
        one(lambda *_: chat_chunk(usage=USAGE)),
    ),
    COMPLETIONS: st.one_of(
        several(_completion),
        several(_completion, content="twice"),
        one(_completion, finish_reason="stop"),
        one(_completion, reasoning="hm"),
        one(_completion, logprobs={"tokens": ["a"], "token_logprobs": [-0.123456], "top_logprobs": [{"a": -0.5}]}),
        one(_completion, token_ids=[1]),
    ),
    MESSAGES: st.one_of(
        st.builds(_blocks("text", "text"), lanes, runs),
        st.builds(_blocks("thinking", "thinking"), lanes, runs),
        st.builds(_blocks("thinking", "text"), lanes, runs),
        several(lambda lane, text: _said(lane, type="text_delta", text=text)),
        several(lambda lane, text: _said(lane, type="text_delta", text=text, signature="s")),
        one(lambda lane, text: _said(lane, type="thinking_delta", thinking=text)),
        one(lambda lane, text: _said(lane, type="input_json_delta", partial_json=text)),
        one(lambda lane, _: {"type": "content_block_start", "index": lane, "content_block": {"type": "thinking"}}),
        one(lambda lane, _: {"type": "content_block_stop", "index": lane}),
        one(lambda *_: {"type": "ping"}),
        one(lambda *_: {"type": "error", "error": {"type": "overloaded_error", "message": "no"}}),
        one(lambda *_: {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 9}}),
    ),
}
ENDS = {CHAT: b"data: [DONE]\n\n", COMPLETIONS: b"data: [DONE]\n\n", MESSAGES: b'data: {"type":"message_stop"}\n\n'}


def _json(document: dict[str, Any], **manner: Any) -> bytes:
    return json.dumps(document, **{"separators": (",", ":"), "ensure_ascii": False, **manner}).encode(
        "utf-8", "surrogatepass"
    )


def _twice(document: dict[str, Any]) -> bytes:
    compact = _json(document)
    return b"data: %b,%b\n\n" % (compact[:-1], compact[1:])


# In how an event may be written.
WRITTEN: list[Callable[[dict[str, Any]], bytes]] = [
    lambda document: b"data: %b\n\n" % _json(document),
    lambda document: b"data: %b\n\n" % _json(document, ensure_ascii=True),
    lambda document: b"data:%b\n\n" % _json(document),
    lambda document: b"data: %b\n\n" % _json(document, separators=None),
    lambda document: b"data: %b\n\n" % _json(document).replace(b"/", b"\\/"),
    lambda document: b"data: %b\n\n\n" % _json(document),
    lambda document: b"data: %b\r\n\r\n" % _json(document),
    lambda document: b"id: 1\ndata: %b\n\n" % _json(document),
    lambda document: b": ping\n\ndata: %b\n\n" % _json(document),
    lambda document: b"data: %b\ndata: \n\n" % _json(document),
    lambda document: b"\xef\xbb\xbfdata: %b\n\n" % _json(document),
    lambda document: b"data: %b\n\n" % _json(document)[:-1],
    lambda document: b"data: %b\n\n" % _json(document).replace(b"x1abc", b"x1\xff"),
    lambda document: b"event: %b\ndata: %b\n\n" % (str(document.get("type", "x")).encode(), _json(document)),
    _twice,
]


@st.composite
def streams(draw: st.DrawFn, dialect: Dialect) -> bytes:
    """Return a stream of runs of events, each written in one manner or in several, that may break off."""
    pieces: list[bytes] = []
    for run in draw(st.lists(EVENTS[dialect], max_size=8)):
        manners = draw(st.one_of(st.just(WRITTEN[:1]), st.lists(st.sampled_from(WRITTEN), min_size=1, max_size=3)))
        pieces += [manners[number % len(manners)](document) for number, document in enumerate(run)]
    return b"".join(pieces) + draw(st.sampled_from([ENDS[dialect], b"", b"data: {"]))


async def _ask(_: object) -> Helped:
    return Helped(Help.MADE, "In short.", Usage(1, 1))


def answered(dialect: Dialect, rungs: list[tuple[str, Any]], stream: bytes, cuts: list[int], *, framed: bool) -> object:
    """Return all that may not depend on frames."""
    ladder = Ladder(*rungs, ask=_ask)
    try:
        answer = ladder.answer(dialect, CALLS[dialect], stream, streamed=True, cuts=cuts, framed=framed)
        done = asyncio.run(answer)
    except UpstreamFailed as error:
        return str(error)
    return _read(done.body), done.progress, done.verdict, round(done.waited, 6), done.helped


def _read(body: bytes) -> list[tuple[bytes, object]]:
    """Return what a client reads: names and documents, but for what padding there is, which is chance."""
    splitter, body = EventSplitter(), _HANDLE.sub(PREFIX.encode(), body)
    found: list[tuple[bytes, object]] = []
    for _, name, data in splitter.feed(body) + splitter.finish():
        try:
            document = json.loads(data)
        except ValueError:
            document = data
        if isinstance(document, dict):
            document = {member: value for member, value in document.items() if member != "obfuscation"}
        if data:
            found.append((name, document))
    return found


def check(dialect: Dialect, rungs: list[tuple[str, Any]], stream: bytes, cuts: list[int]) -> None:
    framed = answered(dialect, rungs, stream, cuts, framed=True)
    assert framed == answered(dialect, rungs, stream, cuts, framed=False)


rungs = st.lists(st.sampled_from(RUNGS), min_size=1, max_size=4)
cuts = st.lists(st.integers(0, 100_000), max_size=12)


@settings(deadline=None)
@given(rungs, streams(CHAT), cuts)
def test_a_chat_is_answered_as_without_frames(rungs: list[tuple[str, Any]], stream: bytes, cuts: list[int]) -> None:
    check(CHAT, rungs, stream, cuts)


@settings(deadline=None)
@given(rungs, streams(COMPLETIONS), cuts)
def test_a_completion_is_answered_as_without_frames(
    rungs: list[tuple[str, Any]], stream: bytes, cuts: list[int]
) -> None:
    check(COMPLETIONS, rungs, stream, cuts)


@settings(deadline=None)
@given(rungs, streams(MESSAGES), cuts)
def test_a_message_is_answered_as_without_frames(rungs: list[tuple[str, Any]], stream: bytes, cuts: list[int]) -> None:
    check(MESSAGES, rungs, stream, cuts)


def test_what_is_let_out_at_the_end_is_like_the_other_events() -> None:
    words = ["<think>", " Hmm", "</think>", " It", " is", " important", " to", " note", " that", " it", " rains"]
    stream = b"".join(WRITTEN[0](_completion(0, word)) for word in words) + ENDS[COMPLETIONS]
    check(COMPLETIONS, [("withhold", "reasoning"), ("mark", {})], stream, [])


def test_a_summary_comes_before_the_words_that_were_held_back_when_its_reasoning_came() -> None:
    words = [" However,"] * 10
    events = [*(_chat(0, {"content": word}) for word in words), _chat(0, {"reasoning_content": " Hmm."})]
    stream = b"".join(map(WRITTEN[0], events)) + ENDS[CHAT]
    summed = ("withhold", {"reasoning": True, "summary": {"model": "small"}})
    check(CHAT, [("mark", {}), summed], stream, [])
