"""`stillgate policy explain EXCHANGE_ID` against the log and the archive that a running proxy wrote."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.end_to_end.customers import record_of
from tests.end_to_end.packs import becomes, rename_over
from tests.end_to_end.people import run
from tests.end_to_end.scene import CHAT, Scene, answer, staged
from tests.rig.raw_client import Response, post
from tests.rig.scripted_upstream import json_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
PACK: dict[str, Any] = {
    "apiVersion": "stillgate/v1",
    "kind": "PolicyPack",
    "metadata": {"name": "explained", "version": "1.0.0", "owner": "tests"},
    "defaults": {"mode": "enforce"},
    "quotas": [{"id": "few", "per": "key", "limits": [{"measure": "requests", "max": 4, "window": "1h"}]}],
    "signals": {
        "probes": {"count": "requests", "per": "account", "window": "1h", "where": {"request.logprobs": True}},
        "answers": {"count": "requests", "per": "account", "window": "1h", "where": {"answer.status": 200}},
    },
    "rules": [
        {
            "id": "probing",
            "when": {"signals.probes": {"gte": 2}},
            "flag": {"name": "probing", "on": "account", "score": 45, "ttl": "1d"},
            "reason": "{signals.probes} requests with log-probabilities",
        },
        {
            "id": "many-choices",
            "when": {"request.choices": {"gte": 5}},
            "flag": {"name": "many_choices", "on": "account", "score": 100, "ttl": "1d"},
        },
        {
            "id": "answered",
            "mode": "shadow",
            "when": {"signals.answers": {"gte": 2}},
            "flag": {"name": "answered", "on": "account", "score": 10, "ttl": "1d"},
        },
    ],
    "ladder": [
        {"rung": "strip", "score": 40, "do": [{"drop": ["logprobs", "logit_bias"]}], "disclose": "header"},
        {
            "rung": "block",
            "score": 140,
            "do": [{"reject": {"status": 403}}],
            "client": {"code": "access_paused", "message": "Access paused (ref {exchange_id})."},
        },
    ],
}
OTHER = {**PACK, "metadata": {**PACK["metadata"], "name": "other"}, "signals": {}, "rules": [], "ladder": []}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    away = {"upstreams": {"away": {"url": "http://127.0.0.1:1"}}, "models": {"m-away": {"upstream": "away"}}}
    async with staged(tmp_path_factory.mktemp("explained"), away, pack=PACK) as scene:
        yield scene


async def customer(scene: Scene, name: str) -> str:
    return await scene.gate.create_key(account=name, tenant=name)


async def chat(scene: Scene, key: str, **members: Any) -> Response:
    body = {"model": "m-large", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 16, **members}
    scene.upstream.script(json_answer(200, answer("Hello", usage=USAGE)))
    return await scene.ask(post(CHAT, body, [("Authorization", f"Bearer {key}")]), accepted=True)


async def recorded(scene: Scene, response: Response) -> str:
    """Return the id of an exchange once its record is there."""
    return str((await record_of(scene.gate, response.header("x-request-id")))["id"])


def explained(scene: Scene, *words: str, code: int = 0) -> str:
    """Run the verb in this process, which spares its start; what it reads was written by others all the same."""
    ran = run(scene.gate, "policy", "explain", *words)
    assert ran.exit_code == code, ran
    return ran.stdout + ran.stderr


def document(scene: Scene, exchange: str) -> dict[str, Any]:
    return dict(json.loads(explained(scene, exchange, "--json")))


async def test_what_is_refused_after_it_was_judged_keeps_what_the_pack_said(scene: Scene) -> None:
    key = await customer(scene, "patient")
    for _ in range(5):
        await chat(scene, key, model="m-away", logprobs=True)
    rests = await chat(scene, key, model="m-away", logprobs=True)
    assert (rests.status, json.loads(rests.body)["error"]["code"]) == (503, "upstream_resting")
    record = await record_of(scene.gate, rests.header("x-request-id"))
    assert (record["effect"], record["by"], record["fired"]) == ("deny", "request", ["probing"])
    assert record["reasons"][0] == "The model is not answering right now. Try again shortly."
    found = explained(scene, record["id"])
    assert "probing (enforce): fires" in found
    assert "reproduced: the rules that fire are those of the record: probing" in found


async def test_each_kind_of_exchange_is_explained_by_the_pack_that_decided_it_also_after_another_came(
    scene: Scene,
) -> None:
    key = await customer(scene, "prober")
    allowed, degraded, flagged = [
        await recorded(scene, await chat(scene, key, logprobs=logprobs)) for logprobs in (True, True, False)
    ]
    blocked = await chat(scene, key, n=5)
    assert blocked.status == 403
    blocked_id = await recorded(scene, blocked)
    other = await customer(scene, "eager")
    eager = [await chat(scene, other) for _ in range(5)]
    assert [response.status for response in eager] == [200] * 4 + [429]
    refused = await recorded(scene, eager[-1])
    malformed = await chat(scene, other, messages="none")
    assert malformed.status == 400
    malformed_id = await recorded(scene, malformed)

    ran = await scene.gate.cli("policy", "explain", degraded)
    assert (ran.returncode, "reproduced" in ran.stdout, ran.stderr) == (0, True, "")
    rename_over(scene.gate.folder / "pack.yaml", json.dumps(OTHER, indent=1).encode())
    await becomes(scene, "other")

    found = explained(scene, allowed)
    assert "allow; score 0, rung none; 40 more reach strip" in found
    assert "- signals.probes gte 2: it is 1" in found
    assert "reproduced: the rules that fire are those of the record: none" in found

    found = explained(scene, degraded)
    assert "degrade, by strip; score 45, rung strip; 95 more reach block" in found
    assert "flag probing: 45, 2 requests with log-probabilities" in found
    assert "probing (enforce): fires, probing on account, score 45" in found
    assert "+ signals.probes gte 2: it is 2" in found
    assert "- signals.answers gte 2: it is 1" in found, "what was counted at its end came after"
    assert "reproduced: the rules that fire are those of the record: probing" in found

    found = explained(scene, blocked_id)
    assert "deny, by block; score 145, rung block" in found
    assert "reproduced: the rules that fire are those of the record: probing, many-choices" in found

    found = explained(scene, refused)
    assert "deny, by few" in found
    assert "quota few: requests over 4 per 1h for this key; 0 left" in found
    assert "answered (shadow): fires" in found

    found = explained(scene, malformed_id, code=1)
    assert "deny, by request" in found
    assert "not reproduced: it was denied by the request, not by the pack" in found

    tree = document(scene, flagged)
    assert (tree["reproduced"], tree["pack"]["name"], tree["fired"]) == (True, "explained", ["probing"])
    fields = tree["recorded"]["fields"]
    assert fields.items() >= {"signals.probes": 2, "signals.answers": 2, "answer.status": 200}.items()
    assert tree["rules"][0]["condition"]["value"] == 2


async def test_a_compressed_log_named_by_hand_does_as_well(scene: Scene) -> None:
    key = await customer(scene, "archivist")
    exchange = await recorded(scene, await chat(scene, key))
    folder = scene.gate.data / "decisions"
    (written,) = (file for file in folder.glob("*.jsonl") if file.name != "admin.jsonl")
    packed = scene.gate.folder / "old.gz"
    packed.write_bytes(gzip.compress(b"no record\n" + written.read_bytes()))
    found = explained(scene, exchange, "--log", str(packed))
    assert "reproduced" in found
    assert "1 of " in found, "the line that is none is counted"


async def test_what_is_nowhere_or_not_archived_is_said_so(scene: Scene) -> None:
    key = await customer(scene, "lost")
    exchange = await recorded(scene, await chat(scene, key))
    assert "there is no record of nothing" in explained(scene, "nothing", code=1)
    packs, away = scene.gate.data / "packs", scene.gate.folder / "away"
    shutil.move(packs, away)
    try:
        assert "cannot be read from the archive" in explained(scene, exchange, code=1)
    finally:
        shutil.move(away, packs)
    assert "there is no such file" in explained(scene, exchange, "--log", "missing", code=2)
    await scene.at_peace()
