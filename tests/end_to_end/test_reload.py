"""Another pack comes into force while the real thing runs, whatever way it gets there; a broken one never does."""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import json
import os
import pty
import signal
import stat
import sys
import termios
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from tests.end_to_end.customers import record_of
from tests.end_to_end.packs import becomes, content, fails, in_force, pack, rename_over, served_by
from tests.end_to_end.scene import Scene, delta, staged
from tests.rig.scripted_upstream import Close, Pause, Send, event, http
from tests.rig.waiting import until

BROKEN = b"apiVersion: stillgate/v1\nkind: PolicyPack\nquotas: [{id: few, per: nobody}]\n"


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with staged(tmp_path, pack=pack("first")) as scene:
        yield scene
        await scene.at_peace()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("shared"), pack=pack("first")) as scene:
        yield scene


@pytest_asyncio.fixture(loop_scope="module")
async def shared(running: Scene) -> AsyncIterator[Scene]:
    """One proxy for all tests that ask for it, with the first pack in force and no failure on its mind."""
    path = path_of(running)
    if path.is_dir():
        path.rmdir()
    rename_over(path, content("first"))  # and no signal: one that is still under way would read what a test writes

    async def as_at_first() -> bool:
        return (await becomes(running, "first"))["failure"] is None

    await until(as_at_first)
    yield running
    await running.at_peace()


def path_of(scene: Scene) -> Path:
    return scene.gate.folder / "pack.yaml"


def said(scene: Scene) -> str:
    return (scene.gate.folder / "stderr.log").read_text()


async def test_a_rename_an_edit_in_place_and_a_touch_are_each_seen_for_what_they_are(scene: Scene) -> None:
    path = path_of(scene)
    assert await served_by(scene) == "first"
    rename_over(path, content("renamed"))
    found = await becomes(scene, "renamed")
    assert (found["since"]["how"], found["failure"]) == ("file", None)
    assert await served_by(scene) == "renamed"
    path.write_bytes(content("edited"))
    await becomes(scene, "edited")
    assert await served_by(scene) == "edited"
    path.touch()
    os.kill(scene.gate.pid, signal.SIGHUP)

    async def looked() -> bool:
        return (await scene.gate.metrics())['stillgate_pack_reloads_total{result="unchanged"}'] == 1

    await until(looked)
    metrics = await scene.gate.metrics()
    assert metrics['stillgate_pack_reloads_total{result="loaded"}'] == 2
    digest = (await in_force(scene))["pack"]["digest"]
    assert [name for name in metrics if name.startswith("stillgate_pack_info")] == [
        f'stillgate_pack_info{{digest="{digest}",name="edited"}}'
    ]
    archived = scene.gate.data / "packs" / f"{digest}.yaml"
    assert archived.read_bytes() == content("edited")
    assert stat.S_IMODE(archived.stat().st_mode) == 0o600


@pytest.mark.asyncio(loop_scope="module")
async def test_a_pack_that_is_written_in_pieces_is_taken_once_it_is_whole(shared: Scene) -> None:
    """L-05: each of its first pieces is a broken pack, and none is told of."""
    for attempt in itertools.count():
        before, name = len(said(shared)), f"slow-{attempt}"
        quickly = await asyncio.to_thread(written_in_pieces, path_of(shared), content(name))
        await becomes(shared, name)  # and whatever was said of its pieces is said
        if quickly:
            break
    assert "is broken" not in said(shared)[before:]


