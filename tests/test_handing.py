"""What the parent has made arrives at its children as it was."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import pytest

from proxy.config import Settings, load_settings, shipped_pack
from proxy.errors import ConfigurationError
from proxy.handing import handed, taken
from proxy.packs.patterns import read_patterns
from proxy.processes.control import FROM_PARENT, Line
from proxy.rules.conditions.cel_together import Together
from proxy.rules.conditions.compiling import compile_condition
from proxy.rules.pack_file.loading import check_pack, load_pack
from tests.rig.plugged import ACTION, plug_in

_HEAD = "apiVersion: stillgate/v1\nkind: PolicyPack\nmetadata: {name: large, version: '1', owner: tests}\nrules:\n"


@pytest.mark.parametrize("name", ["default.yaml", "strict.yaml", "observe.yaml"])
def test_a_pack_that_was_handed_over_is_the_same(name: str) -> None:
    pack = load_pack(shipped_pack(name))
    assert taken(handed(pack)) == pack


def test_pattern_sets_that_were_handed_over_are_the_same() -> None:
    sets = read_patterns(shipped_pack("default.yaml")).sets
    assert len(sets) == 5
    assert taken(handed(sets)) == sets


def test_settings_that_were_handed_over_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "key").touch()
    file = tmp_path / "settings.yaml"
    file.write_text(
        "{apiVersion: stillgate/v1, kind: Settings, data: data, upstreams: {a: {url: 'http://a', credential_file: key}},"
        " models: {m: {upstream: a, input_usd_per_million: 0.1, released: '2026-01-31'}}}"
    )
    settings = load_settings(file, {"store": "unix:///a", "secret_file": tmp_path / "key"})
    again: Settings = taken(handed(settings))
    assert again == settings
    assert (again.data, again.store.url, again.upstreams["a"].credential_file) == (
        tmp_path / "data",
        "unix:///a",
        tmp_path / "key",
    )


async def test_a_pack_as_large_as_a_file_may_be_passes_the_line() -> None:
    parts = ",".join(["{request.stream: true}"] * 45_500)
    rule = f"- {{id: r, severity: low, when: {{any: [{parts}]}}, flag: {{name: f, on: account, score: 1, ttl: 1h}}}}\n"
    pack, problems = check_pack((_HEAD + rule).encode(), "large.yaml")
    assert pack, problems
    text = handed(pack)
    one, other = socket.socketpair()
    parent, child = await Line.open(one), await Line.open(other, FROM_PARENT)
    sending = asyncio.create_task(parent.send({"pack": text}))
    assert (await child.receive())["pack"] == text
    await sending
    assert taken(text) == pack
    parent.close()
    child.close()


def test_expressions_that_were_handed_over_are_asked_at_once_as_before() -> None:
    pytest.importorskip("cel_expr_python")
    entry = "- {{id: {}, severity: low, when_cel: '{}', flag: {{name: f, on: account, score: 1, ttl: 1h}}}}\n"
    asked = {"a": "request.stream && request.max_output_tokens > 5", "b": "request.max_output_tokens > 7"}
    rules = "".join(entry.format(*each) for each in asked.items())
    pack, problems = check_pack((_HEAD + rules).encode(), "large.yaml")
    assert pack, problems
    conditions = [compile_condition(rule.when) for rule in taken(handed(pack)).rules]
    assert len({condition.givens for condition in conditions}) == 1  # type: ignore[attr-defined]
    together = Together(conditions)  # type: ignore[arg-type]
    assert together({"request.stream": True, "request.max_output_tokens": 6}) == 0b01


def test_what_joined_is_handed_over_as_it_is(plugins: Path) -> None:
    plug_in(plugins, ACTION, {"stillgate.actions": "hush = plugged:Hush"})
    ladder = "ladder: [{rung: r, score: 5, do: [{hush: {degrees: 7}}]}]\n"
    pack, problems = check_pack((_HEAD.removesuffix("rules:\n") + ladder).encode(), "pack.yaml")
    assert pack, problems
    text = handed(pack)
    assert taken(text).ladder[0].do[0].degrees == 7
    (plugins / "plugged.py").write_text("x = 1")
    del sys.modules["plugged"]
    with pytest.raises(ConfigurationError, match=r"^what the parent handed over cannot be had: AttributeError.*Hush"):
        taken(text)


def test_what_cannot_be_handed_over_is_said_so() -> None:
    with pytest.raises(ConfigurationError, match=r"^a function cannot be handed to workers: .*lambda"):
        handed(lambda: None)
