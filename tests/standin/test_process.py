from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.rig.forked import Forked, fork
from tests.standin.wire import ANTHROPIC, CHAT, MESSAGES, ask, chat

AT_ONCE_S = 10.0  # the streams would go on for minutes
COMMAND = [sys.executable, "-m", "proxy.cli", "model"]
GREETING = "stand-in model listening on "
PARENT = """
import subprocess, sys
subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE).wait()
"""


@asynccontextmanager
async def spawned(*command: str, **how: Any) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(*command, stderr=PIPE, **how)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        if process.stdin is not None:
            process.stdin.close()


@asynccontextmanager
async def forked(*words: str, **how: Any) -> AsyncIterator[Forked]:
    """Start it where nothing depends on how: a second of CPU time cheaper."""
    process = await fork("proxy.cli", "model", *words, cwd=Path.cwd(), env=os.environ, stderr=PIPE, **how)
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def url_of(process: Process | Forked) -> str:
    async with asyncio.timeout(20):
        line = (await said(process).readline()).decode()
    assert line.startswith(GREETING), line
    return line.removeprefix(GREETING).strip()


async def exit_code(process: Process | Forked) -> int:
    async with asyncio.timeout(20):
        return await process.wait()


def said(process: Process | Forked) -> asyncio.StreamReader:
    assert process.stderr is not None
    return process.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_at_once_and_in_silence_with_streams_open(number: signal.Signals) -> None:
    async with AsyncExitStack() as stack:
        process = await stack.enter_async_context(spawned(*COMMAND, "--port", "0", "--tokens-per-second", "1"))
        url = await url_of(process)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        for path in ("/v1/chat/completions", "/v1/messages"):
            wish = {**MESSAGES, "stream": True}
            response = await stack.enter_async_context(session.post(url + path, json=wish, headers=ANTHROPIC))
            assert await response.content.readany()
        began = time.monotonic()
        process.send_signal(number)
        assert await exit_code(process) == 0
        assert time.monotonic() - began < AT_ONCE_S
        assert await said(process).read() == b""


async def test_it_writes_its_url_to_the_announced_descriptor_alone_and_closes_it() -> None:
    reading, writing = os.pipe()
    try:
        async with forked("--port", "0", "--announce-fd", str(writing), pass_fds=(writing,)) as process:
            os.close(writing)
            line = (await asyncio.to_thread(os.read, reading, 100)).decode()
            assert line.endswith("\n")
            assert os.read(reading, 100) == b""
            assert (await chat(line.strip())).status == 200
            process.terminate()
            assert await said(process).read() == b""
    finally:
        os.close(reading)


async def test_it_ends_when_its_standard_input_does() -> None:
    async with spawned(*COMMAND, "--port", "0", "--until-stdin-closes", stdin=PIPE) as process:
        url = await url_of(process)
        assert process.stdin is not None
        process.stdin.write(b"what is written there means nothing\n")
        await process.stdin.drain()
        assert (await chat(url)).status == 200
        process.stdin.close()
        assert await exit_code(process) == 0


async def test_a_standard_input_without_another_end_counts_as_closed() -> None:
    async with spawned(*COMMAND, "--port", "0", "--until-stdin-closes", stdin=DEVNULL) as process:
        assert await exit_code(process) == 0


async def test_it_does_not_outlive_a_parent_that_is_killed() -> None:
    command = [*COMMAND, "--port", "0", "--until-stdin-closes"]
    async with spawned(sys.executable, "-c", PARENT, *command) as parent:
        await url_of(parent)
        parent.kill()
        async with asyncio.timeout(10):
            assert await said(parent).read() == b""  # ends when the last process that holds it does


async def test_a_port_in_use_is_said_in_one_line() -> None:
    async with forked("--port", "0") as first:
        port = (await url_of(first)).rpartition(":")[2]
        async with forked("--port", port) as second:
            assert await exit_code(second) == 1
            lines = (await said(second).read()).decode().splitlines()
    assert len(lines) == 1
    assert port in lines[0]


async def test_a_credential_file_closes_it_to_everybody_else(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("the-key\n")
    async with forked("--port", "0", "--credential-file", str(path)) as process:
        url = await url_of(process)
        for key, status in (("the-key", 200), ("other", 401)):
            said_to = await ask(url, "/v1/chat/completions", CHAT, {"Authorization": f"Bearer {key}"})
            assert said_to.status == status


@pytest.mark.parametrize("contents", [None, "", "\n", b"\xff\xfe"])
async def test_a_credential_file_that_holds_no_key_stops_the_start(
    tmp_path: Path, contents: str | bytes | None
) -> None:
    path = tmp_path / "key"
    if contents is not None:
        path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    async with forked("--port", "0", "--credential-file", str(path)) as process:
        code, complaint = await exit_code(process), (await said(process).read()).decode()
    assert code == 2, complaint
    assert "Traceback" not in complaint
