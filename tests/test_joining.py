"""Actions and dialects of other packages join by entry points, and one that cannot be used ends a start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from proxy.actions import ACTIONS, actions
from proxy.actions.base import ActionKind
from proxy.cli import app
from proxy.config import load_settings
from proxy.detectors import DETECTORS
from proxy.detectors.base import Detector
from proxy.dialects import dialects
from proxy.dialects.base import Dialect
from proxy.documents.problem import YamlProblems
from proxy.errors import ConfigurationError
from proxy.joining import lacking
from proxy.rules.pack_file.loading import check_pack
from tests.end_to_end.scene import answer
from tests.rig.invariants import Witness, assert_invariants
from tests.rig.plugged import ACTION, DETECTOR, DIALECT, plug_in
from tests.rig.process import NOBODY, Stillgate
from tests.rig.raw_client import RawClient, post
from tests.rig.scripted_upstream import ScriptedUpstream, json_answer

ROOT = Path(__file__).parent.parent
POINTS = {
    "stillgate.detectors": "mine = plugged:Mine",
    "stillgate.actions": "hush = plugged:Hush",
    "stillgate.dialects": "mine.chat = plugged:Chat",
}
PACK: dict[str, Any] = {
    "apiVersion": "stillgate/v1",
    "kind": "PolicyPack",
    "metadata": {"name": "joined", "version": "1.0.0", "owner": "tests"},
    "defaults": {"mode": "enforce"},
    "rules": [
        {
            "id": "long",
            "when": {"mine.length": {"gte": 1}, "request.dialect": "mine.chat"},
            "flag": {"name": "long", "on": "account", "score": 50, "ttl": "1d"},
        }
    ],
    "ladder": [{"rung": "hush", "score": 50, "do": [{"hush": {"degrees": 0.25}}], "disclose": "header"}],
}
SETTINGS = """
apiVersion: stillgate/v1
kind: Settings
pack: pack.yaml
upstreams:
  main: {url: "https://api.example.com", dialects: [openai.chat, mine.chat]}
models:
  large: {upstream: main}
"""
SUITE = """
apiVersion: stillgate/v1
kind: PolicyTest
pack: pack.yaml
fixtures:
  accounts:
    paid: {age_days: 400}
  requests:
    long: {dialect: mine.chat, body: {model: large, messages: [{role: user, content: Hello.}]}}
cases:
  - name: what is long is hushed
    steps:
      - {as: paid, send: long, expect: {effect: degrade, rung: hush, actions: [hush], fired: [long]}}
