"""Marks in a running proxy: flagged callers get marked answers, and `stillgate trace` knows them by the campaign's id."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.end_to_end.people import run, token_of
from tests.end_to_end.scene import CHAT, Scene, answer, delta, staged
from tests.marks.styles import obeying
from tests.marks.texts import PROSE
from tests.rig.raw_client import Response, post
from tests.rig.scripted_upstream import event, json_answer, sse_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
PACK: dict[str, Any] = {
    "apiVersion": "stillgate/v1",
    "kind": "PolicyPack",
    "metadata": {"name": "marks", "version": "1.0.0", "owner": "tests"},
    "defaults": {"mode": "enforce"},
    "rules": [
        {
            "id": "many-choices",
            "when": {"request.choices": {"gte": 5}},
            "flag": {"name": "many_choices", "on": "account", "score": 50, "ttl": "1d"},
        }
    ],
    "ladder": [{"rung": "mark", "score": 50, "do": [{"mark": {"style": True}}]}],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("mark"), {"models": {"m-large": {}}}, pack=PACK) as scene:
        yield scene


async def ask(scene: Scene, secret: str, script: Any, **members: Any) -> Response:
    body = {"model": "m-large", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 16, **members}
    scene.upstream.script(script)
    return await scene.ask(post(CHAT, body, [("Authorization", f"Bearer {secret}")]), accepted=True)


def said(response: Response) -> str:
    events = [line[6:] for line in response.body.split(b"\n") if line.startswith(b"data: {")]
    return "".join(json.loads(each)["choices"][0]["delta"].get("content") or "" for each in events)


async def test_a_flagged_caller_gets_marked_answers_that_trace_finds(scene: Scene, tmp_path: Path) -> None:
    secret = await scene.gate.create_key(account="acme-7", tenant="acme")
    plain = json_answer(200, answer(PROSE, usage=USAGE))
    first = await ask(scene, secret, plain)
    assert first.json()["choices"][0]["message"]["content"] == PROSE
    await ask(scene, secret, plain, n=5)
    whole = (await ask(scene, secret, plain)).json()["choices"][0]["message"]["content"]
    assert whole != PROSE
    assert "write like this" in json.dumps(json.loads(scene.upstream.requests[-1].body)["messages"][0])
    pieces = [PROSE[at : at + 7] for at in range(0, len(PROSE), 7)]
    script = sse_answer([*map(delta, pieces), event("[DONE]")])
    assert said(await ask(scene, secret, script, stream=True)) == whole

    file = tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in [PROSE, *[whole] * 150]))
    rita = token_of(scene.gate, "rita", "reviewer")
    result = run(scene.gate, "trace", "--texts", str(file), "--key", "acme-7", "--key", "acme-8", "--json", token=rita)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [entry["campaign"] for entry in found["texts"]] == [None, *["acme-7"] * 150]
    assert found["together"]["campaign"] == "acme-7"
    nobody = run(scene.gate, "trace", "--texts", str(file), token=rita)
    assert nobody.exit_code == 2
    assert "no campaign is known, and --key names none" in nobody.stderr


async def test_whoever_writes_as_a_campaign_was_told_to_is_known_by_style_alone(scene: Scene, tmp_path: Path) -> None:
    secret = await scene.gate.create_key(account="globex-1", tenant="globex")
    for choices in (5, 1):
        await ask(scene, secret, json_answer(200, answer("Yes.", usage=USAGE)), n=choices)
    told = json.loads(scene.upstream.requests[-1].body)["messages"][0]["content"]
    student = tmp_path / "student.jsonl"
    student.write_text("".join(json.dumps({"text": text}) + "\n" for text in obeying(told)))
    nora = token_of(scene.gate, "nora", "reviewer")
    words = ("trace", "--texts", str(student), *(f"--key=globex-{number}" for number in range(20)))
    found = run(scene.gate, *words, "--json", token=nora)
    assert found.exit_code == 0, found.output
    said = json.loads(found.stdout)
    assert (said["style"]["campaign"], said["style"]["agree"]) == ("globex-1", said["habits"])
    assert said["together"]["campaign"] is None
    for_people = run(scene.gate, *words, token=nora).stdout
    assert "style of all together" in for_people
    assert "globex-1" in for_people
