"""Answers in the shape of OpenAI responses: one JSON document, or typed server-sent events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from proxy.standin.answer import Answer
from proxy.standin.logprobs import token_logprobs
from proxy.standin.pace import Frame
from proxy.standin.prose import dice_for
from proxy.standin.reading import Json
from proxy.standin.responses_request import ResponsesRequest
from proxy.standin.tokens import count, split


class Stamp(NamedTuple):
    """What tells this answer from any other; `sealed` is its reasoning for the next turn."""

    id: str
    item_id: str
    reasoning_id: str
    call_id: str
    sealed: str
    created: int


def items(request: ResponsesRequest, answer: Answer, stamp: Stamp) -> list[Json]:
    """Return the items of the output."""
    found: list[Json] = []
    if request.wish.reasoning:
        summary = [{"type": "summary_text", "text": answer.reasoning}] if request.summarises else []
        thought: Json = {"id": stamp.reasoning_id, "type": "reasoning", "summary": summary}
        found.append({**thought, "encrypted_content": stamp.sealed} if request.encrypts else thought)
    status = "incomplete" if answer.ending == "length" else "completed"
    if answer.tool is not None:
        call = {"arguments": answer.text, "call_id": stamp.call_id, "name": answer.tool, "status": status}
        found.append({"id": stamp.item_id, "type": "function_call", **call})
    elif answer.text:
        content = [_part(answer.text, _logprobs(request, answer))]
        said = {"status": status, "role": "assistant", "content": content}
        found.append({"id": stamp.item_id, "type": "message", **said})
    return found


def document(request: ResponsesRequest, answer: Answer, output: list[Json], stamp: Stamp) -> bytes:
    """Return the answer as one JSON document."""
    return orjson.dumps(_response(request, stamp, answer, output))


def frames(request: ResponsesRequest, answer: Answer, output: list[Json], stamp: Stamp) -> Iterator[Frame]:
    """Yield the answer's events, which are numbered."""
    number = 0
    for kind, members, is_token in _events(request, answer, output, stamp):
        if kind:
            event = {"type": kind, "sequence_number": number, **members}
            yield b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(event)), is_token
            number += 1
        else:
            yield b"", is_token


_Event = tuple[str, Json, bool]  # without a kind: a token that is not shown


def _events(request: ResponsesRequest, answer: Answer, output: list[Json], stamp: Stamp) -> Iterator[_Event]:
    begun = _response(request, stamp)
    yield "response.created", {"response": begun}, False
    yield "response.in_progress", {"response": begun}, False
    for index, item in enumerate(output):
        at = {"output_index": index}
        empty = {"status": "in_progress"} if "status" in item else {}
        blank = {name: type(item[name])() for name in ("summary", "content", "arguments") if name in item}
        yield "response.output_item.added", {**at, "item": {**item, **empty, **blank}}, False
        at["item_id"] = item["id"]
        if item["type"] == "reasoning":
            yield from _thoughts(at, item, answer)
        elif item["type"] == "function_call":
            yield from _pieces("response.function_call_arguments", at, {"name": item["name"]}, "arguments", answer.text)
        else:
            yield from _prose(at, item["content"][0])
        del at["item_id"]
        yield "response.output_item.done", {**at, "item": item}, False
    whole = _response(request, stamp, answer, output)
    yield f"response.{whole['status']}", {"response": whole}, False


def _thoughts(at: Json, item: Json, answer: Answer) -> Iterator[_Event]:
    if not item["summary"]:
        for _ in split(answer.reasoning):
            yield "", {}, True
        return
    at = {**at, "summary_index": 0}
    kind = "response.reasoning_summary"
    yield f"{kind}_part.added", {**at, "part": {"type": "summary_text", "text": ""}}, False
    yield from _pieces(f"{kind}_text", at, {}, "text", answer.reasoning)
    yield f"{kind}_part.done", {**at, "part": item["summary"][0]}, False


def _prose(at: Json, part: Json) -> Iterator[_Event]:
    at = {**at, "content_index": 0}
    entries = part["logprobs"]
    yield "response.content_part.added", {**at, "part": _part("", [])}, False
    for place, token in enumerate(split(part["text"])):
        known = entries[place : place + 1]
        yield "response.output_text.delta", {**at, "delta": token, "logprobs": known}, True
    yield "response.output_text.done", {**at, "text": part["text"], "logprobs": entries}, False
    yield "response.content_part.done", {**at, "part": part}, False


def _pieces(kind: str, at: Json, beside: Json, member: str, text: str) -> Iterator[_Event]:
    for token in split(text):
        yield f"{kind}.delta", {**at, "delta": token}, True
    yield f"{kind}.done", {**at, **beside, member: text}, False


def _part(text: str, logprobs: list[dict[str, Any]]) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def _logprobs(request: ResponsesRequest, answer: Answer) -> list[dict[str, Any]]:
    if request.top_logprobs is None:
        return []
    return list(token_logprobs(split(answer.text), request.top_logprobs, dice_for(b"logprobs", request.wish.seed)))


def _response(
    request: ResponsesRequest, stamp: Stamp, answer: Answer | None = None, output: list[Json] | None = None
) -> Json:
    """Return the response as it is, before or after its output."""
    cut = answer is not None and answer.ending == "length"
    usage = None
    if answer is not None:
        usage = {
            "input_tokens": request.input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": answer.output_tokens,
            "output_tokens_details": {"reasoning_tokens": count(answer.reasoning)},
            "total_tokens": request.input_tokens + answer.output_tokens,
        }
    return {
        "id": stamp.id,
        "object": "response",
        "created_at": stamp.created,
        "status": "in_progress" if answer is None else "incomplete" if cut else "completed",
        "background": False,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "model": request.model.id,
        **request.told,
        "tools": request.told["tools"] or [],
        "tool_choice": request.told["tool_choice"] or "auto",
        "text": request.told["text"] or {"format": {"type": "text"}},
        "output": output or [],
        "parallel_tool_calls": True,
        "store": request.store,
        "temperature": 1.0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage,
    }
