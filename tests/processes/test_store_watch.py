"""The parent's watch over the store: whether it has our time."""

from __future__ import annotations

import asyncio

import pytest

from proxy.clock import SystemClock
from proxy.processes import store_watch
from proxy.processes.store_watch import StoreWatch
from proxy.store.memory import MemoryStore
from tests.rig.clocks import SettableSystem
from tests.rig.waiting import until

DAYS = 3 * 86_400.0


@pytest.mark.parametrize("ahead", [DAYS, -DAYS])
async def test_a_clock_that_is_days_off_the_stores_is_told_of_once_and_when_it_is_right_again(
    ahead: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(store_watch, "_PING_S", 0.01)
    caplog.set_level("INFO")
    clock = SettableSystem()
    watch = StoreWatch(MemoryStore(SystemClock()), None, clock)

    def apart() -> float:
        (sample,) = watch.snapshot()["stillgate_clock_ahead_seconds"]
        return float(sample.value)

    watching = asyncio.create_task(watch.run())
    clock.ahead = ahead
    await until(lambda: abs(apart() - ahead) < 5)
    for _ in range(10):  # of answers that come late or early
        await asyncio.sleep(0.02)
        clock.ahead = 59.0 if clock.ahead > 60 else 61.0
    clock.ahead = 0.0
    await until(lambda: abs(apart()) < 5)
    watching.cancel()
    said = [record.getMessage() for record in caplog.records]
    assert [
        sum(part in one for one in said) for part in ("clock differs from the store's", "agrees with the store's again")
    ] == [1, 1]
