"""`stillgate flags` on a running proxy, as the owner of the data folder and as a reviewer with a token."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from proxy.cli import app
from proxy.clock import SystemClock
from proxy.files.data_folder import socket_path
from proxy.rules.flags.flag import Flag, FlagKey, World
from proxy.rules.flags.rows import flag_row
from proxy.rules.pack.words import Subject
from proxy.store import open_store
from tests.end_to_end.customers import assert_said_nothing_wrong
from tests.end_to_end.people import changes, run, token_of
from tests.rig.process import GENEROUS_PACK, NOBODY, Stillgate

pytestmark = pytest.mark.asyncio(loop_scope="module")

FLAG = {"name": "relay", "on": "account", "score": 40, "ttl": "1h"}
RULE = {"id": "silent-relay", "severity": "high", "when": {"account.plan": "nobody's"}, "flag": FLAG}
PACK: dict[str, Any] = {**GENEROUS_PACK, "rules": [RULE]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stillgate]:
    async with Stillgate.start(tmp_path_factory.mktemp("flags"), upstream_url=NOBODY, pack=PACK) as gate:
        yield gate
        assert_said_nothing_wrong(gate)


async def raise_flag(
    gate: Stillgate, *worlds: World, subject: Subject = Subject.ACCOUNT, name: str, rule: str = "silent-relay"
) -> None:
    """Put a flag into the store of the proxy, where the processes that serve put it."""
    clock = SystemClock()
    now = clock.wall()
    flag = Flag("relay", 40, now, now + 3600, rule, "says it is [red]somebody else\x1b[2J")
    store = await open_store(f"unix://{quote(str(socket_path(gate.data / 'store' / 'valkey.sock')))}", clock=clock)
    try:
        await store.write([flag_row(FlagKey(world, subject, name, "relay"), flag) for world in worlds])
    finally:
        await store.close()


def listed(gate: Stillgate, *words: str, token: str | None = None) -> list[dict[str, Any]]:
    result = run(gate, "flags", *words, "--json", token=token)
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


async def test_a_reviewer_with_a_token_lists_shows_confirms_and_lifts(gate: Stillgate) -> None:
    await raise_flag(gate, *World, name="acme/7")
    rita = token_of(gate, "rita", "reviewer")
    (flag,) = listed(gate, "list", "--account", "acme/7", token=rita)
    assert (flag["world"], flag["flag"], flag["score"], flag["rule"]) == ("enforced", "relay", 40, "silent-relay")
    confirmed = run(gate, "flags", "confirm", "account", "acme/7", "relay", "--why", "seen in the log", token=rita)
    assert (confirmed.exit_code, confirmed.stdout) == (0, "confirmed relay on account acme/7\n")
    assert run(gate, "flags", "confirm", "account", "acme/7", "relay", "--why", "me too").exit_code == 0
    (flag,) = listed(gate, "show", "account", "acme/7", token=rita)
    assert len(flag["confirmed_by"]) == 2
    assert "rita" in flag["confirmed_by"]
    lifted = run(gate, "flags", "lift", "account", "acme/7", "relay", "--why", "a customer's test", token=rita)
    assert (lifted.exit_code, lifted.stdout) == (0, "lifted relay from account acme/7\n")
    assert listed(gate, "list", "--account", "acme/7", token=rita) == []
    last = changes(gate)[-1]
    assert (last["who"], last["action"], last["why"]) == ("rita", "flags.lift", "a customer's test")
    assert last["object"] == "relay on account acme/7 (enforced and shadow)"


async def test_lists_are_narrowed_by_account_tenant_and_world(gate: Stillgate) -> None:
    await raise_flag(gate, World.SHADOW, name="acme-8")
    await raise_flag(gate, *World, subject=Subject.TENANT, name="acme")
    assert [flag["name"] for flag in listed(gate, "list", "--world", "shadow", "--account", "acme-8")] == ["acme-8"]
    assert listed(gate, "list", "--world", "enforced", "--account", "acme-8") == []
    assert [flag["subject"] for flag in listed(gate, "list", "--tenant", "acme")] == ["tenant"]
    assert {flag["name"] for flag in listed(gate, "list")} >= {"acme-8", "acme"}


async def test_a_reviewer_is_told_how_much_a_flag_matters_by_the_pack_in_force(gate: Stillgate) -> None:
    await raise_flag(gate, World.ENFORCED, name="acme-11")
    await raise_flag(gate, World.ENFORCED, name="acme-12", rule="a-rule-that-is-gone")
    for verb in (("list", "--account", "{}"), ("show", "account", "{}")):
        found = [listed(gate, *(word.format(name) for word in verb))[0] for name in ("acme-11", "acme-12")]
        assert [flag["severity"] for flag in found] == ["high", ""]
    words = ["flags", "list", "--account", "acme-11", "--config", str(gate.config)]
    shown = CliRunner().invoke(app, words, env={"COLUMNS": "240"}).stdout.splitlines()
    assert ("severity" in shown[0], "high" in shown[1]) == (True, True)


async def test_the_table_obeys_no_markup_and_no_escape_of_what_it_shows(gate: Stillgate) -> None:
    await raise_flag(gate, *World, name="acme-9")
    wide = {"COLUMNS": "240", "FORCE_COLOR": "1"}
    shown = CliRunner().invoke(app, ["flags", "list", "--account", "acme-9", "--config", str(gate.config)], env=wide)
    assert shown.exit_code == 0, shown.output
    assert "says it is [red]somebody else\N{REPLACEMENT CHARACTER}[2J" in shown.stdout
    assert "\x1b[2J" not in shown.stdout
    assert "silent-relay" in shown.stdout


@pytest.mark.parametrize(
    ("words", "exit_code", "complaint"),
    [
        (("lift", "account", "acme-9", "relay"), 2, "Missing option '--why'"),
        (("confirm", "account", "acme-9", "relay", "--why", ""), 1, "--why: must be one line"),
        (("lift", "account", "nobody", "relay", "--why", "x"), 1, "There is no such flag in force."),
        (("show", "person", "acme-9"), 2, "'person' is not one of"),
        (("show", "account", ""), 1, "a name is empty"),
        (("list", "--account", "a", "--tenant", "b"), 1, "account, tenant: name one of them"),
        (("list", "--world", "real"), 2, "'real' is not one of"),
    ],
)
async def test_bad_input_is_refused_in_a_sentence(
    gate: Stillgate, words: tuple[str, ...], exit_code: int, complaint: str
) -> None:
    result = run(gate, "flags", *words)
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert complaint in " ".join(result.stderr.replace("│", " ").split())
