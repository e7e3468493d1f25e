"""Everything is killed under load, again and again: row L-03, promises P2 and P3."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from proxy.rules.quotas.slot_lease import TTL_S
from tests.end_to_end.scene import CHAT, Scene, chat
from tests.rig.decision_log import assert_verifies
from tests.rig.process import GENEROUS_PACK, Stillgate
from tests.rig.raw_client import BrokenError, RawClient, post
from tests.rig.scripted_upstream import Pause, ScriptedUpstream

SLOTS = CLIENTS = 6
ASKED = 20  # at least, in each round
FLAG = {"name": "any", "on": "account", "score": 50, "ttl": "1d"}


def pack(most: int) -> dict[str, Any]:
    quotas = [
        {"id": "few", "per": "account", "limits": [{"measure": "requests", "max": most, "window": "1d"}]},
        {"id": "slots", "per": "key", "limits": [{"measure": "concurrency", "max": SLOTS}]},
    ]
    rules = [{"id": "any", "when": {"request.turns": {"gte": 1}}, "flag": FLAG}]
    ladder = [{"rung": "short", "score": 50, "do": [{"clamp": {"max_output_tokens": 8}}]}]
    return {**GENEROUS_PACK, "quotas": quotas, "rules": rules, "ladder": ladder}


async def ask_on_and_on(scene: Scene, seen: Counter[int], enough: asyncio.Event, until: int) -> None:
    """Ask until nobody answers."""
    with suppress(OSError, BrokenError):
        async with await RawClient.connect(scene.gate.port, within=20) as client:
            while True:
                answer = await client.ask(post(CHAT, chat(), [scene.bearer]))
                seen[answer.status] += 1
                if seen.total() >= until:
                    enough.set()


@pytest.mark.parametrize("rounds", [1, pytest.param(50, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
async def test_no_kill_admits_more_or_hides_what_it_cost(
    tmp_path: Path, upstream: ScriptedUpstream, rounds: int
) -> None:
    """L-03: the quota holds over all of them, ids are unique, each gap is on record, and slots come back.

    The log verifies but for degraded exchanges without an end: those that were under way when everything was killed.
    """
    most = rounds * ASKED * 3 // 4
    async with Stillgate.start(tmp_path, upstream_url=upstream.url, pack=pack(most)) as gate:
        scene = Scene(upstream, gate, await gate.create_key())
        seen: Counter[int] = Counter()
        for number in range(rounds):
            enough = asyncio.Event()
            until = ASKED * (number + 1)
            clients = [asyncio.create_task(ask_on_and_on(scene, seen, enough, until)) for _ in range(CLIENTS)]
            async with asyncio.timeout(30):
                await enough.wait()
            await gate.kill_everything()
            await asyncio.gather(*clients)
            await gate.run()
        assert set(seen) <= {200, 429}
        assert seen[200] <= len(upstream.requests) <= most
        records = gate.records("exchange")
        assert len({record["id"] for record in records}) == len(records)
        asked = {request.header("x-request-id") for request in upstream.requests}
        assert {record["id"] for record in records if record["effect"] in {"allow", "degrade"}} <= asked
        async with asyncio.timeout(10):
            while len(gate.records("gap")) < rounds:
                await asyncio.sleep(0.05)  # it is written a moment after the start
        assert len(gate.records("gap")) == rounds
        assert [record for record in records if record["effect"] == "degrade"]
        before = await unended(gate)
        await slots_come_back(Scene(upstream, gate, await gate.create_key(account="other")))
        assert len(await unended(gate) - before) == SLOTS


async def unended(gate: Stillgate) -> set[str]:
    """Verify the log; return the exchanges that it knows the beginning of only, which no record tells of."""
    found = await asyncio.to_thread(assert_verifies, {gate.log(): gate.data / "log.key"})
    begun = {(record["writer"], record["seq"]): str(record["id"]) for record in gate.records("begin")}
    ids = {begun[finding.writer, finding.seq] for finding in found}
    assert not ids & {record["id"] for record in gate.records("exchange")}
    return ids


async def slots_come_back(scene: Scene) -> None:
    """Kill everything while all slots are in use; they are still taken at first, and free when nobody renewed them."""
    usual, before = scene.upstream.default, scene.calls
    scene.upstream.default = lambda _: (Pause(asyncio.Event()),)
    clients = [await scene.connect() for _ in range(SLOTS)]
    for client in clients:
        await client.send(scene.ordinary())
    await scene.upstream.wait_for_requests(before + SLOTS)
    scene.upstream.default = usual
    await scene.gate.kill_everything()
    for client in clients:
        client.close()
    await scene.gate.run()
    statuses = [(await scene.ask(scene.ordinary())).status]
    async with asyncio.timeout(TTL_S + 10):
        while statuses[-1] != 200:
            await asyncio.sleep(0.2)
            statuses.append((await scene.ask(scene.ordinary())).status)
    assert set(statuses[:-1]) == {429}
