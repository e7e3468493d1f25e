"""Completions, embeddings and counts of the stand-in, as bytes: the shapes of the real APIs, and their refusals."""

from __future__ import annotations

import base64
import math
import struct
from typing import Any

import pytest
from openai.types import Completion, CreateEmbeddingResponse

from tests.standin.wire import ANTHROPIC, CHAT, Said, ask

TEXT: dict[str, Any] = {"model": "standin-large", "prompt": "Describe a harbour."}
INPUT: dict[str, Any] = {"model": "standin-large", "input": "a harbour in the fog"}


async def complete(url: str, **changes: Any) -> Said:
    return await ask(url, "/v1/completions", {**TEXT, **changes})


async def embed(url: str, **changes: Any) -> Said:
    return await ask(url, "/v1/embeddings", {**INPUT, **changes})


@pytest.mark.parametrize(
    "members",
    [
        {"max_tokens": 40},
        {"n": 2, "logprobs": 2},
        {"prompt": ["one", "two"], "n": 2, "echo": True, "logprobs": 0},
        {"prompt": [[1, 2], [3]], "max_tokens": 0, "echo": True},
    ],
)
async def test_a_document_and_a_stream_say_the_same(url: str, members: dict[str, Any]) -> None:
    whole = Completion.model_validate((await complete(url, **members)).json)
    streamed = await complete(url, **members, stream=True, stream_options={"include_usage": True})
    *events, (_, done) = streamed.events
    assert done == "[DONE]"
    chunks = [Completion.model_construct(**event) for _, event in events]
    texts = [""] * len(whole.choices)
    known: list[list[str]] = [[] for _ in whole.choices]
    for _, event in events:
        for choice in event["choices"]:
            texts[choice["index"]] += choice["text"]
            known[choice["index"]] += (choice["logprobs"] or {}).get("tokens", [])
    assert texts == [choice.text for choice in whole.choices]
    if "logprobs" in members:
        for choice, tokens in zip(whole.choices, known, strict=True):
            assert choice.logprobs is not None
            assert tokens == choice.logprobs.tokens
            assert "".join(tokens) == choice.text
            assert choice.logprobs.text_offset == [len("".join(tokens[:at])) for at in range(len(tokens))]
            assert {len(top) for top in choice.logprobs.top_logprobs or []} == {members["logprobs"]}
    assert events[-1][1]["usage"] == whole.usage.model_dump(exclude_none=True) if whole.usage else False
    assert chunks


async def test_the_usual_length_and_a_cap_hold_and_drafts_are_billed(url: str) -> None:
    usual = (await complete(url)).json
    assert usual["usage"]["completion_tokens"] == 16
    assert usual["choices"][0]["finish_reason"] == "length"
    drafts = (await complete(url, best_of=3)).json
    assert len(drafts["choices"]) == 1
    assert drafts["usage"]["completion_tokens"] == 48


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"prompt": 5}, "prompt"),
        ({"n": 3, "best_of": 2}, "best_of"),
        ({"stream": True, "best_of": 2}, "best_of"),
        ({"logprobs": 6}, "logprobs"),
        ({"stream_options": {}}, "stream_options"),
        ({"temperature": 3}, "temperature"),
    ],
)
async def test_a_completion_that_the_api_would_refuse_is_refused(url: str, members: dict[str, Any], place: str) -> None:
    said = await complete(url, **members)
    assert (said.status, said.json["error"]["param"]) == (400, place)


async def test_near_texts_have_near_vectors_of_length_one_the_same_in_both_formats(url: str) -> None:
    given = (await embed(url, input=["a harbour in the fog", "the harbour in a fog", "seven plain spoons"])).json
    CreateEmbeddingResponse.model_validate(given)
    near, nearer, far = (item["embedding"] for item in given["data"])
    assert math.isclose(sum(figure * figure for figure in near), 1, rel_tol=1e-5)
    assert sum(map(float.__mul__, near, nearer)) > 0.7
    assert sum(map(float.__mul__, near, far)) < 0.3
    (packed,) = (await embed(url, encoding_format="base64")).json["data"]
    assert list(struct.unpack("<256f", base64.b64decode(packed["embedding"]))) == near
    assert given["usage"]["prompt_tokens"] == given["usage"]["total_tokens"] > 0


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"stream": True}, "stream"),
        ({"dimensions": 0}, "dimensions"),
        ({"encoding_format": "x"}, "encoding_format"),
        ({"input": []}, "input"),
    ],
)
async def test_embeddings_that_the_api_would_refuse_are_refused(url: str, members: dict[str, Any], place: str) -> None:
    said = await embed(url, **members)
    assert (said.status, said.json["error"]["param"]) == (400, place)
    assert len((await embed(url, dimensions=8)).json["data"][0]["embedding"]) == 8


async def test_a_count_is_what_the_message_would_be_billed_for(url: str) -> None:
    asked = {"model": "standin-large", "messages": CHAT["messages"], "system": "Be brief."}
    counted = await ask(url, "/v1/messages/count_tokens", asked, ANTHROPIC)
    billed = await ask(url, "/v1/messages", {**asked, "max_tokens": 9}, ANTHROPIC)
    assert counted.json == {"input_tokens": billed.json["usage"]["input_tokens"]}
    refused = await ask(url, "/v1/messages/count_tokens", {**asked, "stream": False}, ANTHROPIC)
    assert (refused.status, refused.json["error"]["type"]) == (400, "invalid_request_error")
