"""Customers, probes and the model API over IPv6, and over both where the host is `::`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.end_to_end.scene import CHAT, chat, staged
from tests.rig.raw_client import RawClient, get, post
from tests.rig.scripted_upstream import ScriptedUpstream
from tests.rig.valkey import free_port

BOTH = ("127.0.0.1", "::1")


@asynccontextmanager
async def to(host: str, port: int) -> AsyncIterator[RawClient]:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setblocking(False)
    async with asyncio.timeout(5):
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
    async with RawClient(sock, 10.0) as client:
        yield client


@pytest.mark.parametrize(("host", "reached"), [("::", BOTH), ("::1", ("::1",))])
async def test_customers_and_probes_are_answered_by_whichever_way_they_come(
    tmp_path: Path, host: str, reached: tuple[str, ...]
) -> None:
    probes = free_port()
    settings = {"listen": {"host": host}, "health": {"host": host, "port": probes}, "admin": {"host": "::1"}}
    async with ScriptedUpstream() as upstream, staged(tmp_path, settings, upstream=upstream) as scene:
        for address in reached:
            async with to(address, probes) as probe:
                assert (await probe.ask(get("/healthz"))).status == 200
            async with to(address, scene.gate.port) as client:
                assert (await client.ask(post(CHAT, chat(), [scene.bearer]))).status == 200
        listed = await scene.gate.cli("keys", "list")
        assert listed.returncode == 0
        await scene.gate.wait_for_records(len(reached))
