"""A deployment in use for as long as wanted: customers of every kind at a steady rate, and something that fails.

Laws: what is sent and what fails is drawn from the seed. A lap is load, then peace: in peace all invariants are
asserted over what that lap did, and the lap is forgotten, so that the length of a soak costs no memory here.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.end_to_end.packs import rename_over
from tests.end_to_end.scene import Scene
from tests.rig.fault_proxy import BlackHole, Fault, FaultProxy, Latency, LostReply, Refuse, ResetAfter
from tests.rig.invariants import Footprint, Witness, assert_invariants
from tests.rig.process import GENEROUS_PACK
from tests.rig.raw_client import BrokenError, RawClient, Response, post
from tests.rig.scripted_upstream import (
    Answer,
    Close,
    Pause,
    Recorded,
    Reset,
    Script,
    Send,
    html_answer,
    http,
    json_answer,
    sse_answer,
    truncated,
)
from tests.rig.speech import CHAT, SPEECHES, Speech

PACK: dict[str, Any] = {
    **GENEROUS_PACK,
    "rules": [
        {
            "id": "asks-for-logprobs",
            "when": {"request.logprobs": True},
            "flag": {"name": "prober", "on": "account", "score": 50, "ttl": "1d"},
        }
    ],
    "quotas": [
        *GENEROUS_PACK["quotas"],
        {"id": "few", "per": "tenant", "limits": [{"measure": "requests", "max": 2000, "window": "1m"}]},
    ],
    "ladder": [{"rung": "strip", "score": 40, "do": [{"drop": ["logprobs"]}, {"clamp": {"max_output_tokens": 8}}]}],
}
STORE_FAULTS: tuple[Fault | None, ...] = (
    None,
    Latency(reply=0.05),
    Latency(reply=0.5),
    LostReply(),
    Refuse(),
    BlackHole(),
    ResetAfter(2000),
)
CUSTOMERS, PROBERS = 24, 4
CONNECTIONS = 48
_ASKED_OF_ONE = 20  # of one connection: a client keeps all that it received
_DRAINED_S = 30.0
_BODY_BYTES = 65_536
SETTINGS: dict[str, Any] = {
    "limits": {"body_bytes": _BODY_BYTES},
    "upstreams": {"default": {"first_byte_seconds": 1.0, "idle_seconds": 1.0}},
}
_ERROR = {"error": {"message": "no", "type": "server_error", "code": "no"}}
_CHUNK = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'
FAILURES: tuple[Script, ...] = (
    json_answer(429, _ERROR),
    json_answer(500, _ERROR),
    json_answer(529, _ERROR),
    html_answer(502),
    json_answer(200, {"no": "answer"}),
    truncated(b'{"id": "c", "choices": ['),
    (Send(http(200, [("Content-Type", "text/event-stream"), ("Connection", "close")]) + _CHUNK), Close()),
    (*sse_answer([_CHUNK], end=False), Reset()),
    (*sse_answer([_CHUNK], end=False), Pause(1.5), Close()),
    (Send(b"no HTTP at all\r\n\r\n"), Close()),
    (Close(),),
    (Reset(),),
    (Pause(1.5), Close()),
)


class Lap(NamedTuple):
    """What one lap came to; bytes and descriptors are those of the workers, in peace."""

    exchanges: int
    late: float  # seconds that the last one was sent after its time
    statuses: Counter[str]
    fault: str
    rss: int
    fds: int


@dataclass
class Soak:
    """The load on one scene, whose store is behind `store`; `key` of the scene is one of its customers'."""

    scene: Scene
    store: FaultProxy
    customers: list[str]
    probers: list[str]
    dice: random.Random
    failing: float = 0.06  # of the upstream's answers
    statuses: Counter[str] = field(default_factory=Counter)
    _idle: list[tuple[RawClient, int]] = field(default_factory=list)
    _versions: int = 0

    @classmethod
    async def begin(cls, scene: Scene, store: FaultProxy, seed: int) -> Soak:
        """Make the customers' keys and let the upstream fail now and then."""
        dice = random.Random(seed)

        async def keys(name: str, count: int) -> list[str]:
            return [await scene.gate.create_key(account=f"{name}-{n}", tenant=f"{name}-{n % 5}") for n in range(count)]

        soak = cls(scene, store, await keys("customer", CUSTOMERS), await keys("prober", PROBERS), dice)
        scene.upstream.default = soak._often(scene.upstream.default)
        return soak

    async def lap(self, seconds: float, rate: float) -> Lap:
        """Send so many exchanges a second, with a fault of the store in the middle, and assert all that must hold."""
        loop = asyncio.get_running_loop()
        gate = self.scene.gate
        log = gate.log().from_now()
        self.statuses = Counter()
        fault = self.dice.choice(STORE_FAULTS)
        began, count, late = loop.time(), int(seconds * rate), 0.0
        async with asyncio.TaskGroup() as running:
            for number in range(count):
                due = began + number / rate
                await asyncio.sleep(max(0.0, due - loop.time()))
                late = loop.time() - due
                if number == count // 3:
                    self.store.fault = fault
                if number == count // 2:
                    self.store.fault = None
                    self._change_pack()
                running.create_task(self._exchange(self._kind()))
        await self._drained()
        while self._idle:
            self._idle.pop()[0].close()
        await assert_invariants(self.scene.witness, self.scene.upstream, gate, logs={gate: log})
        self.scene.witness = Witness()
        self.scene.upstream.forget()
        now = Footprint.of(gate)
        return Lap(count, late, self.statuses, type(fault).__name__, now.rss, now.fds)

    def _kind(self) -> Callable[[RawClient], Any]:
        kinds = (self._served, self._streamed, self._leaves, self._probes, self._unknown, self._malformed, self._large)
        return self.dice.choices(kinds, weights=(45, 30, 6, 8, 4, 4, 3))[0]

    async def _exchange(self, kind: Callable[[RawClient], Any]) -> None:
        """Let one client do one thing on a connection that others used before, if there is one."""
        client, used = (
            self._idle.pop() if self._idle else (await RawClient.connect(self.scene.gate.port, within=30.0), 0)
        )
        try:
            kept = await kind(client)
        except (BrokenError, ConnectionError):
            self.statuses["broken"] += 1
            self.scene.witness.saw_bytes(bytes(client.received))
            kept = False
        if kept and used < _ASKED_OF_ONE and len(self._idle) < CONNECTIONS:
            self._idle.append((client, used + 1))
        else:
            client.close()

    async def _served(self, client: RawClient) -> bool:
        speech = self.dice.choice(SPEECHES)
        return await self._ask(client, speech, self.dice.choice(self.customers), {})

    async def _streamed(self, client: RawClient) -> bool:
        speech = self.dice.choice([speech for speech in SPEECHES if speech.events is not None])
        return await self._ask(client, speech, self.dice.choice(self.customers), {"stream": True})

    async def _probes(self, client: RawClient) -> bool:
        return await self._ask(client, CHAT, self.dice.choice(self.probers), {"logprobs": True, "n": 1})

    async def _unknown(self, client: RawClient) -> bool:
        return await self._ask(client, CHAT, "sgk_" + "0" * 33, {}, accepted=False)

    async def _malformed(self, client: RawClient) -> bool:
        return await self._ask(client, CHAT, self.dice.choice(self.customers), {"messages": "hello"})

    async def _large(self, client: RawClient) -> bool:
        key = self.dice.choice(self.customers)
        return await self._ask(client, CHAT, key, {"user": "x" * (_BODY_BYTES - self.dice.randrange(400))})

    async def _leaves(self, client: RawClient) -> bool:
        headers = CHAT.headers(self.dice.choice(self.customers))
        await client.send(post(CHAT.path, {**CHAT.ask("hello"), "model": "m-large", "stream": True}, headers))
        if self.dice.random() < 0.5:
            await client.head()
        self.statuses["left"] += 1
        self.scene.witness.saw_bytes(bytes(client.received))
        client.reset()
        return False

    async def _ask(
        self, client: RawClient, speech: Speech, key: str, more: dict[str, Any], *, accepted: bool | None = None
    ) -> bool:
        request = {**speech.ask("hello"), "model": "m-large", **more}
        return self._note(await client.ask(post(speech.path, request, speech.headers(key))), speech, accepted)

    def _note(self, answer: Response, speech: Speech, accepted: bool | None = None) -> bool:
        self.statuses[str(answer.status)] += 1
        outage = answer.status == 503  # of the store: then nobody knows whether a key is good
        self.scene.witness.saw(answer, speech.family, accepted=None if outage else accepted)
        return answer.header("connection") != "close"

    def _often(self, usual: Answer) -> Answer:
        dice = random.Random(self.dice.random())

        def answer(request: Recorded) -> Script:
            if dice.random() < self.failing:
                return dice.choice(FAILURES)
            return usual(request) if callable(usual) else usual

        return answer

    def _change_pack(self) -> None:
        """Put another version of the pack in force, which says the same."""
        self._versions += 1
        pack = {**PACK, "metadata": {"name": "soak", "version": f"1.{self._versions}", "owner": "tests"}}
        rename_over(self.scene.gate.folder / "pack.yaml", json.dumps(pack).encode())

    async def _drained(self) -> None:
        """Return once no exchange runs and the store is used again."""
        async with asyncio.timeout(_DRAINED_S):
            while True:
                with suppress(OSError, BrokenError):
                    inflight = (await self.scene.gate.metrics()).get("stillgate_inflight", 1.0)
                    ready, _ = await self.scene.gate.admin("GET", "/readyz")
                    if inflight == 0 and ready == 200:
                        return
                await asyncio.sleep(0.05)  # another process is waited for
