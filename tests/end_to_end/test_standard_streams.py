"""Nobody reads standard output or the messages on standard error, and standard input is closed: row L-04."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.end_to_end.scene import Scene
from tests.rig.process import GENEROUS_PACK, START_S, Stillgate
from tests.rig.scripted_upstream import ScriptedUpstream

# What runs for a request is allowed without a record, a denial needs one.
PACK = {
    **GENEROUS_PACK,
    "quotas": [{"id": "few", "per": "account", "limits": [{"measure": "requests", "max": 2, "window": "1h"}]}],
}
DEAF = ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-m", "proxy.cli"]


class Clogged(Stillgate):
    """An installation one of whose standard streams is a pipe that is full."""

    reader = writer = -1
    stream = "stdout"

    async def run(self, within: float = START_S, *, without_store: bool = False) -> None:
        assert not without_store
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.writer, False)
        with suppress(BlockingIOError):
            while True:
                os.write(self.writer, b"\n" * 4096)
        os.set_blocking(self.writer, True)  # as the process gets it
        with (self.folder / "stdout.log").open("ab") as out, (self.folder / "stderr.log").open("ab") as err:
            streams = {"stdout": out.fileno(), "stderr": err.fileno(), self.stream: self.writer}
            self._process = await self._spawn("serve", **streams)
        os.close(self.writer)
        await self._until(self._ready, within, "ready")


async def test_a_full_pipe_and_a_closed_input_hold_up_nobody_and_lose_no_denial(tmp_path: Path) -> None:
    """L-04: allowed exchanges go on, denials are 503, and once somebody reads the records come, whole and in order."""
    async with (
        ScriptedUpstream() as upstream,
        Clogged.start(
            tmp_path, {"decision_log": {"to": "stdout"}}, upstream_url=upstream.url, pack=PACK, command=DEAF
        ) as gate,
    ):
        assert isinstance(gate, Clogged)
        scene = Scene(upstream, gate, await gate.create_key())
        assert [(await scene.ask(scene.ordinary())).status for _ in range(2)] == [200, 200]
        began = asyncio.get_running_loop().time()
        assert (await scene.ask(scene.ordinary())).status == 503
        assert asyncio.get_running_loop().time() - began < 5
        assert (await gate.admin("GET", "/readyz"))[0] == 200
        got = bytearray()
        reading = asyncio.create_task(asyncio.to_thread(_read_all, gate.reader, got))
        async with asyncio.timeout(10):
            while (denied := (await scene.ask(scene.ordinary())).status) != 429:
                assert denied == 503
                await asyncio.sleep(0.1)
        assert await gate.terminate() == 0
        await reading
        records = [json.loads(line) for line in got.split(b"\n") if line]
        kinds = [record["kind"] for record in records]
        assert (kinds[0], kinds[-2:]) == ("start", ["stop", "checkpoint"])
        assert [record["seq"] for record in records] == [*range(1, len(records) + 1)]
        effects = [record["effect"] for record in records if record["kind"] == "exchange"]
        assert effects[:3] == ["allow", "allow", "deny"]


class Unheard(Clogged):
    """One whose messages nobody reads."""

    stream = "stderr"


@pytest.mark.parametrize("kind", [Clogged, Unheard], ids=["checkpoints", "messages"])
async def test_where_nobody_reads_checkpoints_or_messages_the_log_goes_on_and_so_does_the_rest(
    kind: type[Clogged], tmp_path: Path
) -> None:
    """L-04: with the log in a file all is as ever, workers are started again, and a stop comes to its end."""
    often = {"decision_log": {"checkpoint_lines": 1}}
    async with (
        ScriptedUpstream() as upstream,
        kind.start(tmp_path, often, upstream_url=upstream.url, pack=PACK) as gate,
    ):
        assert isinstance(gate, Clogged)
        scene = Scene(upstream, gate, await gate.create_key())
        assert [(await scene.ask(scene.ordinary())).status for _ in range(5)] == [200, 200, 429, 429, 429]
        killed = gate.workers[0]
        os.kill(killed, signal.SIGKILL)
        async with asyncio.timeout(30):
            while killed in (await gate.admin_request("GET", "/status"))[1]["workers"] or not await gate._ready():
                await asyncio.sleep(0.1)
        assert (await scene.ask(scene.ordinary())).status == 429
        assert await gate.terminate() == 0
        os.close(gate.reader)
        assert [record["effect"] for record in gate.records("exchange")] == ["allow"] * 2 + ["deny"] * 4


def _read_all(reader: int, got: bytearray) -> None:
    while data := os.read(reader, 65_536):
        got += data
    os.close(reader)


async def test_where_nobody_reads_the_welcome_the_stand_in_is_served_and_a_stop_comes_to_its_end(
    tmp_path: Path,
) -> None:
    async with Unheard.start(tmp_path, upstream_url=None, settings={"models": None}) as gate:
        await gate.create_key()
        assert (await gate.admin("GET", "/readyz"))[0] == 200
        assert await gate.terminate() == 0
