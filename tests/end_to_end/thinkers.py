"""Answers of models that think before they speak, in every dialect that has a place for it, and what a client reads of that."""

from __future__ import annotations

import json
from typing import Any

from tests.end_to_end.scene import CHAT
from tests.rig.raw_client import Response
from tests.rig.scripted_upstream import Script, event, json_answer, sse_answer

RESPONSES = "/v1/responses"
SECRET = "The canary sings of seventeen hidden steps, one after another."
SEAL = "c2VhbGVkLWNhbmFyeS1zaWduYXR1cmU="
THINKING = {"type": "thinking", "thinking": SECRET, "signature": SEAL}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m-large", "stop_reason": None}
USAGE = {"input_tokens": 3, "output_tokens": 2}
THOUGHT = {
    "id": "rs_0a1b2c",
    "type": "reasoning",
    "summary": [],
    "content": [{"type": "reasoning_text", "text": SECRET}],
    "encrypted_content": SEAL,
}
SAID = {
    "id": "msg_0a1b2c",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Four.", "annotations": [], "logprobs": []}],
}


def chat_delta(**delta: str) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    return event({"id": "c-1", "object": "chat.completion.chunk", "model": "m-large", "choices": [choice]})


def named(document: Any) -> bytes:
    return event(document, document["type"])


def events(path: str) -> list[bytes]:
    """Return the pieces of a stream: a beginning, reasoning, and an answer."""
    if path == CHAT:
        thoughts = [chat_delta(reasoning_content=letter) for letter in SECRET]
        return [chat_delta(role="assistant", content=""), *thoughts, chat_delta(content="Four."), event("[DONE]")]
    if path == RESPONSES:
        return _response_events()
    block = {"type": "thinking", "thinking": "", "signature": ""}
    deltas: list[dict[str, Any]] = [{"type": "thinking_delta", "thinking": letter} for letter in SECRET]
    deltas.append({"type": "signature_delta", "signature": SEAL})
    documents: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**MESSAGE, "content": [], "usage": USAGE}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Four."}},
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ]
    return [named(document) for document in documents]


def response(output: list[dict[str, Any]], status: str = "completed") -> dict[str, Any]:
    """Return a response in the shape of that API."""
    head = {"id": "resp_0a1b2c", "object": "response", "created_at": 1, "status": status, "model": "m-large"}
    how = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "error": None, "incomplete_details": None}
    figures = {
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 1},
    }
    usage = {**USAGE, **figures, "total_tokens": 5} if output else None
    return {**head, **how, "output": output, "usage": usage}


def _response_events() -> list[bytes]:
    documents: list[dict[str, Any]] = [{"type": "response.created", "response": response([], "in_progress")}]
    for number, (item, kind) in enumerate(((THOUGHT, "reasoning_text"), (SAID, "output_text"))):
        part: Any = item["content"][0]
        at = {"item_id": item["id"], "output_index": number, "content_index": 0}
        figures: dict[str, Any] = {"logprobs": []} if item is SAID else {}
        documents += [
            {"type": "response.output_item.added", "output_index": number, "item": {**item, "content": []}},
            {"type": "response.content_part.added", **at, "part": {**part, "text": ""}},
            *({"type": f"response.{kind}.delta", **at, **figures, "delta": letter} for letter in part["text"]),
            {"type": f"response.{kind}.done", **at, **figures, "text": part["text"]},
            {"type": "response.content_part.done", **at, "part": part},
            {"type": "response.output_item.done", "output_index": number, "item": item},
        ]
    documents.append({"type": "response.completed", "response": response([THOUGHT, SAID])})
    return [named({**document, "sequence_number": number}) for number, document in enumerate(documents)]


def script(path: str, *, stream: bool) -> Script:
    if stream:
        return sse_answer(events(path))
    if path == CHAT:
        message = {"role": "assistant", "content": "Four.", "reasoning_content": SECRET}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        return json_answer(200, {"id": "c-1", "model": "m-large", "choices": [choice], "usage": usage})
    if path == RESPONSES:
        return json_answer(200, response([THOUGHT, SAID]))
    content = [THINKING, {"type": "text", "text": "Four."}]
    return json_answer(200, {**MESSAGE, "content": content, "stop_reason": "end_turn", "usage": USAGE})


def thinking_of(path: str, answer: Response, *, stream: bool) -> str:
    """Return what a client takes for the reasoning."""
    lines = [line.removeprefix("data: ") for line in answer.body.decode().split("\n")]
    documents = [json.loads(line) for line in lines if line.startswith("{")]
    if path == CHAT:
        choices = [choice for document in documents for choice in document["choices"]]
        return "".join(choice["delta" if stream else "message"].get("reasoning_content", "") for choice in choices)
    if path == RESPONSES:
        output = documents[-1]["response"]["output"] if stream else documents[0]["output"]
        summary = "".join(part["text"] for part in output[0]["summary"])
        deltas = [each["delta"] for each in documents if each.get("type") == "response.reasoning_summary_text.delta"]
        assert not stream or "".join(deltas) == summary
        assert "content" not in output[0]
        return summary
    if stream:
        return "".join(document.get("delta", {}).get("thinking", "") for document in documents)
    return "".join(block.get("thinking", "") for block in documents[0]["content"])
