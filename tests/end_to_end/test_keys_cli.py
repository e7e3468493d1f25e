"""`stillgate keys` and `stillgate health` on a running proxy, as an operator types them, and the admin side behind."""

from __future__ import annotations

import asyncio
import json
import signal
import stat
import time
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
import pytest_asyncio
from typer.testing import CliRunner, Result

from proxy.cli import app
from tests.end_to_end.customers import assert_said_nothing_wrong
from tests.rig.process import Stillgate
from tests.rig.raw_client import RawClient, get, post, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

REVOKED_WITHIN_S = 5.0
FOREIGN = "sk-of-the-old-gateway-0123456789abcdef"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stillgate]:
    async with Stillgate.start(tmp_path_factory.mktemp("keys"), {"models": None}, upstream_url=None) as gate:
        yield gate
        assert_said_nothing_wrong(gate, but="the store is away")
        await assert_secrets_only_in_the_first_key_file(gate)


async def assert_secrets_only_in_the_first_key_file(gate: Stillgate) -> None:
    """Look for every secret that the tests were shown, and for the first one, in all that is kept and was said."""
    first = gate.data / "first.key"
    secrets = [FOREIGN.encode(), first.read_bytes().strip(), *(key["secret"].encode() for key in gate.keys)]
    assert len(secrets) > 1200
    kept = {
        path: path.read_bytes() for path in gate.folder.rglob("*") if path.is_file() and path.parent.name != "given"
    }
    del kept[first]
    printed = kept.pop(gate.folder / "stderr.log")  # the first key is shown to whoever starts the proxy
    for secret in secrets:
        assert not [path for path, content in kept.items() if secret in content]
        assert secret not in printed or secret == first.read_bytes().strip()


def run(gate: Stillgate, *words: str) -> Result:
    """Run a verb in this process, which spares its start; the proxy is another process all the same."""
    return CliRunner().invoke(app, [*words, "--config", str(gate.config)])


def made(gate: Stillgate, *words: str) -> dict[str, Any]:
    """Make a key by a verb and keep its secret for the search at the end."""
    result = run(gate, "keys", *words, "--json")
    assert result.exit_code == 0, result.output
    key: dict[str, Any] = json.loads(result.stdout)
    gate.keys.append(key)
    return key


async def status_for(gate: Stillgate, secret: str) -> int:
    """Return what a customer with this secret gets for the list of models."""
    async with await RawClient.connect(gate.port) as client:
        return (await client.ask(get("/v1/models", [("Authorization", f"Bearer {secret}")]))).status


async def seconds_until_refused(gate: Stillgate, secret: str, within: float) -> float:
    started = time.monotonic()
    async with asyncio.timeout(within):
        while await status_for(gate, secret) != 401:
            await asyncio.sleep(0.01)  # the news comes to another process
    return time.monotonic() - started


async def test_a_key_made_on_the_command_line_works_and_its_secret_is_the_last_line(gate: Stillgate) -> None:
    done = await gate.cli("keys", "create", "--account", "acme-7", "--tenant", "acme", "--attribute", "payment=card-1")
    assert done.returncode == 0, done.stderr
    secret = done.stdout.splitlines()[-1]
    gate.keys.append({"secret": secret})
    assert await status_for(gate, secret) == 200
    assert "shown this once" in done.stderr
    (key,) = json.loads(run(gate, "keys", "list", "--account", "acme-7", "--json").stdout)
    assert (key["tenant"], key["plan"], key["attributes"]) == ("acme", "default", {"payment": "card-1"})
    assert key["hint"] == f"…{secret[-4:]}"
    shown = json.loads(run(gate, "keys", "show", key["id"], "--json").stdout)
    assert shown == key
    assert "secret" not in shown


