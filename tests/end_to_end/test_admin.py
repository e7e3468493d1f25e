"""The admin side of a running proxy: its socket and its port, with tokens of people, and what is recorded of them."""

from __future__ import annotations

import json
import os
import pwd
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.end_to_end.customers import assert_said_nothing_wrong
from tests.end_to_end.people import changes, run, token_of
from tests.rig.process import NOBODY, Stillgate
from tests.rig.raw_client import RawClient, Response, request

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stillgate]:
    async with Stillgate.start(tmp_path_factory.mktemp("admin"), upstream_url=NOBODY) as gate:
        yield gate
        assert_said_nothing_wrong(gate, but="the admin log cannot be written")


async def ask_port(gate: Stillgate, path: str, token: str) -> Response:
    port = int(gate.announced["admin"].rsplit(":", 1)[1])
    async with await RawClient.connect(port) as client:
        return await client.ask(request("GET", path, [("Host", "127.0.0.1"), ("Authorization", f"Bearer {token}")]))


def kept_and_said(gate: Stillgate) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in gate.folder.rglob("*")
        if path.is_file() and path.parent.name != "given"
    }


async def test_a_token_is_made_used_and_revoked_on_the_command_line_and_its_secret_is_nowhere(gate: Stillgate) -> None:
    done = await gate.cli("admin", "tokens", "create", "--name", "alice", "--role", "reviewer", "--expires", "90d")
    assert done.returncode == 0, done.stderr
    secret = done.stdout.splitlines()[-1]
    assert "shown this once" in done.stderr
    assert run(gate, "keys", "list", "--json", token=secret).exit_code == 0
    listed = run(gate, "admin", "tokens", "list").stdout
    assert [word in listed for word in ("alice", "reviewer", "until")] == [True] * 3
    assert run(gate, "admin", "tokens", "revoke", "alice", "--why", "has left").exit_code == 0
    refused = run(gate, "keys", "list", token=secret)
    assert (refused.exit_code, refused.stderr) == (1, "stillgate: A valid token is needed.\n")
    assert not [name for name, content in kept_and_said(gate).items() if secret.encode() in content]


async def test_the_port_gives_each_role_what_it_covers(gate: Stillgate) -> None:
    reviewer, operator = token_of(gate, "rita", "reviewer"), token_of(gate, "otto", "operator")
    assert run(gate, "keys", "list", token=reviewer).exit_code == 0
    denied = run(gate, "keys", "create", "--account", "acme-7", token=reviewer)
    assert (denied.exit_code, denied.stderr) == (1, "stillgate: This needs the role operator.\n")
    made = run(gate, "keys", "create", "--account", "acme-7", "--json", token=operator)
    assert made.exit_code == 0, made.output
    last = changes(gate)[-1]
    assert (last["who"], last["via"], last["action"]) == ("otto", "token", "keys.create")
    assert last["object"] == f"{json.loads(made.stdout)['id']} of acme-7"


async def test_the_socket_acts_as_its_user_and_as_a_tokens_person_if_one_is_given(gate: Stillgate) -> None:
    assert run(gate, "keys", "create", "--account", "acme-8").exit_code == 0
    last = changes(gate)[-1]
    assert (last["who"], last["role"], last["via"]) == (pwd.getpwuid(os.getuid()).pw_name, "operator", "socket")
    secret = token_of(gate, "rob", "reviewer")
    headers = [("Host", "a"), ("Authorization", f"Bearer {secret}"), ("Content-Length", "0")]
    async with await RawClient.connect(gate.data / "admin.sock") as client:
        assert (await client.ask(request("POST", "/keys", headers))).status == 403


async def test_a_token_of_the_admin_side_is_no_key_of_a_customer_and_the_other_way_round(gate: Stillgate) -> None:
    secret, key = token_of(gate, "olga", "operator"), await gate.create_key()
    assert (await ask_port(gate, "/keys", key)).status == 401
    async with await RawClient.connect(gate.port) as client:
        asked = request("GET", "/v1/models", [("Host", "a"), ("Authorization", f"Bearer {secret}")])
        assert (await client.ask(asked)).status == 401


