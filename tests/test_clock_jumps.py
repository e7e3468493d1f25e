"""The machine's wall clock is set while exchanges run: row L-10."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from proxy.clock import SystemClock
from proxy.store.memory import MemoryStore
from tests.end_to_end.scene import CHAT, chat, delta
from tests.rig.clocks import SettableSystem
from tests.rig.decision_log import DecisionLog
from tests.rig.in_process import served
from tests.rig.process import GENEROUS_PACK
from tests.rig.raw_client import RawClient, Response, post
from tests.rig.scripted_upstream import Close, Pause, Send, event, http

HOUR, YEAR = 3600.0, 366 * 86_400.0
LIMIT = 4
PACK = {
    **GENEROUS_PACK,
    "quotas": [{"id": "few", "per": "key", "limits": [{"measure": "requests", "max": LIMIT, "window": "1h"}]}],
}


@pytest.mark.parametrize("ahead", [-HOUR, HOUR, 10 * YEAR, 0.5], ids=["-1 h", "+1 h", "+10 y", "a smear"])
async def test_quotas_durations_keys_and_the_order_of_records_do_not_hang_on_the_wall_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    """L-10: an exchange that runs meanwhile ends as it should, no count is lost or gained, and no key ends early."""
    clock, go_on = SettableSystem(), asyncio.Event()
    store = MemoryStore(SystemClock())  # it has its own time, as a shared one has
    async with served(tmp_path, store, PACK, clock, monkeypatch) as (_, upstream, port, key):
        bearer = ("Authorization", f"Bearer {key}")

        async def ask() -> Response:
            async with await RawClient.connect(port) as client:
                return await client.ask(post(CHAT, chat(), [bearer]))

        assert (await ask()).status == 200
        head = http(200, [("Content-Type", "text/event-stream"), ("Connection", "close")])
        end = event({"id": "c-1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}) + event("[DONE]")
        upstream.script((Send(head + delta("a")), Pause(go_on), Send(delta("b") + end), Close()))
        async with await RawClient.connect(port) as client:
            await client.send(post(CHAT, chat(stream=True), [bearer]))
            assert (await client.head()).status == 200
            await client.chunk()
            clock.ahead = ahead
            await asyncio.sleep(1.2)  # the watches of deadlines look once a second
            assert (await ask()).status == 200
            go_on.set()
            await client.until(b"0\r\n\r\n")
        assert [(await ask()).status for _ in range(2)] == [200, 429]
        clock.ahead = 0.0
        denied = await ask()
        assert denied.status == 429
        assert 0 < int(denied.header("retry-after") or 0) <= 2 * HOUR
    records = DecisionLog(tmp_path / "data" / "decisions").records()
    assert [record["seq"] for record in records] == [*range(1, len(records) + 1)]
    exchanges = [record for record in records if record["kind"] == "exchange"]
    assert [record["status"] for record in exchanges] == [200, 200, 200, 200, 429, 429]
    assert {record["outcome"] for record in exchanges} == {"answered", "refused"}
    for record in exchanges:
        assert 0 <= record["ms"]["total"] < 30_000
