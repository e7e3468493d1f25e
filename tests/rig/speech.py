"""Every API that the proxy speaks, as a client asks in it and a model answers in it; one row of `SPEECHES` each.

What goes through all dialects takes its requests and answers from here, so a new dialect is a row and no copy.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from struct import pack
from typing import Any, Literal

Documents = list[dict[str, Any]]
Tokens = tuple[int, int]  # read and written, as the upstream reports them
VECTOR = [0.5, -0.5, 0.5, 0.5]


@dataclass(frozen=True)
class Speech:
    """One API. `ask` makes the least request that says a text, `document` and `events` what a model answers to one.

    `heard` returns what a client reads in the documents of an answer, `charges` what an answer with these tokens is
    charged. `stops` and `length` are members of requests, `reads` the one that has the text; empty if there is none.
    `usage_asked` is what a request has besides so that the client sees the usage of a stream.
    """

    name: str
    path: str
    family: Literal["openai", "anthropic"]
    ask: Callable[[str], dict[str, Any]]
    document: Callable[[str, str, Tokens], dict[str, Any]]
    heard: Callable[[Documents], str]
    events: Callable[[Sequence[str], str, Tokens], list[bytes]] | None = None
    charges: Callable[[Tokens], Tokens] = lambda tokens: tokens
    reads: str = "messages"
    stops: str = ""
    length: str = ""
    usage_asked: dict[str, Any] = field(default_factory=dict, hash=False)

    def headers(self, secret: str) -> list[tuple[str, str]]:
        """Return how a client of this API shows its key."""
        return [("Authorization", f"Bearer {secret}")] if self.family == "openai" else [("x-api-key", secret)]

    @property
    def request_id(self) -> str:
        """The header in which a client finds the exchange's id."""
        return "x-request-id" if self.family == "openai" else "request-id"


def data(document: dict[str, Any] | str, name: str = "") -> bytes:
    """Write an event as the APIs do: compact, with a name if it has one."""
    text = document if isinstance(document, str) else json.dumps(document, separators=(",", ":"))
    return f"{f'event: {name}' + chr(10) if name else ''}data: {text}\n\n".encode()


def _said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def _usage(tokens: Tokens) -> dict[str, int]:
    return {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}


def _chat_document(text: str, model: str, tokens: Tokens) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "logprobs": None, "finish_reason": "stop"}
    return {"id": "c-1", "object": "chat.completion", "model": model, "choices": [choice], "usage": _usage(tokens)}


def _chat_events(texts: Sequence[str], model: str, tokens: Tokens) -> list[bytes]:
    base = {"id": "c-1", "object": "chat.completion.chunk", "model": model}
    deltas = [{"role": "assistant", "content": ""}, *({"content": text} for text in texts), {}]
    choices = [{"index": 0, "delta": delta, "finish_reason": None if delta else "stop"} for delta in deltas]
    chunks: list[dict[str, Any]] = [{**base, "choices": [choice], "usage": None} for choice in choices]
    return [*map(data, [*chunks, {**base, "choices": [], "usage": _usage(tokens)}]), data("[DONE]")]


def _chat_heard(documents: Documents) -> str:
    choices = [choice for document in documents for choice in document["choices"]]
    return "".join((choice.get("delta") or choice.get("message") or {}).get("content") or "" for choice in choices)


def _response_document(text: str, model: str, tokens: Tokens) -> dict[str, Any]:
    return _response([_response_item(text)], "completed", model, tokens)


def _response(output: Documents, status: str, model: str, tokens: Tokens | None) -> dict[str, Any]:
    usage = None
    if tokens is not None:
        usage = {"input_tokens": tokens[0], "output_tokens": tokens[1], "total_tokens": sum(tokens)}
    head = {"id": "r-1", "object": "response", "created_at": 1, "status": status, "error": None, "model": model}
    return {**head, "max_output_tokens": 16, "output": output, "usage": usage}


