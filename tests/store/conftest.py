from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from proxy.clock import VirtualClock
from proxy.store.embedded import EmbeddedServer
from proxy.store.memory import MemoryStore
from proxy.store.redis import RedisStore
from tests.rig.valkey import Sentinel, Valkey
from tests.rig.valkey_cluster import ValkeyCluster
from tests.store.ground import Ground, MemoryGround, ServerGround


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name; pytest's own are too long on some machines."""
    with tempfile.TemporaryDirectory(prefix="sg") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def tcp_server(short_folder: Path) -> Iterator[Valkey]:
    with Valkey(short_folder / "tcp") as server:
        yield server


@pytest.fixture(scope="session")
def sentinel_url(short_folder: Path, tcp_server: Valkey) -> Iterator[str]:
    with Sentinel(short_folder / "watching", tcp_server.url, "main") as sentinel:
        yield f"redis+sentinel://{sentinel.place}/main"


@pytest.fixture(scope="session")
def faulty_server(short_folder: Path) -> Iterator[Valkey]:
    with Valkey(short_folder / "faults") as server:
        yield server


@pytest.fixture
def clean(faulty_server: Valkey) -> Valkey:
    """A server of its own for tests that change its settings or count what it does, empty."""
    faulty_server.command("FLUSHALL")
    return faulty_server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def embedded_url(short_folder: Path) -> AsyncIterator[str]:
    server = EmbeddedServer(short_folder / "embedded")
    yield await server.start()
    await server.stop()


@pytest.fixture(scope="session")
def cluster(short_folder: Path) -> Iterator[ValkeyCluster]:
    with ValkeyCluster(short_folder / "cluster") as cluster:
        yield cluster


@pytest.fixture(params=["memory", "redis", "embedded", "sentinel", "cluster"])
async def ground(
    request: pytest.FixtureRequest, tcp_server: Valkey, embedded_url: str, sentinel_url: str, cluster: ValkeyCluster
) -> AsyncIterator[Ground]:
    """A store of each kind, empty, and a second store object on the same data."""
    if request.param == "memory":
        clock = VirtualClock(start=1000.0)
        store = MemoryStore(clock)
        yield MemoryGround(store, store, clock)
        return
    url, *servers = {
        "redis": (tcp_server.url, tcp_server.url),
        "sentinel": (sentinel_url, tcp_server.url),
        "embedded": (embedded_url, embedded_url),
        "cluster": (cluster.url, *(server.url for server in cluster.servers)),
    }[request.param]
    ground = ServerGround(await _connected(url), await _connected(url), servers)
    ground.flush()
    yield ground
    await ground.store.close()
    await ground.other.close()


async def _connected(url: str) -> RedisStore:
    # Longer than a deadline in use, so that a machine that is busy with other things fails no promise.
    return await RedisStore.connect(url, deadline=5.0)
