"""Official clients' types hold what the ladder leaves of answers, spoken ones too, strictly, in any pair of actions."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from proxy.dialects.base import Dialect
from proxy.exchange import Call, Help, Helped, Usage
from tests.actions.calls import CHAT, COMPLETIONS, MESSAGES, RESPONSES, chat, completion, message, response
from tests.actions.composing import Ladder
from tests.actions.test_composing import EXAMPLES, REFUSE
from tests.dialects.responses import called, document, said, stream
from tests.dialects.streams import data, event, read_by_a_client
from tests.marks.texts import PROSE

THOUGHT = "<think>Let me see.</think>"
TEXTS = [THOUGHT[:9], THOUGHT[9:], *(PROSE[at : at + 5] for at in range(0, 600, 5))]
TEXT = "".join(TEXTS)
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
FIGURES = {"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}], "refusal": None}
SPEECH: dict[str, Any] = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "pcm16"}}
HEAD = {"id": "c", "created": 1, "model": "small-9"}
TOLD: dict[str, Any] = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
BLOCK = {"type": "text", "text": "", "citations": None}
THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
SENT = {"id": "m", "type": "message", "role": "assistant", "model": "small-9", "stop_sequence": None}


def chat_document(**members: Any) -> bytes:
    said = {"role": "assistant", "content": TEXT, "refusal": None, **members}
    choice = {"index": 0, "message": said, "logprobs": FIGURES, "finish_reason": "stop"}
    return json.dumps({**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE}).encode()


def chat_stream(*deltas: dict[str, Any]) -> bytes:
    choices: list[dict[str, Any]] = [
        {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None} for delta in (*deltas, {})
    ]
    choices[-1]["finish_reason"] = "stop"
    chunks = [{**HEAD, "object": "chat.completion.chunk", "choices": [choice]} for choice in choices]
    return b"".join(map(data, chunks)) + b"data: [DONE]\n\n"


def completed(**members: Any) -> bytes:
    choice = {"index": 0, "text": TEXT, "logprobs": None, "finish_reason": "stop", **members}
    return json.dumps({**HEAD, "object": "text_completion", "choices": [choice], "usage": USAGE}).encode()


def message_stream() -> bytes:
    started: dict[str, Any] = {
        **SENT,
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 1, "output_tokens": 2},
    }
    deltas: list[dict[str, Any]] = [{"type": "text_delta", "text": text} for text in TEXTS]
    made: list[dict[str, Any]] = [
        {"type": "message_start", "message": started},
        {"type": "content_block_start", "index": 0, "content_block": {**THINKING, "thinking": "", "signature": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": BLOCK},
        *({"type": "content_block_delta", "index": 1, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {}},
        {"type": "message_stop"},
    ]
    made[-2]["usage"] = {"output_tokens": 2}
    return b"".join(map(event, made))


def spoken_stream() -> bytes:
    pieces = [({"transcript": text}, {"data": "UklG"}) for text in TEXTS]
    audio = [{"id": "audio_1"}, *itertools.chain.from_iterable(pieces), {"expires_at": 1}]
    return chat_stream({"role": "assistant"}, *({"audio": each} for each in audio))


AUDIO = {"id": "audio_1", "data": "UklG", "expires_at": 1, "transcript": TEXT}
OUTPUT = [said(TEXTS), called()]
MESSAGE = {
    **SENT,
    "content": [THINKING, {**BLOCK, "text": TEXT}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 2},
}
STREAMED: Any = {"stream": True}
PROMPT: Any = {"prompt": "Tell me of it.", "logprobs": 2}
ANSWERS: dict[str, tuple[Dialect, Call, bytes, bool, Any]] = {
    "chat": (CHAT, chat(logprobs=True), chat_document(), False, ChatCompletion),
    "chat stream": (
        CHAT,
        chat(**STREAMED),
        chat_stream(*({"content": text} for text in TEXTS)),
        True,
        ChatCompletionChunk,
    ),
    "speech": (CHAT, chat(**SPEECH), chat_document(content=None, audio=AUDIO), False, ChatCompletion),
    "speech stream": (CHAT, chat(**SPEECH, **STREAMED), spoken_stream(), True, ChatCompletionChunk),
    "completion": (COMPLETIONS, completion(**PROMPT), completed(), False, Completion),
    "response": (RESPONSES, response(), document(OUTPUT, **TOLD), False, Response),
    "response stream": (RESPONSES, response(**STREAMED), stream(OUTPUT, TEXTS, **TOLD), True, ResponseStreamEvent),
    "message": (MESSAGES, message(), json.dumps(MESSAGE).encode(), False, Message),
    "message stream": (MESSAGES, message(**STREAMED), message_stream(), True, RawMessageStreamEvent),
}
SUMMED = {"reasoning": True, "summary": {"model": "small"}}
RUNGS = [*((name, value) for name, value in EXAMPLES.items() if name not in REFUSE), ("withhold", SUMMED)]


async def _ask(_: object) -> Helped:
    return Helped(Help.MADE, "In short.", Usage(1, 1))


@pytest.mark.parametrize("answer", ANSWERS)
async def test_a_clients_types_hold_what_is_left_of_an_answer(answer: str) -> None:
    dialect, call, body, streamed, kind = ANSWERS[answer]
    types: TypeAdapter[Any] = TypeAdapter(kind)
    for each in read_by_a_client(body) if streamed else [json.loads(body)]:
        types.validate_python(each)
    for rungs in itertools.permutations(RUNGS, 2):
        done = await Ladder(*rungs, ask=_ask).answer(dialect, call, body, streamed=streamed)
        for each in read_by_a_client(done.body) if streamed else [json.loads(done.body)]:
            types.validate_python(each)
