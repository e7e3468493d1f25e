"""Two processes on one store, of each kind, that share their flags."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.clock import VirtualClock
from proxy.rules.flags.store import FlagRegistry
from proxy.store.base import Store
from proxy.store.embedded import EmbeddedServer
from proxy.store.memory import MemoryStore
from proxy.store.redis import RedisStore
from tests.rules.flags.replicas import Replica


@pytest.fixture(params=["memory", "embedded"])
async def stores(request: pytest.FixtureRequest, clock: VirtualClock) -> AsyncIterator[tuple[Store, Store]]:
    """Two objects on one store."""
    if request.param == "memory":
        store = MemoryStore(clock)
        yield store, store
        return
    with tempfile.TemporaryDirectory(prefix="sg") as folder:
        server = EmbeddedServer(Path(folder))
        url = await server.start()
        both = [await RedisStore.connect(url, deadline=5.0) for _ in range(2)]
        yield both[0], both[1]
        for store_on_server in both:
            await store_on_server.close()
        await server.stop()


@pytest.fixture
def pair(stores: tuple[Store, Store], clock: VirtualClock) -> tuple[Replica, Replica]:
    return Replica(stores[0], clock), Replica(stores[1], clock)


@pytest.fixture
def registry(stores: tuple[Store, Store], clock: VirtualClock) -> FlagRegistry:
    return FlagRegistry(stores[0], clock)
