"""Somebody rotates the decision log by copying and cutting it: row L-09."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from tests.end_to_end.scene import Scene
from tests.rig.decision_log import assert_verifies
from tests.rig.process import GENEROUS_PACK, Stillgate
from tests.rig.scripted_upstream import ScriptedUpstream

# What runs for a request is allowed without a record, a denial needs one.
PACK = {
    **GENEROUS_PACK,
    "quotas": [{"id": "few", "per": "account", "limits": [{"measure": "requests", "max": 2, "window": "1h"}]}],
}
CUTS = "stillgate_log_truncations_total"


async def until_answered(scene: Scene, status: int, otherwise: int) -> None:
    async with asyncio.timeout(10):
        while (found := (await scene.ask(scene.ordinary())).status) != status:
            assert found == otherwise
            await asyncio.sleep(0.1)  # a second at most: only then does the writer look at its file again


async def test_a_log_that_was_copied_and_cut_takes_no_record_until_it_is_moved_away(tmp_path: Path) -> None:
    """L-09: known callers go on, nobody is denied without a record, and what waited comes into the new file."""
    async with (
        ScriptedUpstream() as upstream,
        Stillgate.start(tmp_path, upstream_url=upstream.url, pack=PACK) as gate,
    ):
        scene = Scene(upstream, gate, await gate.create_key())
        fresh = Scene(upstream, gate, await gate.create_key(account="fresh"))
        assert [(await scene.ask(scene.ordinary())).status for _ in range(3)] == [200, 200, 429]
        log = gate.data / "decisions" / "decisions-0.jsonl"
        shutil.copy(log, f"{log}.1")
        with log.open("r+b") as file:
            file.truncate(0)
        await until_answered(scene, 503, otherwise=429)
        left = log.read_bytes()  # a line may have come in the second before it was noticed
        assert (await fresh.ask(fresh.ordinary())).status == 200
        assert (await gate.admin("GET", "/readyz"))[0] == 200
        assert sum((await gate.metrics(CUTS)).values()) == 1
        assert log.read_bytes() == left
        assert "move it away" in (gate.folder / "stderr.log").read_text()
        log.rename(f"{log}.2")
        await until_answered(scene, 429, otherwise=503)
        assert await gate.terminate() == 0
        kept = gate.records("exchange")
        assert [record["effect"] for record in kept if record["status"] == 200] == ["allow"]
        assert {record["effect"] for record in kept if record["status"] in {429, 503}} == {"deny"}
        assert not assert_verifies({gate.log(): gate.data / "log.key"})


async def test_a_log_that_was_cut_goes_on_where_that_is_wanted(tmp_path: Path) -> None:
    async with (
        ScriptedUpstream() as upstream,
        Stillgate.start(
            tmp_path, {"decision_log": {"when_cut": "go_on"}}, upstream_url=upstream.url, pack=PACK
        ) as gate,
    ):
        scene = Scene(upstream, gate, await gate.create_key())
        assert [(await scene.ask(scene.ordinary())).status for _ in range(3)] == [200, 200, 429]
        log = gate.data / "decisions" / "decisions-0.jsonl"
        with log.open("r+b") as file:
            file.truncate(0)
        async with asyncio.timeout(10):
            while not sum((await gate.metrics(CUTS)).values()):
                assert (await scene.ask(scene.ordinary())).status == 429
                await asyncio.sleep(0.1)
        assert (await scene.ask(scene.ordinary())).status == 429
        assert {record["effect"] for record in gate.records("exchange")} == {"deny"}
