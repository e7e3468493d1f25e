"""Answers in the shape of OpenAI completions: one JSON document, or server-sent events of one token each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, zip_longest
from typing import Any, NamedTuple

import orjson

from proxy.standin.answer import Answer, compose
from proxy.standin.completions_request import TextRequest
from proxy.standin.logprobs import token_logprobs
from proxy.standin.pace import Frame
from proxy.standin.prose import Prose, dice_for
from proxy.standin.tokens import split

_FINISH = {"stop": "stop", "stop_sequence": "stop", "length": "length", "tool": "stop"}


class Written(NamedTuple):
    """What was written for a request: the answers that are given, and the tokens of all, kept or not."""

    answers: list[Answer]
    output_tokens: int
    longest: int


class Stamp(NamedTuple):
    """What tells this answer from any other: its id, and seconds since the Unix epoch."""

    id: str
    created: int


def write(request: TextRequest, prose: Prose) -> Written:
    """Write as many answers to each prompt as are asked for or chosen from."""
    answers, output, longest = [], 0, 0
    for wish in request.wishes:
        drafts = [compose(wish, prose, index) for index in range(request.best_of)]
        answers += drafts[: request.choices]
        output += sum(draft.output_tokens for draft in drafts)
        longest = max(longest, *(draft.output_tokens for draft in drafts))
    return Written(answers, output, longest)


def document(request: TextRequest, written: Written, stamp: Stamp) -> bytes:
    """Return the answers as one JSON document."""
    choices = []
    for index, answer in enumerate(written.answers):
        pieces, entries = _pieces(request, answer, index)
        choices.append(
            {
                "text": "".join(pieces),
                "index": index,
                "logprobs": _logprobs(entries, 0),
                "finish_reason": _FINISH[answer.ending],
            }
        )
    return orjson.dumps({**_envelope(request, stamp), "choices": choices, "usage": _usage(request, written)})


def frames(request: TextRequest, written: Written, stamp: Stamp) -> Iterator[Frame]:
    """Yield the answers' events; several take turns, a token each, and share its time."""
    envelope = _envelope(request, stamp)
    tail = {"usage": None} if request.include_usage else {}
    voices = [_choice_events(request, answer, index) for index, answer in enumerate(written.answers)]
    for turn in zip_longest(*voices):
        timed = False
        for choice in filter(None, turn):
            yield _event({**envelope, "choices": [choice], **tail}), not timed
            timed = True
    if request.include_usage:
        yield _event({**envelope, "choices": [], "usage": _usage(request, written)}), False
    yield b"data: [DONE]\n\n", False


def _choice_events(request: TextRequest, answer: Answer, index: int) -> Iterator[dict[str, Any]]:
    pieces, entries = _pieces(request, answer, index)
    offset = 0
    for place, piece in enumerate(pieces):
        known = None if entries is None else _logprobs(entries[place : place + 1], offset)
        yield {"text": piece, "index": index, "logprobs": known, "finish_reason": None}
        offset += len(piece)
    yield {"text": "", "index": index, "logprobs": None, "finish_reason": _FINISH[answer.ending]}


def _pieces(request: TextRequest, answer: Answer, index: int) -> tuple[list[str], list[dict[str, Any]] | None]:
    """Return the tokens of an answer, behind those of its prompt if that is repeated, and what is known of each."""
    prompt = request.prompts[index // request.choices] if request.echo else ""
    pieces = [*split(prompt), *split(answer.text)]
    if request.top_logprobs is None:
        return pieces, None
    dice = dice_for(b"logprobs", request.wishes[index // request.choices].seed, index.to_bytes(2))
    return pieces, list(token_logprobs(pieces, request.top_logprobs, dice))


def _logprobs(entries: list[dict[str, Any]] | None, offset: int) -> dict[str, Any] | None:
    """Return what is known of tokens in this API's way: column by column."""
    if entries is None:
        return None
    pieces = [entry["token"] for entry in entries]
    return {
        "tokens": pieces,
        "token_logprobs": [entry["logprob"] for entry in entries],
        "top_logprobs": [{top["token"]: top["logprob"] for top in entry["top_logprobs"]} for entry in entries],
        "text_offset": list(accumulate(map(len, pieces[:-1]), initial=offset)) if pieces else [],
    }


def _envelope(request: TextRequest, stamp: Stamp) -> dict[str, Any]:
    return {"id": stamp.id, "object": "text_completion", "created": stamp.created, "model": request.model.id}


def _usage(request: TextRequest, written: Written) -> dict[str, int]:
    return {
        "prompt_tokens": request.prompt_tokens,
        "completion_tokens": written.output_tokens,
        "total_tokens": request.prompt_tokens + written.output_tokens,
    }


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(chunk)
