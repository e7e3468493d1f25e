"""What the official clients raise when the proxy refuses: the class that a customer's code catches, with its words.

One proxy serves the file; each test brings a key of its own, so that no quota of one is felt by another.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio
from anthropic.types import ImageDimensionsTooLargeError

from tests.end_to_end.customers import (
    Client,
    anthropic_client,
    ask,
    assert_said_nothing_wrong,
    both_raise,
    openai_client,
    record_of,
    recorded,
)
from tests.end_to_end.scene import Scene, staged
from tests.end_to_end.small_quotas import PACK, SETTINGS
from tests.rig.scripted_upstream import json_answer
from tests.rig.structured_fields import read_list

pytestmark = pytest.mark.asyncio(loop_scope="module")


def said(size: int) -> Any:
    return [{"role": "user", "content": "a" * size}]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("errors"), SETTINGS, pack=PACK) as scene:
        yield scene
        await scene.at_peace()
        assert_said_nothing_wrong(scene.gate)


@pytest_asyncio.fixture(loop_scope="module")
async def key(scene: Scene) -> str:
    name = f"customer-{len(scene.gate.keys)}"
    return await scene.gate.create_key(account=name, tenant=name)


@pytest_asyncio.fixture(loop_scope="module")
async def chat(scene: Scene, key: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai_client(scene.gate, key) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def claude(scene: Scene, key: str) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic_client(scene.gate, key) as client:
        yield client


@pytest.mark.parametrize("wrong", ["of no key", "of somewhere else", "expired", "revoked"])
async def test_whatever_is_wrong_with_a_key_is_the_same_authentication_error(scene: Scene, wrong: str) -> None:
    """S-01."""
    gate, calls = scene.gate, len(scene.upstream.requests)
    match wrong:
        case "of no key":
            secret = f"sgk_{'0' * 33}"
        case "of somewhere else":
            secret = "sk-somewhere-else-0123456789abcdef"
        case "expired":
            secret = await gate.create_key(expires_at=time.time() - 1)  # noqa: TID251 - the end of a real key
        case _:
            secret = await gate.create_key()
            await gate.admin_request("POST", f"/keys/{gate.keys[-1]['id']}/revoke", {"reason": "leaked"})
    async with openai_client(gate, secret) as chat, anthropic_client(gate, secret) as claude:
        theirs, ours = await both_raise("AuthenticationError", chat, claude)
    assert (theirs.code, theirs.type) == ("invalid_api_key", "invalid_request_error")
    assert (ours.type, ours.api_message) == ("authentication_error", "The API key is not valid.")
    assert theirs.request_id
    assert ours.request_id
    assert secret not in str(theirs) + str(ours)
    assert len(scene.upstream.requests) == calls


async def test_no_key_at_all_is_an_authentication_error_that_says_how_to_send_one(
    chat: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic
) -> None:
    with pytest.raises(openai.AuthenticationError, match="bearer token") as theirs:
        await ask(chat, extra_headers={"Authorization": openai.Omit()})
    assert theirs.value.code == "missing_api_key"
    with pytest.raises(anthropic.AuthenticationError, match="x-api-key"):
        await ask(claude, extra_headers={"Authorization": anthropic.Omit(), "X-Api-Key": anthropic.Omit()})


async def test_a_model_that_is_not_listed_is_a_not_found_error(
    scene: Scene, chat: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic
) -> None:
    """S-01."""
    theirs, ours = await both_raise("NotFoundError", chat, claude, model="m-larg")
    assert (theirs.code, theirs.param) == ("model_not_found", "model")
    assert ours.type == "not_found_error"
    record = await recorded(scene.gate, theirs, ours)
    assert (record["effect"], record["model"], record["upstream"]) == ("deny", "m-larg", "")


async def test_a_path_that_is_not_served_is_a_not_found_error(
    chat: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic
) -> None:
    with pytest.raises(openai.NotFoundError):
        await chat.files.list()
    with pytest.raises(anthropic.NotFoundError):
        await claude.messages.batches.list()


@pytest.mark.parametrize(
    ("how", "param", "code"),
    [
        ({"messages": []}, "messages", "invalid_request"),
        ({"messages": [{"role": "wizard", "content": "hi"}]}, "messages[0].role", "invalid_request"),
        ({"extra_body": {"max_tokens": "many"}}, "max_tokens", "invalid_request"),
        ({"extra_body": {"api_base": "http://198.51.100.1"}}, "api_base", "unknown_parameter"),
        ({"extra_body": {"previous_response_id": "resp_1"}}, "previous_response_id", "upstream_state"),
        ({"extra_body": {"stream": "yes"}}, "stream", "invalid_request"),
    ],
)
async def test_a_request_that_cannot_be_read_is_a_bad_request_error(
    scene: Scene, chat: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic, how: dict[str, Any], param: str, code: str
) -> None:
    """S-01."""
    calls = len(scene.upstream.requests)
    theirs, ours = await both_raise("BadRequestError", chat, claude, **how)
    assert (theirs.param, theirs.code) == (param, code)
    assert ours.type == "invalid_request_error"
    record = await recorded(scene.gate, theirs, ours)
    assert (record["effect"], record["by"], record["outcome"]) == ("deny", "request", "refused")
    assert len(scene.upstream.requests) == calls


@pytest.mark.parametrize(
    ("how", "status", "anthropic_type"),
    [
        ({"messages": said(70_000)}, 413, "request_too_large"),
        ({"extra_headers": {"Content-Type": "text/plain"}}, 415, "invalid_request_error"),
        ({"extra_headers": {"Content-Encoding": "gzip"}}, 415, "invalid_request_error"),
    ],
)
async def test_a_body_of_the_wrong_size_or_kind_is_a_status_error(
    scene: Scene,
    chat: openai.AsyncOpenAI,
    claude: anthropic.AsyncAnthropic,
    how: dict[str, Any],
    status: int,
    anthropic_type: str,
) -> None:
    theirs, ours = await both_raise("APIStatusError", chat, claude, **how)
    assert (theirs.status_code, ours.type) == (status, anthropic_type)
    await recorded(scene.gate, theirs, ours)


async def test_a_quota_that_says_403_is_a_permission_denied_error_with_the_packs_words(
    scene: Scene, chat: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic
) -> None:
    theirs, ours = await both_raise("PermissionDeniedError", chat, claude, messages=said(20_000))
    assert (theirs.code, theirs.type, ours.type) == ("access_paused", "permission_error", "permission_error")
    assert theirs.body == {**dict(theirs.body or {}), "message": f"Paused (ref {theirs.request_id})."}  # type: ignore[call-overload]
    record = await recorded(scene.gate, theirs, ours)
    assert (record["effect"], record["by"], record["code"]) == ("deny", "paused", "access_paused")


async def test_a_quota_of_a_short_window_is_a_rate_limit_error_that_says_when_to_come_back(
    scene: Scene, chat: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic
) -> None:
    """Q-17, S-01."""
    await ask(chat, model="m-dear", max_tokens=8)
    theirs, ours = await both_raise("RateLimitError", chat, claude, model="m-dear", max_tokens=9)
    assert (theirs.code, theirs.type, ours.type) == ("rate_limit_exceeded", "rate_limit_error", "rate_limit_error")
    for error in (theirs, ours):
        assert 1 <= int(error.response.headers["retry-after"]) <= 3
        assert "x-should-retry" not in error.response.headers
    record = await recorded(scene.gate, theirs, ours)
    assert (record["effect"], record["by"], record["outcome"]) == ("deny", "burst", "refused")


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_is_left_of_a_limit_is_in_the_headers_that_a_client_shows(
    chat: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic, streamed: bool
) -> None:
    """Q-16, S-06: of each measure the tightest of his own; what a quota on dollars says stays here."""
    how: Any = {"model": "m-large", "messages": said(30), "max_tokens": 16, "stream": streamed}
    theirs = (await chat.chat.completions.with_raw_response.create(**how)).headers
    ours = (await claude.messages.with_raw_response.create(**how)).headers
    assert theirs["x-ratelimit-limit-tokens"] == "5000"  # the least share left: of what it reads
    assert 4_900 < int(theirs["x-ratelimit-remaining-tokens"]) < 5_000
    assert re.fullmatch(r"1h0m[0-9]+s|1h1m0s", theirs["x-ratelimit-reset-tokens"])
    for name, most in (("input-tokens", 5_000), ("output-tokens", 50_000)):
        told = {which: ours[f"anthropic-ratelimit-{name}-{which}"] for which in ("limit", "remaining", "reset")}
        assert (int(told["limit"]), most - 100 < int(told["remaining"]) < most) == (most, True)
        assert re.fullmatch(r"20[0-9-]{8}T[0-9:]{8}Z", told["reset"])
    for headers in (theirs, ours):
        policies, left = (dict(read_list(headers[name])) for name in ("ratelimit-policy", "ratelimit"))
        assert policies == {
            "input-tokens": {"q": 5_000, "qu": "tokens", "w": 3_600},
            "output-tokens": {"q": 50_000, "qu": "tokens", "w": 86_400},
        }
        assert [0 < int(left[name]["r"]) < int(policies[name]["q"]) for name in policies] == [True, True]


async def test_a_client_that_retries_as_it_was_told_is_served(scene: Scene, key: str) -> None:
    """Q-10, Q-16, S-01: and what was refused meanwhile is not charged."""
    other = await scene.gate.create_key(account="retrying", tenant="retrying")
    async with (
        openai_client(scene.gate, key, max_retries=2) as chat,
        anthropic_client(scene.gate, other, max_retries=2) as claude,
    ):

        async def twice(client: Client) -> list[dict[str, Any]]:
            answers = [await ask(client, model="m-dear", max_tokens=9) for _ in range(2)]
            return [await record_of(scene.gate, answer._request_id) for answer in answers]

        for first, second in await asyncio.gather(twice(chat), twice(claude)):
            assert [first["status"], second["status"]] == [200, 200]
            refused = [
                record
                for record in scene.gate.records("exchange")
                if record["key"] == first["key"] and record["status"] == 429
            ]
            assert 1 <= len(refused) <= 2
            assert [record["settled"] for record in refused] == [{}] * len(refused)


async def test_a_quota_of_a_day_is_a_rate_limit_error_that_a_client_does_not_retry(scene: Scene, key: str) -> None:
    """Q-17, S-01."""
    usage = {"prompt_tokens": 1, "completion_tokens": 49_990, "total_tokens": 49_991}
    choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    answer = {"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage}
    scene.upstream.script(json_answer(200, answer))
    async with (
        openai_client(scene.gate, key, max_retries=2) as chat,
        anthropic_client(scene.gate, key, max_retries=2) as claude,
    ):
        first = await record_of(scene.gate, (await ask(chat, model="m-long", max_tokens=49_990))._request_id)
        theirs, ours = await both_raise("RateLimitError", chat, claude)
    assert (theirs.code, theirs.type, ours.type) == ("insufficient_quota", "insufficient_quota", "rate_limit_error")
    assert [error.response.headers["x-should-retry"] for error in (theirs, ours)] == ["false", "false"]
    record = await recorded(scene.gate, theirs, ours)
    assert record["by"] == "daily"
    mine = [record for record in scene.gate.records("exchange") if record["key"] == first["key"]]
    assert [record["status"] for record in mine] == [200, 429, 429]


async def test_what_was_answered_before_is_a_conflict_that_a_client_does_not_retry(scene: Scene, key: str) -> None:
    """Q-10, S-01."""
    same: dict[str, Any] = {"extra_headers": {"Idempotency-Key": "order-1"}}
    other = await scene.gate.create_key(account="another", tenant="another")
    async with (
        openai_client(scene.gate, key, max_retries=2) as chat,
        anthropic_client(scene.gate, other, max_retries=2) as claude,
    ):
        clients: tuple[Client, ...] = (chat, claude)
        for client in clients:
            await ask(client, **same)
        calls = len(scene.upstream.requests)
        theirs, ours = await both_raise("ConflictError", chat, claude, **same)
    assert (theirs.code, len(scene.upstream.requests)) == ("idempotency_key_answered", calls)
    assert [error.response.headers["x-should-retry"] for error in (theirs, ours)] == ["false", "false"]
    assert (await recorded(scene.gate, theirs, ours))["code"] == "idempotency_key_answered"


async def test_an_image_of_too_many_pixels_is_the_error_that_says_which(
    scene: Scene, claude: anthropic.AsyncAnthropic
) -> None:
    place = "messages.0.content.1"
    details = {"error_code": "image_dimensions_too_large", "max_side_length_pixels": 8, "paths": [place]}
    error = {"type": "invalid_request_error", "message": "too large", "details": details}
    scene.upstream.script(json_answer(400, {"type": "error", "error": error}))
    with pytest.raises(ImageDimensionsTooLargeError, match="too large") as raised:
        await ask(claude)
    assert (raised.value.details.paths, raised.value.details.max_side_length_pixels) == ([place], 8)
