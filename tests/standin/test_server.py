from __future__ import annotations

import asyncio

import aiohttp
import pytest

from proxy.standin.server import Options
from tests.rig.raw_client import RawClient, request
from tests.standin.conftest import StartModel
from tests.standin.wire import ANTHROPIC, CHAT, MESSAGES, ask, chat

PATHS = ["/v1/chat/completions", "/v1/messages"]
ALL_PATHS = [*PATHS, "/v1/completions", "/v1/embeddings", "/v1/messages/count_tokens"]


@pytest.mark.parametrize("path", ALL_PATHS)
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"text"', b"\xff\xfe", b'{"model": "standin-large", "messages": NaN}', b"[" * 100_000]
)
async def test_a_body_that_is_no_json_object_is_400(url: str, path: str, body: bytes) -> None:
    said = await ask(url, path, body, ANTHROPIC)
    assert said.status == 400
    assert said.json["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("path", PATHS)
async def test_what_is_nested_deeper_than_can_be_written_is_400(url: str, path: str) -> None:
    deep = b'{"model":"standin-large","max_tokens":9,"tools":[{"x":' + b"[" * 300 + b"]" * 300 + b"}],"
    said = await ask(url, path, deep + b'"messages":[{"role":"user","content":"x"}]}', ANTHROPIC)
    assert said.status == 400


@pytest.mark.parametrize(("path", "kind"), [(PATHS[0], "invalid_request_error"), (PATHS[1], "request_too_large")])
async def test_a_body_over_the_limit_is_413(url: str, path: str, kind: str) -> None:
    said = await ask(url, path, b" " * ((32 << 20) + 1), ANTHROPIC)
    assert said.status == 413
    assert said.json["error"]["type"] == kind


async def test_a_compressed_body_is_refused_unread(url: str) -> None:
    said = await ask(url, "/v1/chat/completions", b"\x1f\x8b", {"Content-Encoding": "gzip"})
    assert said.status == 415


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
        ("POST", "/v1/nothing", 404),
        ("GET", "/", 404),
    ],
)
async def test_another_path_or_method_is_refused_in_the_shape_of_the_api_that_asks(
    url: str, method: str, path: str, status: int
) -> None:
    openai, anthropic = await ask(url, path, method=method), await ask(url, path, headers=ANTHROPIC, method=method)
    assert (openai.status, anthropic.status) == (status, status)
    assert set(openai.json) == {"error"}
    assert set(anthropic.json) == {"type", "error", "request_id"}


async def test_the_model_list_has_the_shape_of_the_api_that_asks(url: str) -> None:
    openai = (await ask(url, "/v1/models", method="GET")).json
    anthropic = (await ask(url, "/v1/models", headers=ANTHROPIC, method="GET")).json
    assert openai["object"] == "list"
    assert anthropic["has_more"] is False
    assert [model["id"] for model in openai["data"]] == [model["id"] for model in anthropic["data"]]


async def test_with_a_credential_every_route_asks_for_it(start_model: StartModel) -> None:
    url = await start_model(Options(credential="the-key"))
    wrong, right = {**ANTHROPIC, "x-api-key": "the-kex"}, {**ANTHROPIC, "x-api-key": "the-key"}
    assert (await ask(url, "/v1/messages", MESSAGES, wrong)).status == 401
    assert (await ask(url, "/v1/messages", MESSAGES, right)).status == 200
    assert (await ask(url, "/v1/models", headers=wrong, method="GET")).status == 401
    assert (await chat(url)).status == 401
    assert (await ask(url, "/v1/chat/completions", CHAT, {"Authorization": "Bearer the-key"})).status == 200


@pytest.mark.parametrize("path", PATHS)
async def test_a_client_that_leaves_ends_its_answer_at_once(start_model: StartModel, path: str) -> None:
    waiting, ended = asyncio.Event(), asyncio.Event()

    async def never(_seconds: float) -> None:
        waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    url = await start_model(Options(first_token_ms=1), never)
    async with aiohttp.ClientSession() as session:
        response = await session.post(url + path, json={**MESSAGES, "stream": True}, headers=ANTHROPIC)
        assert await response.content.readany()
        await waiting.wait()
        response.close()
        async with asyncio.timeout(30):
            await ended.wait()


async def test_an_answer_to_http_1_0_is_not_chunked(url: str) -> None:
    body = b'{"model":"standin-large","stream":true,"messages":[{"role":"user","content":"x"}]}'
    asked = request("POST", "/v1/chat/completions", [("Content-Length", str(len(body)))], body)
    async with await RawClient.connect(int(url.rpartition(":")[2])) as client:
        await client.send(asked.replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        answer = await client.to_end()
    head, _, events = answer.partition(b"\r\n\r\n")
    assert b"chunked" not in head.lower()
    assert events.startswith(b"data: {")
    assert events.endswith(b"data: [DONE]\n\n")


async def test_a_stream_far_larger_than_any_buffer_arrives_whole_and_in_order(url: str) -> None:
    said = await chat(url, stream=True, n=128, max_tokens=300)
    chunks = [data["choices"][0] for _, data in said.events[:-1]]
    assert len(said.body) > 1 << 22
    assert [chunk["index"] for chunk in chunks[:128]] == list(range(128))
    assert sum(chunk["finish_reason"] is not None for chunk in chunks) == 128
    assert said.events[-1][1] == "[DONE]"
