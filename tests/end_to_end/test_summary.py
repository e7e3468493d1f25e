"""Withheld reasoning summed up by a helper model in a running proxy: what goes where, what waits, and what a failure costs."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio
from openai.types.responses import Response as OpenAIResponse
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from proxy.keyed.sealed_reasoning import PREFIX
from tests.end_to_end.customers import HELLO, anthropic_client, openai_client, record_of
from tests.end_to_end.scene import CHAT, MESSAGES, Scene, staged
from tests.end_to_end.thinkers import RESPONSES, SEAL, SECRET, THINKING, THOUGHT, events, script, thinking_of
from tests.rig.raw_client import Response, post
from tests.rig.scripted_upstream import Pause, Script, ScriptedUpstream, json_answer, sse_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")
SUMMARY = "It counted the steps."
FORMS = [(path, stream) for path in (CHAT, MESSAGES, RESPONSES) for stream in (True, False)]
IDS = [f"{path}-{'stream' if stream else 'document'}" for path, stream in FORMS]


def pack(within: str) -> dict[str, Any]:
    summary = {"model": "m-helper", "within": within, "tokens": 40}
    return {
        "apiVersion": "stillgate/v1",
        "kind": "PolicyPack",
        "metadata": {"name": "summary", "version": "1.0.0", "owner": "tests"},
        "defaults": {"mode": "enforce"},
        "rules": [
            {
                "id": "free",
                "when": {"account.plan": "free"},
                "flag": {"name": "free", "on": "account", "score": 60, "ttl": "1d"},
            }
        ],
        "ladder": [{"rung": "withhold", "score": 60, "do": [{"withhold": {"reasoning": True, "summary": summary}}]}],
    }


@dataclass
class Stage:
    """A proxy with its upstream, and the helper behind another one; `flagged` and `plain` are keys of one organisation."""

    scene: Scene
    helper: ScriptedUpstream
    flagged: str
    plain: str


@asynccontextmanager
async def prepared(
    folder: Path, within: str, *, limits: Mapping[str, Any] | None = None, **upstream: Any
) -> AsyncIterator[Stage]:
    async with ScriptedUpstream() as helper:
        settings = {
            "upstreams": {"default": upstream, "cheap": {"url": helper.url, "credential_file": "upstream.key"}},
            "models": {"m-helper": {"upstream": "cheap"}},
            "limits": limits or {},
        }
        async with staged(folder, settings, pack=pack(within)) as scene:
            flagged = await scene.gate.create_key(account="flagged", tenant="acme", plan="free")
            plain = await scene.gate.create_key(account="plain", tenant="acme", plan="pro")
            yield Stage(scene, helper, flagged, plain)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with prepared(tmp_path_factory.mktemp("summary"), "1500ms") as stage:
        yield stage


def request(stage: Stage, path: str, *, stream: bool, key: str = "") -> bytes:
    asked = {"max_output_tokens": 99, "input": HELLO} if path == RESPONSES else {"max_tokens": 99, "messages": HELLO}
    body = {"model": "m-large", **asked, "stream": stream}
    secret = key or stage.flagged
    head = [("x-api-key", secret)] if path == MESSAGES else [("Authorization", f"Bearer {secret}")]
    return post(path, body, head)


def help_with(text: str, tokens: int = 6) -> Script:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json_answer(200, {"choices": [choice], "usage": {"prompt_tokens": 50, "completion_tokens": tokens}})


async def ask(stage: Stage, path: str, *, stream: bool) -> tuple[Response, dict[str, Any]]:
    stage.scene.upstream.script(script(path, stream=stream))
    dialect: Any = "anthropic" if path == MESSAGES else "openai"
    answer = await stage.scene.ask(request(stage, path, stream=stream), accepted=True, dialect=dialect)
    record = await record_of(stage.scene.gate, answer.header("x-request-id") or answer.header("request-id"))
    return answer, record


def assert_nowhere(stage: Stage, *raw: bytes) -> None:
    """Assert that no piece of the reasoning stands in what clients got, nor in anything that was written down."""
    folder = stage.scene.gate.folder
    written = [path.read_bytes() for path in folder.rglob("*.jsonl")] + [
        path.read_bytes() for path in folder.glob("*.log")
    ]
    assert written
    for place in (*raw, *written):
        for canary in (SECRET, SEAL):
            assert not [at for at in range(len(canary) - 11) if canary[at : at + 12].encode() in place]


@pytest.mark.parametrize(("path", "stream"), FORMS, ids=IDS)
async def test_the_answer_has_the_summary_and_the_record_what_it_took(stage: Stage, path: str, *, stream: bool) -> None:
    before, asked = await stage.scene.gate.metrics(), len(stage.helper.requests)
    stage.helper.script(help_with(SUMMARY))
    answer, record = await ask(stage, path, stream=stream)
    assert thinking_of(path, answer, stream=stream) == SUMMARY
    assert b"Four." in answer.body
    sent = stage.helper.requests[asked].json()
    assert (sent["model"], sent["messages"][-1]) == ("m-helper", {"role": "user", "content": SECRET})
    assert "authorization" in {name.lower() for name, _ in stage.helper.requests[asked].headers}
    assert record["helper"] == {"made": 1, "input": 50, "output": 6}
    assert (record["effect"], record["actions"], record["model_used"]) == ("degrade", ["withhold"], "m-large")
    assert record["usage"]["output"] < 50, "the helper's tokens are not the caller's"
    after = await stage.scene.gate.metrics()
    made = 'stillgate_helper_calls_total{model="m-helper",result="made"}'
    taken = 'stillgate_helper_tokens_total{direction="input",model="m-helper"}'
    assert [after[name] - before.get(name, 0) for name in (made, taken)] == [1, 50]
    assert_nowhere(stage, answer.raw)
    await stage.scene.at_peace()


FAILURES: dict[str, tuple[Script, str]] = {
    "late": ((Pause(3600),), "late"),
    "an error": (json_answer(500, {"error": {"message": SECRET}}), "failed"),
    "too long": (help_with("word " * 200), "too_long"),
    "cut off": (help_with("It coun", tokens=40), "too_long"),
}


@pytest.mark.parametrize("what", FAILURES)
@pytest.mark.parametrize(("path", "stream"), FORMS, ids=IDS)
async def test_without_a_summary_the_reasoning_is_withheld_and_the_record_says_why(
    stage: Stage, path: str, what: str, *, stream: bool
) -> None:
    helped, result = FAILURES[what]
    stage.helper.script(helped)
    answer, record = await ask(stage, path, stream=stream)
    assert (answer.status, thinking_of(path, answer, stream=stream)) == (200, "")
    assert b"Four." in answer.body
    assert (PREFIX.encode() in answer.body) is (path != CHAT)
    assert record["helper"][result] == 1
    assert record["outcome"] == "answered"
    assert_nowhere(stage, answer.raw)
    stage.helper.script(help_with(SUMMARY))  # so that the next failure is not the fifth on end
    answer, _ = await ask(stage, path, stream=stream)
    assert thinking_of(path, answer, stream=stream) == SUMMARY
    await stage.scene.at_peace()


@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES])
async def test_only_what_comes_after_the_reasoning_waits_for_its_summary(stage: Stage, path: str) -> None:
    """The helper is let go only once the stream has begun and another customer was answered."""
    go_on, asked = asyncio.Event(), len(stage.helper.requests)
    stage.helper.script((Pause(go_on), *help_with(SUMMARY)))
    stage.scene.upstream.script(script(path, stream=True))
    async with await stage.scene.connect() as client:
        await client.send(request(stage, path, stream=True))
        assert (await client.head()).status == 200
        begun = await client.chunk()
        assert (b"response.created" if path == RESPONSES else b"assistant") in begun
        await stage.helper.wait_for_requests(asked + 1)
        stage.scene.upstream.script(script(CHAT, stream=False))
        other = await stage.scene.ask(request(stage, CHAT, stream=False, key=stage.plain), accepted=True)
        assert SECRET in other.body.decode()
        go_on.set()
        rest = b""
        while piece := await client.chunk():
            rest += piece
    assert rest.index(SUMMARY.encode()) < rest.index(b"Four.")
    assert_nowhere(stage, begun, rest)
    await stage.scene.at_peace()


async def test_a_client_that_leaves_ends_the_question_too(stage: Stage) -> None:
    """P4."""
    asked = len(stage.helper.requests)
    stage.helper.script((Pause(3600),))
    stage.scene.upstream.script((*sse_answer(events(CHAT), end=False), Pause(3600)))
    calls = stage.scene.calls
    async with await stage.scene.connect() as client:
        await client.send(request(stage, CHAT, stream=True))
        sent = (await stage.scene.upstream.wait_for_requests(calls + 1))[-1]
        question = (await stage.helper.wait_for_requests(asked + 1))[-1]
    await stage.helper.wait_closed(question.connection, within=1.0)
    await stage.scene.upstream.wait_closed(sent.connection, within=1.0)
    await stage.scene.goes_on()


@pytest.mark.parametrize("stream", [True, False])
async def test_the_official_client_reads_the_summary_and_returns_the_original_block(
    stage: Stage, *, stream: bool
) -> None:
    stage.helper.script(help_with(SUMMARY))
    stage.scene.upstream.script(script(MESSAGES, stream=stream))
    how: Any = {"model": "m-large", "max_tokens": 99}
    async with anthropic_client(stage.scene.gate, stage.flagged) as client:
        message = await _message(client, stream=stream, **how, messages=HELLO)
        assert (message.content[0].type, message.content[0].thinking) == ("thinking", SUMMARY)
        assert message.content[0].signature.startswith(PREFIX)
        turn = {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in message.content]}
        await _message(client, stream=False, **how, messages=[*HELLO, turn, *HELLO])
        assert stage.scene.upstream.requests[-1].json()["messages"][1]["content"][0] == THINKING
        turn["content"][0]["signature"] = PREFIX + "Zm9yZ2Vk"
        with pytest.raises(anthropic.BadRequestError, match="signature"):
            await _message(client, stream=False, **how, messages=[*HELLO, turn, *HELLO])


async def _message(client: anthropic.AsyncAnthropic, *, stream: bool, **how: Any) -> Any:
    if not stream:
        return await client.messages.create(**how)
    async with client.messages.stream(**how) as events:
        return await events.get_final_message()


@pytest.mark.parametrize("stream", [True, False])
async def test_the_official_client_reads_the_summary_of_a_response_and_returns_the_original_item(
    stage: Stage, *, stream: bool
) -> None:
    """What it reads is held against its own types, since it takes what does not fit them as well."""
    stage.helper.script(help_with(SUMMARY))
    stage.scene.upstream.script(script(RESPONSES, stream=stream))
    async with openai_client(stage.scene.gate, stage.flagged) as client:
        if stream:
            async with client.responses.stream(model="m-large", input=HELLO) as read:
                told = [each async for each in read]
                final: Any = await read.get_final_response()
            fits = TypeAdapter[Any](ResponseStreamEvent).validate_python
            kinds = [fits(each.model_dump(warnings=False)).type for each in told if "output_text" not in each.type]
            at = kinds.index("response.reasoning_summary_part.added")
            assert [kind.rpartition("_")[2] for kind in kinds[at - 1 : at + 5]] == [
                "item.added", "part.added", "text.delta", "text.done", "part.done", "item.done"
            ]  # fmt: skip
            assert [each.sequence_number for each in told] == list(range(len(told)))
        else:
            final = await client.responses.create(model="m-large", input=HELLO)
        OpenAIResponse.model_validate(final.model_dump(warnings=False))
        [thought, said] = final.output
        assert [part.text for part in thought.summary] == [SUMMARY]
        assert (thought.content, thought.encrypted_content.partition(".")[0]) == (None, PREFIX[:-1])
        assert final.output_text == "Four."
        stage.scene.upstream.script(script(RESPONSES, stream=False))
        turn = [each.model_dump(exclude_none=True) for each in (thought, said)]
        await client.responses.create(model="m-large", input=[*HELLO, *turn, *HELLO])
        assert stage.scene.upstream.requests[-1].json()["input"][1] == THOUGHT
        turn[0]["encrypted_content"] = PREFIX + "Zm9yZ2Vk"
        with pytest.raises(openai.BadRequestError, match="encrypted_content"):
            await client.responses.create(model="m-large", input=[*HELLO, *turn, *HELLO])


async def test_no_answer_is_cut_for_the_time_that_its_summary_takes(tmp_path: Path) -> None:
    async with prepared(tmp_path, "20s", total_seconds=1) as stage:
        stage.helper.script(
            (Pause(2.5), *help_with(SUMMARY))
        )  # longer than an exchange may take, and a look at the clock
        answer, record = await ask(stage, CHAT, stream=True)
        assert thinking_of(CHAT, answer, stream=True) == SUMMARY
        assert record["outcome"] == "answered"


async def test_a_shutdown_ends_an_answer_that_waits_for_its_summary(tmp_path: Path) -> None:
    """P5, L-01."""
    async with prepared(tmp_path, "20s", limits={"drain_seconds": 0.5}) as stage:
        gate = stage.scene.gate
        stage.helper.script((Pause(3600),))
        stage.scene.upstream.script(script(CHAT, stream=True))
        async with await stage.scene.connect() as client:
            await client.send(request(stage, CHAT, stream=True))
            assert (await client.head()).status == 200
            await stage.helper.wait_for_requests(1)
            os.kill(gate.pid, signal.SIGTERM)
            rest = await client.to_end()
        assert b"shutting down" in rest
        assert rest.endswith(b"0\r\n\r\n")
        assert await gate.exit_code() == 0
        (record,) = gate.records("exchange")
        assert (record["outcome"], record["effect"], record["helper"]) == ("shutdown", "degrade", {})
        assert_nowhere(stage, rest)
