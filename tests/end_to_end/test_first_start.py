"""What a newcomer does after the first start: press Ctrl-C while something runs, and start it again."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
import time
from pathlib import Path
from typing import Any

from tests.end_to_end.customers import assert_said_nothing_wrong
from tests.end_to_end.scene import CHAT, MESSAGES, chat
from tests.rig.process import EXECUTED, NOBODY, Stillgate
from tests.rig.raw_client import BrokenError, RawClient, get, post
from tests.rig.scripted_upstream import Pause, Script, ScriptedUpstream, event, sse_answer

CTRL_C_S = 5.0
UNREADY_S = 0.1


def endless(*events: bytes) -> Script:
    return (*sse_answer(events, end=False), Pause(asyncio.Event()))


async def begin(gate: Stillgate, key: str, path: str) -> RawClient:
    """Ask for a stream and return once its first piece is there."""
    client = await RawClient.connect(gate.port, within=20)
    await client.send(post(path, chat(stream=True), [("Authorization", f"Bearer {key}")]))
    assert (await client.head()).status == 200
    assert await client.chunk()
    return client


async def test_ctrl_c_ends_everything_within_seconds_streams_included(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async with Stillgate.start(tmp_path, upstream_url=upstream.url, workers=2, command=EXECUTED) as gate:
        key = await gate.create_key()
        delta = event({"id": "c", "choices": [{"index": 0, "delta": {"content": "a"}}]})
        start: dict[str, Any] = {"type": "message_start", "message": {"usage": {"input_tokens": 1, "output_tokens": 1}}}
        upstream.script(endless(delta), endless(event(start, "message_start")))
        streams = [await begin(gate, key, path) for path in (CHAT, MESSAGES)]
        began = time.monotonic()
        os.killpg(gate.pid, signal.SIGINT)  # a terminal sends it to the whole group
        endings = [await stream.to_end() for stream in streams]
        assert await gate.exit_code(CTRL_C_S) == 0
        assert time.monotonic() - began < CTRL_C_S
        assert b'data: {"error":' in endings[0]
        assert b'event: error\ndata: {"type":"error"' in endings[1]
        assert all(ending.endswith(b"0\r\n\r\n") for ending in endings)
        assert gate.pids() == []
        assert not list(gate.folder.rglob("*.sock"))
        records = gate.records("exchange")
        assert [(record["outcome"], record["status"]) for record in records] == [("shutdown", 200)] * 2
        assert len(gate.records("stop")) == 2
        assert_said_nothing_wrong(gate)
        for stream in streams:
            stream.close()


async def test_while_it_drains_it_is_not_ready_and_takes_nobody_new(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async with Stillgate.start(tmp_path, upstream_url=upstream.url) as gate:
        key = await gate.create_key()
        done = asyncio.Event()
        first, *rest = (event({"choices": [{"index": 0, "delta": {"content": word}}]}) for word in "abc")
        answer = sse_answer([first, *rest, event("[DONE]")])
        upstream.script((*answer[:2], Pause(done), *answer[2:]))
        async with await begin(gate, key, CHAT) as stream:
            began = time.monotonic()
            os.kill(gate.pid, signal.SIGTERM)
            while (await gate.admin("GET", "/readyz"))[0] != 503:
                assert time.monotonic() - began < UNREADY_S
            async with asyncio.timeout(2):
                while True:  # the listener closes a moment after readiness went
                    try:
                        async with await RawClient.connect(gate.port) as late:
                            assert (await late.ask(get("/v1/models", [("x-api-key", key)]))).status in {200, 503}
                    except (ConnectionError, BrokenError):
                        break
            done.set()
            whole = await stream.to_end()
        assert b"[DONE]" in whole
        assert b"error" not in whole
        assert await gate.exit_code() == 0
        assert [record["outcome"] for record in gate.records("exchange")][-1] == "answered"
        assert_said_nothing_wrong(gate)


async def test_a_second_start_shows_the_same_first_key_and_it_works_also_after_kill_9(tmp_path: Path) -> None:
    async def keys_shown(starts: int) -> list[str]:
        async with asyncio.timeout(5):
            while len(shown := re.findall(r"Bearer (sgk_\w+)'", (tmp_path / "stderr.log").read_text())) < starts:
                await asyncio.sleep(0.02)  # it is printed once the proxy is ready
        return shown

    async with Stillgate.start(tmp_path, {"models": None}, upstream_url=None) as gate:
        await keys_shown(1)
        for starts in (2, 3):
            if starts == 3:
                await gate.kill_everything()
            await gate.restart()
            (shown,) = set(await keys_shown(starts))
            assert (gate.data / "first.key").stat().st_mode & 0o077 == 0
            async with await RawClient.connect(gate.port, within=10) as client:
                asked = chat(model="standin-large")
                answer = await client.ask(post(CHAT, asked, [("Authorization", f"Bearer {shown}")]))
            assert answer.status == 200
            assert answer.json()["choices"][0]["message"]["content"]


async def test_a_start_with_another_master_secret_is_refused_and_one_without_begins_anew(tmp_path: Path) -> None:
    """Else it would refuse every customer's key as unknown."""
    async with Stillgate.start(tmp_path, upstream_url=NOBODY) as gate:
        key = await gate.create_key()
        await gate.terminate()
        secret = gate.data / "master.secret"
        kept = secret.read_text()
        secret.write_text(secrets.token_hex(32))
        ran = await gate.cli("serve")
        assert (ran.returncode, "is not the master secret that the store was used with" in ran.stderr) == (1, True)
        assert "Traceback" not in ran.stderr
        for found, status in ((kept, 200), (None, 401), (None, 401)):
            secret.unlink(missing_ok=status == 200)
            if found is not None:
                secret.touch(mode=0o600)
                secret.write_text(found)
            await gate.run()
            async with await RawClient.connect(gate.port, within=10) as client:
                assert (await client.ask(get("/v1/models", [("Authorization", f"Bearer {key}")]))).status == status
            await gate.terminate()


async def test_a_start_without_a_master_secret_that_fails_does_not_keep_the_next_one_from_beginning_anew(
    tmp_path: Path,
) -> None:
    async with Stillgate.start(tmp_path, upstream_url=NOBODY) as gate:
        await gate.terminate()
        (gate.data / "master.secret").unlink()
        store = (gate.data / "store").rename(gate.data / "away")
        store_file = gate.data / "store"
        store_file.touch()
        assert (await gate.cli("serve")).returncode == 1
        store_file.unlink()
        store.rename(gate.data / "store")
        await gate.run()


async def test_a_first_key_that_cannot_be_kept_ends_the_start_in_plain_words(tmp_path: Path) -> None:
    gate = Stillgate.installed(tmp_path, {"models": None}, upstream_url=None)
    (gate.data / "first.key").mkdir(parents=True)
    ran = await gate.cli("serve")
    assert ran.returncode == 1
    assert f"stillgate: {gate.data / 'first.key'}: the first key cannot be kept: Is a directory" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert gate.pids() == []
