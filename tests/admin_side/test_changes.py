"""What people change is recorded before it is made, or not made."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import pwd
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from proxy.admin_side.access import Door
from proxy.auth.admin import Role, TokenRequest
from proxy.cli import app
from proxy.decisions.epochs import epoch_of
from proxy.samples.envelope import Envelope
from proxy.samples.files import append
from tests.admin_side.ground import ROOT, USER, Ground


async def test_every_change_is_recorded_with_who_and_why_before_its_answer(ground: Ground) -> None:
    async def change(door: Door, path: str, who: str, document: Any) -> Any:
        answer = await ground.ask(door, "POST", path, who, document)
        assert answer.status in {200, 201}, answer.body
        assert ground.changes()[-1]["result"] == "done"
        return answer.json()

    key = await change(Door.PORT, "/keys", "operator", {"account": "acme-8", "reason": "a trial"})
    new = await change(Door.PORT, f"/keys/{key['id']}/rotate", "operator", {})
    await change(Door.PORT, f"/keys/{new['id']}/revoke", "operator", {"reason": "leaked with sgk_abc and sga_def"})
    many = await change(Door.PORT, "/keys/import", "operator", {"keys": [{"account": "a"}, {"account": "b"}]})
    first, second = (one["id"] for one in many["keys"])
    token = await change(Door.SOCKET, "/tokens", "none", {"name": "bob", "role": "author"})
    await change(Door.SOCKET, "/tokens/bob/revoke", "none", {"reason": "has left"})
    found = [line for line in ground.changes() if line["result"] == "done"]
    assert [[line[name] for name in ("who", "role", "via", "action", "object", "why")] for line in found] == [
        ["operator-person", "operator", "token", "keys.create", f"{key['id']} of acme-8", "a trial"],
        ["operator-person", "operator", "token", "keys.rotate", f"{key['id']} to {new['id']} of acme-8", ""],
        [
            *("operator-person", "operator", "token", "keys.revoke"),
            *(f"{new['id']} of acme-8", "leaked with [masked] and [masked]"),
        ],
        ["operator-person", "operator", "token", "keys.import", f"{first} of a", ""],
        ["operator-person", "operator", "token", "keys.import", f"{second} of b", ""],
        [USER, "operator", "socket", "tokens.create", "bob as author", ""],
        [USER, "operator", "socket", "tokens.revoke", "bob", "has left"],
    ]
    pair = ["begun", "done"]
    assert [line["result"] for line in ground.changes()] == [*pair * 3, *pair, "done", *pair * 2]
    kept = ground.log.read_text()
    for secret in (key["secret"], new["secret"], token["secret"]):
        assert secret not in kept


async def test_what_cannot_be_recorded_is_refused_with_503_and_not_made(ground: Ground) -> None:
    ground.log.parent.write_text("no folder")
    before = ground.rows()
    for path, document in (
        ("/keys", {"account": "a"}),
        ("/keys/import", {"keys": [{"account": "a"}]}),
        (f"/keys/{ground.key_id}/revoke", {"reason": "leaked"}),
        (f"/keys/{ground.key_id}/rotate", {}),
        ("/tokens", {"name": "bob", "role": "author"}),
        ("/tokens/author-person/revoke", {"reason": "has left"}),
        (f"/epochs/{ground.epoch}/forget", {"reason": "kept for a year"}),
    ):
        answer = await ground.ask(Door.PORT, "POST", path, "operator", document)
        assert (answer.status, answer.json()["detail"]) == (503, "The change cannot be recorded, so it was not made.")
    assert ground.rows() == before
    assert (await ground.ask(Door.PORT, "GET", "/keys", "reviewer")).status == 200


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (None, 400),
        ("", 400),
        ("  ", 400),
        (7, 400),
        ("a\nb", 400),
        ("x" * 257, 400),
        ("x" * 256, 200),
        ("Ümläute", 200),
    ],
)
async def test_a_change_to_what_is_others_needs_a_reason_in_one_line(ground: Ground, reason: Any, status: int) -> None:
    document = {} if reason is None else {"reason": reason}
    for path in (f"/keys/{ground.key_id}/revoke", "/tokens/author-person/revoke"):
        assert (await ground.ask(Door.PORT, "POST", path, "operator", document)).status == status
    assert len(ground.changes()) == (4 if status == 200 else 0)


async def test_forgetting_a_month_is_a_change_that_needs_an_operator_and_a_reason(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A-10, through `stillgate log forget`."""
    ((_, value),) = ground.headers["operator"]
    (tmp_path / "token").write_text(value.removeprefix("Bearer "))
    (tmp_path / "token").chmod(0o600)
    monkeypatch.setenv("STILLGATE_ADMIN_URL", f"http://127.0.0.1:{ground.port}")
    monkeypatch.setenv("STILLGATE_TOKEN_FILE", str(tmp_path / "token"))

    async def forget(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, ["log", "forget", *arguments])

    samples = tmp_path / "samples" / f"samples-0-{ground.epoch}-01.jsonl"
    samples.parent.mkdir()
    samples.write_text("{}\n")
    before = ground.rows()
    for refused in ([ground.epoch], ["2001-01", "--why", "x"], [epoch_of(ground.clock.wall()), "--why", "x"]):
        assert (await forget(*refused)).exit_code == (2 if len(refused) == 1 else 1)
    assert (await forget("../keys", "--why", "x")).exit_code == 1
    assert (ground.rows(), samples.exists()) == (before, True)
    done = await forget(ground.epoch, "--why", "kept for a year")
    assert (done.exit_code, done.stdout) == (0, f"The key of the pseudonyms of {ground.epoch} is destroyed.\n")
    assert ground.rows()["epochs"] == {ground.epoch: b""}
    assert not samples.exists()
    found = [line for line in ground.changes() if line["who"] != "stillgate"]
    assert [[line[name] for name in ("who", "action", "object", "why", "result")] for line in found] == [
        ["operator-person", "epochs.forget", "2001-01", "x", "begun"],
        ["operator-person", "epochs.forget", "2001-01", "x", "refused"],
        ["operator-person", "epochs.forget", ground.epoch, "kept for a year", "begun"],
        ["operator-person", "epochs.forget", ground.epoch, "kept for a year", "done"],
    ]


