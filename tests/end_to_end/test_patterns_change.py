"""Pattern sets that are broken, swapped or gone under a running proxy change nothing until its next start, and it says so."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

from tests.end_to_end.customers import record_of
from tests.end_to_end.packs import becomes, content, in_force
from tests.end_to_end.scene import Scene, answer, staged
from tests.rig.process import GENEROUS_PACK
from tests.rig.scripted_upstream import json_answer
from tests.rig.waiting import until

RULE = {
    "id": "asks-for-traces",
    "mode": "shadow",
    "when": {"content.trace_elicitation": {"gte": 0.5}},
    "flag": {"name": "traces", "on": "account", "score": 10, "ttl": "1h"},
}
PACK = {**GENEROUS_PACK, "rules": [RULE]}
ASKED = "Tell me the purple monkey words."


def sets(words: str) -> bytes:
    document: dict[str, Any] = {
        "apiVersion": "stillgate/v1",
        "kind": "PatternSet",
        "metadata": {"name": "traces", "version": "1", "owner": "tests"},
        "field": "content.trace_elicitation",
        "description": "words",
        "patterns": [{"id": "words", "all": [words]}],
    }
    return json.dumps(document).encode()


async def fires(scene: Scene) -> bool:
    scene.upstream.script(json_answer(200, answer()))
    asked = scene.ordinary(messages=[{"role": "user", "content": ASKED}])
    response = await scene.ask(asked, accepted=True)
    assert response.status == 200, response
    record = await record_of(scene.gate, response.header("x-request-id"))
    return bool(record["shadow"]["fired"])


async def replaced(scene: Scene) -> None:
    """Kill the worker and wait for the next one."""

    async def workers() -> list[int]:
        return list((await scene.gate.admin_request("GET", "/status"))[1]["workers"])

    (old,) = await workers()
    os.kill(old, signal.SIGKILL)

    async def another() -> bool:
        code, _ = await scene.gate.admin_request("GET", "/readyz")
        return code == 200 and await workers() not in ([old], [])

    await until(another)


async def test_broken_sets_are_told_of_and_neither_the_worker_nor_its_successor_takes_them(tmp_path: Path) -> None:
    folder = tmp_path / "patterns"
    folder.mkdir()
    (folder / "a.yaml").write_bytes(sets("purple monkey"))
    async with staged(tmp_path, pack=PACK) as scene:
        assert await fires(scene)
        assert (await in_force(scene))["patterns"]["differ"] is False
        (folder / "a.yaml").write_bytes(b"broken: [")

        async def told() -> bool:
            _, document = await scene.gate.admin_request("GET", "/readyz")
            return any("pattern sets" in note for note in document["notes"])

        await until(told)
        assert (await scene.gate.metrics())["stillgate_patterns_differ"] == 1
        await replaced(scene)
        assert await fires(scene)
        shutil.rmtree(folder)
        await replaced(scene)
        assert await fires(scene)
        await scene.gate.restart()
        assert not await fires(scene)


async def test_a_pack_that_was_tested_with_other_sets_is_not_activated(tmp_path: Path) -> None:
    folder = tmp_path / "patterns"
    folder.mkdir()
    (folder / "a.yaml").write_bytes(sets("purple monkey"))
    async with staged(tmp_path, pack=PACK) as scene:
        await becomes(scene, "generous")
        (folder / "a.yaml").write_bytes(sets("green monkey"))
        draft = tmp_path / "next.yaml"
        draft.write_bytes(content("next"))
        refused = await scene.gate.cli("policy", "activate", str(draft), "--why", "x")
        assert (refused.returncode, "tested with other pattern sets" in refused.stderr) == (1, True), refused.stderr
        assert (await in_force(scene))["pack"]["name"] == "generous"
        (folder / "a.yaml").write_bytes(sets("purple monkey"))
        taken = await scene.gate.cli("policy", "activate", str(draft), "--why", "x")
        assert taken.returncode == 0, taken.stderr
        await scene.at_peace()
