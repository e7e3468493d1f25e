"""The master secret is replaced under running proxies: keys go on, what is told apart by it changes, replicas agree."""

from __future__ import annotations

import json
import os
import signal
import stat
from pathlib import Path
from typing import Any

from tests.end_to_end.replicas import Replicas, two_replicas
from tests.end_to_end.scene import CHAT, Scene, answer, staged
from tests.marks.texts import PROSE
from tests.rig.process import GENEROUS_PACK, Stillgate
from tests.rig.raw_client import RawClient, post
from tests.rig.scripted_upstream import ScriptedUpstream, json_answer
from tests.rig.waiting import until

RESPONSE = "resp_0123456789"
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
PACK: dict[str, Any] = {
    **GENEROUS_PACK,
    "rules": [
        {
            "id": "suspects",
            "when": {"account.plan": "suspect"},
            "flag": {"name": "suspect", "on": "account", "score": 60, "ttl": "1d"},
        }
    ],
    "ladder": [{"rung": "mark", "score": 50, "do": [{"mark": {"style": True}}]}],
}


async def secrets(gate: Stillgate, *words: str) -> list[dict[str, Any]]:
    """Run a verb, and return what it tells; it tells no secret."""
    done = await gate.cli("secrets", *words, "--json")
    assert done.returncode == 0, done.stderr
    lines = (gate.data / "master.secret").read_text().split()
    assert not [word for word in lines if len(word) > 40 and word in done.stdout + done.stderr]
    return list(json.loads(done.stdout))


async def respond(
    upstream: ScriptedUpstream, gate: Stillgate, key: str, *, refused: bool = False, **members: Any
) -> tuple[int, Any]:
    """Ask for a response; the upstream's has always the same id."""
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    head = {"id": RESPONSE, "object": "response", "status": "completed", "model": "m-large", "output": []}
    if not refused:
        upstream.script(json_answer(200, {**head, "usage": usage}))
    asked = {"model": "m-large", "input": "hi", **members}
    async with await RawClient.connect(gate.port, within=20) as client:
        response = await client.ask(post("/v1/responses", asked, [("Authorization", f"Bearer {key}")]))
    return response.status, response.json()


async def marked(scene: Scene, key: str) -> str:
    scene.upstream.script(json_answer(200, answer(PROSE, usage=USAGE)))
    asked = {"model": "m-large", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 16}
    response = await scene.ask(post(CHAT, asked, [("Authorization", f"Bearer {key}")]), accepted=True)
    assert response.status == 200
    return str(response.json()["choices"][0]["message"]["content"])


async def traced(scene: Scene, file: Path, text: str) -> str:
    done = await scene.gate.cli("trace", "--texts", _written(file, text), "--key", "suspect-1", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return str(json.loads(done.stdout)["texts"][0]["campaign"])


async def test_keys_go_on_over_a_rotation_and_what_was_given_before_until_it_is_retired(tmp_path: Path) -> None:
    async with staged(tmp_path, pack=PACK) as scene:
        gate, upstream = scene.gate, scene.upstream
        suspect = await gate.create_key(account="suspect-1", tenant="other", plan="suspect")
        revoked = await gate.create_key(account="gone")
        assert (await gate.cli("keys", "revoke", gate.keys[-1]["id"], "--why", "left")).returncode == 0
        text = await marked(scene, suspect)
        assert await traced(scene, tmp_path / "a.jsonl", text) == "suspect-1"
        status, before = await respond(upstream, gate, scene.key)
        assert status == 200

        (first,) = await secrets(gate, "show")
        assert (first["state"], first["since"], first["first"]) == ("in-force", None, True)
        assert [row["state"] for row in await secrets(gate, "rotate")] == ["old", "in-force"]
        assert stat.S_IMODE((gate.data / "master.secret").stat().st_mode) == 0o600
        # A worker that dies before the restart comes back with the secret of the others.
        await _worker_replaced(gate)
        assert (await respond(upstream, gate, scene.key))[1]["id"] == before["id"]

        await gate.restart()
        status, after = await respond(upstream, gate, scene.key, previous_response_id=before["id"])
        assert status == 200
        assert after["id"] != before["id"]
        assert upstream.requests[-1].json()["previous_response_id"] == RESPONSE
        assert (await respond(upstream, gate, revoked, refused=True))[0] == 401
        assert (await gate.cli("keys", "list", "--json")).stdout.count('"account":"gone"') == 1
        assert await traced(scene, tmp_path / "b.jsonl", text) == f"suspect-1 (secret {first['id']})"
        assert await traced(scene, tmp_path / "c.jsonl", await marked(scene, suspect)) == "suspect-1"

        assert [row["state"] for row in await secrets(gate, "retire")] == ["retired", "in-force"]
        await gate.restart()
        status, _ = await respond(upstream, gate, scene.key, refused=True, previous_response_id=before["id"])
        assert status == 400
        assert (await respond(upstream, gate, scene.key, previous_response_id=after["id"]))[0] == 200
        assert (await respond(upstream, gate, revoked, refused=True))[0] == 401
        assert await traced(scene, tmp_path / "d.jsonl", text) == f"suspect-1 (secret {first['id']})"
        again = await gate.cli("secrets", "retire")
        assert (again.returncode, "no old secret" in again.stderr) == (1, True)


async def test_replicas_take_each_others_ids_while_one_after_the_other_is_rotated(tmp_path: Path) -> None:
    async with two_replicas(tmp_path, {}, GENEROUS_PACK) as replicas:
        (key,) = await replicas.keys(1)
        first, second = replicas.gates
        await secrets(first, "rotate", "--ahead")
        await _handed_over(replicas)
        await secrets(first, "rotate")
        await first.restart()
        for giver, taker in ((first, second), (second, first)):
            status, given = await respond(replicas.upstream, giver, key)
            assert status == 200
            assert (await respond(replicas.upstream, taker, key, previous_response_id=given["id"]))[0] == 200
        (other,) = await replicas.keys(1)  # made at the one that is ahead
        assert (await respond(replicas.upstream, second, other))[0] == 200
        await _handed_over(replicas)
        assert len({(await respond(replicas.upstream, gate, key))[1]["id"] for gate in replicas.gates}) == 1


def _written(file: Path, text: str) -> str:
    file.write_text(json.dumps({"text": text}) + "\n")
    return str(file)


async def _worker_replaced(gate: Stillgate) -> None:
    """Kill the worker and wait for the next one."""

    async def workers() -> list[int]:
        return list((await gate.admin_request("GET", "/status"))[1]["workers"])

    (old,) = await workers()
    os.kill(old, signal.SIGKILL)

    async def another() -> bool:
        code, _ = await gate.admin_request("GET", "/readyz")
        return code == 200 and await workers() not in ([old], [])

    await until(another)


async def _handed_over(replicas: Replicas) -> None:
    """Give the second replica the file of the first one, and start both anew."""
    first, second = replicas.gates
    (second.data / "master.secret").write_bytes((first.data / "master.secret").read_bytes())
    await first.restart()
    await second.restart()
