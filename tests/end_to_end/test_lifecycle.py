"""Starts and deaths of the real thing: promise P2, rows L-03, L-04 and L-13."""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.end_to_end.scene import CHAT, chat
from tests.rig.invariants import Witness, assert_invariants
from tests.rig.process import GENEROUS_PACK, NOBODY, Stillgate
from tests.rig.raw_client import BrokenError, RawClient, get, post
from tests.rig.scripted_upstream import ScriptedUpstream
from tests.rig.waiting import until

LIMIT = 20
FEW: dict[str, Any] = {
    **GENEROUS_PACK,
    "quotas": [{"id": "few", "per": "account", "limits": [{"measure": "requests", "max": LIMIT, "window": "1h"}]}],
}
PACK = Path(__file__).parents[2] / "policies" / "default.yaml"


async def status(gate: Stillgate, key: str) -> int:
    """Ask once and return the status; 0 if nobody answers."""
    with suppress(OSError, BrokenError):
        async with await RawClient.connect(gate.port) as client:
            return (await client.ask(post(CHAT, chat(), [("Authorization", f"Bearer {key}")]))).status
    return 0


def lives(process: psutil.Process) -> bool:
    """Tell whether a process runs still; it may end while it is asked for."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def printed_by(snippet: str) -> str:
    """Run it where the clients, which take seconds to import, are imported."""
    printed, names = io.StringIO(), dict[str, Any]()
    with redirect_stdout(printed):
        exec(snippet, names)  # noqa: S102 - what the page says, which is what is tested
    names["client"].close()
    return printed.getvalue()


async def test_the_first_start_prints_lines_that_work_as_they_stand_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    arguments = ["serve", "--data", "data", "--port", "0", "--admin-port", "0", "--pack", str(PACK)]
    environment = {"PATH": os.defpath, "HOME": str(tmp_path)}
    with (tmp_path / "said").open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "proxy.cli", *arguments, cwd=tmp_path, stderr=said, env=environment
        )
    try:

        def welcomed() -> bool:
            assert process.returncode is None, (tmp_path / "said").read_text()
            return "Ctrl-C ends" in (tmp_path / "said").read_text()

        await until(welcomed)
        page = (tmp_path / "said").read_text()
        (curl,) = re.findall(r"^curl .*?\}'$", page, re.MULTILINE | re.DOTALL)
        snippets = re.findall(r"^from (?:openai|anthropic) .*?\.(?:content|text)\)$", page, re.MULTILINE | re.DOTALL)
        assert len(snippets) == 2
        ran = await asyncio.to_thread(subprocess.run, ["bash", "-c", curl], capture_output=True, check=True, timeout=60)
        assert len(ran.stdout) > 20
        for snippet in snippets:
            assert len(await asyncio.to_thread(printed_by, snippet)) > 20
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(10):
            assert await process.wait() == 0
        assert not [child for child in children if lives(child)]
        assert not list((tmp_path / "data").rglob("*.sock"))
        assert "Traceback" not in (tmp_path / "said").read_text()
    finally:
        if process.returncode is None:
            process.kill()


@pytest.mark.parametrize("how", ["in order", "kill -9"])
async def test_a_second_start_finds_keys_and_quotas_as_they_were(
    tmp_path: Path, upstream: ScriptedUpstream, how: str
) -> None:
    async with Stillgate.start(tmp_path, upstream_url=upstream.url, pack=FEW) as gate:
        key = await gate.create_key()
        assert [await status(gate, key) for _ in range(8)] == [200] * 8
        await gate.wait_for_records(8)
        if how == "kill -9":
            await gate.kill_everything()
        await gate.restart()
        admitted = 0
        while await status(gate, key) == 200:
            admitted += 1
        # What was held in advance dies with the process: it counts as used, and nothing is admitted twice.
        assert LIMIT - 8 - LIMIT // 8 <= admitted <= LIMIT - 8
        assert admitted == LIMIT - 8 or how == "kill -9"
        assert len(gate.records("gap")) == (how == "kill -9")
        assert await status(gate, key) == 429
        await assert_invariants(Witness(), upstream, gate)


async def test_a_worker_that_is_killed_is_started_again(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async with Stillgate.start(tmp_path, upstream_url=upstream.url) as gate:
        key = await gate.create_key()
        assert await status(gate, key) == 200
        await gate.wait_for_records(1)
        await gate.metrics()  # so that the parent knows what the worker had counted
        os.kill(gate.workers[0], signal.SIGKILL)

        async def served() -> bool:
            return await status(gate, key) == 200

        await until(served)
        counted = {name: value for name, value in (await gate.metrics()).items() if "exchanges_total" in name}
        assert sum(counted.values()) == 2
        assert len(gate.records("gap")) == 1


async def test_a_worker_that_is_started_again_goes_by_the_settings_of_the_start(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async with Stillgate.start(tmp_path, upstream_url=upstream.url) as gate:
        key = await gate.create_key()
        (worker,) = gate.workers
        gate.config.write_text("half writ: [")
        os.kill(worker, signal.SIGKILL)

        async def served() -> bool:
            return await status(gate, key) == 200

        await until(served)


async def test_a_worker_that_is_started_again_without_its_secret_makes_no_other(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async with Stillgate.start(tmp_path, upstream_url=upstream.url) as gate:
        key = await gate.create_key()
        (worker,) = gate.workers
        secret, away = gate.data / "master.secret", tmp_path / "away.secret"
        secret.rename(away)
        os.kill(worker, signal.SIGKILL)

        def told() -> bool:
            return "a worker cannot be started again" in (tmp_path / "stderr.log").read_text() or secret.exists()

        await until(told)
        assert not secret.exists()
        away.rename(secret)
        found: set[int] = set()

        async def served() -> bool:
            found.add(await status(gate, key))
            return 200 in found

        await until(served)
        assert found <= {0, 200}


async def test_two_workers_share_one_address_and_their_metrics_add_up(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async with Stillgate.start(tmp_path, upstream_url=upstream.url, workers=2) as gate:
        key = await gate.create_key()
        assert await asyncio.gather(*(status(gate, key) for _ in range(40))) == [200] * 40
        records = await gate.wait_for_records(40)
        assert len({record["writer"] for record in records}) == 2
        counted = {name: value for name, value in (await gate.metrics()).items() if "exchanges_total" in name}
        assert sum(counted.values()) == 40


async def test_children_do_not_outlive_a_parent_that_is_killed_and_the_store_waits_for_the_next(
    tmp_path: Path,
) -> None:
    """L-04."""
    async with Stillgate.start(tmp_path, upstream_url=None, settings={"models": None}) as gate:
        key = await gate.create_key()
        os.kill(gate.pid, signal.SIGKILL)

        def only_the_store_is_left() -> bool:
            return list(gate.names().values()) == ["valkey-server"]

        await until(only_the_store_is_left)
        (store,) = gate.pids()
        await gate.run()
        assert store in gate.pids()
        async with await RawClient.connect(gate.port) as client:
            assert (await client.ask(get("/v1/models", [("x-api-key", key)]))).status == 200


async def test_an_embedded_store_that_is_killed_is_started_again_with_all_it_held(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async with Stillgate.start(tmp_path, upstream_url=upstream.url, pack=FEW) as gate:
        key = await gate.create_key()
        assert [await status(gate, key) for _ in range(4)] == [200] * 4
        (store,) = [pid for pid, name in gate.names().items() if name == "valkey-server"]
        os.kill(store, signal.SIGKILL)

        async def back() -> bool:
            return (await gate.admin("GET", "/keys"))[0] == 200

        assert await status(gate, key) == 200, "by this process's share meanwhile"
        await until(back)
        made = await gate.create_key(account="after")

        async def served() -> bool:
            return await status(gate, made) == 200

        await until(served)
        while await status(gate, key) == 200:
            pass
        allowed = [record for record in gate.records("exchange") if record["effect"] == "allow"]
        assert len(allowed) <= LIMIT + 1  # the other account's one


async def test_an_embedded_store_whose_socket_was_removed_is_started_again_with_all_it_held(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    """Whoever was connected goes on, but nobody comes to it any more: no worker that is started again, no command."""
    async with Stillgate.start(tmp_path, upstream_url=upstream.url) as gate:
        key = await gate.create_key()
        (store,) = [pid for pid, name in gate.names().items() if name == "valkey-server"]
        (gate.data / "store" / "valkey.sock").unlink()

        def another() -> bool:
            return [name for pid, name in gate.names().items() if pid != store].count("valkey-server") == 1

        await until(another)
        os.kill(gate.workers[0], signal.SIGKILL)

        async def served() -> bool:
            return await status(gate, key) == 200

        await until(served)
        assert "the socket of the embedded store was removed" in (tmp_path / "stderr.log").read_text()


def broken_pack(folder: Path) -> str:
    (folder / "pack.yaml").write_text("apiVersion: stillgate/v1\nkind: PolicyPack\nquotaz: []\n")
    return "quotaz"


def missing_pack(folder: Path) -> str:
    (folder / "pack.yaml").unlink()
    return "pack.yaml"


def open_secret(folder: Path) -> str:
    (folder / "data").mkdir(exist_ok=True)
    secret = folder / "data" / "master.secret"
    secret.write_text("c2VjcmV0LWNhbmFyeS1zZWNyZXQtY2FuYXJ5LXNlY3JldC1jYW5hcnk=\n")
    secret.chmod(0o644)
    return "chmod 600"


def missing_credential(folder: Path) -> str:
    (folder / "upstream.key").unlink()
    return "there is no such file"


def missing_master(folder: Path) -> str:
    text = (folder / "settings.yaml").read_text()
    (folder / "settings.yaml").write_text(text.replace('"embedded"', '"redis://127.0.0.1:9"'))
    return "a shared store needs a secret_file that exists"


def unknown_setting(folder: Path) -> str:
    text = (folder / "settings.yaml").read_text()
    (folder / "settings.yaml").write_text(text.replace('"workers"', '"wrokers"'))
    return "workers"


@pytest.mark.parametrize(
    "break_it", [broken_pack, missing_pack, open_secret, missing_credential, missing_master, unknown_setting]
)
async def test_a_start_that_cannot_be_says_why_in_plain_words(tmp_path: Path, break_it: Callable[[Path], str]) -> None:
    """L-13."""
    gate = Stillgate.installed(tmp_path, upstream_url=NOBODY)
    told = break_it(tmp_path)
    ran = await gate.cli("serve")
    assert ran.returncode == 1
    assert told in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "canary" not in ran.stderr


async def test_a_second_start_on_the_same_port_is_refused(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    """L-13."""
    async with Stillgate.start(tmp_path, upstream_url=upstream.url) as gate:
        same_port = await gate.cli("serve", "--data", str(tmp_path / "other"), "--port", str(gate.port))
        assert (same_port.returncode, str(gate.port) in same_port.stderr) == (1, True)
        assert "Traceback" not in same_port.stderr
        key = await gate.create_key()
        assert await status(gate, key) == 200