"""


def stillgate(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def problems(pack: dict[str, Any]) -> list[str]:
    return [problem.message for problem in check_pack(json.dumps(pack).encode(), "pack.yaml")[1]]


def test_what_is_built_in_has_what_is_asked_of_those_that_join() -> None:
    kinds: list[tuple[type, type]] = [(kind, Detector) for kind in DETECTORS]
    kinds += [(kind, ActionKind) for kind in ACTIONS.values()]
    kinds += [(type(dialect), Dialect) for dialect in dialects().values()]
    assert [(kind, wanted) for kind, seam in kinds if (wanted := lacking(kind, seam))] == []


def test_without_an_entry_point_nobody_knows_the_name(tmp_path: Path) -> None:
    assert problems(PACK)[-1].startswith("unknown action 'hush'; there is drop, ")
    file = tmp_path / "stillgate.yaml"
    file.write_text(SETTINGS.replace("mine.chat", "openai.chats"))
    with pytest.raises(YamlProblems) as wrong:
        load_settings(file, {})
    (problem,) = wrong.value.problems
    assert problem.message.startswith("should be openai.chat, openai.responses, ")
    assert problem.message.endswith(" or anthropic.count_tokens")
    assert problem.suggestion == "openai.chat"


def test_an_entry_point_adds_an_action_to_packs_and_to_their_schema(plugins: Path) -> None:
    plug_in(plugins, DETECTOR + ACTION, POINTS)
    assert list(actions()) == [*ACTIONS, "hush"]
    assert problems(PACK) == []
    assert problems({**PACK, "ladder": [{"rung": "hush", "score": 50, "do": [{"hush": {}}]}]}) == ["takes degrees"]
    shown = json.loads(stillgate("policy", "schema").output)
    assert '"hush": {"description": "Asks for a cold answer. degrees: How cold."}' in json.dumps(shown)


def test_settings_know_a_dialect_that_joins_by_its_name_alone(plugins: Path) -> None:
    (plugins / "pack.yaml").write_text(json.dumps({name: PACK[name] for name in ("apiVersion", "kind", "metadata")}))
    file = plugins / "stillgate.yaml"
    file.write_text(SETTINGS)
    plug_in(plugins, "import there_is_no_such_module", {"stillgate.dialects": POINTS["stillgate.dialects"]})
    assert load_settings(file, {}).upstreams["main"].dialects == ("openai.chat", "mine.chat")
    checked = stillgate("config", "check", "--config", file)
    assert checked.exit_code == 1
    assert "error: the dialect mine.chat (plugged:Chat) cannot be loaded: No module" in checked.output


def test_a_packs_tests_and_explain_speak_it_too(plugins: Path) -> None:
    (plugins / "tests").mkdir()
    (plugins / "pack.yaml").write_text(json.dumps(PACK))
    suite, body = plugins / "tests" / "pack.yaml", plugins / "body.json"
    suite.write_text(SUITE)
    body.write_text('{"model": "large", "messages": [{"role": "user", "content": "Hello."}]}')
    explain = ("policy", "explain", "--pack", plugins / "pack.yaml", "--request", body, "--dialect", "mine.chat")
    plug_in(plugins, DETECTOR + ACTION + DIALECT, POINTS)
    tested = stillgate("policy", "test", plugins / "pack.yaml")
    assert tested.exit_code == 0, tested.output
    explained = stillgate(*explain)
    assert explained.exit_code == 0
    assert "long (enforce): fires" in explained.output
    suite.write_text(SUITE.replace("body: {model: large, messages: [{role: user, content: Hello.}]}", "text: Hello."))
    assert "needs a body" in stillgate("policy", "test", plugins / "pack.yaml").output


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import there_is_no_such_module", r"the action hush \(plugged:Hush\) cannot be loaded: No module"),
        ("x = 1", "cannot be loaded"),
        ("Hush = 1", "is not a class"),
        (ACTION.replace("def read", "def ready"), "is no action: it has no read"),
        (ACTION.replace('"hush"', '"hum"'), "the action hush calls itself 'hum'"),
    ],
)
def test_an_action_that_cannot_be_used_keeps_every_pack_from_being_read(plugins: Path, code: str, message: str) -> None:
    plug_in(plugins, code, {"stillgate.actions": "hush = plugged:Hush"})
    with pytest.raises(ConfigurationError, match=message):
        problems({name: PACK[name] for name in ("apiVersion", "kind", "metadata")})


def test_an_action_cannot_take_the_name_of_one_that_is_there(plugins: Path) -> None:
    plug_in(plugins, ACTION.replace('"hush"', '"drop"'), {"stillgate.actions": "drop = plugged:Hush"})
    with pytest.raises(ConfigurationError, match="there are two actions called drop"):
        actions()


@pytest.mark.parametrize(
    ("code", "name", "message"),
    [
        ("import there_is_no_such_module", "mine.chat", "the dialect mine.chat .* cannot be loaded"),
        ("class Chat: name = 'mine.chat'", "mine.chat", "is no dialect: it has no path, "),
        (DIALECT, "other.chat", "the dialect other.chat calls itself 'mine.chat'"),
        (DIALECT.replace("mine.chat", "openai.chat"), "openai.chat", "there are two dialects called openai.chat"),
        (DIALECT.replace("/mine/chat", "/v1/messages"), "mine.chat", "cannot have the path '/v1/messages'"),
        (DIALECT.replace("/mine/chat", "/v1/models"), "mine.chat", "cannot have the path '/v1/models'"),
        (DIALECT.replace("/mine/chat", "mine"), "mine.chat", "cannot have the path 'mine'"),
        (DIALECT.replace('"/mine/chat"', "None"), "mine.chat", "cannot have the path None"),
        (DIALECT + "    def __init__(self): ...\n", "mine.chat", "the dialect mine.chat cannot be made"),
    ],
)
def test_a_dialect_that_cannot_be_used_is_an_error(plugins: Path, code: str, name: str, message: str) -> None:
    plug_in(plugins, code, {"stillgate.dialects": f"{name} = plugged:Chat"})
    with pytest.raises(ConfigurationError, match=message):
        dialects()


def command(plugins: Path) -> list[str]:
    return ["/usr/bin/env", f"PYTHONPATH={plugins}{os.pathsep}{ROOT}", sys.executable, "-m", "proxy.cli"]


async def test_a_running_proxy_detects_acts_and_serves_with_what_joined(tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    plug_in(plugins, DETECTOR + ACTION + DIALECT, POINTS)
    witness = Witness()
    async with (
        ScriptedUpstream() as upstream,
        Stillgate.start(tmp_path, upstream_url=upstream.url, pack=PACK, command=command(plugins)) as gate,
    ):
        headers = [("Authorization", f"Bearer {await gate.create_key(account='a')}")]
        body = {"model": "m-large", "messages": [{"role": "user", "content": "Hello."}]}
        upstream.script(*[json_answer(200, answer())] * 2)
        for path in ("/v1/chat/completions", "/mine/chat"):
            async with await RawClient.connect(gate.port) as client:
                assert witness.saw(await client.ask(post(path, body, headers))).status == 200
        plain, hushed = upstream.requests
        assert "temperature" not in plain.json()
        assert (hushed.target, hushed.json()["temperature"]) == ("/mine/chat", 0.25)
        record = (await gate.wait_for_records(2))[-1]
        assert (record["dialect"], record["fields"]["mine.length"]) == ("mine.chat", 1)
        assert (record["effect"], record["by"], record["actions"]) == ("degrade", "hush", ["hush"])
        await assert_invariants(witness, upstream, gate)


@pytest.mark.parametrize("group", ["stillgate.detectors", "stillgate.actions"])
def test_what_cannot_be_loaded_is_told_in_words_wherever_packs_are_read(tmp_path: Path, group: str) -> None:
    plug_in(tmp_path, "import there_is_no_such_module", {group: POINTS[group]})
    (tmp_path / "pack.yaml").write_text(json.dumps({name: PACK[name] for name in ("apiVersion", "kind", "metadata")}))
    (tmp_path / "stillgate.yaml").write_text(SETTINGS.replace("openai.chat, mine.chat", ""))
    for verb in (["policy", "check", "pack.yaml"], ["policy", "schema"], ["config", "check", "-c", "stillgate.yaml"]):
        words = [*command(tmp_path), *verb]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
        said = done.stdout.splitlines()[-1:] + done.stderr.splitlines()
        assert (done.returncode, len(said)) == (1, 1), done
        assert said[0].endswith("cannot be loaded: No module named 'there_is_no_such_module'")


@pytest.mark.parametrize("group", POINTS)
async def test_no_proxy_starts_with_one_that_cannot_be_loaded(tmp_path: Path, group: str) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    plug_in(plugins, "import there_is_no_such_module", {group: POINTS[group]})
    gate = Stillgate.installed(tmp_path, upstream_url=NOBODY, command=command(plugins))
    served = await gate.cli("serve")
    assert served.returncode == 1
    assert "cannot be loaded: No module named 'there_is_no_such_module'" in served.stderr
