from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.errors import ConfigurationError, StoreUnavailable
from proxy.store.base import Row
from proxy.store.redis import RedisStore
from tests.rig.fault_proxy import FaultProxy, Garbage
from tests.rig.valkey import Valkey
from tests.rig.waiting import until
from tests.store.redis_calls import PATIENT_S, works_again


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "should be embedded, or a URL"),
        ("http://127.0.0.1", "should be embedded, or a URL"),
        ("127.0.0.1:6379", "should be embedded, or a URL"),
        ("unix://", "must name a socket"),
        ("redis://127.0.0.1?retry_on_timeout=yes", "takes no option but db"),
        ("redis://127.0.0.1?max_connections=x", "takes no option but db"),
        ("redis://127.0.0.1/x", "should end with the number of a database"),
        ("redis://127.0.0.1:x", "should name a host and its port"),
        ("redis://one,two", "names several servers"),
    ],
)
async def test_a_url_that_cannot_be_used_is_explained(url: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        await RedisStore.connect(url)


@pytest.fixture
async def answering(short_folder: Path) -> AsyncIterator[FaultProxy]:
    with Valkey(short_folder / "fitness") as server:
        async with FaultProxy(server.url) as way:
            yield way


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("redis_version:6.2.14", "version 6.2.14"),
        ("redis_mode:sentinel", "sentinel"),
        ("redis_mode:cluster", "cluster"),
    ],
)
async def test_a_server_of_another_kind_is_refused_with_a_reason(answering: FaultProxy, line: str, says: str) -> None:
    answering.fault = Garbage(f"${len(line) + 4}\r\n{line}\r\n\r\n\r\n".encode())
    with pytest.raises(ConfigurationError, match=says):
        await RedisStore.connect(answering.url)


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lru", "volatile-ttl", "allkeys-random"])
async def test_a_server_that_would_forget_quotas_is_refused_with_the_cure(short_folder: Path, policy: str) -> None:
    """Q-14."""
    server = Valkey(short_folder / "evicts", settings={"maxmemory-policy": policy})
    with server, pytest.raises(ConfigurationError, match=f"{policy}.*set maxmemory-policy noeviction"):
        await RedisStore.connect(server.url)


async def test_a_server_that_would_forget_quotas_by_now_is_as_good_as_away(
    short_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Q-14: it may be another one than at the start."""
    with Valkey(short_folder / "changes") as server:
        store = await RedisStore.connect(server.url, deadline=PATIENT_S)
        try:
            server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
            server.command("CLIENT", "KILL", "TYPE", "normal")
            await until(lambda: store._way.links[0]._lane.broken_at is not None)
            for _ in range(3):
                with pytest.raises(StoreUnavailable):
                    await store.ping()
            assert ["allkeys-lru" in record.getMessage() for record in caplog.records] == [True], "once"
            server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
            await works_again(store)
        finally:
            await store.close()


async def test_a_server_that_keeps_its_settings_to_itself_is_taken_as_it_is(short_folder: Path) -> None:
    with Valkey(short_folder / "private") as server:
        server.command("ACL", "SETUSER", "limited", "on", ">secret", "~sg:*", "+@all", "-info", "-config")
        store = await RedisStore.connect(server.url.replace("//", "//limited:secret@"))
        assert await store.write([Row("keys", "a", b"x")], only_new=True)
        await store.close()


async def test_a_server_whose_host_took_config_away_is_held_to_what_it_says_of_itself(short_folder: Path) -> None:
    """Q-14: it can be used, unless it would forget quotas, as rented servers do if nobody tells them otherwise."""
    settings = short_folder / "hosted.conf"
    settings.write_text('rename-command CONFIG ""\n')
    hosted = {"include": str(settings)}
    with Valkey(short_folder / "hosted", settings=hosted) as server:
        assert server.command("CONFIG", "GET", "maxmemory-policy").startswith(b"-ERR unknown command")
        store = await RedisStore.connect(server.url)
        await store.ping()
        await store.close()
    server = Valkey(short_folder / "evicts-hosted", settings={**hosted, "maxmemory-policy": "volatile-lru"})
    with server, pytest.raises(ConfigurationError, match="has maxmemory-policy volatile-lru: "):
        await RedisStore.connect(server.url)