async def test_the_list_shows_whole_ids_without_secrets_oldest_first(gate: Stillgate) -> None:
    keys = [made(gate, "create", "--account", "listed") for _ in range(3)]
    lines = run(gate, "keys", "list", "--account", "listed").stdout.splitlines()
    places = [next(index for index, line in enumerate(lines) if key["id"] in line) for key in keys]
    assert places == sorted(places)
    assert not [key for key in keys if key["secret"] in "".join(lines)]
    one = run(gate, "keys", "show", keys[0]["id"]).stdout
    assert keys[0]["id"] in one
    assert "active" in one


async def test_dates_and_periods_become_moments(gate: Stillgate) -> None:
    key = made(gate, "create", "--account", "dated", "--created-at", "2026-01-31", "--expires", "90d", "--plan", "pro")
    assert key["created_at"] == 1_769_817_600
    assert key["expires_at"] - key["issued_at"] == pytest.approx(90 * 86_400, abs=5)
    assert key["plan"] == "pro"
    old = made(gate, "create", "--account", "dated-too", "--created-at", "90d")
    assert old["issued_at"] - old["created_at"] == pytest.approx(90 * 86_400, abs=5)


@pytest.mark.parametrize(
    ("words", "exit_code", "complaint"),
    [
        (("create",), 2, "Missing option '--account'"),
        (("create", "--account", "two words"), 1, "account: must be"),
        (("create", "--account", "a", "--tenant", ""), 1, "tenant: must be"),
        (("create", "--account", "a", "--attribute", "card"), 1, "--attribute 'card': must be NAME=VALUE"),
        (("create", "--account", "a", "--attribute", "c=" + "x" * 257), 1, "values text of at most 256 characters"),
        (("create", "--account", "a", "--expires", "soon"), 1, "'soon': must be a date"),
        (("create", "--account", "a", "--expires", "2020-01-01"), 1, "--expires '2020-01-01': is past"),
        (("create", "--account", "a", "--created-at", "2026-02-30"), 1, "must be a date"),
        (
            ("create", "--account", "a", "--created-at", "2999-01-01"),
            1,
            "created_at: is in the future; say when the account",
        ),
        (("create", "--account", "a", "--attribute", "card=1", "--attribute", "card=2"), 1, "card: is given twice"),
        (("create", "--acount", "a"), 2, "No such option"),
        (("show", "key_missing"), 1, "There is no such key."),
        (("show", "../keys"), 1, "is not the id of a key"),
        (("revoke", "key_missing"), 2, "Missing option '--why'"),
        (("revoke", "key_missing", "--why", " "), 1, "--why: must be"),
        (("revoke", "key_missing", "--why", "leaked"), 1, "There is no such key."),
        (("rotate", "key_missing"), 1, "There is no such key."),
        (("rotate", "key_missing", "--grace", "a day"), 1, "must be a number and a unit"),
        (("rotate", "key_missing", "--grace", "31d"), 1, "must be 0 to 30 days"),
        (("import", "missing.jsonl"), 1, "missing.jsonl: No such file"),
        (("lst",), 2, "No such command"),
    ],
)
async def test_bad_input_is_refused_in_a_sentence(
    gate: Stillgate, words: tuple[str, ...], exit_code: int, complaint: str
) -> None:
    result = run(gate, "keys", *words)
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert complaint in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


async def test_a_revoked_key_stops_working_within_five_seconds_and_for_good(gate: Stillgate) -> None:
    keys = [made(gate, "create", "--account", f"revoked-{index}") for index in range(20)]
    waited = []
    for key in keys:
        assert await status_for(gate, key["secret"]) == 200
        status, _ = await gate.admin_request("POST", f"/keys/{key['id']}/revoke", {"reason": "leaked"})
        assert status == 200
        waited.append(await seconds_until_refused(gate, key["secret"], REVOKED_WITHIN_S))
    assert max(waited) < REVOKED_WITHIN_S, waited
    done = run(gate, "keys", "revoke", keys[0]["id"], "--why", "leaked")
    assert (done.exit_code, "revoked" in done.stdout) == (0, True)
    again = run(gate, "keys", "rotate", keys[0]["id"])
    assert (again.exit_code, "is revoked or expired" in again.stderr) == (1, True)