async def test_a_sample_is_handed_out_sealed_to_who_says_why(ground: Ground, tmp_path: Path) -> None:
    envelope = Envelope("ex_1", "2026-11-26T10:00:00.000Z", "0a1b2c3d", b"sealed")
    append(tmp_path / "samples", 0, dt.date(2026, 11, 26), envelope.line(), 1000)
    answer = await ground.ask(Door.PORT, "POST", "/samples/ex_1/read", "reviewer", {"reason": "an appeal"})
    assert answer.json() == {"samples": [{**envelope._asdict(), "sealed": b64encode(b"sealed").decode()}]}
    last = ground.changes()[-1]
    assert [last[name] for name in ("who", "action", "object", "why", "result")] == [
        *("reviewer-person", "samples.read", "ex_1", "an appeal", "done")
    ]
    for path, document, status in (
        ("/samples/ex_1/read", {}, 400),
        ("/samples/ex_2/read", {"reason": "an appeal"}, 404),
        ("/samples/%2E%2E/read", {"reason": "an appeal"}, 400),
        ("/samples/sealed/read", {"reason": "a word that stands in a line"}, 404),
    ):
        assert (await ground.ask(Door.PORT, "POST", path, "reviewer", document)).status == status, path
    ground.log.unlink()
    ground.log.mkdir()
    assert (await ground.ask(Door.PORT, "POST", "/samples/ex_1/read", "reviewer", {"reason": "x"})).status == 503


async def test_the_own_token_is_ended_without_a_reason_and_at_once(ground: Ground) -> None:
    assert (await ground.ask(Door.PORT, "POST", "/tokens/operator-person/revoke", "operator")).status == 200
    assert (await ground.ask(Door.PORT, "GET", "/keys", "operator")).status == 401


async def test_a_person_of_the_system_with_the_name_of_a_token_does_not_own_it(ground: Ground) -> None:
    await ground.side.tokens.create(TokenRequest(USER, Role.AUTHOR), ROOT)
    assert (await ground.ask(Door.SOCKET, "POST", f"/tokens/{USER}/revoke", "none")).status == 400


async def test_a_user_without_a_name_is_recorded_by_number(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(user: int) -> None:
        raise KeyError(user)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert (await ground.ask(Door.SOCKET, "POST", "/keys", "none", {"account": "a"})).status == 201
    assert ground.changes()[-1]["who"] == f"uid-{os.getuid()}"
