"""Samples for review through a running proxy: what is sealed, who can open it, and what is lost without harm."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from proxy.cli import app
from proxy.keyed.sample_keys import make_private
from tests.end_to_end.customers import record_of
from tests.end_to_end.people import changes, run, token_of
from tests.end_to_end.scene import Scene, staged
from tests.rig.raw_client import post
from tests.rig.scripted_upstream import json_answer, sse_answer
from tests.rig.speech import CHAT, COMPLETIONS, MESSAGES, Speech

pytestmark = pytest.mark.asyncio(loop_scope="module")
CANARY = "the asked canary 7b1f"
ANSWERED = ["Grüße from ", "the answered ", "canary 90ce"]
TOKENS = (9, 8)
DEGRADED, DENIED = ["a", "b"], ["a", "b", "c"]
CLIENT = {"code": "closed", "message": "No more."}
PACK: dict[str, Any] = {
    "apiVersion": "stillgate/v1",
    "kind": "PolicyPack",
    "metadata": {"name": "sampled", "version": "1", "owner": "tests"},
    "defaults": {"mode": "enforce"},
    "rules": [
        {
            "id": f"says-{name}",
            "when": {"request.stop_sequences": {"eq": number}},
            "flag": {"name": name, "on": "account", "score": score, "ttl": "1d"},
        }
        for name, number, score in (("few", len(DEGRADED), 20), ("many", len(DENIED), 90))
    ],
    "ladder": [
        {"rung": "clamp", "score": 20, "do": [{"clamp": {"max_output_tokens": 8}}]},
        {"rung": "closed", "score": 90, "do": [{"reject": {"status": 403}}], "client": CLIENT},
    ],
}


class Sampled:
    """A proxy that keeps samples, and the reviewers' key."""

    def __init__(self, scene: Scene, key: Path) -> None:
        self.scene, self.key = scene, key
        self.folder = scene.gate.data / "samples"
        self.accounts = 0

    async def ask(self, speech: Speech, stops: list[str], text: str = CANARY, *, stream: bool = False) -> str:
        """Send a request of a new account, see that it is answered or denied, and return its exchange's id."""
        self.accounts += 1
        secret = await self.scene.gate.create_key(account=f"acct-{self.accounts}", tenant=f"org-{self.accounts}")
        if stream:
            assert speech.events is not None
            self.scene.upstream.script(sse_answer(speech.events(ANSWERED, "m-large", TOKENS)))
        elif stops != DENIED:
            self.scene.upstream.script(json_answer(200, speech.document("".join(ANSWERED), "m-large", TOKENS)))
        asked = {**speech.ask(text), speech.length: 400, speech.stops: stops, "stream": stream}
        raw = post(speech.path, asked, speech.headers(secret))
        response = await self.scene.ask(raw, accepted=True, dialect=speech.family)
        assert response.status == (403 if stops == DENIED else 200)
        return str(response.header(speech.request_id))

    async def line_of(self, exchange: str) -> dict[str, Any]:
        """Return the line of the log about an exchange's sample, which comes a moment after its record."""
        async with asyncio.timeout(10):
            while not (found := [row for row in self.scene.gate.records("sample") if row["id"] == exchange]):
                await asyncio.sleep(0.01)  # another process writes it
        (line,) = found
        return line

    def show(self, exchange: str, *words: str, key: Path | None = None) -> Any:
        return run(self.scene.gate, "log", "samples", "show", exchange, *words, "--key", str(key or self.key))

    def contents(self) -> bytes:
        return b"".join(path.read_bytes() for path in self.folder.iterdir())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sampled(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sampled]:
    folder = tmp_path_factory.mktemp("samples")
    key = folder / "reviewers" / "samples.key"
    wanted = {"public_key": make_private(key), "share": 1.0, "characters": 4096}
    old = folder / "data" / "samples" / "samples-0-2020-02-01.jsonl"
    old.parent.mkdir(parents=True, mode=0o700)
    old.write_text("an\nold\nday\n")
    async with staged(folder, {"decision_log": {"samples": wanted}}, pack=PACK) as scene:
        yield Sampled(scene, key)
        await scene.at_peace()