def _response_item(text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    return {"id": "i-1", "type": "message", "status": "completed", "role": "assistant", "content": content}


def _response_events(texts: Sequence[str], model: str, tokens: Tokens) -> list[bytes]:
    begun, ended = _response([], "in_progress", model, None), _response_document("".join(texts), model, tokens)
    (item,) = ended["output"]
    (part,) = item["content"]
    of_item, of_part = {"output_index": 0}, {"item_id": "i-1", "output_index": 0, "content_index": 0}
    steps: list[tuple[str, dict[str, Any]]] = [
        ("created", {"response": begun}),
        ("in_progress", {"response": begun}),
        ("output_item.added", {**of_item, "item": {**item, "status": "in_progress", "content": []}}),
        ("content_part.added", {**of_part, "part": {**part, "text": ""}}),
        *(("output_text.delta", {**of_part, "delta": text, "logprobs": []}) for text in texts),
        ("output_text.done", {**of_part, "text": part["text"], "logprobs": []}),
        ("content_part.done", {**of_part, "part": part}),
        ("output_item.done", {**of_item, "item": item}),
        ("completed", {"response": ended}),
    ]
    named = [(f"response.{name}", members) for name, members in steps]
    return [
        data({"type": name, "sequence_number": number, **members}, name) for number, (name, members) in enumerate(named)
    ]


def _response_heard(documents: Documents) -> str:
    """Read the pieces of a stream, having seen that what is told again says the same; or the items of a document."""
    told = [each for document in documents for each in document.get("response", document).get("output", ())]
    whole = "".join(part["text"] for item in told for part in item["content"])
    deltas = [document["delta"] for document in documents if document.get("type") == "response.output_text.delta"]
    assert "type" not in documents[0] or whole == "".join(deltas)
    return whole


def _completion_document(text: str, model: str, tokens: Tokens) -> dict[str, Any]:
    choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": "stop"}
    return {"id": "t-1", "object": "text_completion", "model": model, "choices": [choice], "usage": _usage(tokens)}


def _completion_events(texts: Sequence[str], model: str, tokens: Tokens) -> list[bytes]:
    base = {"id": "t-1", "object": "text_completion", "model": model}
    choices = [{"text": text, "index": 0, "logprobs": None, "finish_reason": None} for text in texts]
    choices.append({"text": "", "index": 0, "logprobs": None, "finish_reason": "stop"})
    chunks: list[dict[str, Any]] = [{**base, "choices": [choice], "usage": None} for choice in choices]
    return [*map(data, [*chunks, {**base, "choices": [], "usage": _usage(tokens)}]), data("[DONE]")]


def _completion_heard(documents: Documents) -> str:
    return "".join(choice["text"] for document in documents for choice in document["choices"])


def _embedding_document(text: str, model: str, tokens: Tokens) -> dict[str, Any]:
    """The vector is the same for all, in the format that the text names."""
    packed = b64encode(pack(f"<{len(VECTOR)}f", *VECTOR)).decode()
    item = {"object": "embedding", "index": 0, "embedding": packed if text == "base64" else VECTOR}
    usage = {"prompt_tokens": tokens[0], "total_tokens": tokens[0]}
    return {"object": "list", "data": [item], "model": model, "usage": usage}


def _message_document(text: str, model: str, tokens: Tokens) -> dict[str, Any]:
    return {
        "id": "m-1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": tokens[0], "output_tokens": tokens[1]},
    }


def _message_events(texts: Sequence[str], model: str, tokens: Tokens) -> list[bytes]:
    start = {**_message_document("", model, (tokens[0], 1)), "content": [], "stop_reason": None}
    deltas = [{"index": 0, "delta": {"type": "text_delta", "text": text}} for text in texts]
    end = {"delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": tokens[1]}}
    steps: list[tuple[str, dict[str, Any]]] = [
        ("message_start", {"message": start}),
        ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
        *(("content_block_delta", delta) for delta in deltas),
        ("content_block_stop", {"index": 0}),
        ("message_delta", end),
        ("message_stop", {}),
    ]
    return [data({"type": name, **members}, name) for name, members in steps]


def _message_heard(documents: Documents) -> str:
    blocks = [block for document in documents for block in (*document.get("content", ()), document.get("delta", {}))]
    return "".join(block.get("text", "") for block in blocks)


CHAT = Speech(
    "openai.chat",
    "/v1/chat/completions",
    "openai",
    lambda text: {"model": "m-large", "messages": _said(text), "max_tokens": 16},
    _chat_document,
    _chat_heard,
    _chat_events,
    stops="stop",
    length="max_tokens",
    usage_asked={"stream_options": {"include_usage": True}},
)
RESPONSES = Speech(
    "openai.responses",
    "/v1/responses",
    "openai",
    lambda text: {"model": "m-large", "input": text, "max_output_tokens": 16},
    _response_document,
    _response_heard,
    _response_events,
    reads="input",
    length="max_output_tokens",
)
COMPLETIONS = Speech(
    "openai.completions",
    "/v1/completions",
    "openai",
    lambda text: {"model": "m-large", "prompt": text, "max_tokens": 16},
    _completion_document,
    _completion_heard,
    _completion_events,
    reads="prompt",
    stops="stop",
    length="max_tokens",
    usage_asked={"stream_options": {"include_usage": True}},
)
EMBEDDINGS = Speech(
    "openai.embeddings",
    "/v1/embeddings",
    "openai",
    lambda text: {"model": "m-large", "input": text},
    _embedding_document,
    lambda documents: json.dumps([item["embedding"] for document in documents for item in document["data"]]),
    charges=lambda tokens: (tokens[0], 0),
    reads="input",
)
MESSAGES = Speech(
    "anthropic.messages",
    "/v1/messages",
    "anthropic",
    lambda text: {"model": "m-large", "messages": _said(text), "max_tokens": 16},
    _message_document,
    _message_heard,
    _message_events,
    stops="stop_sequences",
    length="max_tokens",
)
COUNT = Speech(
    "anthropic.count_tokens",
    "/v1/messages/count_tokens",
    "anthropic",
    lambda text: {"model": "m-large", "messages": _said(text)},
    lambda _, __, tokens: {"input_tokens": tokens[0]},
    lambda documents: str([document["input_tokens"] for document in documents]),
    charges=lambda _: (0, 0),
)
SPEECHES = (CHAT, RESPONSES, COMPLETIONS, EMBEDDINGS, MESSAGES, COUNT)
BY_PATH = {speech.path: speech for speech in SPEECHES}
# Each API in each form in which it answers.
FORMS = [(speech, streamed) for speech in SPEECHES for streamed in (False, True) if speech.events or not streamed]
FORM_NAMES = [f"{speech.name}-{'stream' if streamed else 'document'}" for speech, streamed in FORMS]
