"""`stillgate demo`: a real proxy, a real hunter, the strict pack as shipped; and nothing is left of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from proxy.demo.cast import MEMBERS
from tests.rig.forked import fork, living

WITHIN_S = 120.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for temporary files whose name is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="sg-") as made:
        yield Path(made)


@asynccontextmanager
async def demo(folder: Path, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start it with `folder` for temporary files; whatever it started is gone at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy.cli", "demo", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def left_files(folder: Path) -> list[str]:
    """Return what is in a folder, but for the sockets' own, which is shared by everything that a user runs."""
    return [file.name for file in folder.iterdir() if any(folder.glob(f"{file.name}/*")) or file.is_file()]


def left(folder: Path) -> list[str]:
    """Return the processes that have something to do with a folder."""
    lines = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        said = " ".join(process.info["cmdline"] or ())
        if str(folder) in said or str(folder) in str(process.info["cwd"]):
            lines.append(said)
    return lines


@pytest.mark.timeout(WITHIN_S + 30)
async def test_the_campaign_is_found_and_contained_and_nobody_honest_is_touched(folder: Path) -> None:
    async with demo(folder, "--json") as process, asyncio.timeout(WITHIN_S):
        out, err = await process.communicate()
    assert process.returncode == 0, (out, err)
    assert err == b""
    outcome = json.loads(out)
    assert outcome["good"] is True
    assert (outcome["honest_touched"], outcome["honest_accused"]) == ([], [])
    assert outcome["campaign"]["members"] >= MEMBERS
    assert outcome["campaign"]["most_requests_of_one_account"] < 20, "a rule about single accounts could have seen it"
    assert outcome["newcomer"] == {"status": 200, "limited": True, "logprobs": False}
    honest = [counts for role, counts in outcome["customers"].items() if role != "campaign"]
    assert all(counts["answered"] > 0 for counts in honest)
    assert left_files(folder) == []
    assert left(folder) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_ended_in_the_middle_it_leaves_nothing(folder: Path, number: signal.Signals) -> None:
    environment = {**os.environ, "TMPDIR": str(folder), "HOME": str(folder)}
    process = await fork("proxy.cli", "demo", cwd=Path.cwd(), env=environment, stdout=PIPE, stderr=PIPE)
    try:
        async with asyncio.timeout(60):
            assert process.stdout is not None
            while b"honest accounts at work" not in (line := await process.stdout.readline()):
                assert line, "it ended before it began"
            children = living(folder) - {process.pid}
            assert children
            assert left(folder)  # its store
            process.send_signal(number)
            _, err = await process.communicate()
        assert process.returncode == 130
        assert b"Traceback" not in err, err
        assert left_files(folder) == []
        assert left(folder) == []
        assert living(folder) == set()
    finally:
        process.kill()
        await process.wait()


async def test_it_ends_without_a_word_once_nobody_reads_it(folder: Path) -> None:
    command = f"{sys.executable} -m proxy.cli demo | head -1; exit ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "TMPDIR": str(folder), "HOME": str(folder)}
    process = await asyncio.create_subprocess_exec("bash", "-c", command, env=environment, stdout=PIPE, stderr=PIPE)
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert (process.returncode, err) == (1, b"")
    assert out.count(b"\n") == 1
    assert left_files(folder) == []
    assert left(folder) == []
