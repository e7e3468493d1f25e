"""A paced answer: no byte changes, every piece comes at its moment, as a document as late as a stream would end."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from proxy.actions.base import AnswerAction, Tools
from proxy.actions.pace import Pace, Pacing
from proxy.clock import VirtualClock
from proxy.dialects.base import Dialect
from proxy.exchange import Chunk
from proxy.wire import Transform
from tests.actions.calls import CHAT, EXCHANGE, MESSAGES
from tests.dialects.streams import chat_chunk

STEADY = {"first_token": "2s", "tokens_per_second": 20, "jitter": 0}
SECOND = "x" * 60  # twenty tokens of three bytes


def said(dialect: Dialect, text: str, *, streamed: bool = True) -> Chunk:
    """Return a piece of an answer that says something."""
    document: dict[str, Any]
    if dialect is CHAT:
        holder = {"content": text}
        document = chat_chunk(holder) if streamed else {"choices": [{"index": 0, "message": holder}]}
    elif streamed:
        document = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
    else:
        document = {"type": "message", "content": [{"type": "text", "text": text}]}
    return Chunk(json.dumps(document).encode(), document)


class Paced:
    """One answer at the pace of a pack, on a clock that is moved by hand; moments count from the request."""

    def __init__(
        self, parameters: dict[str, Any], dialect: Dialect, *, streamed: bool = True, exchange: str = "ex_1"
    ) -> None:
        self.clock = VirtualClock(1000.0)
        action = Pace.read(parameters).begin(replace(EXCHANGE, id=exchange), Tools(self.clock))
        assert isinstance(action, AnswerAction)
        self.transform: Transform = action.on_answer(dialect.wire(streamed=streamed))

    def goes(self, chunk: Chunk, *, at: float | None = None) -> float:
        """Feed a chunk at a moment; return when it goes."""
        if at is not None:
            self.clock.advance(1000.0 + at - self.clock.monotonic())
        (out,) = self.transform.feed(chunk)
        assert (out.raw, out.data, out.event) == (chunk.raw, chunk.data, chunk.event)
        assert chunk.not_before == 0, "what came is not mutated"
        return round(max(out.not_before, self.clock.monotonic()) - 1000.0, 6)


@pytest.mark.parametrize("dialect", [CHAT, MESSAGES], ids=lambda dialect: dialect.name)
def test_a_stream_and_a_document_with_the_same_text_end_at_the_same_moment(dialect: Dialect) -> None:
    stream = Paced(STEADY, dialect)
    assert [stream.goes(said(dialect, SECOND)) for _ in range(4)] == [3, 4, 5, 6]
    assert stream.transform.changed
    assert Paced(STEADY, dialect, streamed=False).goes(said(dialect, SECOND * 4, streamed=False)) == 6


@pytest.mark.parametrize("dialect", [CHAT, MESSAGES], ids=lambda dialect: dialect.name)
def test_what_comes_no_faster_than_the_pace_is_not_held_and_counts_as_unchanged(dialect: Dialect) -> None:
    stream = Paced(STEADY, dialect)
    assert [stream.goes(said(dialect, SECOND), at=at) for at in (3, 5, 9)] == [3, 5, 9]
    document = Paced(STEADY, dialect, streamed=False)
    assert document.goes(said(dialect, SECOND * 4, streamed=False), at=7) == 7
    assert not stream.transform.changed
    assert not document.transform.changed


def test_a_pause_of_the_model_buys_no_burst() -> None:
    stream = Paced(STEADY, CHAT)
    assert stream.goes(said(CHAT, SECOND), at=0) == 3
    # What the upstream made while nothing came may come at once, one piece of it.
    assert [stream.goes(said(CHAT, SECOND), at=60) for _ in range(3)] == [60, 61, 62]


def test_no_piece_is_held_longer_than_the_pack_says() -> None:
    long = {**STEADY, "tokens_per_second": 1, "hold": "10s"}
    assert Paced(long, CHAT, streamed=False).goes(said(CHAT, SECOND * 100, streamed=False), at=4) == 14
    stream = Paced(long, CHAT)
    assert [stream.goes(said(CHAT, SECOND), at=4) for _ in range(2)] == [14, 24]
    assert Paced({"tokens_per_second": 1}, CHAT, streamed=False).goes(said(CHAT, SECOND * 9, streamed=False)) == 30


@pytest.mark.parametrize(
    ("dialect", "document"),
    [
        (CHAT, chat_chunk({"role": "assistant", "content": ""})),
        (CHAT, chat_chunk({}, usage={"prompt_tokens": 1, "completion_tokens": 1})),
        (CHAT, {"choices": None}),
        (CHAT, {"choices": ["x", {"delta": "x"}]}),
        (CHAT, None),
        (MESSAGES, {"type": "message_start", "message": {"content": [], "usage": {"input_tokens": 3}}}),
        (MESSAGES, {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        (MESSAGES, {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}}),
        (MESSAGES, {"type": "ping"}),
        (MESSAGES, None),
    ],
)
def test_what_carries_no_text_waits_for_nothing(dialect: Dialect, document: dict[str, Any] | None) -> None:
    stream = Paced(STEADY, dialect)
    assert stream.goes(Chunk(b"...", document)) == 0
    assert not stream.transform.changed


@pytest.mark.parametrize(
    ("dialect", "document"),
    [
        (CHAT, chat_chunk({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": SECOND}}]})),
        (CHAT, chat_chunk({"reasoning_content": SECOND})),
        (CHAT, chat_chunk({"content": SECOND[:30]}, {"content": SECOND[30:]})),
        (MESSAGES, {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": SECOND}}),
        (MESSAGES, {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": SECOND}}),
    ],
)
def test_everything_that_the_model_wrote_takes_its_time(dialect: Dialect, document: dict[str, Any]) -> None:
    assert Paced(STEADY, dialect).goes(Chunk(b"...", document)) == 3


@pytest.mark.parametrize(("given", "share"), [({"jitter": 0.25}, 0.25), ({}, 0.2)], ids=["as given", "by default"])
def test_the_pace_is_uneven_within_its_share_and_differs_from_exchange_to_exchange(
    given: dict[str, float], share: float
) -> None:
    uneven = {"first_token": "2s", "tokens_per_second": 20, **given}

    def moments(exchange: str) -> list[float]:
        stream = Paced(uneven, CHAT, exchange=exchange)
        return [stream.goes(said(CHAT, SECOND)) for _ in range(200)]

    first, other = moments("ex_1"), moments("ex_2")
    assert first == moments("ex_1"), "a replay repeats it"
    assert first != other
    gaps = [after - before for before, after in pairwise(first)]
    assert min(gaps) >= 1 - share - 1e-6
    assert max(gaps) <= 1 + share + 1e-6
    assert max(gaps) - min(gaps) > 1.6 * share
    assert abs(sum(gaps) / len(gaps) - 1) < 0.05, "the pace itself is that of the pack"


def test_of_two_paces_the_slower_holds() -> None:
    clock = VirtualClock(1000.0)
    slow, fast = (
        Pacing(Pace.read({"first_token": time, "jitter": 0}), clock, Random(0)).on_answer(CHAT.wire(streamed=True))
        for time in ("5s", "1s")
    )
    (between,) = slow.feed(said(CHAT, SECOND))
    (out,) = fast.feed(between)
    assert out.not_before == 1005.0