async def test_a_start_deletes_what_is_too_old_and_records_how_much(sampled: Sampled) -> None:
    async with asyncio.timeout(10):
        while not (found := [row for row in changes(sampled.scene.gate) if row["action"] == "samples.delete"]):
            await asyncio.sleep(0.01)  # another process writes it
    assert not list(sampled.folder.glob("*2020*"))
    assert [[row[name] for name in ("who", "object", "why", "result")] for row in found] == [
        ["stillgate", "3 samples in 1 files of 2020-02-01 to 2020-02-01", "older than 30 days", "done"]
    ]


@pytest.mark.parametrize("stream", [False, True], ids=["document", "stream"])
@pytest.mark.parametrize("speech", [CHAT, COMPLETIONS, MESSAGES], ids=lambda speech: speech.name)
async def test_a_degraded_exchange_can_be_read_with_the_private_key_alone(
    sampled: Sampled, speech: Speech, stream: bool
) -> None:
    exchange = await sampled.ask(speech, DEGRADED, stream=stream)
    record, line = await record_of(sampled.scene.gate, exchange), await sampled.line_of(exchange)
    assert (record["effect"], record["sampled"]) == ("degrade", True)
    result = sampled.show(exchange, str(sampled.folder), "--log", str(sampled.scene.gate.data / "decisions"))
    assert result.exit_code == 0, result.output
    assert CANARY in result.stdout
    assert "  " + "".join(ANSWERED) in result.stdout.splitlines()
    assert "the decision log says that this is its sample" in result.stdout
    listed = json.loads(CliRunner().invoke(app, ["log", "samples", "list", str(sampled.folder), "--json"]).stdout)
    (found,) = [row for row in listed["samples"] if row["exchange"] == exchange]
    assert {name: found[name] for name in ("time", "digest", "sealed_to", "bytes")} == {
        "time": record["time"],
        **{name: line[name] for name in ("digest", "sealed_to", "bytes")},
    }


async def test_a_denied_exchange_is_sampled_without_an_answer_and_an_allowed_one_not_at_all(sampled: Sampled) -> None:
    denied, allowed = await sampled.ask(CHAT, DENIED), await sampled.ask(CHAT, ["a"])
    assert (await record_of(sampled.scene.gate, allowed))["sampled"] is False
    assert (await record_of(sampled.scene.gate, denied))["sampled"] is True
    await sampled.line_of(denied)
    shown = json.loads(sampled.show(denied, str(sampled.folder), "--json").stdout)
    assert (shown["request"]["beginning"], shown["answer"]) == ([["user", "messages[0].content", CANARY]], None)
    missing = sampled.show(allowed, str(sampled.folder))
    assert (missing.exit_code, missing.stderr) == (1, f"stillgate: there is no sample of {allowed}\n")


async def test_who_reads_the_disk_reads_nothing_of_what_was_said(sampled: Sampled) -> None:
    exchange = await sampled.ask(CHAT, DEGRADED)
    await sampled.line_of(exchange)
    contents = sampled.contents()
    assert exchange.encode() in contents
    secrets = [made["secret"] for made in sampled.scene.gate.keys] + [sampled.scene.gate.credential]
    shown = sampled.show(exchange, str(sampled.folder), "--json").stdout
    for said in (CANARY, "canary", "acct-", "org-", *secrets):
        assert said.encode() not in contents
    assert not [secret for secret in secrets if secret in shown]
    assert {stat.S_IMODE(path.stat().st_mode) for path in sampled.folder.iterdir()} == {0o600}


