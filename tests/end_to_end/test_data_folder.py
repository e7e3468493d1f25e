"""The data folder, as an operator meets it: one proxy at a time, and words when it cannot be used."""

from __future__ import annotations

import base64
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from tests.rig.process import NOBODY, Stillgate
from tests.rig.valkey import Valkey


@asynccontextmanager
async def on_a_store_of(kind: str, folder: Path) -> AsyncIterator[Stillgate]:
    """Start a proxy on its own store or on a shared one."""
    if kind == "embedded":
        async with Stillgate.start(folder, upstream_url=NOBODY) as gate:
            yield gate
        return
    master = folder / "shared.master"
    master.touch(mode=0o600)
    master.write_bytes(base64.b64encode(secrets.token_bytes(32)))
    with Valkey(folder / "valkey") as store:
        own = {"store": store.url, "secret_file": master.name}
        async with Stillgate.start(folder, own, upstream_url=NOBODY) as gate:
            yield gate


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["embedded", "shared"])
async def gate(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> AsyncIterator[Stillgate]:
    async with on_a_store_of(request.param, tmp_path_factory.mktemp(request.param)) as gate:
        yield gate


@pytest.mark.asyncio(loop_scope="module")
async def test_a_second_start_on_a_folder_is_refused_and_leaves_the_first_at_work(gate: Stillgate) -> None:
    before = (gate.data / "serve.json").read_bytes()
    second = await gate.cli("serve")
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr == f"stillgate: another Stillgate process already runs on {gate.data}\n"
    assert (gate.data / "serve.json").read_bytes() == before
    made = await gate.cli("keys", "create", "--account", "acme")
    assert made.returncode == 0, made.stderr


@pytest.mark.asyncio(loop_scope="module")
async def test_programs_are_told_where_the_proxy_is_once_there_is_room_on_the_disk(gate: Stillgate) -> None:
    await gate.terminate()
    (gate.data / "serve.new").symlink_to("/dev/full")
    await gate.run()
    assert "serve.json cannot be written: programs do not find this proxy" in (gate.folder / "stderr.log").read_text()
    assert not (gate.data / "serve.new").exists()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_folder_is_free_again_after_kill_9(gate: Stillgate) -> None:
    os.kill(gate.pid, signal.SIGKILL)
    await gate.exit_code()
    await gate.run()


async def test_a_folder_with_a_long_path_is_served_and_managed_like_any_other(tmp_path: Path) -> None:
    async with Stillgate.start(tmp_path, {"data": "d" * 100}, upstream_url=NOBODY) as gate:
        alias = tmp_path / "alias"
        alias.symlink_to(gate.data)
        place = (gate.data / "admin.sock").resolve()
        assert place.parent.stat().st_mode & 0o077 == 0
        assert place.stat().st_mode & 0o777 == 0o600
        made = await gate.cli("keys", "create", "--account", "acme")
        assert made.returncode == 0, made.stderr
        listed = await gate.cli("keys", "list", "--json", "--data", str(alias))
        assert "acme" in listed.stdout
        assert (await gate.cli("health")).returncode == 0
        await gate.terminate()
        assert not place.exists()
        assert not (gate.data / "admin.sock").is_symlink()


WRONG = [
    ("data", "file", "data: the data folder cannot be made: there is a file of that name"),
    ("data/serve.lock", "folder", "data/serve.lock: the data folder cannot be used: Is a directory"),
    ("data/store", "file", "data/store: the embedded store cannot use it: File exists"),
    ("data/store/valkey.log", "folder", "data/store/valkey.log: the embedded store cannot use it: Is a directory"),
    ("data/admin.sock", "folder", "data/admin.sock: the admin side cannot use it: Is a directory"),
    ("data/serve.json", "folder", "data/serve.json: cannot be written: Is a directory"),
    ("data/decisions", "file", "data/decisions"),
]


@pytest.mark.parametrize(("place", "what", "says"), WRONG, ids=[place for place, _, _ in WRONG])
async def test_what_is_in_the_way_in_the_data_folder_is_named(tmp_path: Path, place: str, what: str, says: str) -> None:
    gate = Stillgate.installed(tmp_path, upstream_url=NOBODY)
    obstacle = tmp_path / place
    obstacle.parent.mkdir(parents=True, exist_ok=True)
    if what == "file":
        obstacle.write_text("x")
    else:
        obstacle.mkdir()
    ran = await gate.cli("serve")
    assert ran.returncode == 1
    assert f"{tmp_path}/{says}" in ran.stderr
    assert "cannot listen" not in ran.stderr
    assert "Traceback" not in ran.stderr
    assert gate.pids() == []


async def test_an_address_that_is_taken_is_still_called_that(tmp_path: Path) -> None:
    gate = Stillgate.installed(tmp_path, upstream_url=NOBODY)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for option, told in (
            ("--port", f"cannot listen on 127.0.0.1 port {port}: Address"),
            ("--admin-port", str(port)),
        ):
            ran = await gate.cli("serve", option, str(port))
            assert ran.returncode == 1
            assert told in ran.stderr
            assert "Traceback" not in ran.stderr
