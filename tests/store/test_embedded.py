from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import socket
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psutil
import pytest

from proxy.errors import ConfigurationError, StoreUnavailable
from proxy.store import embedded, server_binary
from proxy.store.base import Ask, Row
from proxy.store.embedded import EmbeddedServer
from proxy.store.redis import RedisStore
from tests.rig.valkey import Valkey, command
from tests.rig.waiting import until

ASK = Ask("0123456789abcdef", 10, 3_600_000, 1, 1)

# A parent as it is in use: it starts the server, says so and lives until it is killed.
PARENT = """
import asyncio, sys
from pathlib import Path
from proxy.store.embedded import EmbeddedServer

async def main():
    server = EmbeddedServer(Path(sys.argv[1]))
    url = await server.start()
    print(server.pid, url, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder with a short path; whatever server is left on it at the end is killed."""
    with tempfile.TemporaryDirectory(prefix="sg") as folder:
        data = Path(folder).resolve() / "data"
        yield data
        for process in _servers(data):
            process.kill()
            process.wait(5)


def _servers(data: Path) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["name", "cwd"])
        if process.info["name"] == "valkey-server" and process.info["cwd"] == str(data / "store")
    ]


@asynccontextmanager
async def _store(url: str) -> AsyncIterator[RedisStore]:
    store = await RedisStore.connect(url, deadline=5.0)
    yield store
    await store.close()


async def _use(url: str) -> int:
    """Use up a unit, and return what is left; the row written the first time must still be there."""
    async with _store(url) as store:
        (grant,) = await store.reserve([ASK], os.urandom(8).hex())
        if grant.remaining == 9:
            await store.write([Row("keys", "a", b"kept")])
        assert await store.read("keys", "a") == b"kept"
        return grant.remaining