async def test_after_a_rotation_both_keys_work_until_the_old_ones_grace_is_over(gate: Stillgate) -> None:
    old = made(gate, "create", "--account", "rotated", "--plan", "pro", "--attribute", "payment=card-1")
    started = time.monotonic()
    new = made(gate, "rotate", old["id"], "--grace", "2s")
    assert [await status_for(gate, key["secret"]) for key in (old, new)] == [200, 200]
    same = ("account", "tenant", "plan", "attributes", "created_at")
    assert {name: new[name] for name in same} == {name: old[name] for name in same}
    await seconds_until_refused(gate, old["secret"], within=5)
    assert 1.9 < time.monotonic() - started < 4
    assert await status_for(gate, new["secret"]) == 200


def given(gate: Stillgate, lines: list[str]) -> Path:
    """Write a file for import, where the search for secrets does not look."""
    file = gate.folder / "given" / "keys.jsonl"
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join(lines))
    return file


async def test_a_file_of_keys_is_imported_with_the_secrets_of_another_gateway(gate: Stillgate) -> None:
    rows: list[dict[str, Any]] = [{"account": f"i-{index}", "tenant": f"t-{index % 7}"} for index in range(1200)]
    rows[1100] |= {"secret": FOREIGN, "created_at": 1_700_000_000, "attributes": {"payment": "card-9"}}
    done = await gate.cli("keys", "import", str(given(gate, [json.dumps(row) for row in rows])))
    assert done.returncode == 0, done.stderr
    keys = [json.loads(line) for line in done.stdout.splitlines()]
    gate.keys.extend(keys)
    assert [(key["account"], key["tenant"]) for key in keys] == [(row["account"], row["tenant"]) for row in rows]
    assert len({key["secret"] for key in keys}) == 1200
    assert keys[1100]["secret"] == FOREIGN
    for key in (keys[0], keys[1100], keys[-1]):
        assert await status_for(gate, key["secret"]) == 200


@pytest.mark.parametrize(
    ("members", "complaint"), [({"plan": 7}, "plan: must be"), ({"created_at": 9e10}, "created_at: is in the future")]
)
async def test_a_file_with_one_bad_line_makes_nothing_and_names_it(
    gate: Stillgate, members: dict[str, Any], complaint: str
) -> None:
    before = run(gate, "keys", "list", "--json").stdout
    lines = [json.dumps({"account": f"bad-{index}"}) for index in range(1200)]
    lines[1149] = json.dumps({"account": "bad-1149", **members})
    file = given(gate, lines)
    done = run(gate, "keys", "import", str(file))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"stillgate: {file}:1150: {complaint}")
    assert run(gate, "keys", "list", "--json").stdout == before


async def test_a_secret_that_is_in_use_already_is_not_taken_over_again(gate: Stillgate) -> None:
    secret = made(gate, "create", "--account", "owner")["secret"]
    foreign = {"account": "owner", "secret": "another-gateways-key-000001"}
    assert run(gate, "keys", "import", str(given(gate, [json.dumps(foreign)]))).exit_code == 0
    file = given(gate, [json.dumps({"account": "thief"}), json.dumps({**foreign, "account": "thief"})])
    result = run(gate, "keys", "import", str(file))
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{file}, lines 1 to 2: a secret is in use already" in result.stderr
    assert json.loads(run(gate, "keys", "list", "--account", "thief", "--json").stdout) == []
    own = run(gate, "keys", "import", str(given(gate, [json.dumps({"account": "thief", "secret": secret})])))
    assert (own.exit_code, "not begin with 'sgk_'" in own.stderr) == (1, True)


