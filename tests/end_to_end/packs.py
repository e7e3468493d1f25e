"""Packs for a running proxy, what it says of them, and which one an exchange went by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.end_to_end.customers import record_of
from tests.end_to_end.scene import Scene, answer
from tests.rig.process import GENEROUS_PACK
from tests.rig.scripted_upstream import json_answer
from tests.rig.waiting import until

SOON_S = 60.0


def pack(name: str, most: int = 1_000_000) -> dict[str, Any]:
    limits = [{"measure": "requests", "max": most, "window": "1h"}]
    quotas = [{"id": "few", "per": "account", "limits": limits}]
    return {**GENEROUS_PACK, "metadata": {"name": name, "version": "1", "owner": "tests"}, "quotas": quotas}


def content(name: str, most: int = 1_000_000) -> bytes:
    return json.dumps(pack(name, most), indent=1).encode()


def rename_over(path: Path, data: bytes) -> None:
    draft = path.with_name("draft")
    draft.write_bytes(data)
    draft.replace(path)


async def in_force(scene: Scene) -> dict[str, Any]:
    code, document = await scene.gate.admin_request("GET", "/policy")
    assert code == 200, document
    return dict(document)


async def becomes(scene: Scene, name: str) -> dict[str, Any]:
    """Wait until a pack is in force in every worker; return the status."""

    async def everywhere() -> bool:
        found = await in_force(scene)
        return found["pack"]["name"] == name and set(found["workers"].values()) == {found["pack"]["digest"]}

    await until(everywhere)
    return await in_force(scene)


async def fails(scene: Scene, saying: str) -> dict[str, Any]:
    """Wait until the last attempt has failed for a reason; return the status."""

    async def failed() -> bool:
        failure = (await in_force(scene))["failure"]
        return failure is not None and saying in "\n".join(failure["problems"])

    await until(failed)
    return await in_force(scene)


async def served_by(scene: Scene) -> str:
    """Ask once; return the name of the pack in the exchange's record."""
    scene.upstream.script(json_answer(200, answer()))
    response = await scene.ask(scene.ordinary(), accepted=True)
    assert response.status == 200, response
    return str((await record_of(scene.gate, response.header("x-request-id")))["pack_name"])
