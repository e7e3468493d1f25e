"""Responses as the API sends them: the same answer as a document and as typed events, and as a client reads either."""

from __future__ import annotations

import json
from typing import Any

from tests.dialects.streams import event, read_by_a_client

USAGE = {
    "input_tokens": 7,
    "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
    "output_tokens": 30,
    "output_tokens_details": {"reasoning_tokens": 9},
    "total_tokens": 37,
}
THOUGHTS = ["I think", " of seventeen", " steps."]
ARGUMENTS = '{"city": "Paris", "floor": 3}'
SEAL = "c2VhbGVkLWNhbmFyeQ=="
RESPONSE_ID, THOUGHT_ID, MESSAGE_ID, CALL_ID = "resp_0a1b2c", "rs_0a1b2c", "msg_0a1b2c", "fc_0a1b2c"


def figure(token: str) -> dict[str, Any]:
    """Return a log-probability."""
    return {"token": token, "logprob": -0.123456, "bytes": [84], "top_logprobs": [{"token": "A", "logprob": -0.5}] * 3}


def thought(**members: Any) -> dict[str, Any]:
    """Return a reasoning item that shows a summary, its text and sealed content."""
    return {
        "id": THOUGHT_ID,
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "".join(THOUGHTS)}],
        "content": [{"type": "reasoning_text", "text": "".join(THOUGHTS)}],
        "encrypted_content": SEAL,
        **members,
    }


def said(texts: list[str], *, figures: bool = False) -> dict[str, Any]:
    """Return a message."""
    logprobs = [figure(text) for text in texts] if figures else []
    part = {"type": "output_text", "text": "".join(texts), "annotations": [], "logprobs": logprobs}
    return {"id": MESSAGE_ID, "type": "message", "status": "completed", "role": "assistant", "content": [part]}


def called() -> dict[str, Any]:
    """Return a call of a function."""
    return {"id": CALL_ID, "type": "function_call", "call_id": "call_1", "name": "f", "arguments": ARGUMENTS}


def response(output: list[dict[str, Any]], status: str = "completed", **members: Any) -> dict[str, Any]:
    """Return a response."""
    head = {"id": RESPONSE_ID, "object": "response", "created_at": 1, "status": status, "error": None, "model": "m-9"}
    told = {"instructions": None, "max_output_tokens": None, "temperature": 1.0, "top_logprobs": 0}
    usage = None if status == "in_progress" else USAGE
    return {**head, **told, "incomplete_details": None, "output": output, "usage": usage, **members}


def document(output: list[dict[str, Any]], **members: Any) -> bytes:
    """Return a response as one document."""
    return json.dumps(response(output, **members), separators=(",", ":")).encode()


def stream(output: list[dict[str, Any]], texts: list[str], **members: Any) -> bytes:
    """Return a response as events; `texts` are the pieces of its message's text."""
    events = _events(output, texts, **members)
    return b"".join(event({**each, "sequence_number": number}) for number, each in enumerate(events))


def _events(output: list[dict[str, Any]], texts: list[str], **members: Any) -> list[dict[str, Any]]:
    begun = response([], "in_progress", **members)
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for number, item in enumerate(output):
        empty: dict[str, Any] = {name: [] for name in ("summary", "content") if name in item}
        events.append({"type": "response.output_item.added", "output_index": number, "item": {**item, **empty}})
        at = {"output_index": number, "item_id": item["id"]}
        pieces = {"reasoning": _thoughts, "message": _message, "function_call": _call}[item["type"]]
        events += [{**each, **at} for each in pieces(item, texts)]
        events.append({"type": "response.output_item.done", "output_index": number, "item": item})
    return [*events, {"type": "response.completed", "response": response(output, **members)}]


def _thoughts(item: dict[str, Any], _: list[str]) -> list[dict[str, Any]]:
    whole, index = "".join(THOUGHTS), {"summary_index": 0}
    part = item["summary"][0]
    events: list[dict[str, Any]] = [{"type": "response.reasoning_summary_part.added", "part": {**part, "text": ""}}]
    events += [{"type": "response.reasoning_summary_text.delta", "delta": each} for each in THOUGHTS]
    events += [
        {"type": "response.reasoning_summary_text.done", "text": whole},
        {"type": "response.reasoning_summary_part.done", "part": part},
    ]
    events = [{**each, **index} for each in events]
    # As servers of open models send the thoughts themselves.
    shown = item["content"][0]
    more: list[dict[str, Any]] = [{"type": "response.content_part.added", "part": {**shown, "text": ""}}]
    more += [{"type": "response.reasoning_text.delta", "delta": each} for each in THOUGHTS]
    more += [
        {"type": "response.reasoning_text.done", "text": whole},
        {"type": "response.content_part.done", "part": shown},
    ]
    return events + [{**each, "content_index": 0} for each in more]


def _message(item: dict[str, Any], texts: list[str]) -> list[dict[str, Any]]:
    (part,) = item["content"]
    blank = {**part, "text": "", "logprobs": []}
    events: list[dict[str, Any]] = [{"type": "response.content_part.added", "part": blank}]
    for number, text in enumerate(texts):
        logprobs = part["logprobs"][number : number + 1]
        events.append({"type": "response.output_text.delta", "delta": text, "logprobs": logprobs, "obfuscation": "x9"})
    events += [
        {"type": "response.output_text.done", "text": part["text"], "logprobs": part["logprobs"]},
        {"type": "response.content_part.done", "part": part},
    ]
    return [{**each, "content_index": 0} for each in events]


def _call(item: dict[str, Any], _: list[str]) -> list[dict[str, Any]]:
    whole = item["arguments"]
    return [
        {"type": "response.function_call_arguments.delta", "delta": whole[:9]},
        {"type": "response.function_call_arguments.delta", "delta": whole[9:]},
        {"type": "response.function_call_arguments.done", "name": item["name"], "arguments": whole},
    ]


def assembled(body: bytes) -> dict[str, Any]:
    """Return the response that the pieces of a stream make, having checked that all that is told again agrees."""
    items: dict[int, dict[str, Any]] = {}
    texts: dict[tuple[int, int], str] = {}
    figures: dict[tuple[int, int], list[Any]] = {}
    final: dict[str, Any] = {}
    events = read_by_a_client(body)
    assert [each["sequence_number"] for each in events] == list(range(len(events)))
    for each in events:
        at = (each.get("output_index", 0), each.get("content_index", 0))
        match each["type"]:
            case "response.output_text.delta":
                assert each["item_id"] == MESSAGE_ID
                texts[at] = texts.get(at, "") + each["delta"]
                figures[at] = figures.get(at, []) + each["logprobs"]
            case "response.output_text.done":
                assert (each["text"], each["logprobs"]) == (texts.get(at, ""), figures.get(at, []))
            case "response.content_part.done" if each["part"]["type"] == "output_text":
                assert (each["part"]["text"], each["part"]["logprobs"]) == (texts.get(at, ""), figures.get(at, []))
            case "response.output_item.done":
                items[each["output_index"]] = each["item"]
            case "response.completed":
                final = each["response"]
    assert final["output"] == [items[number] for number in sorted(items)]
    for number, item in items.items():
        for place, part in enumerate(item.get("content", ()) if item["type"] == "message" else ()):
            assert part["text"] == texts.get((number, place), "")
    return final
