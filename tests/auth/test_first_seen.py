from __future__ import annotations

import pytest

from proxy.auth.first_seen import first_seen
from proxy.clock import VirtualClock
from proxy.store.memory import MemoryStore

NOW = 1_800_000_000.0


async def test_an_account_is_as_old_as_when_it_was_seen_first() -> None:
    store = MemoryStore(VirtualClock())
    assert await first_seen(store, "acme", NOW) == NOW
    assert await first_seen(store, "acme", NOW + 86_400) == NOW
    assert await first_seen(store, "acme", NOW - 3_000) == NOW, "by another machine's clock"


@pytest.mark.parametrize("ahead", [8 * 3600.0, 10 * 366 * 86_400.0])
async def test_one_that_a_wrong_clock_saw_in_the_future_is_no_new_one_until_then(ahead: float) -> None:
    store = MemoryStore(VirtualClock())
    await first_seen(store, "acme", NOW + ahead)
    assert await first_seen(store, "acme", NOW) == NOW
    assert await first_seen(store, "acme", NOW + 2 * ahead) == NOW
