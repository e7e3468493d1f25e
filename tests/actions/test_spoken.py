"""Answers that are spoken: reasoning in tags goes from their words and their sound, and no mark is in either."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from proxy.actions.base import AnswerAction
from proxy.actions.mark import Mark
from proxy.dialects.strict_json import write
from proxy.exchange import Chunk
from tests.actions.calls import CHAT, EXCHANGE, TOOLS, chat
from tests.actions.test_withhold import SECRET, assert_no_canary, call_of, seen
from tests.dialects.streams import chat_chunk, data
from tests.marks.texts import PROSE

SPEECH: dict[str, Any] = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "pcm16"}}
SAID = f"Well. <think>{SECRET}</think>It is four, as 2 < 3."
LEFT = "Well. It is four, as 2 < 3."


def spoken(body: bytes) -> tuple[str, str]:
    """Return the words and the sound of a stream."""
    lines = [line.removeprefix(b"data: ") for line in body.split(b"\n\n") if line and b"[DONE]" not in line]
    deltas = [json.loads(line)["choices"][0]["delta"].get("audio") or {} for line in lines]
    return "".join(each.get("transcript", "") for each in deltas), "".join(each.get("data", "") for each in deltas)


def document(transcript: str) -> bytes:
    audio = {"id": "audio_1", "data": "U09VTkQ=", "expires_at": 1, "transcript": transcript}
    message = {"role": "assistant", "content": None, "refusal": None, "audio": audio}
    return write({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


def stream(transcript: str, size: int) -> bytes:
    ends = [*range(0, len(transcript), size), len(transcript)]
    events = b""
    for number, (start, end) in enumerate(pairwise(ends)):
        events += data(chat_chunk({"audio": {"id": "audio_1", "transcript": transcript[start:end]}}))
        events += data(chat_chunk({"audio": {"id": "audio_1", "data": f"<{number}>"}}))
    last = {**chat_chunk({}), "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return events + data(last) + b"data: [DONE]\n\n"


@pytest.mark.parametrize("size", [1, 3, 7, 200])
def test_reasoning_in_tags_goes_from_a_transcript_and_its_sound(size: int) -> None:
    out, changed = seen(CHAT, call_of(CHAT, stream=False, **SPEECH), [document(SAID)])
    assert changed
    audio = json.loads(out)["choices"][0]["message"]["audio"]
    assert audio == {"id": "audio_1", "data": "", "expires_at": 1, "transcript": LEFT}
    out, changed = seen(CHAT, call_of(CHAT, stream=True, **SPEECH), [stream(SAID, size)])
    assert changed
    assert_no_canary(out, SECRET)
    words, sound = spoken(out)
    assert words == LEFT
    heard = SAID.index(">") // size  # until it is known that this is a tag
    assert sound == "".join(f"<{number}>" for number in range(heard))


@pytest.mark.parametrize("words", ["It is four, as 2 < 3 <", "The `<think>` tag is four."])
def test_what_is_said_without_reasoning_passes_as_it_came(words: str) -> None:
    out, changed = seen(CHAT, call_of(CHAT, stream=False, **SPEECH), [document(words)])
    assert (out, changed) == (document(words), False)
    out, changed = seen(CHAT, call_of(CHAT, stream=True, **SPEECH), [stream(words, 1)])
    assert not changed
    assert spoken(out) == (words, "".join(f"<{number}>" for number in range(len(words))))


async def test_a_transcript_says_what_is_heard_so_no_mark_is_in_it() -> None:
    action = Mark.read({}).begin(EXCHANGE, TOOLS)
    await action.on_call(chat(**SPEECH))
    assert isinstance(action, AnswerAction)
    transform = action.on_answer(CHAT.wire(streamed=False))
    came = Chunk(document(PROSE), json.loads(document(PROSE)))
    assert [*transform.feed(came), *transform.end()] == [came]
    assert not transform.changed
