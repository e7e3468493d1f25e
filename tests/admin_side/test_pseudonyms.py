"""What the decision log calls an account: told to reviewers, on record, and of no month whose key was destroyed."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from proxy.admin_side.access import Door
from proxy.cli import app
from proxy.decisions.epochs import KEY_BYTES, TABLE
from proxy.decisions.pseudonyms import Pseudonyms
from proxy.exchange import Principal
from proxy.store.base import Row
from tests.admin_side.ground import Ground
from tests.decisions.endings import STARTED, ending, exchange, recorder

GONE, OTHER = "2021-01", "2021-02"


@pytest.fixture
async def months(ground: Ground) -> Ground:
    """A ground with three months: one forgotten, one of another key."""
    await ground.store.write([Row(TABLE, GONE, b""), Row(TABLE, OTHER, b"o" * KEY_BYTES)])
    return ground


def names(ground: Ground, account: str) -> dict[str, str | None]:
    keys = {OTHER: b"o" * KEY_BYTES, ground.epoch: bytes(KEY_BYTES)}
    return {GONE: None, **{epoch: Pseudonyms(epoch, key).name("account", account) for epoch, key in keys.items()}}


async def test_a_reviewer_is_told_the_pseudonym_of_each_month_and_that_is_recorded(months: Ground) -> None:
    """A-10."""
    document = {"account": "acme-8", "reason": "an appeal"}
    answer = await months.ask(Door.PORT, "POST", "/pseudonyms", "reviewer", document)
    assert (answer.status, answer.json()) == (200, {"account": "acme-8", "names": names(months, "acme-8")})
    assert [[line[name] for name in ("who", "action", "object", "why", "result")] for line in months.changes()] == [
        ["reviewer-person", "pseudonyms.show", "acme-8", "an appeal", result] for result in ("begun", "done")
    ]


@pytest.mark.parametrize("account", [None, "", 7, "a\nb", "x" * 257])
async def test_what_is_no_account_or_has_no_reason_is_refused_and_not_answered(months: Ground, account: Any) -> None:
    for document in ({"account": account, "reason": "an appeal"}, {"account": "acme-8"}):
        assert (await months.ask(Door.PORT, "POST", "/pseudonyms", "reviewer", document)).status == 400
    assert months.changes() == []


async def test_what_cannot_be_recorded_or_read_is_not_told(months: Ground) -> None:
    document = {"account": "acme-8", "reason": "an appeal"}
    months.log.parent.write_text("no folder")
    answer = await months.ask(Door.PORT, "POST", "/pseudonyms", "reviewer", document)
    assert (answer.status, "a_" in answer.body.decode()) == (503, False)


@pytest.fixture
def reviewer(months: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    ((_, value),) = months.headers["reviewer"]
    (tmp_path / "token").write_text(value.removeprefix("Bearer "))
    (tmp_path / "token").chmod(0o600)
    monkeypatch.setenv("STILLGATE_ADMIN_URL", f"http://127.0.0.1:{months.port}")
    monkeypatch.setenv("STILLGATE_TOKEN_FILE", str(tmp_path / "token"))
    return months


async def run(*words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, ["log", *words])


async def test_the_command_line_shows_them_and_what_is_forgotten(reviewer: Ground) -> None:
    shown = await run("pseudonym", "acme-8", "--why", "an appeal")
    known = names(reviewer, "acme-8")
    assert shown.stdout.splitlines() == [
        f"{GONE}  forgotten: its key was destroyed",
        *(f"{epoch}  {known[epoch]}" for epoch in (OTHER, reviewer.epoch)),
    ]
    as_json = await run("pseudonym", "acme-8", "--why", "an appeal", "--json")
    assert json.loads(as_json.stdout) == {"account": "acme-8", "names": known}


async def asked(*words: str) -> tuple[int | None, str, list[dict[str, Any]]]:
    """Run it in a process of its own, where it can watch for signals while the admin side answers here."""
    program = (sys.executable, "-m", "proxy.cli", "log")
    run = await asyncio.create_subprocess_exec(*program, *words, stdout=PIPE, stderr=PIPE)
    out, said = await run.communicate()
    return run.returncode, said.decode(), json.loads(out)["rows"] if out else []


async def test_a_log_is_asked_by_the_plain_id_over_all_months(reviewer: Ground, tmp_path: Path) -> None:
    made = []
    for epoch, key in ((OTHER, b"o" * KEY_BYTES), (reviewer.epoch, bytes(KEY_BYTES))):
        scribe = recorder()
        scribe.pseudonyms = Pseudonyms(epoch, key)
        for account in ("acme-8", "acme-9"):
            sent = exchange(principal=Principal("k", account, "t", "free", STARTED, {}), id=f"{epoch} {account}")
            made.append(scribe.exchange(ending(sent)))
    log = tmp_path / "one.jsonl"
    log.write_bytes(b"".join(made))
    view = ("query", str(log), "--view", "exchanges", "--json")
    code, said, rows = await asked(*view, "--account", "acme-8", "--why", "an appeal")
    assert code == 0, said
    assert sorted(row["id"] for row in rows) == sorted(f"{epoch} acme-8" for epoch in (OTHER, reviewer.epoch))
    assert f"for {GONE} nobody can tell any more which records are this account's: the key was destroyed" in said
    await reviewer.store.write([Row(TABLE, OTHER, b""), Row(TABLE, reviewer.epoch, b"")])
    code, said, rows = await asked(*view, "--account", "acme-8", "--why", "an appeal")
    assert (code, rows) == (0, []), said


def test_without_a_proxy_or_a_reason_nothing_is_guessed(tmp_path: Path) -> None:
    log = tmp_path / "one.jsonl"
    log.write_bytes(recorder().exchange(ending()))
    for words, why in (
        (("--account", "acme-8", "--why", "x", "--data", str(tmp_path)), "no proxy answers"),
        (("--account", "acme-8"), "or the plain id with --why"),
        (("--why", "x"), "--why"),
        (("--account", "a_" + "0" * 32, "--why", "x"), "--why"),
    ):
        found = CliRunner().invoke(app, ["log", "query", str(log), *words], env={"COLUMNS": "200"})
        assert (found.exit_code, why in found.output) == (2, True), found.output
