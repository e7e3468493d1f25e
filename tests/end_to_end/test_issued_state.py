"""What one tenant's answers left at the upstream, another tenant cannot reach (G-18), over two workers and a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
import pytest_asyncio

from tests.end_to_end.customers import openai_client, record_of
from tests.end_to_end.scene import Scene, staged
from tests.rig.process import Stillgate
from tests.rig.raw_client import post
from tests.rig.scripted_upstream import event, json_answer, sse_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")
RESPONSES = "/v1/responses"
RESPONSE = "resp_0123456789"
MESSAGE = "msg_0123456789"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    settings = {"workers": 2, "public_ids": ["pmpt_public", "file-public"], "allow_betas": ["a-2026-01-01", "b.2"]}
    async with staged(tmp_path_factory.mktemp("state"), settings) as scene:
        yield scene
        await scene.at_peace()


class Customer:
    """One account."""

    def __init__(self, scene: Scene, secret: str) -> None:
        self.scene, self.secret = scene, secret

    @classmethod
    async def of(cls, scene: Scene, account: str, tenant: str) -> Customer:
        return cls(scene, await scene.gate.create_key(account=account, tenant=tenant))

    async def ask(self, **members: Any) -> Any:
        raw = post(
            RESPONSES, {"model": "m-large", "input": "hi", **members}, [("Authorization", f"Bearer {self.secret}")]
        )
        return await self.scene.ask(raw, accepted=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(scene: Scene) -> Customer:
    return await Customer.of(scene, "ada", "acme")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def colleague(scene: Scene) -> Customer:
    return await Customer.of(scene, "grace", "acme")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def eve(scene: Scene) -> Customer:
    return await Customer.of(scene, "eve", "elsewhere")


def answered(**members: Any) -> dict[str, Any]:
    part = {"type": "output_text", "text": "yes", "annotations": []}
    item = {"id": MESSAGE, "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    head = {"id": RESPONSE, "object": "response", "status": "completed", "model": "m-large"}
    return {**head, "output": [item], "usage": usage, **members}


async def ids_given_to(customer: Customer, *, streamed: bool) -> tuple[str, str]:
    """Return the ids of a response and of its message as the client reads them."""
    if not streamed:
        customer.scene.upstream.script(json_answer(200, answered()))
        document = (await customer.ask()).json()
        return document["id"], document["output"][0]["id"]
    at = {"output_index": 0, "content_index": 0, "item_id": MESSAGE}
    events = [
        {"type": "response.created", "response": {**answered(output=[], usage=None), "status": "in_progress"}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**answered()["output"][0], "content": []}},
        {"type": "response.output_text.delta", **at, "delta": "yes", "logprobs": []},
        {"type": "response.completed", "response": answered()},
    ]
    customer.scene.upstream.script(sse_answer(map(event, events)))
    body = (await customer.ask(stream=True)).body.decode()
    response = body.partition('"id": "')[2].partition('"')[0]
    message = body.partition('"item_id": "')[2].partition('"')[0]
    assert body.count(f'"{response}"') == 2
    assert f'"{RESPONSE}"' not in body
    assert f'"{MESSAGE}"' not in body
    return response, message


def naming(response: str, message: str) -> list[dict[str, Any]]:
    """Return requests that name what is kept."""
    return [
        {"previous_response_id": response},
        {"input": [{"type": "item_reference", "id": message}]},
        {"input": [{"type": "reasoning", "id": message, "summary": []}]},
    ]


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_a_tenant_was_given_it_can_go_on_from(
    scene: Scene, ada: Customer, colleague: Customer, streamed: bool
) -> None:
    response, message = await ids_given_to(ada, streamed=streamed)
    for customer in (ada, colleague):
        for members in naming(response, message):
            scene.upstream.script(json_answer(200, answered(previous_response_id=RESPONSE)))
            reply = await customer.ask(**members)
            assert reply.status == 200
            assert reply.json()["previous_response_id"] == response
            sent = scene.upstream.requests[-1].json()
            assert sent.get("previous_response_id", RESPONSE) == RESPONSE
            assert sent["input"] == "hi" or sent["input"][0]["id"] == MESSAGE


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_another_tenant_was_given_is_as_if_it_were_not_there(
    scene: Scene, ada: Customer, eve: Customer, streamed: bool
) -> None:
    given = await ids_given_to(ada, streamed=streamed)
    never = (RESPONSE.replace("1", "9") + given[0][-23:], MESSAGE.replace("1", "9") + given[1][-23:])
    calls = scene.calls
    for foreign, unknown, bare in zip(naming(*given), naming(*never), naming(RESPONSE, MESSAGE), strict=True):
        errors = []
        for members in (foreign, unknown, bare):
            reply = await eve.ask(**members)
            record = await record_of(scene.gate, reply.header("x-request-id"))
            assert (reply.status, record["effect"], record["by"]) == (400, "deny", "request")
            error = reply.json()["error"]
            errors.append({**error, "message": error["message"].partition("'")[0]})
        assert errors[0] == errors[1] == errors[2]
    assert scene.calls == calls, "nothing of it went upstream"


async def test_files_conversations_and_prompts_are_nobodys_unless_they_are_public(scene: Scene, ada: Customer) -> None:
    def part(file: str) -> list[dict[str, Any]]:
        return [{"role": "user", "content": [{"type": "input_file", "file_id": file}]}]

    for members in (
        {"input": part("file-public")},
        {"prompt": {"id": "pmpt_public"}},
    ):
        scene.upstream.script(json_answer(200, answered()))
        assert (await ada.ask(**members)).status == 200
        assert {**scene.upstream.requests[-1].json(), **members} == scene.upstream.requests[-1].json()
    calls = scene.calls
    refused: list[dict[str, Any]] = [
        {"input": part("file-other")},
        {"prompt": {"id": "pmpt_other"}},
        {"conversation": "conv_1"},
        {"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]},
        {"tools": [{"type": "code_interpreter", "container": "cntr_1"}]},
    ]
    for members in refused:
        assert (await ada.ask(**members)).status == 400
    assert scene.calls == calls


async def test_a_conversation_survives_a_restart(tmp_path: Path) -> None:
    settings = {"models": None}
    async with Stillgate.start(tmp_path, settings, upstream_url=None) as gate:
        key = await gate.create_key()
        async with openai_client(gate, key) as client:
            given = (await client.responses.create(model="standin-large", input="hi")).id
    async with Stillgate.start(tmp_path, settings, upstream_url=None) as gate, openai_client(gate, key) as client:
        # The stand-in has forgotten it, and says so: our own refusal would not name the upstream's id.
        with pytest.raises(openai.BadRequestError) as forgotten:
            await client.responses.create(model="standin-large", input="hi", previous_response_id=given)
    assert forgotten.value.code == "previous_response_not_found"
    assert f"'{given[:-23]}'" in forgotten.value.message


async def test_betas_go_on_as_far_as_the_settings_allow_them(scene: Scene, ada: Customer) -> None:
    """B-04: what a client turns on of the upstream is what the operator lets him, however often he names it."""
    named = [("anthropic-beta", "files-api, a-2026-01-01,a-2026-01-01"), ("Anthropic-Beta", " b.2 ,mcp-client, B.2,")]
    for path, expected in (("/v1/messages", "a-2026-01-01,b.2"), ("/v1/chat/completions", None)):
        raw = post(
            path,
            {"model": "m-large", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
            [("Authorization", f"Bearer {ada.secret}"), *named],
        )
        await scene.ask(raw, accepted=True)
        assert scene.upstream.requests[-1].header("anthropic-beta") == expected