def written_in_pieces(path: Path, data: bytes) -> bool:
    """Write a file in most of a second; say whether no piece could pass for the whole, by a pause or by the time."""
    pauses: list[float] = []
    began = time.monotonic()
    with path.open("wb") as file:
        last = began
        for start in range(0, len(data), len(data) // 20):
            file.write(data[start : start + len(data) // 20])
            file.flush()
            pauses.append(time.monotonic() - last)
            last = time.monotonic()
            time.sleep(0.04)
    return max(pauses) < 0.12 and time.monotonic() - began < 1.1  # of 1.2 in which it is waited for to hold still


async def test_a_config_map_that_swaps_its_links_is_followed_and_a_folder_that_vanishes_is_survived(
    tmp_path: Path,
) -> None:
    """L-05."""
    mount = tmp_path / "policies"

    def swap(name: str, data: bytes) -> None:
        """Do as the kubelet does: a new folder, a link to it renamed over `..data`."""
        (mount / name).mkdir(parents=True)
        (mount / name / "pack.yaml").write_bytes(data)
        (mount / "..new").symlink_to(name)
        (mount / "..new").rename(mount / "..data")

    swap("..2026_01", content("first"))
    (mount / "pack.yaml").symlink_to("..data/pack.yaml")
    async with staged(tmp_path, {"pack": "policies/pack.yaml"}, pack=pack("first")) as scene:
        swap("..2026_02", content("second"))
        assert (await becomes(scene, "second"))["file"].endswith("/..2026_02/pack.yaml")
        swap("..2026_03", BROKEN)
        await fails(scene, "per")
        mount.rename(tmp_path / "gone")
        await fails(scene, "No such file")
        assert await served_by(scene) == "second"
        (tmp_path / "gone").rename(mount)
        swap("..2026_04", content("fourth"))
        await becomes(scene, "fourth")
        refused = await scene.gate.cli("policy", "rollback", "--why", "no reason")
        assert refused.returncode == 1
        assert "as a ConfigMap makes it" in refused.stderr
        assert await served_by(scene) == "fourth"
        await scene.at_peace()


async def test_a_broken_pack_is_told_once_with_its_places_and_changes_nothing_until_it_is_mended(scene: Scene) -> None:
    """L-05: one error in the log, one metric."""
    path = path_of(scene)
    rename_over(path, BROKEN)
    found = await fails(scene, "metadata")
    assert f"{path}:3:" in "\n".join(found["failure"]["problems"])
    assert found["pack"]["name"] == "first"
    code, ready = await scene.gate.admin_request("GET", "/readyz")
    assert (code, ready["ready"], len(ready["notes"])) == (200, True, 1)
    assert (await scene.gate.metrics())["stillgate_pack_reload_failed"] == 1
    for _ in range(3):
        path.touch()
        await asyncio.sleep(1.1)  # the watch looks each second, and must say nothing new
    assert await served_by(scene) == "first"
    rename_over(path, content("mended"))
    await becomes(scene, "mended")
    assert said(scene).count("the new pack is broken") == 1
    assert (await scene.gate.metrics())["stillgate_pack_reload_failed"] == 0
    assert (await scene.gate.admin_request("GET", "/readyz"))[1]["notes"] == []
    rename_over(path, BROKEN)
    await fails(scene, "metadata")
    rename_over(path, content("mended"))

    async def forgiven() -> bool:
        return (await in_force(scene))["failure"] is None

    await until(forgiven)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("data", "saying"),
    [
        (b"", "pack.yaml:"),
        (content("half")[:200], "pack.yaml:"),
        (b"x: " + b"y" * 5_000_000, "larger than"),
        (b"\xff\xfe\x00", "pack.yaml:"),
        (b"a: &a [1]\nb: *a\n", "alias"),
        (b"[" * 50_000, "nested deeper"),
        (b"quotas: []\nquotas: []\n", "duplicate"),
        (None, "cannot be read"),
    ],
    ids=["empty", "half written", "5 MB", "not UTF-8", "aliases", "deep", "duplicates", "a folder"],
)
async def test_no_kind_of_broken_pack_gets_in(shared: Scene, data: bytes | None, saying: str) -> None:
    """L-05."""
    path = path_of(shared)
    if data is None:
        path.unlink()
        path.mkdir()
    else:
        rename_over(path, data)
    assert (await fails(shared, saying))["pack"]["name"] == "first"
    assert await served_by(shared) == "first"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_pack_that_is_deleted_goes_on_until_there_is_another(shared: Scene) -> None:
    """L-05."""
    path_of(shared).unlink()
    await fails(shared, "No such file")
    assert await served_by(shared) == "first"
    os.mkfifo(path_of(shared))  # opening one waits for a writer that never comes
    await fails(shared, "not a file")
    path_of(shared).unlink()
    rename_over(path_of(shared), content("second"))
    await becomes(shared, "second")


@pytest.mark.asyncio(loop_scope="module")
async def test_an_exchange_keeps_the_pack_it_began_with_to_its_end(shared: Scene) -> None:
    """L-06: and its record names it."""
    go_on = asyncio.Event()
    head = http(200, [("Content-Type", "text/event-stream"), ("Connection", "close")])
    end = event({"id": "c-1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}) + event("[DONE]")
    shared.upstream.script((Send(head + delta("a")), Pause(go_on), Send(delta("b") + end), Close()))
    async with await shared.connect(20) as client:
        await client.send(shared.ordinary(stream=True))
        exchange = (await client.head()).header("x-request-id")
        await client.chunk()
        rename_over(path_of(shared), content("second"))
        await becomes(shared, "second")
        assert await served_by(shared) == "second"
        go_on.set()
        await client.until(b"0\r\n\r\n")
    record = await record_of(shared.gate, exchange)
    assert (record["pack_name"], record["outcome"], record["status"]) == ("first", "answered", 200)


async def test_two_workers_agree_and_one_that_is_killed_starts_with_what_is_in_force(tmp_path: Path) -> None:
    async with staged(tmp_path, pack=pack("first"), workers=2) as scene:
        rename_over(path_of(scene), content("second"))
        digest = (await becomes(scene, "second"))["pack"]["digest"]
        rename_over(path_of(scene), BROKEN)
        await fails(scene, "metadata")
        victim = scene.gate.workers[0]
        os.kill(victim, signal.SIGKILL)

        async def replaced() -> bool:
            workers = (await in_force(scene))["workers"]
            return len(workers) == 2 and str(victim) not in workers and set(workers.values()) == {digest}

        await until(replaced)
        assert {await served_by(scene) for _ in range(12)} == {"second"}
        assert [record["pack_digest"] for record in scene.gate.records("start")].count(digest) == 1


async def test_a_worker_that_cannot_load_the_pack_in_force_keeps_the_old_one_and_is_asked_again(tmp_path: Path) -> None:
    async with staged(tmp_path, pack=pack("first"), workers=2, command="tests.end_to_end.spoiling_cli") as scene:
        first = (await in_force(scene))["pack"]["digest"]
        spoilt = scene.gate.folder / "spoilt"
        spoilt.touch()
        rename_over(path_of(scene), content("second"))

        def told() -> bool:
            return "cannot be loaded; the old one goes on" in said(scene)

        await until(told)
        found = await in_force(scene)
        assert (found["pack"]["name"], set(found["workers"].values())) == ("second", {first})
        assert await served_by(scene) == "first"
        spoilt.unlink()
        await becomes(scene, "second")


async def test_a_worker_needs_no_archive_to_be_started_again(tmp_path: Path) -> None:
    async with staged(tmp_path, pack=pack("first")) as scene:
        rename_over(path_of(scene), content("second"))
        digest = (await becomes(scene, "second"))["pack"]["digest"]
        (scene.gate.data / "packs" / f"{digest}.yaml").unlink()
        workers = (await in_force(scene))["workers"]
        os.kill(int(*workers), signal.SIGKILL)

        async def again() -> bool:
            return bool((await in_force(scene))["workers"].keys() - workers.keys())

        await until(again)
        await becomes(scene, "second")
        assert await served_by(scene) == "second"


async def test_a_large_pack_that_is_checked_holds_up_nobody_who_asks_how_the_proxy_is(tmp_path: Path) -> None:
    """P7."""
    rule = {
        "severity": "low",
        "when": {
            "all": [{"request.model": {"in": ["a" * 150, "b" * 150]}}, {"content.trace_elicitation": {"gte": 0.5}}]
        },
        "flag": {"name": "odd", "on": "account", "score": 1, "ttl": "1d"},
    }
    rules = [{"id": f"rule-{number}", **rule} for number in range(2_000)]

    async def longest_answer(scene: Scene) -> float:
        longest = 0.0
        with suppress(asyncio.CancelledError):
            while True:
                began = time.monotonic()
                assert (await scene.gate.admin_request("GET", "/healthz"))[0] == 200
                longest = max(longest, time.monotonic() - began)
        return longest

    async with staged(tmp_path, pack=pack("first")) as scene:
        worst = []
        for name in ("second", "third", "fourth"):
            large = json.dumps({**pack(name), "rules": rules}).encode()
            assert 900_000 < len(large) < 1 << 20
            asking = asyncio.create_task(longest_answer(scene))
            rename_over(path_of(scene), large)
            await becomes(scene, name)
            asking.cancel()
            worst.append(await asking)
        assert min(worst) < 0.1, worst


async def test_counts_go_on_when_a_limit_is_raised(tmp_path: Path) -> None:
    async with staged(tmp_path, pack=pack("narrow", 10)) as scene:

        async def asked(number: int) -> int:
            answers = [await scene.ask(scene.ordinary()) for _ in range(number)]
            return [one.status for one in answers].count(200)

        assert await asked(14) == 10
        rename_over(path_of(scene), content("wide", 16))
        await becomes(scene, "wide")
        assert await asked(12) == 6
        await scene.at_peace()


async def test_ten_reloads_a_second_of_good_and_broken_packs_neither_crash_nor_leak(scene: Scene) -> None:
    """L-05."""
    parent = psutil.Process(scene.gate.pid)

    def size() -> tuple[int, int, int, int]:
        (worker,) = scene.gate.workers
        return (
            parent.memory_info().rss + psutil.Process(worker).memory_info().rss,
            parent.num_fds() + psutil.Process(worker).num_fds(),
            parent.num_threads() + psutil.Process(worker).num_threads(),
            len(list((scene.gate.data / "packs").iterdir())),
        )

    async def churn(rounds: int, first: int) -> None:
        for number in range(first, first + rounds):
            rename_over(path_of(scene), BROKEN + b"#%d" % (number % 4) if number % 2 else content(f"p{number}"))
            os.kill(scene.gate.pid, signal.SIGHUP)
            await asyncio.sleep(0.1)

    await churn(40, 0)
    before = size()
    serving = [served_by(scene) for _ in range(5)]
    await asyncio.gather(churn(120, 40), *serving)
    after = size()
    assert after[0] - before[0] < 12 << 20, (before, after)
    assert after[1] - before[1] <= 6, (before, after)
    assert after[2] <= before[2] + 12, (before, after)  # a pool of up to six in each of the two
    assert after[3] <= 52, (before, after)
    rename_over(path_of(scene), content("last"))
    await becomes(scene, "last")
    assert await served_by(scene) == "last"
    assert said(scene).count("the new pack is broken") <= 4
    assert "Traceback" not in said(scene)


async def test_a_terminal_that_is_closed_ends_the_proxy_although_a_hangup_means_reload(tmp_path: Path) -> None:
    (tmp_path / "pack.yaml").write_bytes(content("first"))
    terminal, inside = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy.cli", "serve", "--data", "data", "--pack", "pack.yaml"),
        *("--port", "0", "--admin-port", "0"),
        stdin=inside,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=tmp_path,
        env={"PATH": os.defpath, "HOME": str(tmp_path)},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(inside)
    try:
        announced = tmp_path / "data" / "serve.json"

        def serves() -> bool:
            assert process.returncode is None
            return announced.exists()

        await until(serves, 30)
        os.kill(process.pid, signal.SIGHUP)
        rename_over(tmp_path / "pack.yaml", content("second"))

        def reloaded() -> bool:
            return len(list((tmp_path / "data" / "packs").glob("*.yaml"))) == 2

        await until(reloaded)
        os.close(terminal)
        async with asyncio.timeout(20):
            assert await process.wait() == 0
        assert not announced.exists()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
