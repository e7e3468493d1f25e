"""The traffic that is measured, as bytes: a 2 kB chat request, a 1.5 kB answer, a stream of 64 chunks.

Laws: what a client gets is the same whether it asks a bare pass-through or a proxy that asks for the usage and hides
it. Each prompt is another, of ordinary sentences, so that nothing is fast by having seen it before; the same each run.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import orjson

PATH = "/v1/chat/completions"
MODEL = "bench-model"
CHUNKS = 64
LAST_EVENT = b"data: [DONE]\n\n"
ASKS_FOR_STREAM = b'"stream":true'
ASKS_FOR_USAGE = b'"include_usage"'
_REQUEST_BYTES = 2048
_ANSWER_BYTES = 1536
_WORDS = "the proxy reads each request once, strictly, and sends on what it has read; "
_USAGE = {"prompt_tokens": 431, "completion_tokens": 62, "total_tokens": 493}
_CHUNK = {
    "id": "chatcmpl-Bq3TnV7sYcXw2Lh8",
    "object": "chat.completion.chunk",
    "created": 1_764_000_000,
    "model": MODEL,
}


# What customers write; words such as answer, your, show, full or generate stand in the pattern sets too.
_SENTENCES = (
    "Our customers receive an invoice on the first day of each month, and most of them pay within two weeks. ",
    "Please write a short reply that thanks her for the report and asks when the second part will follow. ",
    "The table has a column for the order number, one for the date and one for the name of the product. ",
    "I need a function that reads a file line by line and returns the sum of all numbers in it. ",
    "Does the contract say who has to pay for the delivery if a part is missing? ",
    "Translate the title of each section into French, and keep the names of people as they are. ",
    "Last week the meeting took two hours because nobody had read the plan before it. ",
    "Show me how to sort this list by price without changing the order of equal items. ",
    "We want to move the store to another address in spring, so the opening hours will change. ",
    "The error appears only when the user closes the window while a message is still being sent. ",
    "Explain in simple words what the new rule means for a small company with ten people. ",
    "Give me three ideas for a birthday party in the garden, with games for children under six. ",
    "The train leaves at nine and arrives shortly after noon; there is no need to change. ",
    "Make the text shorter, use a friendly tone, and put the most important point at the beginning. ",
    "In the full version of the document there is a page about how the data is kept and for how long. ",
    "Which of the two phones has the better camera, and is the difference worth the money? ",
    "She started as a nurse, studied at night, and now leads a team of forty in the same hospital. ",
    "Generate a weekly plan with one warm meal a day for somebody who does not eat meat. ",
    "The test passes on my machine and fails on the server, where an older version is installed. ",
    "Count how many orders were sent back in March and compare that number with the year before. ",
    "If your answer depends on the country, assume that we are in Portugal. ",
    "The roof was repaired in the autumn, but after the storm there is water in the kitchen again. ",
    "Add a comment above each query that says what it returns, and leave the code as it is. ",
    "He asks whether the price includes breakfast and whether a dog may stay in the room. ",
    "Find the mistakes in the letter below and list them with the line in which they stand. ",
    "Growth was slower than in the previous quarter, mainly because two large projects ended. ",
    "What should I look at first when a plant gets yellow leaves although it has enough light? ",
    "The form has to be signed by both of you and handed in at the office before the end of June. ",
)
# What a model writes, a word at a time: prose, which marks can change.
_STREAMED = (
    "The committee met on Tuesday, and although nobody had read the report, it decided to begin with the budget. "
    "However, the figures were not complete, so the chair asked the members to wait until the end of the month. "
    "It is important to note that a large number of people do not agree with this, since it is difficult to see how "
    "the plan will help."
)


def request_body(*, stream: bool, number: int = 0, **asked: Any) -> bytes:  # noqa: ANN401 - members of a request
    """Return what a client sends: a system prompt, a turn and its answer, a question; no usage asked for.

    Each `number` has a prompt of its own. `asked` are members besides.
    """
    shuffled = random.Random(number).sample(_SENTENCES, k=len(_SENTENCES))  # noqa: S311 - no secrets

    def build(text: str) -> dict[str, Any]:
        messages = [
            {"role": "system", "content": "You answer questions about the documents that you are given."},
            {"role": "user", "content": [{"type": "text", "text": text}]},
            {"role": "assistant", "content": "It reads requests strictly."},
            {"role": "user", "content": "Why does it do that?"},
        ]
        request = {"model": MODEL, "messages": messages, "max_tokens": 512, "temperature": 0.7, "top_p": 0.95, **asked}
        return {**request, "stream": True} if stream else request

    return _of_size(build, _REQUEST_BYTES, "".join(shuffled))


def answer_body() -> bytes:
    """Return the JSON answer, usage included."""

    def build(text: str) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return {**_CHUNK, "object": "chat.completion", "choices": [choice], "usage": _USAGE}

    return _of_size(build, _ANSWER_BYTES, _WORDS)


def stream_events(*, usage: bool) -> list[bytes]:
    """Return the events of the stream, its end marker last; with `usage` as the API sends them when asked for it."""
    words = _STREAMED.split()[: CHUNKS - 2]
    deltas = [{"role": "assistant", "content": ""}, *[{"content": f" {word}"} for word in words], {}]
    chunks: list[dict[str, Any]] = []
    for number, delta in enumerate(deltas, start=1):
        finish = "stop" if number == CHUNKS else None
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunks.append({**_CHUNK, "choices": [choice]})
    if usage:
        chunks = [*({**chunk, "usage": None} for chunk in chunks), {**_CHUNK, "choices": [], "usage": _USAGE}]
    return [*(b"data: %b\n\n" % orjson.dumps(each) for each in chunks), LAST_EVENT]


def _of_size(build: Callable[[str], dict[str, Any]], size: int, words: str) -> bytes:
    missing = size - len(orjson.dumps(build("")))
    return orjson.dumps(build((words * (missing // len(words) + 1))[:missing]))