async def test_another_key_and_what_was_edited_or_passed_off_as_anothers_do_not_open(
    sampled: Sampled, tmp_path: Path
) -> None:
    exchange, other = await sampled.ask(CHAT, DEGRADED), await sampled.ask(CHAT, DEGRADED)
    for each in (exchange, other):
        await sampled.line_of(each)
    make_private(tmp_path / "other.key")
    wrong = sampled.show(exchange, str(sampled.folder), key=tmp_path / "other.key")
    assert wrong.exit_code == 1
    assert "is sealed to the key" in wrong.stderr
    lines = {line["exchange"]: line for line in map(json.loads, sampled.contents().splitlines())}
    swapped = {**lines[other], "exchange": exchange}
    sealed = lines[exchange]["sealed"]
    edited = {**lines[exchange], "sealed": sealed[:60] + ("A" if sealed[60] != "A" else "B") + sealed[61:]}
    moved = {**lines[exchange], "time": lines[exchange]["time"][:-2] + "Z"}
    for number, line in enumerate((swapped, edited, moved)):
        file = tmp_path / f"samples-{number}-2026-01-01.jsonl"
        file.write_text(json.dumps(line) + "\n")
        refused = sampled.show(exchange, str(file))
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert "does not open: it was edited, cut, or belongs to another exchange" in refused.stderr


async def test_a_reviewer_without_the_files_is_handed_a_sample_and_is_on_record(sampled: Sampled) -> None:
    exchange = await sampled.ask(MESSAGES, DEGRADED)
    await sampled.line_of(exchange)
    token = token_of(sampled.scene.gate, "rita", "reviewer")
    words = ("log", "samples", "show", exchange, "--key", str(sampled.key))
    silent = run(sampled.scene.gate, *words, token=token)
    assert (silent.exit_code, "say --why" in silent.stderr) == (1, True)
    shown = run(sampled.scene.gate, *words, "--why", "an appeal of the customer", token=token)
    assert shown.exit_code == 0, shown.output
    assert CANARY in shown.stdout
    last = changes(sampled.scene.gate)[-1]
    facts = [last[name] for name in ("who", "role", "action", "object", "why", "result")]
    assert facts == ["rita", "reviewer", "samples.read", exchange, "an appeal of the customer", "done"]
    unknown = run(sampled.scene.gate, *words[:3], "ex_none", *words[4:], "--why", "an appeal", token=token)
    assert (unknown.exit_code, "There is no sample of this exchange here." in unknown.stderr) == (1, True)


async def test_ten_megabytes_of_prompt_make_a_small_sample_of_beginning_and_end(sampled: Sampled) -> None:
    exchange = await sampled.ask(CHAT, DEGRADED, "begins " + "x" * (9 << 20) + " ends")
    assert (await sampled.line_of(exchange))["bytes"] < 3 * 4096
    shown = sampled.show(exchange, str(sampled.folder)).stdout
    assert "begins xx" in shown
    assert "[characters left out]" in shown
    assert "xx ends" in shown


async def test_a_folder_that_cannot_be_written_loses_samples_and_no_exchange(sampled: Sampled) -> None:
    kept, lost = (f'stillgate_samples_total{{result="{result}"}}' for result in ("kept", "lost"))
    before = await sampled.scene.gate.metrics()
    away = sampled.folder.rename(sampled.folder.with_name("away"))
    sampled.folder.write_text("no folder")
    try:
        exchange = await sampled.ask(CHAT, DEGRADED)
        assert (await record_of(sampled.scene.gate, exchange))["sampled"] is True
        async with asyncio.timeout(10):
            while (now := await sampled.scene.gate.metrics())[lost] == before[lost]:
                await asyncio.sleep(0.01)  # another process counts it
    finally:
        sampled.folder.unlink()
        away.rename(sampled.folder)
    assert (now[lost], now[kept]) == (before[lost] + 1, before[kept])
    assert not [row for row in sampled.scene.gate.records("sample") if row["id"] == exchange]
    await sampled.line_of(await sampled.ask(CHAT, DEGRADED))
