"""The data folder, as an operator meets it: one proxy at a time, and words when it cannot be used."""

from __future__ import annotations

import base64
import os
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.rig.process import Stillgate
from tests.rig.valkey import Valkey


@asynccontextmanager
async def on_a_store_of(kind: str, folder: Path) -> AsyncIterator[Stillgate]:
    """Start a proxy in front of its own model, on its own store or on a shared one."""
    if kind == "embedded":
        async with Stillgate.start(folder, {"models": None}, upstream_url=None) as gate:
            yield gate
        return
    master = folder / "shared.master"
    master.touch(mode=0o600)
    master.write_bytes(base64.b64encode(secrets.token_bytes(32)))
    with Valkey(folder / "valkey") as store:
        own = {"models": None, "store": store.url, "secret_file": master.name}
        async with Stillgate.start(folder, own, upstream_url=None) as gate:
            yield gate


@pytest.mark.parametrize("kind", ["embedded", "shared"])
async def test_a_second_start_on_a_folder_is_refused_and_leaves_the_first_at_work(tmp_path: Path, kind: str) -> None:
    async with on_a_store_of(kind, tmp_path) as gate:
        before = (gate.data / "serve.json").read_bytes()
        second = await gate.cli("serve")
        assert (second.returncode, second.stdout) == (1, "")
        assert second.stderr == f"stillgate: another Stillgate process already runs on {gate.data}\n"
        assert (gate.data / "serve.json").read_bytes() == before
        made = await gate.cli("keys", "create", "--account", "acme")
        assert made.returncode == 0, made.stderr


@pytest.mark.parametrize("kind", ["embedded", "shared"])
async def test_a_folder_is_free_again_after_kill_9(tmp_path: Path, kind: str) -> None:
    async with on_a_store_of(kind, tmp_path) as gate:
        os.kill(gate.pid, signal.SIGKILL)
        await gate.exit_code()
        await gate.run()