async def test_health_says_whether_the_proxy_takes_requests_and_if_not_why(gate: Stillgate, tmp_path: Path) -> None:
    done = await gate.cli("health")
    assert (done.returncode, done.stdout) == (0, "ready\n")
    away = CliRunner().invoke(app, ["health", "--data", str(tmp_path)])
    assert (away.exit_code, "no proxy answers at" in away.stderr) == (1, True)
    children = psutil.Process(gate.pid).children()  # not theirs: a store that saves itself has a child of that name too
    (store,) = [child for child in children if "valkey" in child.name()]
    store.send_signal(signal.SIGSTOP)
    try:
        async with asyncio.timeout(10):
            while (result := run(gate, "health")).exit_code == 0:
                await asyncio.sleep(0.05)  # another process finds out
        assert (result.exit_code, result.stderr) == (1, "stillgate: not ready: store\n")
    finally:
        store.send_signal(signal.SIGCONT)
    async with asyncio.timeout(10):
        while run(gate, "health").exit_code != 0:
            await asyncio.sleep(0.05)  # another process finds out


@pytest.mark.parametrize(
    ("raw", "status", "detail"),
    [
        (get("/nothing"), 404, "Not Found"),
        (get("/keys/key_missing"), 404, "There is no such key."),
        (request("DELETE", "/keys", [("Host", "x")]), 405, "Method Not Allowed"),
        (post("/keys", b"{"), 400, "The body is not valid JSON at line 1, column 2."),
        (post("/keys", b'{"account": NaN}'), 400, "The body has NaN"),
        (
            post("/keys", b'{"account": "a", "plan": "pro", "plan": "free"}'),
            400,
            "An object in the body has the same key",
        ),
        (post("/keys", []), 400, "The body must be a JSON object."),
        (post("/keys", {}), 400, "account: must be"),
        (post("/keys", {"account": ["a"]}), 400, "account: must be"),
        (post("/keys", {"account": "a", "disabled": False}), 400, "unknown field 'disabled'"),
        (post("/keys", {"account": "a", "expires_at": True}), 400, "expires_at: must be"),
        (post("/keys", {"account": "a", "attributes": {"b": 1}}), 400, "attributes: "),
        (post("/keys/import", {"keys": {}}), 400, "keys: must be a list of objects"),
        (post("/keys/import", {"keys": [{"account": "a"}, {"account": ""}]}), 400, "keys[1]: account: must be"),
        (
            post("/keys/import", {"keys": [{"account": "a"}, {"account": "b", "created_at": 9e10}]}),
            400,
            "keys[1]: created_at: is in the future",
        ),
        (post("/keys/key_missing/revoke", {"reason": "leaked"}), 404, "There is no such key."),
        (post("/keys/key_missing/revoke", {}), 400, "reason: must be"),
        (post("/keys/key_missing/revoke", {"reason": "leaked", "disabled": False}), 400, "unknown field 'disabled'"),
        (post("/keys/key_missing/rotate", {"grace_seconds": -1}), 400, "grace_seconds: must be"),
        (post("/keys", b" " * 5_000_000), 413, HTTPStatus(413).phrase),  # Python's, which changed its name
    ],
)
async def test_the_admin_side_refuses_in_problem_documents(
    gate: Stillgate, raw: bytes, status: int, detail: str
) -> None:
    async with await RawClient.connect(gate.data / "admin.sock") as client:
        answer = await client.ask(raw)
    assert (answer.status, answer.header("content-type")) == (status, "application/problem+json")
    problem = answer.json()
    assert (problem["type"], problem["status"]) == ("about:blank", status)
    assert problem["detail"].startswith(detail)


async def test_only_the_owner_may_open_the_admin_socket_and_the_port_tells_strangers_nothing_but_health(
    gate: Stillgate,
) -> None:
    assert stat.S_IMODE((gate.data / "admin.sock").stat().st_mode) == 0o600
    port = urlsplit(gate.announced["admin"]).port or 0
    answers = {}
    for raw in (*map(get, ("/healthz", "/readyz", "/metrics", "/keys", "/status")), post("/keys", {"account": "a"})):
        async with await RawClient.connect(port) as client:
            answers[raw.split(b" HTTP")[0]] = (await client.ask(raw)).status
    assert answers == {
        b"GET /healthz": 200,
        b"GET /readyz": 200,
        b"GET /metrics": 200,
        b"GET /keys": 401,
        b"GET /status": 401,
        b"POST /keys": 401,
    }