async def test_it_listens_for_this_user_alone_in_a_session_of_its_own(data: Path) -> None:
    server = EmbeddedServer(data)
    url = await server.start()
    try:
        assert url == f"unix://{data}/store/valkey.sock"
        assert stat.S_IMODE((data / "store").stat().st_mode) == 0o700
        assert stat.S_IMODE((data / "store" / "valkey.sock").stat().st_mode) == 0o700
        assert os.getsid(server.pid) == server.pid
        assert not [c for c in psutil.Process(server.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
        for name, value in [("appendonly", b"yes"), ("appendfsync", b"no"), ("maxmemory-policy", b"noeviction")]:
            assert value in command(url, "CONFIG", "GET", name)
    finally:
        await server.stop()


async def test_a_second_start_finds_everything_and_stop_leaves_no_process_and_no_socket(data: Path) -> None:
    for remaining in (9, 8, 7):
        server = EmbeddedServer(data)
        assert await _use(await server.start()) == remaining
        await server.stop()
        assert _servers(data) == []
        assert not (data / "store" / "valkey.sock").exists()
    await server.stop()


async def test_nothing_that_was_answered_is_lost_when_the_server_is_killed(data: Path) -> None:
    server = EmbeddedServer(data)
    url = await server.start()
    for attempt in range(5):
        async with _store(url) as store:
            assert await store.write([Row("keys", f"{attempt} {index}", b"x" * 2000) for index in range(20)])
            (grant,) = await store.reserve([ASK], f"{attempt}")
            assert grant.remaining == 9 - attempt
            os.kill(server.pid, signal.SIGKILL)
        assert await server.start() == url
        async with _store(url) as store:
            assert len([name async for name, _ in store.scan("keys")]) == 20 * (attempt + 1)
    await server.stop()


async def test_what_is_written_goes_on_to_the_disk_when_files_can_be_opened_again(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second without descriptors must not be the last one in which it was tried."""
    tried, sync = list[Path](), embedded._sync

    def counted(folder: Path) -> None:
        tried.append(folder)
        sync(folder)

    monkeypatch.setattr(embedded, "_SYNC_S", 0.01)
    monkeypatch.setattr(embedded, "_sync", counted)
    server = EmbeddedServer(data)
    await server.start()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        before = len(tried)
        async with asyncio.timeout(10):
            while len(tried) < before + 3:
                await asyncio.sleep(0.01)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        await server.stop()


async def test_what_was_overwritten_is_in_none_of_its_files_once_they_were_written_anew(data: Path) -> None:
    """A-10: a key that was destroyed is destroyed on the disk too."""
    server = EmbeddedServer(data)
    url = await server.start()
    secret = b"a-key-that-somebody-will-want-gone"

    def kept() -> bool:
        return any(secret in path.read_bytes() for path in (data / "store").rglob("*") if path.is_file())

    async with _store(url) as store:
        await store.write([Row("epochs", "2026-10", secret), Row("keys", "a", b"kept")])
        await store.write([Row("epochs", "2026-10", b"")])
        assert kept()
        await server.compact()
        assert not kept()
        assert (await store.read("epochs", "2026-10"), await store.read("keys", "a")) == (b"", b"kept")
    await server.stop()
    with pytest.raises(StoreUnavailable):
        await server.compact()


async def test_a_server_whose_parent_was_killed_is_found_and_used_on(data: Path) -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, data, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    async with asyncio.timeout(20):
        pid, url = (await parent.stdout.readline()).decode().split()
    assert await _use(url) == 9
    parent.kill()
    await parent.wait()

    server = EmbeddedServer(data)
    assert await server.start() == url
    assert server.pid == int(pid)
    assert [process.pid for process in _servers(data)] == [int(pid)]
    assert await _use(url) == 8
    await server.stop()
    assert _servers(data) == []


async def test_a_second_parent_on_the_same_folder_is_refused(data: Path) -> None:
    first, second = EmbeddedServer(data), EmbeddedServer(data)
    url = await first.start()
    with pytest.raises(ConfigurationError, match="already runs"):
        await second.start()
    await second.stop()
    assert await _use(url) == 9
    await first.stop()
    await second.start()
    await second.stop()


async def test_a_socket_that_nobody_listens_on_is_in_nobodys_way(data: Path) -> None:
    (data / "store").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(data / "store" / "valkey.sock"))
    server = EmbeddedServer(data)
    assert await _use(await server.start()) == 9
    await server.stop()


async def test_a_server_whose_socket_was_removed_ends_and_one_that_ended_lost_none(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the socket lies elsewhere, in a directory that went with it."""
    monkeypatch.setattr(tempfile, "tempdir", str(data.parent))
    for folder in (data, data / ("a" * 100)):
        server = EmbeddedServer(folder, stop_seconds=1.0)
        url = await server.start()
        assert not await server.end_unreachable()
        assert await _use(url) == 9
        os.kill(server.pid, signal.SIGTERM)  # in order, it takes its socket along
        await until(server._server_is_gone)
        assert not await server.end_unreachable()
        assert await server.start() == url
        _remove_socket(url)
        os.kill(server.pid, signal.SIGSTOP)
        assert await server.end_unreachable()
        assert await server.start() == url
        assert await _use(url) == 8
        await server.stop()


@pytest.mark.parametrize("why", ["unseen", "deleted", "another's"])
async def test_a_server_whose_folder_cannot_be_seen_or_is_gone_goes_on(data: Path, why: str) -> None:
    """Nothing says that its socket was removed, and what it holds is nowhere else."""
    server, store = EmbeddedServer(data), data / "store"
    await server.start()
    if why == "unseen":
        with without_rights(store):
            lost = server._socket_was_removed()
    else:
        store.rename(data / "away")
        if why == "another's":
            (store / "appendonlydir").mkdir(parents=True)
            (store / "owner.lock").touch()
        lost = server._socket_was_removed()
    assert not lost
    assert not server._server_is_gone()
    await server.stop()


def _remove_socket(url: str) -> None:
    place = Path(url.removeprefix("unix://"))
    place.unlink()
    if place.parent.name != "store":
        place.parent.rmdir()


@contextmanager
def without_rights(folder: Path) -> Iterator[None]:
    """Let nobody look into a folder, root included: it takes the rights of nobody for that long."""
    user = os.geteuid()
    folder.chmod(0)
    for above in folder.parents[:2]:
        above.chmod(0o755)
    try:
        if user == 0:
            os.seteuid(65534)
        yield
    finally:
        os.seteuid(user)
        folder.chmod(0o700)


async def test_start_returns_once_all_data_is_read(data: Path) -> None:
    server = EmbeddedServer(data)
    url = await server.start()
    command(url, "EVAL", "for i = 1, 200000 do redis.call('HSET', 'sg:{tables}:keys', i, i) end", "0")
    os.kill(server.pid, signal.SIGKILL)
    await server.start()
    async with _store(url) as store:
        assert await store.read("keys", "200000") == b"200000"
    await server.stop()


async def test_a_data_folder_with_a_long_path_has_its_socket_elsewhere(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(data.parent))
    deep = data / ("a" * 100)
    for remaining in (9, 8):
        server = EmbeddedServer(deep)
        url = await server.start()
        assert len(url.removeprefix("unix://")) <= 103
        private = Path(url.removeprefix("unix://")).parent
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert await _use(url) == remaining
        await server.stop()
        assert list(private.iterdir()) == []


@pytest.mark.parametrize("wrong", ["mode", "link"])
async def test_a_place_for_the_socket_that_others_can_enter_is_refused(
    data: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(data.parent))
    private = data.parent / f"stillgate-{os.getuid()}"
    if wrong == "mode":
        private.mkdir(mode=0o755)
    else:
        private.symlink_to(data.parent)
    with pytest.raises(ConfigurationError, match="only this user"):
        await EmbeddedServer(data / ("a" * 100)).start()


async def test_no_place_with_a_short_path_is_explained(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = data.parent / ("t" * 100)
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with pytest.raises(ConfigurationError, match="too long"):
        await EmbeddedServer(data / ("a" * 100)).start()


async def test_a_platform_without_a_binary_is_explained(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(ConfigurationError, match="name a server instead"):
        await EmbeddedServer(data).start()


@pytest.mark.parametrize(
    ("mode", "says"), [(0o700, "ended at once(.|\n)*cannot find libexample"), (0o600, "does not run here")]
)
async def test_a_binary_that_does_not_run_is_explained_with_its_last_words(
    data: Path, monkeypatch: pytest.MonkeyPatch, mode: int, says: str
) -> None:
    broken = data.parent / "valkey-server"
    broken.write_text("#!/bin/sh\necho cannot find libexample\nexit 127\n")
    broken.chmod(mode)
    monkeypatch.setattr(server_binary, "server_binary", lambda: broken)
    server = EmbeddedServer(data)
    with pytest.raises(ConfigurationError, match=says):
        await server.start()
    monkeypatch.undo()
    await server.start()
    await server.stop()


async def test_the_server_of_another_folder_is_left_alone(data: Path) -> None:
    taken = data / "store" / "valkey.sock"
    taken.parent.mkdir(parents=True)
    with Valkey(data.parent / "other", settings={"unixsocket": str(taken)}) as other:
        with pytest.raises(ConfigurationError, match="another folder"):
            await EmbeddedServer(data).start()
        assert other.command("PING") == b"+PONG\r\n"


async def test_a_server_that_is_nobodys_but_uses_the_folder_is_not_trusted(data: Path) -> None:
    folder = data / "store"
    with Valkey(folder, port=None), pytest.raises(ConfigurationError, match="does not hold"):
        await EmbeddedServer(data).start()


@asynccontextmanager
async def _frozen(data: Path) -> AsyncIterator[EmbeddedServer]:
    server = EmbeddedServer(data, start_seconds=0.3, stop_seconds=0.3)
    await server.start()
    os.kill(server.pid, signal.SIGSTOP)
    yield server
    assert _servers(data) == []


async def test_a_server_that_does_not_answer_the_next_start_is_reported_not_doubled(data: Path) -> None:
    async with _frozen(data) as server:
        pid = server.pid
        with pytest.raises(ConfigurationError, match="without answering"):
            await server.start()
        assert [process.pid for process in _servers(data)] in ([pid], [])


async def test_a_stop_while_it_is_waited_for_leaves_the_server_to_those_who_drain(data: Path) -> None:
    """It may answer again before the last of them has ended."""
    server = EmbeddedServer(data)
    url = await server.start()
    os.kill(server.pid, signal.SIGSTOP)
    again = asyncio.create_task(server.start())
    await asyncio.sleep(0.1)
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)
    os.kill(server.pid, signal.SIGCONT)
    assert await _use(url) == 9
    await server.stop()
    assert _servers(data) == []


async def test_a_server_that_does_not_end_is_killed(data: Path) -> None:
    async with _frozen(data) as server:
        await server.stop()


@pytest.mark.parametrize("again", [False, True], ids=["gone", "made anew"])
async def test_a_server_whose_folder_was_deleted_is_ended_all_the_same(data: Path, *, again: bool) -> None:
    server = EmbeddedServer(data, stop_seconds=0.3)
    await server.start()
    shutil.rmtree(data)
    if again:
        (data / "store").mkdir(parents=True)
    await server.stop()
    assert not psutil.pid_exists(server.pid)


async def test_a_server_whose_folder_was_deleted_ends_without_the_one_that_was_made_there_since(data: Path) -> None:
    first, second = EmbeddedServer(data), EmbeddedServer(data)
    await first.start()
    shutil.rmtree(data)
    url = await second.start()
    await first.stop()
    try:
        assert not psutil.pid_exists(first.pid)
        assert await _use(url) == 9
    finally:
        await second.stop()
