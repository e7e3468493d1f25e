"""The store dies under load and comes back half a minute later: who is known notices nothing of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.end_to_end.scene import Scene
from tests.end_to_end.test_store_away import away
from tests.rig.fault_proxy import BlackHole, Fault, Refuse

OUTAGE_S, BEFORE_S, BACK_S = 30.0, 5.0, 2.0
CLIENTS, PAUSE_S = 8, 0.05
ADDED_S = 0.1


async def load(scene: Scene, answers: list[tuple[float, float, int]]) -> None:
    """Ask again and again until cancelled; note when, for how long, and with which status."""
    now = asyncio.get_running_loop().time
    async with await scene.connect() as client:
        while True:
            asked = now()
            answer = scene.witness.saw(await client.ask(scene.ordinary()), accepted=True)
            answers.append((asked, now() - asked, answer.status))
            await asyncio.sleep(PAUSE_S)


def percentile(seconds: list[float], part: float) -> float:
    return sorted(seconds)[int(len(seconds) * part)]


@pytest.mark.soak
@pytest.mark.parametrize("fault", [Refuse(), BlackHole()], ids=["refused", "black hole"])
async def test_an_outage_of_half_a_minute_under_load_costs_nobody_a_tenth_of_a_second(
    tmp_path: Path, fault: Fault
) -> None:
    """R-02: 99 of 100 requests take no 100 ms more, none is refused, and the store is used again within two seconds."""
    loop = asyncio.get_running_loop()
    async with away(tmp_path) as (scene, store):
        answers: list[tuple[float, float, int]] = []
        clients = [asyncio.create_task(load(scene, answers)) for _ in range(CLIENTS)]
        await asyncio.sleep(BEFORE_S)
        connections, begun = store.connections, loop.time()
        store.fault = fault
        await asyncio.sleep(OUTAGE_S)
        attempts, back = store.connections - connections, loop.time()
        store.fault = None
        while (await scene.gate.metrics())["stillgate_store_breaker_open"]:
            await asyncio.sleep(0.02)
        recovered = loop.time() - back
        await asyncio.sleep(BEFORE_S)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        before = [took for asked, took, _ in answers if asked < begun]
        during = [took for asked, took, _ in answers if begun <= asked < back]
        assert {status for _, _, status in answers} == {200}
        assert len(during) > 1000
        assert percentile(during, 0.99) - percentile(before, 0.5) < ADDED_S
        assert recovered < BACK_S
        assert attempts < 3 * 4 * OUTAGE_S, "three processes or so, one attempt at a time"
