"""Answers of model APIs with anything done to their bytes, cut anywhere: every client gets an end of them, and the next
call its own answer, whether actions read the answer or nobody does.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio

from tests.end_to_end.scene import CHAT, MESSAGES, Scene, staged
from tests.end_to_end.thinkers import RESPONSES, events, script
from tests.rig.process import GENEROUS_PACK
from tests.rig.raw_client import BrokenError, chunk, post
from tests.rig.scripted_upstream import Close, Pause, Reset, Script, Send, Step, http

pytestmark = pytest.mark.asyncio(loop_scope="module")
PACK: dict[str, Any] = {
    **GENEROUS_PACK,
    "rules": [
        {
            "id": "free",
            "when": {"account.plan": "free"},
            "flag": {"name": "free", "on": "account", "score": 60, "ttl": "1d"},
        }
    ],
    "ladder": [
        {
            "rung": "all",
            "score": 60,
            "do": [{"drop": ["logprobs"]}, {"withhold": "reasoning"}, {"mark": {"words": True}}],
        }
    ],
}
ODD = (b"\n\n", b"\r\n\r\n", b"data: ", b"event: error\n", b'"', b"}", b"{", rb"\ud800", b"\0", b"data: [DONE]\n\n",
       b": c\n\n", b"\xef\xbb\xbf", b"null", b"1e999", b"A" * 70_000)  # fmt: skip
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
SEED = 20_261_127


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("mangled"), pack=PACK) as scene:
        yield scene


def mangled(rng: random.Random, body: bytes) -> bytes:
    """Do up to four things to an answer."""
    made = bytearray(body)
    for _ in range(rng.choice([0, 1, 1, 2, 4])):
        at = rng.randrange(len(made) + 1)
        match rng.randrange(6):
            case 0:
                made[at : at + 1] = rng.randbytes(1)
            case 1:
                del made[at : at + rng.randrange(1, 30)]
            case 2:
                made[at:at] = rng.choice(ODD)
            case 3:
                again = rng.randrange(len(made) + 1)
                made[at:at] = made[again : again + 200]
            case 4:
                del made[at:]
            case _:
                made[at:at] = rng.randbytes(5)
    return bytes(made)


def sent(rng: random.Random, body: bytes, *, stream: bool) -> Script:
    """Send an answer in pieces, with an end of its framing or without."""
    framing = rng.choice(["chunked", "chunked", "close"] if stream else ["chunked", "close", "length"])
    headers = [("Content-Type", "text/event-stream" if stream else "application/json")]
    headers += {
        "chunked": [("Transfer-Encoding", "chunked")],
        "close": [("Connection", "close")],
        "length": [("Content-Length", str(max(0, len(body) + rng.choice([0, 0, 0, 5, -3]))))],
    }[framing]
    places = sorted({0, len(body), *(rng.randrange(len(body) + 1) for _ in range(rng.choice([0, 1, 3, 9])))})
    steps: list[Step] = [Send(http(200, headers))]
    for start, end in pairwise(places):
        steps.append(Send(chunk(body[start:end]) if framing == "chunked" else body[start:end]))
        if rng.random() < 0.2:
            steps.append(Pause(0.002))  # what stands apart is read apart
    if framing == "chunked":
        whole, no_size = (Send(chunk(b"")),), (Send(b"zz\r\n"), Close())
        return (*steps, *rng.choice([*[whole] * 6, no_size, (Close(),), (Reset(),)]))
    return (*steps, Close() if rng.random() < 0.9 else Reset())


def asked(path: str, key: str, *, stream: bool) -> bytes:
    said: Any = [{"role": "user", "content": "hi"}]
    members: dict[str, dict[str, Any]] = {
        CHAT: {"messages": said, "tools": TOOLS},
        MESSAGES: {"messages": said, "max_tokens": 50},
        RESPONSES: {"input": "hi"},
    }
    body = {"model": "m-large", "stream": stream, **members[path]}
    head = [("x-api-key", key), ("anthropic-version", "2023-06-01")] if path == MESSAGES else []
    return post(path, body, head or [("Authorization", f"Bearer {key}")])


@pytest.mark.parametrize("count", [400, pytest.param(20_000, marks=pytest.mark.soak)])
async def test_every_client_gets_an_end_of_whatever_comes(scene: Scene, count: int) -> None:
    rng = random.Random(SEED)
    flagged = await scene.gate.create_key(account=f"free-{count}", plan="free", tenant="acme")
    seen: Counter[int] = Counter()
    for _ in range(count):
        path, stream = rng.choice([CHAT, MESSAGES, RESPONSES]), rng.random() < 0.75
        whole = b"".join(events(path)) if stream else body_of(path)
        # A call on a connection that was reset in this moment takes none.
        scene.upstream.script(sent(rng, mangled(rng, whole), stream=stream), instead=True)
        async with await scene.connect() as client:
            try:
                answer = await client.ask(asked(path, rng.choice([flagged, scene.key]), stream=stream))
            except BrokenError:  # a stream that has begun, and whose bytes cannot be passed on
                continue
        assert answer.status in {200, 502}, answer
        seen[answer.status] += 1
    scene.upstream.script(instead=True)
    assert seen[200] > seen[502] > 0
    await scene.goes_on()


def body_of(path: str) -> bytes:
    (answer,) = script(path, stream=False)
    assert isinstance(answer, Send)
    return answer.data.partition(b"\r\n\r\n")[2]
