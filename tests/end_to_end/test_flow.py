"""A stream's events reach the client as they come: each on its own, at once, before the next one is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from statistics import quantiles
from time import perf_counter

import pytest
import pytest_asyncio

from tests.end_to_end.scene import Scene, staged
from tests.rig.raw_client import chunk, post
from tests.rig.scripted_upstream import Pause, Send, http
from tests.rig.speech import CHAT, MESSAGES, RESPONSES, Speech

pytestmark = pytest.mark.asyncio(loop_scope="module")
EVENTS = [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")]
SPEECHES = [CHAT, MESSAGES, RESPONSES]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("flow")) as scene:
        yield scene
        await scene.at_peace()


async def delays(scene: Scene, speech: Speech, count: int) -> list[float]:
    """Return how long each event took from the upstream to the client, in seconds.

    The upstream sends an event only once the client has the one before: one that was held back would never come.
    """
    texts = [f"word-{number} " for number in range(count)]
    events = speech.events(texts, "m-large", (11, 7)) if speech.events is not None else []
    gates = [asyncio.Event() for _ in events]
    steps = [step for gate, piece in zip(gates, events, strict=True) for step in (Pause(gate), Send(chunk(piece)))]
    scene.upstream.script((Send(http(200, EVENTS)), *steps, Send(chunk(b""))))
    took = []
    asked = {**speech.ask("hi"), "stream": True}
    async with await scene.connect() as client:
        await client.send(post(speech.path, asked, [scene.bearer]))
        for number, (gate, piece) in enumerate(zip(gates, events, strict=True)):
            began = perf_counter()
            gate.set()
            if number == 0:
                await client.head()
            # Usage that only we asked for is taken out, and with it an event that holds nothing else.
            if b'"choices":[],"usage"' not in piece:
                await client.chunk()
                took.append(perf_counter() - began)
        assert await client.chunk() == b""
    return took


@pytest.mark.parametrize("speech", SPEECHES, ids=lambda speech: speech.name)
async def test_no_event_waits_for_another(scene: Scene, speech: Speech) -> None:
    """S-03: and half of them take less than five milliseconds, on whatever machine."""
    took = await delays(scene, speech, 100)
    assert sorted(took)[len(took) // 2] < 0.005


@pytest.mark.soak
@pytest.mark.parametrize("speech", SPEECHES, ids=lambda speech: speech.name)
async def test_hardly_any_event_takes_longer_than_five_milliseconds(scene: Scene, speech: Speech) -> None:
    """S-03: the slowest of a hundred, the first aside; the upstream and the client of the rig are part of it."""
    took = await delays(scene, speech, 5_000)
    assert quantiles(took[1:], n=100)[98] < 0.005


@pytest.mark.parametrize("speech", SPEECHES, ids=lambda speech: speech.name)
async def test_a_comment_that_keeps_alive_is_passed_on_at_once(scene: Scene, speech: Speech) -> None:
    """S-03: also while the model thinks, or the client would take the stream for dead."""
    gate = asyncio.Event()
    rest = [Send(chunk(piece)) for piece in (speech.events(["Hello"], "m-large", (11, 7)) if speech.events else ())]
    scene.upstream.script(
        (Send(http(200, EVENTS)), Send(chunk(b": keep-alive\n\n")), Pause(gate), *rest, Send(chunk(b"")))
    )
    async with await scene.connect() as client:
        await client.send(post(speech.path, {**speech.ask("hi"), "stream": True}, [scene.bearer]))
        await client.head()
        assert await client.chunk() == b": keep-alive\n\n"
        gate.set()
        while await client.chunk():
            pass
