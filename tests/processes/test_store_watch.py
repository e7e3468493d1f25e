"""The parent's watch over the store: whether it has our time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from proxy.clock import SystemClock
from proxy.processes import store_watch
from proxy.processes.store_watch import StoreWatch
from proxy.store.memory import MemoryStore
from tests.rig.clocks import SettableSystem
from tests.rig.waiting import until

DAYS = 3 * 86_400.0


def _is_near(apart: Callable[[], float], seconds: float) -> bool:
    return abs(apart() - seconds) < 0.5


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
    for drifted in [61.0, 59.0] * 5:  # as by answers that come late or early
        clock.ahead = drifted
        await until(partial(_is_near, apart, drifted))
    clock.ahead = 0.0
    await until(lambda: abs(apart()) < 5)
    watching.cancel()
    said = [record.getMessage() for record in caplog.records]
    assert [
        sum(part in one for one in said) for part in ("clock differs from the store's", "agrees with the store's again")
    ] == [1, 1]
