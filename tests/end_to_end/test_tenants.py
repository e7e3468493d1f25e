"""Many tenants at once, whose connections come and go: each gets its own answers and nobody else's (G-13)."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio

from tests.end_to_end.scene import Scene, chat, staged
from tests.rig.raw_client import Response, post
from tests.rig.scripted_upstream import Recorded, Script, ScriptedUpstream, json_answer, sse_answer
from tests.rig.speech import CHAT, MESSAGES, Speech

pytestmark = pytest.mark.asyncio(loop_scope="module")
TENANTS = 200
KEYS_AT_ONCE = asyncio.Semaphore(32)  # a Unix socket refuses whom its queue has no room for


def echo(upstream: ScriptedUpstream, asked: Recorded) -> Script:
    """Answer with what was asked, and with a cookie and headers that name whom the answer is for."""
    speech = CHAT if asked.target == CHAT.path else MESSAGES
    document = asked.json()
    text = document["messages"][-1]["content"]
    upstream.reported.append((3, 2))
    theirs = [("Set-Cookie", f"session={text}"), ("X-Request-Id", text), ("openai-organization", text)]
    if document.get("stream") and speech.events is not None:
        return sse_answer(speech.events([text[:5], text[5:]], "m-large", (3, 2)), headers=theirs)
    return json_answer(200, speech.document(text, "m-large", (3, 2)), theirs)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    settings = {"upstreams": {"default": {"connections": 32}}}  # so that tenants take turns on them
    async with staged(tmp_path_factory.mktemp("tenants"), settings) as scene:
        scene.upstream.default = partial(echo, scene.upstream)
        yield scene
        del scene.gate.keys[8:]  # to look for those of all in all that went upstream takes seconds
        await scene.at_peace()


async def customer(scene: Scene, number: int, turns: int) -> int:
    """Ask again and again as one tenant, and leave now and then in the middle; return how many answers came."""
    dice = random.Random(number)
    async with KEYS_AT_ONCE:
        secret = await scene.gate.create_key(account=f"account-{number}", tenant=f"tenant-{number}")
    got = turn = 0
    while turn < turns:
        async with await scene.connect(60) as client:
            while turn < turns:
                turn += 1
                text = f"mark-{number}-{turn}-{'x' * dice.randrange(2000)}"
                await client.send(asked(dice.choice([CHAT, MESSAGES]), text, secret, stream=dice.random() < 0.5))
                if dice.random() < 0.1:
                    await asyncio.sleep(dice.random() / 100)  # somewhere on the way
                    client.reset()
                    break
                got += judge(await client.response(), number, turn)
    return got


def asked(speech: Speech, text: str, secret: str, *, stream: bool) -> bytes:
    said = [{"role": "user", "content": text}]
    return post(speech.path, chat(messages=said, stream=stream), [("Authorization", f"Bearer {secret}")])


def judge(answer: Response, number: int, turn: int) -> bool:
    """Require this turn's own answer, or 503 from a machine that is too busy for its store; return whether it came."""
    if answer.status == 503:
        assert b"mark-" not in answer.raw, answer
        return False
    assert answer.status == 200, answer
    told = set(re.findall(rb"(?:mark-|^|\W)(1\d{3}-\d+)-", answer.raw))
    assert told == {f"{number}-{turn}".encode()}, answer
    assert b"session=" not in answer.raw
    return True


async def play(scene: Scene, turns: int) -> int:
    return sum(await asyncio.gather(*(customer(scene, 1000 + number, turns) for number in range(TENANTS))))


async def test_nobody_gets_what_is_another_tenants(scene: Scene) -> None:
    assert await play(scene, 5) > 700


@pytest.mark.soak
async def test_nobody_gets_what_is_another_tenants_in_50_000_answers(scene: Scene) -> None:
    assert await play(scene, 300) > 50_000
