"""Sentinels and clusters behind TLS: each server, and each sentinel, is verified before it hears anything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509

from proxy.errors import StoreUnavailable
from proxy.settings.store_address import Access
from proxy.store.base import Ask, Row
from proxy.store.redis import RedisStore
from tests.rig.authority import HERE, Authority, pem
from tests.rig.tls_front import TlsFront
from tests.rig.valkey import Sentinel, Valkey, free_port
from tests.rig.valkey_cluster import ValkeyCluster
from tests.rig.waiting import until
from tests.store.redis_calls import CALLS, PATIENT_S
from tests.store.test_cluster import MANY, MINUTE, give, move_keys, moving
from tests.store.test_sentinel import answers

OTHER = x509.DNSName("another.example")
SECRET = "canary-sentinels"


class Fronted(NamedTuple):
    """Where clients find a store, what is before each of its servers, and how it lets us in."""

    url: str
    fronts: list[TlsFront]
    access: Access
    servers: list[Valkey]
    cluster: ValkeyCluster | None = None

    async def connect(self) -> RedisStore:
        return await RedisStore.connect(self.url, access=self.access, deadline=PATIENT_S)


class Certified:
    """An authority and what it certifies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority("an authority that is trusted")
        self.file = folder / "ca.pem"
        self.file.write_bytes(pem(self.authority.certificate))

    async def front(self, stack: AsyncExitStack, server: Valkey, port: int = 0, *, is_open: bool = False) -> TlsFront:
        front = TlsFront(server.url, port, is_open=is_open)
        front.context.load_cert_chain(self.authority.issue(self.folder, HERE))
        return await stack.enter_async_context(front)

    def misname(self, front: TlsFront) -> None:
        """Let a server show a certificate of the right authority for another name."""
        front.context.load_cert_chain(self.authority.issue(self.folder, OTHER))


@pytest.fixture
def certified(tmp_path: Path) -> Certified:
    return Certified(tmp_path)


@pytest.fixture
async def clustered(certified: Certified, tmp_path: Path) -> AsyncIterator[Fronted]:
    ports = [free_port() for _ in range(3)]
    async with AsyncExitStack() as stack:
        made = stack.enter_context(ValkeyCluster(tmp_path / "cluster", ports))
        fronts = [await certified.front(stack, *pair) for pair in zip(made.servers, ports, strict=True)]
        url = "rediss+cluster://" + ",".join(f"127.0.0.1:{port}" for port in ports)
        yield Fronted(url, fronts, Access(ca_file=certified.file), made.servers, made)


@pytest.fixture
async def watched(certified: Certified, tmp_path: Path) -> AsyncIterator[Fronted]:
    """Two servers and a sentinel, which watches over them through the doors that clients come in by."""
    ports = [free_port(), free_port()]
    announced = [{"replica-announce-port": f"{port}", "repl-diskless-sync-delay": "0"} for port in ports]
    announced[1]["replicaof"] = f"127.0.0.1 {ports[0]}"
    servers = [Valkey(tmp_path / f"{port}", settings=mine) for port, mine in zip(ports, announced, strict=True)]
    async with AsyncExitStack() as stack:
        for server in servers:
            stack.enter_context(server)
        fronts = [
            await certified.front(stack, server, port, is_open=True)
            for server, port in zip(servers, ports, strict=True)
        ]
        # A sentinel asks who the replicas are when it begins, and not again for ten seconds.
        await until(lambda: b"master_link_status:up" in servers[1].command("INFO", "replication"))
        sentinel = stack.enter_context(
            Sentinel(tmp_path / "sentinel", f"redis://127.0.0.1:{ports[0]}", "main", password=SECRET)
        )
        # The way that it watches is the loop of the test, which may be late.
        sentinel.commands(("AUTH", SECRET), ("SENTINEL", "SET", "main", "down-after-milliseconds", "20000"))
        door = await certified.front(stack, sentinel)
        access = Access(sentinel_password=SECRET, ca_file=certified.file)
        yield Fronted(f"rediss+sentinel://127.0.0.1:{door.port}/main/0", [*fronts, door], access, [*servers, sentinel])


async def test_a_cluster_behind_tls_is_asked_and_its_moving_slots_are_followed(clustered: Fronted) -> None:
    assert clustered.cluster is not None
    store = await clustered.connect()
    try:
        for call in CALLS.values():
            await call(store)
        grants = await store.reserve([Ask(bucket, 10, MINUTE, 1, 1) for bucket in MANY], "op")
        assert [grant.remaining for grant in grants] == [9] * len(MANY)
        async with moving(clustered.cluster, f"sg:{{{MANY[0]}}}:w") as (source, target, slot):
            await move_keys(source, target, slot)
            await give(clustered.cluster, slot, target)
            assert (await store.reserve([Ask(MANY[0], 10, MINUTE, 1, 1)], "next"))[0].remaining == 8
        assert all(front.accepted for front in clustered.fronts)
    finally:
        await store.close()


async def test_a_cluster_of_which_one_server_shows_a_wrong_certificate_is_not_used(
    clustered: Fronted, certified: Certified
) -> None:
    """R-12."""
    certified.misname(clustered.fronts[1])
    before = _commands(clustered.servers[1])
    with pytest.raises(StoreUnavailable, match="certificate"):
        await clustered.connect()
    assert _commands(clustered.servers[1]) == before + 1  # our own question


async def test_sentinels_and_servers_behind_tls_are_found_and_a_failover_is_followed(watched: Fronted) -> None:
    """R-05."""
    first, second, sentinel = watched.servers
    store = await watched.connect()
    try:
        await store.write([Row("keys", "a", b"before")])
        await until(lambda: _asked(sentinel, "FAILOVER", "main") == b"+OK\r\n")
        await until(lambda: b"role:master" in second.command("INFO", "replication"))
        await until(lambda: f"{watched.fronts[1].port}".encode() in _asked(sentinel, "GET-MASTER-ADDR-BY-NAME", "main"))
        first.kill()

        await answers(store)
        assert b"after" in second.command("HGET", "sg:{tables}:keys", "a")
        assert store.numbers()["stillgate_store_failovers_total"] == 1
        assert all(front.accepted for front in watched.fronts)
    finally:
        await store.close()


@pytest.mark.parametrize("wrong", ["a server", "the sentinel"])
async def test_a_sentinel_or_server_with_a_wrong_certificate_hears_nothing(
    watched: Fronted, certified: Certified, wrong: str
) -> None:
    """R-12: no password is told to whoever stands in a sentinel's place, and no name is taken from them."""
    which = 0 if wrong == "a server" else 2
    certified.misname(watched.fronts[which])
    with pytest.raises(StoreUnavailable, match="certificate") as failed:
        await watched.connect()
    assert SECRET not in str(failed.value)
    assert watched.fronts[which].accepted == 0


def _commands(server: Valkey) -> int:
    return int(server.command("INFO", "stats").split(b"total_commands_processed:")[1].split(b"\r\n")[0])


def _asked(sentinel: Valkey, *words: str) -> bytes:
    return sentinel.commands(("AUTH", SECRET), ("SENTINEL", *words))
