"""One proxy that many tests attack: its upstream, a customer's key, what its clients saw, and how to ask it.

Law: what is sent to it ends with `at_peace`, which asserts the invariants; a row that breaks one is the row at fault.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.rig.invariants import Dialect, Witness, assert_invariants
from tests.rig.process import Stillgate
from tests.rig.raw_client import BrokenError, RawClient, Response, post, request
from tests.rig.scripted_upstream import ScriptedUpstream, event, json_answer

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
Headers = Sequence[tuple[str, str]]


def chat(**members: Any) -> dict[str, Any]:
    """Return an ordinary request in OpenAI's dialect, with `members` on top."""
    asked = {"model": "m-large", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 16, **members}
    return {name: value for name, value in asked.items() if value is not None}


@dataclass
class Scene:
    """A running proxy before a scripted upstream; `key` opens it."""

    upstream: ScriptedUpstream
    gate: Stillgate
    key: str
    witness: Witness = field(default_factory=Witness)

    @property
    def bearer(self) -> tuple[str, str]:
        return ("Authorization", f"Bearer {self.key}")

    @property
    def calls(self) -> int:
        """How many requests came upstream so far."""
        return len(self.upstream.requests)

    async def connect(self, within: float = 20.0) -> RawClient:
        return await RawClient.connect(self.gate.port, within=within)

    def ordinary(self, *headers: tuple[str, str], path: str = CHAT, **members: Any) -> bytes:
        """Write a request of a good customer."""
        return post(path, chat(**members), [self.bearer, *headers])

    async def ask(
        self, raw: bytes, *, accepted: bool | None = None, dialect: Dialect = "openai", within: float = 20.0
    ) -> Response:
        """Send bytes on a connection of their own and return the answer to them."""
        async with await self.connect(within) as client:
            return self.witness.saw(await client.ask(raw), dialect, accepted=accepted)

    async def refused(
        self, raw: bytes, *, at_once: bool, dialect: Dialect = "openai", accepted: bool | None = None
    ) -> Response:
        """Send bytes and a good request behind them; return the one answer there must be before the connection ends.

        It must be an error in HTTP/1.1 that says it closes, and nothing of it all may have gone upstream. `at_once`
        says whether the good request comes in the same write or after the answer.
        """
        calls = self.calls
        async with await self.connect() as client:
            with suppress(ConnectionError):  # it may close before it has read what comes behind
                await client.send(raw + self.ordinary() if at_once else raw)
            answer = self.witness.saw(await client.response(), dialect, accepted=accepted)
            with suppress(ConnectionError):
                await client.send(b"" if at_once else self.ordinary())
            rest = await _rest(client)
        assert answer.head.start.startswith("HTTP/1.1 "), answer
        assert 400 <= answer.status < 600, answer
        assert answer.header("connection") == "close", answer
        assert rest == b"", f"what came behind was answered: {rest!r}"
        assert self.calls == calls, f"went upstream: {self.upstream.requests[-1].head}"
        return answer

    async def goes_on(self) -> None:
        """Require that the next call gets its own answer, whatever connection it takes, and the invariants."""
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        self.upstream.script(json_answer(200, answer("the next one", usage=usage)))
        after = await self.ask(self.ordinary(), accepted=True)
        assert after.status == 200
        assert after.json()["choices"][0]["message"]["content"] == "the next one"
        await self.at_peace()

    async def at_peace(self) -> None:
        """Assert the invariants; what was seen so far is forgotten."""
        witness, self.witness = self.witness, Witness()
        await assert_invariants(witness, self.upstream, self.gate)


def answer(text: str = "Hello", **members: Any) -> dict[str, Any]:
    """Return an answer in OpenAI's dialect, without a usage unless it is given."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "c-1", "object": "chat.completion", "model": "m-large", "choices": [choice], **members}


def delta(text: str) -> bytes:
    """Write one event of a stream in OpenAI's dialect."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return event({"id": "c-1", "object": "chat.completion.chunk", "model": "m-large", "choices": [choice]})


async def _rest(client: RawClient) -> bytes:
    """Return what comes until the other side ends; a reset is an end too, since it may have left bytes unread."""
    try:
        return await client.to_end()
    except BrokenError as broken:
        return broken.received


def sized(scene: Scene, body: bytes, *headers: tuple[str, str], path: str = CHAT) -> bytes:
    """Return a request of the scene's customer with a body of its own, as long as it says."""
    return request("POST", path, [("Host", "a"), scene.bearer, ("Content-Length", str(len(body))), *headers], body)


@asynccontextmanager
async def staged(
    folder: Path,
    settings: Mapping[str, Any] | None = None,
    *,
    upstream: ScriptedUpstream | None = None,
    upstream_url: str | None = None,
    **how: Any,
) -> AsyncIterator[Scene]:
    """Start a proxy with one key and its upstream; one that runs already, and is reached elsewhere, can be given."""
    async with AsyncExitStack() as stack:
        behind = await stack.enter_async_context(ScriptedUpstream()) if upstream is None else upstream
        gate = Stillgate.start(folder, settings, upstream_url=upstream_url or behind.url, **how)
        running = await stack.enter_async_context(gate)
        yield Scene(behind, running, await running.create_key())
