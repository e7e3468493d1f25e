"""`stillgate policy status`, `activate` and `rollback` against the real thing."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import pwd
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.packs import content, fails, in_force, pack, rename_over, served_by
from tests.end_to_end.people import run
from tests.end_to_end.scene import Scene, staged
from tests.rig.process import NOBODY, Stillgate

WHY = ("--why", "ticket 12")
WHO = pwd.getpwuid(os.getuid()).pw_name  # as the system has it, whatever the caller says


@pytest.fixture(params=[1])
async def scene(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    async with staged(tmp_path, pack=pack("first"), workers=request.param) as scene:
        yield scene
        await scene.at_peace()


async def verb(gate: Stillgate, *args: str, code: int = 0) -> str:
    """Run a verb in this process, which spares its start; in a thread, since `activate` has a loop of its own."""
    ran = await asyncio.to_thread(run, gate, "policy", *args)
    assert ran.exit_code == code, ran
    return ran.stdout if code == 0 else ran.stderr


@pytest.mark.parametrize("scene", [2], indirect=True, ids=["two workers"])
async def test_activate_changes_the_file_and_every_worker_before_it_returns_and_rollback_goes_back(
    scene: Scene,
) -> None:
    path = scene.gate.folder / "pack.yaml"
    path.chmod(0o640)
    new = scene.gate.folder / "new.yaml"
    for name in ("second", "third"):
        new.write_bytes(content(name))
        said = await verb(scene.gate, "activate", str(new), *WHY)
        assert f"in force: {name} 1" in said
        found = await in_force(scene)
        assert set(found["workers"].values()) == {found["pack"]["digest"]}
        assert (path.read_bytes(), path.stat().st_mode & 0o777) == (content(name), 0o640)
        assert await served_by(scene) == name
    assert "in force: second 1" in await verb(scene.gate, "rollback", *WHY)
    assert path.read_bytes() == content("second")
    assert "in force: third 1" in await verb(scene.gate, "rollback", "--why", "it was not that")
    first = next(entry for entry in (await in_force(scene))["revisions"] if entry["name"] == "first")
    assert "in force: first 1" in await verb(scene.gate, "rollback", first["digest"][:8], *WHY)
    assert await served_by(scene) == "first"
    assert "no revisions" in await verb(scene.gate, "rollback", "00000000", *WHY, code=1)
    assert "is empty" in await verb(scene.gate, "rollback", "", *WHY, code=2)
    code, problem = await scene.gate.admin_request("POST", "/policy/rollback", {"digest": "", "reason": "x"})
    assert (code, problem["detail"]) == (400, "digest: must be 1 to 64 characters; without it, the pack before")
    assert await served_by(scene) == "first"
    revisions = json.loads(await verb(scene.gate, "status", "--json"))["revisions"]
    assert [(entry["name"], entry["how"], entry["who"], entry["why"]) for entry in revisions[:1]] == [
        ("first", "rollback", WHO, "ticket 12")
    ]
    assert sorted(entry["name"] for entry in revisions) == ["first", "second", "third"]
    await scene.gate.restart()
    found = await in_force(scene)
    latest = found["revisions"][0]
    assert (latest["name"], latest["how"], latest["who"]) == ("first", "rollback", WHO)
    assert len(found["revisions"]) == 3
    assert "in force: third 1" in await verb(scene.gate, "rollback", *WHY)


async def test_what_is_broken_untested_or_unexplained_is_refused_and_changes_nothing(scene: Scene) -> None:
    broken = {**pack("broken"), "quota": []}
    (scene.gate.folder / "broken.yaml").write_text(json.dumps(broken, indent=1))
    assert "did you mean 'quotas'?" in await verb(
        scene.gate, "activate", str(scene.gate.folder / "broken.yaml"), *WHY, code=1
    )
    new = scene.gate.folder / "new.yaml"
    new.write_bytes(content("new"))
    assert "--why" in await verb(scene.gate, "activate", str(new), code=2)
    assert "cannot be read" in await verb(scene.gate, "activate", "nowhere.yaml", *WHY, code=1)
    for body, saying in (
        ({"content": json.dumps(broken), "reason": "x"}, "unknown key"),
        ({"content": "a"}, "reason: must be"),
        ({"content": "a", "reason": " "}, "reason: must be"),
        ({"content": "a", "reason": "x", "who": "ann"}, "unknown field 'who'"),
        ({"content": 1, "reason": "x"}, "must be text"),
        ([], "must be a JSON object"),
    ):
        code, problem = await scene.gate.admin_request("POST", "/policy/activate", body)
        assert (code, saying in problem["detail"]) == (400, True), problem
    log = (scene.gate.data / "decisions" / "admin.jsonl").read_text()
    tried = [line for line in map(json.loads, log.splitlines()) if line.get("action") == "policy.activate"]
    wanted = hashlib.sha256(json.dumps(broken).encode()).hexdigest()
    assert [(line["object"], line["result"]) for line in tried] == [(wanted, "begun"), (wanted, "refused")]
    assert (scene.gate.folder / "pack.yaml").read_text() == json.dumps(pack("first"), indent=1)
    found = await in_force(scene)
    assert (found["pack"]["name"], found["failure"], len(found["revisions"])) == ("first", None, 1)
    assert "no earlier pack" in await verb(scene.gate, "rollback", *WHY, code=1)


async def test_what_only_the_proxys_settings_tell_of_a_new_pack_is_warned_of_once_it_is_in_force(scene: Scene) -> None:
    document: dict[str, Any] = pack("second")
    document["signals"] = {
        "unread": {"count": "requests", "per": "account", "window": "1h", "where": {"request.model": "lrage"}}
    }
    new = scene.gate.folder / "new.yaml"
    new.write_text(json.dumps(document, indent=1))
    for args in (("activate", str(new), *WHY), ("rollback", *WHY), ("rollback", *WHY)):
        ran = await asyncio.to_thread(run, scene.gate, "policy", *args)
        assert (ran.exit_code, "in force:" in ran.stdout) == (0, True), ran
        warned = "in force: second" in ran.stdout
        assert ran.stderr.count("warning: the settings list no model 'lrage'") == warned
        assert ran.stderr.count("warning: nothing reads the signal unread") == warned


async def test_status_shows_what_runs_what_failed_and_how_long_rules_have_been_in_shadow(scene: Scene) -> None:
    path = scene.gate.folder / "pack.yaml"
    document: dict[str, Any] = pack("second")
    document["quotas"].append({**document["quotas"][0], "id": "wary", "mode": "shadow"})
    rename_over(path, json.dumps(document, indent=1).encode())
    await scene.gate.admin_request("GET", "/policy")
    (scene.gate.folder / "again.yaml").write_bytes(path.read_bytes())
    await verb(scene.gate, "activate", str(scene.gate.folder / "again.yaml"), *WHY)
    path.write_text("quotas: 1\n")
    await fails(scene, "pack.yaml:1")
    shown = await verb(scene.gate, "status")
    assert "second 1 of tests" in shown
    assert "The last attempt failed" in shown
    assert "pack.yaml:1:" in shown
    (entry,) = json.loads(await verb(scene.gate, "status", "--json"))["shadow"]
    assert (entry["kind"], entry["id"], 0 <= entry["seconds"] < 60) == ("quota", "wary", True)
    assert "wary" in shown
    assert "the settings' path cannot be used" in str((await scene.gate.admin_request("GET", "/status"))[1]["notes"])


async def test_that_no_proxy_runs_is_told(tmp_path: Path) -> None:
    ran = await Stillgate.installed(tmp_path, upstream_url=NOBODY).cli("policy", "status")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "no proxy answers" in ran.stderr
    assert "Traceback" not in ran.stderr
