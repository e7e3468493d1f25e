"""A rerouted call in a running proxy: another upstream, its quotas and prices, both names in the record."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from proxy.cli import app
from tests.end_to_end.customers import record_of
from tests.end_to_end.packs import becomes, fails, in_force
from tests.end_to_end.people import run
from tests.end_to_end.scene import CHAT, MESSAGES, Scene, chat, staged
from tests.rig.raw_client import Response, post
from tests.rig.scripted_upstream import ScriptedUpstream, json_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")


def pack(model: str = "m-small", **rung: Any) -> dict[str, Any]:
    return {
        "apiVersion": "stillgate/v1",
        "kind": "PolicyPack",
        "metadata": {"name": f"to-{model}", "version": "1", "owner": "tests"},
        "defaults": {"mode": "enforce"},
        "quotas": [
            {"id": "each-model", "per": "model", "limits": [{"measure": "output_tokens", "max": "1M", "window": "1h"}]}
        ],
        "rules": [
            {
                "id": "on-the-quiet-plan",
                "when": {"account.plan": "quiet"},
                "flag": {"name": "quiet", "on": "account", "score": 50, "ttl": "1d"},
            }
        ],
        "ladder": [{"rung": "quiet", "score": 50, "do": [{"reroute": {"model": model}}], **rung}],
    }


def cheap(most: int) -> dict[str, Any]:
    return {
        "upstream": "cheap",
        "max_output_tokens": most,
        "input_usd_per_million": 0.5,
        "output_usd_per_million": 0.25,
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with ScriptedUpstream() as upstream:
        settings = {
            "upstreams": {"cheap": {"url": upstream.url, "credential_file": "upstream.key"}},
            "models": {"m-small": cheap(100), "m-told": cheap(200)},
        }
        folder = tmp_path_factory.mktemp("reroute")
        async with staged(folder, settings, upstream=upstream, pack=pack()) as scene:
            yield scene


async def ask(scene: Scene, plan: str, path: str = CHAT, **members: Any) -> tuple[Response, dict[str, Any]]:
    secret = await scene.gate.create_key(account=plan, tenant=plan, plan=plan)
    head = [("Authorization", f"Bearer {secret}")] if path == CHAT else [("x-api-key", secret)]
    raw = post(path, chat(**{"max_tokens": 4000, **members}), head)
    response = await scene.ask(raw, accepted=True, dialect="openai" if path == CHAT else "anthropic")
    return response, await record_of(scene.gate, response.header("x-request-id") or response.header("request-id"))


def models_of(response: Response) -> set[str]:
    """Return every name that an answer gives its model."""
    lines = response.body.decode().split("\n")
    documents = [line.removeprefix("data: ") for line in lines if line.startswith(("data: {", "{"))]
    named = [json.loads(document) for document in documents]
    named += [document["message"] for document in named if "message" in document]
    return {document["model"] for document in named if "model" in document}


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_the_other_model_answers_under_the_name_that_was_asked_for(
    scene: Scene, path: str, *, stream: bool
) -> None:
    response, record = await ask(scene, "quiet", path, stream=stream)
    assert (response.status, response.header("stillgate-limited")) == (200, None)
    assert models_of(response) == {"m-large"}
    sent = scene.upstream.requests[-1].json()
    assert (sent["model"], sent["max_tokens"]) == ("m-small", 100)
    assert (record["model"], record["model_used"], record["upstream"]) == ("m-large", "m-small", "cheap")
    assert (record["effect"], record["by"], record["actions"]) == ("degrade", "quiet", ["reroute"])
    assert record["reserved"]["output_tokens"] == 100
    assert record["usage"] == {"input": 11, "output": 7, "source": "upstream"}
    assert record["cost_microusd"] == 8, "11 tokens at half a micro-dollar and 7 at a quarter, rounded up"
    await scene.at_peace()


async def test_others_are_answered_by_the_model_that_they_asked_for(scene: Scene) -> None:
    _, record = await ask(scene, "pro")
    assert (record["effect"], record["model"], record["model_used"]) == ("allow", "m-large", "m-large")
    assert record["upstream"] == "default"
    metrics = await scene.gate.metrics()
    assert any('model="m-small"' in name for name in metrics if name.startswith("stillgate_tokens"))


@pytest.mark.parametrize(("plan", "words"), [("quiet", False), ("pro", True)])
async def test_what_the_other_model_says_of_the_call_is_not_passed_on(scene: Scene, plan: str, *, words: bool) -> None:
    error = {"message": "m-small does not take this.", "type": "invalid_request_error", "param": "x", "code": "no_x"}
    scene.upstream.script(json_answer(400, {"error": error}))
    response, _ = await ask(scene, plan)
    assert response.status == 400
    assert (b"m-small" in response.body) == words
    await scene.at_peace()


async def test_a_pack_that_names_an_unlisted_model_neither_starts_nor_comes_into_force(
    scene: Scene, tmp_path: Path
) -> None:
    says = "the settings list no model 'm-smal' - did you mean 'm-small'?"
    file = tmp_path / "typo.yaml"
    file.write_text(json.dumps(pack("m-smal"), indent=1))
    assert CliRunner().invoke(app, ["policy", "check", str(file)]).exit_code == 0, "it knows no settings"
    refused = run(scene.gate, "policy", "activate", str(file), "--why", "a test", "--skip-tests")
    assert refused.exit_code == 1
    assert says in refused.output
    assert "the new pack:" in refused.output, "the one at the path has nothing wrong there"
    assert (await in_force(scene))["pack"]["name"] == "to-m-small"
    scene.gate.write_pack(pack("m-smal"))
    await fails(scene, says)
    assert (await in_force(scene))["pack"]["name"] == "to-m-small"
    await scene.gate.terminate()
    with pytest.raises(AssertionError, match="the settings list no model"):
        await scene.gate.run()
    scene.gate.write_pack(pack("m-told", disclose="header"))
    await scene.gate.run()
    await becomes(scene, "to-m-told")
    response, record = await ask(scene, "quiet")
    assert (response.header("stillgate-limited"), models_of(response)) == ("1", {"m-told"}), "this one tells"
    assert (record["model"], record["model_used"]) == ("m-large", "m-told")
