"""A call that is sent again with its `Idempotency-Key`, from every API and in every form: Q-10.

One proxy serves the file. What the official clients make of it is in `test_sdk_errors`.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.end_to_end.customers import record_of
from tests.end_to_end.scene import Scene, staged
from tests.rig.raw_client import Response, post
from tests.rig.scripted_upstream import Pause, Script, html_answer, sse_answer
from tests.rig.speech import CHAT, FORM_NAMES, FORMS, MESSAGES, Speech

pytestmark = pytest.mark.asyncio(loop_scope="module")
CUSTOMER = "canary-idempotency-"
by_form = pytest.mark.parametrize(("speech", "streamed"), FORMS, ids=FORM_NAMES)
in_both = pytest.mark.parametrize("speech", [CHAT, MESSAGES], ids=["openai", "anthropic"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("idempotency")) as scene:
        yield scene
        await scene.at_peace()
        kept = [file for file in scene.gate.folder.rglob("*") if file.is_file()]
        assert not [file for file in kept if CUSTOMER.encode() in file.read_bytes()], "a key of a client was kept"


def new_key() -> str:
    return CUSTOMER + secrets.token_hex(8)


def written(scene: Scene, speech: Speech, *keys: str, text: str = "hi", **members: Any) -> bytes:
    named = [("Idempotency-Key", key) for key in keys]
    return post(speech.path, {**speech.ask(text), **members}, [*speech.headers(scene.key), *named])


async def ask(scene: Scene, speech: Speech, *keys: str, **how: Any) -> Response:
    return await scene.ask(written(scene, speech, *keys, **how), accepted=True, dialect=speech.family)


def refused(answer: Response, status: int, code: str, speech: Speech, *, retry: bool) -> None:
    """Require an error of this code where the dialect has codes, and that the official clients act as they should."""
    error = answer.json()["error"]
    assert (answer.status, error["type"]) == (status, "invalid_request_error"), answer
    assert speech.family == "anthropic" or error["code"] == code
    assert ("Idempotency-Key" in error["message"], CUSTOMER in error["message"]) == (True, False)
    if retry:
        assert (int(answer.header("retry-after") or 0) > 0, answer.header("x-should-retry")) == (True, None)
    elif status == 409:
        assert (answer.header("retry-after"), answer.header("x-should-retry")) == (None, "false")


async def charged(scene: Scene, speech: Speech, answer: Response) -> int:
    """Return the units that an exchange was charged; the place that it had among those at once is no charge."""
    settled = (await record_of(scene.gate, answer.header(speech.request_id)))["settled"]
    return sum(units for measure, units in settled.items() if measure != "concurrency")


@by_form
async def test_a_call_that_was_answered_is_charged_once_and_not_sent_again(
    scene: Scene, speech: Speech, *, streamed: bool
) -> None:
    how: dict[str, Any] = {"stream": True} if streamed else {}
    key, calls = new_key(), scene.calls
    answered = await ask(scene, speech, key, **how)
    assert (answered.status, scene.calls) == (200, calls + 1)
    assert await charged(scene, speech, answered) > 0
    for members, code in ((how, "idempotency_key_answered"), ({**how, "text": "hello"}, "idempotency_key_reused")):
        answer = await until_it_ended(scene, speech, key, **members)
        refused(answer, 409, code, speech, retry=False)
        record = await record_of(scene.gate, answer.header(speech.request_id))
        assert (record["effect"], record["by"], record["code"]) == ("deny", "request", code)
        assert await charged(scene, speech, answer) == 0
    assert scene.calls == calls + 1
    assert scene.upstream.requests[-1].header("idempotency-key") is None
    spaced = json.dumps({**speech.ask("hi"), **how}, indent=1).encode().replace(b'"model"', rb'"\u006dodel"')
    same = post(speech.path, spaced, [*speech.headers(scene.key), ("Idempotency-Key", key)])
    said = await scene.ask(same, accepted=True, dialect=speech.family)
    refused(said, 409, "idempotency_key_answered", speech, retry=False)
    assert scene.calls == calls + 1
    for again in ([], [new_key()]):
        assert (await ask(scene, speech, *again, **how)).status == 200
    assert scene.calls == calls + 3


async def until_it_ended(scene: Scene, speech: Speech, key: str, **members: Any) -> Response:
    """Ask until the store was told how the first one ended, which it is a moment after the answer."""
    async with asyncio.timeout(5):
        while (answer := await ask(scene, speech, key, **members)).status == 409 and answer.header("retry-after"):
            await asyncio.sleep(0.01)
    return answer


def held(speech: Speech, until: asyncio.Event) -> Script:
    """Begin a stream, and go on with it once an event was set."""
    assert speech.events is not None
    head, *pieces = sse_answer(speech.events(["Hel", "lo"], "m-large", (11, 7)))
    return (head, pieces[0], Pause(until), *pieces[1:])


@in_both
async def test_while_a_call_runs_it_is_not_run_again(scene: Scene, speech: Speech) -> None:
    key, calls, go_on = new_key(), scene.calls, asyncio.Event()
    scene.upstream.script(held(speech, go_on))
    scene.upstream.reported.append((11, 7))
    first = asyncio.create_task(ask(scene, speech, key, stream=True))
    await scene.upstream.wait_for_requests(calls + 1)
    refused(await ask(scene, speech, key, stream=True), 409, "idempotency_key_in_use", speech, retry=True)
    refused(await ask(scene, speech, key), 409, "idempotency_key_reused", speech, retry=False)
    go_on.set()
    assert ((await first).status, scene.calls) == (200, calls + 1)
    again = await until_it_ended(scene, speech, key, stream=True)
    refused(again, 409, "idempotency_key_answered", speech, retry=False)


@in_both
async def test_a_call_that_its_client_left_runs_as_if_new(scene: Scene, speech: Speech) -> None:
    key, calls = new_key(), scene.calls
    scene.upstream.script(held(speech, asyncio.Event()))
    async with await scene.connect() as client:
        await client.send(written(scene, speech, key, stream=True))
        await scene.upstream.wait_for_requests(calls + 1)
        client.reset()
    again = await until_it_ended(scene, speech, key, stream=True)
    assert (again.status, scene.calls, await charged(scene, speech, again) > 0) == (200, calls + 2, True)


@by_form
async def test_a_call_that_failed_or_was_refused_runs_as_if_new(
    scene: Scene, speech: Speech, *, streamed: bool
) -> None:
    how: dict[str, Any] = {"stream": True} if streamed else {}
    key, calls = new_key(), scene.calls
    assert (await ask(scene, speech, key, **how, model="m-none")).status == 404
    scene.upstream.script(html_answer(500))
    assert (await ask(scene, speech, key, **how)).status == 500
    again = await until_it_ended(scene, speech, key, **how)
    assert (again.status, scene.calls, await charged(scene, speech, again) > 0) == (200, calls + 2, True)


@in_both
async def test_what_is_no_key_is_refused_before_the_body_is_read(scene: Scene, speech: Speech) -> None:
    calls = scene.calls
    for keys in (["a b"], ["a" * 256], [""], ["same", "same"]):
        refused(await ask(scene, speech, *keys), 400, "invalid_idempotency_key", speech, retry=False)
    assert scene.calls == calls