async def test_a_change_that_cannot_be_recorded_is_refused_and_not_made(gate: Stillgate) -> None:
    before = json.loads(run(gate, "keys", "list", "--json").stdout)
    log, aside = gate.data / "decisions" / "admin.jsonl", gate.data / "decisions" / "aside"
    stand_a_folder_in_the_way(log, aside)
    try:
        refused = run(gate, "keys", "create", "--account", "acme-9")
        assert (refused.exit_code, "cannot be recorded, so it was not made" in refused.stderr) == (1, True)
        assert json.loads(run(gate, "keys", "list", "--json").stdout) == before
    finally:
        log.rmdir()
        aside.rename(log)
    assert run(gate, "keys", "create", "--account", "acme-9").exit_code == 0


def stand_a_folder_in_the_way(log: Path, aside: Path) -> None:
    """Take the file away under its name, which even root's processes then cannot open."""
    log.rename(aside)
    log.mkdir()


async def test_tokens_survive_a_restart(gate: Stillgate) -> None:
    secret = token_of(gate, "ruth", "reviewer")
    await gate.restart()
    assert (await ask_port(gate, "/tokens", secret)).status == 200


@pytest.mark.parametrize(
    ("words", "exit_code", "complaint"),
    [
        (("create", "--name", "x"), 2, "Missing option '--role'"),
        (("create", "--name", "x", "--role", "root"), 2, "'root' is not one of"),
        (("create", "--name", "two words", "--role", "author"), 1, "name: must be"),
        (("create", "--name", "x", "--role", "author", "--expires", "soon"), 1, "'soon': must be a date"),
        (("create", "--name", "x", "--role", "author", "--expires", "2020-01-01"), 1, "is past"),
        (("revoke", "nobody", "--why", "x"), 1, "There is no token of that name."),
        (("revoke", "nobody"), 1, "--why: must be one line"),
        (("revoke", "../keys", "--why", "x"), 1, "is not the name of a token"),
    ],
)
async def test_bad_input_is_refused_in_a_sentence(
    gate: Stillgate, words: tuple[str, ...], exit_code: int, complaint: str
) -> None:
    result = run(gate, "admin", "tokens", *words)
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert complaint in " ".join(result.stderr.replace("│", " ").split())


async def test_a_second_token_for_a_name_is_refused_while_the_first_works(gate: Stillgate) -> None:
    token_of(gate, "sam", "author")
    again = run(gate, "admin", "tokens", "create", "--name", "sam", "--role", "author")
    assert (again.exit_code, "sam has a token already" in again.stderr) == (1, True)
    assert changes(gate)[-1]["result"] == "refused"


async def test_the_log_of_changes_is_its_owners_alone(gate: Stillgate) -> None:
    assert stat.S_IMODE((gate.data / "decisions" / "admin.jsonl").stat().st_mode) == 0o600


async def test_what_is_told_of_an_address_of_ipv6_can_be_asked(tmp_path: Path) -> None:
    sides = {"listen": {"host": "::1"}, "admin": {"host": "::1"}}
    async with Stillgate.start(tmp_path, sides, upstream_url=NOBODY) as gate:
        for side, path, answered in (("data", "/v1/models", 401), ("admin", "/healthz", 200)):
            async with aiohttp.ClientSession() as client, client.get(f"{gate.announced[side]}{path}") as answer:
                assert answer.status == answered


async def test_checkpoints_of_changes_that_cannot_be_kept_elsewhere_are_counted(tmp_path: Path) -> None:
    """Also where no exchange has one made."""
    nowhere = {"decision_log": {"checkpoints_file": str(tmp_path / "missing" / "kept")}}
    async with Stillgate.start(tmp_path, nowhere, upstream_url=NOBODY) as gate:
        await gate.create_key()
        assert (await gate.metrics())["stillgate_checkpoints_unkept_total"] > 0
