"""Two proxies on one store with one master secret, as operators run them behind a balancer, and a storm to ask them."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

from tests.end_to_end.customers import assert_said_nothing_wrong
from tests.rig.invariants import Witness, assert_invariants
from tests.rig.process import Stillgate
from tests.rig.raw_client import RawClient, Response, post
from tests.rig.scripted_upstream import ScriptedUpstream
from tests.rig.valkey import Valkey

AT_ONCE = 200


@dataclass
class Replicas:
    """Two proxies that share a store and an upstream."""

    upstream: ScriptedUpstream
    gates: list[Stillgate]
    witness: Witness = field(default_factory=Witness)
    numbers: count[int] = field(default_factory=count)

    async def keys(self, number: int, *, account: str = "", tenant: str = "") -> list[str]:
        """Make keys, each of an account and a tenant of its own unless they are named."""
        own = [f"{next(self.numbers)}" for _ in range(number)]
        rows = [{"account": account or f"account-{name}", "tenant": tenant or f"tenant-{name}"} for name in own]
        status, made = await self.gates[0].admin_request("POST", "/keys/import", {"keys": rows})
        assert status == 201, made
        self.gates[0].keys += made["keys"]
        return [key["secret"] for key in made["keys"]]

    async def ask(self, key: str, gate: Stillgate | None = None, **members: Any) -> Response:
        asked = {"model": "m-large", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 16, **members}
        async with await RawClient.connect((gate or self.gates[0]).port, within=20) as client:
            raw = post("/v1/chat/completions", asked, [("Authorization", f"Bearer {key}")])
            return self.witness.saw(await client.ask(raw), accepted=True)

    def storm(self, keys: list[str], number: int = AT_ONCE) -> list[asyncio.Task[Response]]:
        """Begin to ask so often at once, every key at both replicas."""
        turns = islice(cycle([(key, gate) for key in keys for gate in self.gates]), number)
        return [asyncio.create_task(self.ask(key, gate)) for key, gate in turns]

    async def refused(self, keys: list[str], number: int = AT_ONCE) -> list[Response]:
        """Ask so often at once and return the refusals."""
        answers = await asyncio.gather(*self.storm(keys, number))
        return [answer for answer in answers if answer.status != 200]

    async def spend(self, keys: list[str], number: int) -> None:
        """Have exactly so many requests admitted; what one replica lacks the other may hold for a moment."""
        async with asyncio.timeout(20):
            while number := len(await self.refused(keys, number)):
                await asyncio.sleep(0.1)  # until the replica that holds the rest gives it back

    def deciders(self, refusals: Iterable[Response]) -> Counter[str]:
        """Return how often which quota refused; whatever was no refusal by a quota fails the test."""
        records = {record["id"]: record for gate in self.gates for record in gate.records("exchange")}
        found: Counter[str] = Counter()
        for refusal in refusals:
            record = records[refusal.header("x-request-id") or ""]
            assert (refusal.status, record["status"], record["outcome"]) == (429, 429, "refused"), record
            found[record["by"]] += 1
        return found


@asynccontextmanager
async def two_replicas(folder: Path, settings: Mapping[str, Any], pack: Mapping[str, Any]) -> AsyncIterator[Replicas]:
    """Start them; at the end the invariants must hold over both."""
    master = base64.b64encode(secrets.token_bytes(32))
    with Valkey(folder / "store") as store:
        async with ScriptedUpstream() as upstream, AsyncExitStack() as stack:
            gates = []
            for name in ("a", "b"):
                secret = folder / name / "data" / "master.secret"
                secret.parent.mkdir(parents=True)
                secret.touch(mode=0o600)
                secret.write_bytes(master)
                own = {**settings, "store": store.url, "secret_file": "data/master.secret"}
                starting = Stillgate.start(folder / name, own, upstream_url=upstream.url, pack=pack)
                gates.append(await stack.enter_async_context(starting))
            replicas = Replicas(upstream, gates)
            yield replicas
            await assert_invariants(replicas.witness, upstream, *gates)
            for gate in gates:
                assert_said_nothing_wrong(gate)
