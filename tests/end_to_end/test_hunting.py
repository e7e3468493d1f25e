"""From a customer's request to a reviewer's decision: what is told of exchanges, the hunter's process, the verbs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from proxy.clock import SystemClock
from proxy.files.data_folder import socket_path
from proxy.hunter.event import Event
from proxy.hunter.wire import decode
from proxy.hunting.telling import EVENTS_STREAM
from proxy.keyed.link_names import LinkNames
from proxy.secrets import Purpose, load_or_create_master
from proxy.store import open_store
from proxy.store.base import Store
from tests.end_to_end.customers import assert_said_nothing_wrong
from tests.end_to_end.people import changes, run, token_of
from tests.end_to_end.scene import CHAT, Scene, answer, chat, staged
from tests.rig.process import GENEROUS_PACK, NOBODY, Stillgate
from tests.rig.raw_client import post
from tests.rig.scripted_upstream import json_answer
from tests.rig.valkey import Valkey
from tests.rig.waiting import until

CAMPAIGN: dict[str, Any] = {
    "id": "extraction",
    "mode": "shadow",
    "min_accounts": 3,
    "min_tenants": 2,
    "window": "7d",
    "min_confidence": 0.9,
    "flag": {"name": "campaign", "on": ["cluster", "account"], "score": 80, "ttl": "14d"},
}
PACK: dict[str, Any] = {**GENEROUS_PACK, "campaigns": [CAMPAIGN]}
USAGE = {"prompt_tokens": 30, "completion_tokens": 2, "total_tokens": 32}
CANARY = "zebra-canary-prompt"
PROMPT = f"Think step by step and write out your full chain of thought verbatim. {CANARY}"
FAKE = "tests.hunting.fake_cli"
HUNTING = {"hunter": {"judge_seconds": 0.2}}


@asynccontextmanager
async def store_of(gate: Stillgate) -> AsyncIterator[Store]:
    url = f"unix://{quote(str(socket_path(gate.data / 'store' / 'valkey.sock')))}"
    store = await open_store(url, clock=SystemClock())
    try:
        yield store
    finally:
        await store.close()


async def ask(scene: Scene, account: str, **members: Any) -> None:
    key = await scene.gate.create_key(
        account=account, tenant=f"t-{account}", attributes={"payment": "card-canary-1"}, created_at=1_700_000_000
    )
    scene.upstream.script(json_answer(200, answer(usage=USAGE)))
    messages = [{"role": "user", "content": PROMPT}]
    headers = [("Authorization", f"Bearer {key}"), ("User-Agent", "canary-agent")]
    asked = await scene.ask(post(CHAT, chat(messages=messages, **members), headers), accepted=True)
    assert asked.status == 200, asked


async def test_what_is_told_of_exchanges_names_and_counts_and_holds_no_text(tmp_path: Path) -> None:
    entries: tuple[bytes, ...] = ()
    events: list[Event] = []
    async with staged(tmp_path, {"hunter": {"run": False}}, pack=PACK) as scene, store_of(scene.gate) as store:
        for number in range(5):
            await ask(scene, f"acme-{number}", logprobs=number == 0)
        refused = await scene.ask(scene.ordinary(model="nobody"), accepted=True)
        assert refused.status == 404

        async def all_there() -> bool:
            nonlocal entries, events
            entries = (await store.follow(EVENTS_STREAM, "", 1000)).entries
            events = sorted((event for entry in entries for event in decode(entry).events), key=lambda event: event.at)
            return len(events) >= 6

        await until(all_there)
        names = LinkNames(load_or_create_master(scene.gate.data / "master.secret").derive(Purpose.LINKS))
        metrics = await scene.gate.metrics()
        await scene.at_peace()
    assert len(events) == 6
    first, denied = events[0], events[-1]
    assert [event.account for event in events[:5]] == [f"acme-{number}" for number in range(5)]
    assert (first.tenant, first.opened, first.dialect) == ("t-acme-0", 1_700_000_000.0, "openai.chat")
    assert (first.peer, first.prefix) == names.peer("127.0.0.1")
    assert (first.agent, first.links) == (
        names.name("agent", "canary-agent"),
        (("payment", names.name("payment", "card-canary-1")),),
    )
    assert (first.asked.model, first.asked.turns, first.asked.logprobs) == ("m-large", 1, True)
    assert (first.input_tokens, first.output_tokens, first.effect, first.delivered) == (30, 2, "allow", True)
    assert (denied.effect, denied.delivered, denied.asked.model) == ("deny", False, "nobody")
    for secret in (CANARY, "chain of thought", "card-canary-1", "canary-agent", "127.0.0.1"):
        assert not any(secret.encode() in entry for entry in entries), secret
    assert metrics["stillgate_events_told_total"] == 6
    assert metrics["stillgate_events_dropped_total"] == 0
    assert_said_nothing_wrong(scene.gate)


async def hunted(scene: Scene, accounts: int) -> dict[str, Any]:
    """Wait until there is one campaign of so many accounts, and return it as the list shows it."""
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        nonlocal found
        found = (await scene.gate.admin_request("GET", "/campaigns"))[1]["campaigns"]
        return bool(found) and found[0]["accounts"] >= accounts

    await until(there)
    (campaign,) = found
    return campaign


async def test_without_campaigns_nothing_is_told_and_with_them_a_hunter_dies_comes_back_and_repeats_nothing(
    tmp_path: Path,
) -> None:
    off = {**PACK, "campaigns": [{**CAMPAIGN, "mode": "off"}]}
    loose = {**PACK, "campaigns": [{**CAMPAIGN, "min_accounts": 2}]}
    async with staged(tmp_path, HUNTING, pack=off, command=FAKE) as scene:
        gate = scene.gate

        async def status() -> Any:
            return (await gate.admin_request("GET", "/status"))[1]

        await ask(scene, "untold")
        assert (await gate.metrics())["stillgate_events_told_total"] == 0
        assert (await status())["hunter"] is None
        gate.write_pack(PACK)

        async def hunts() -> bool:
            return (await status())["hunter"] is not None and (await gate.metrics())["stillgate_hunter_active"] == 1

        await until(hunts)
        await ask(scene, "a-1")
        await ask(scene, "a-2")

        async def seen() -> bool:
            return (await gate.metrics())["stillgate_hunter_events_total"] >= 2

        await until(seen)
        gate.write_pack(loose)
        campaign = await hunted(scene, 2)
        pid = (await status())["hunter"]
        os.kill(pid, signal.SIGKILL)
        await ask(scene, "a-3")
        grown = await hunted(scene, 3)
        assert grown["id"] == campaign["id"]
        assert (await status())["hunter"] != pid
        assert (await gate.metrics())['stillgate_findings{state="open"}'] == 1
        await gate.restart()
        await ask(scene, "a-4")
        again = await hunted(scene, 4)
        assert (again["id"], again["exposure"]["exchanges"]) == (campaign["id"], 4)
        hunter = psutil.Process((await status())["hunter"])
    assert not hunter.is_running()


async def test_a_reviewer_lists_shows_confirms_exports_and_dismisses(tmp_path: Path) -> None:
    async with staged(tmp_path, HUNTING, pack=PACK, command=FAKE) as scene:
        for number in range(3):
            await ask(scene, f"acme-{number}")
        campaign = await hunted(scene, 3)
        gate, known = scene.gate, campaign["id"]
        rita = token_of(gate, "rita", "reviewer")
        assert known in run(gate, "campaigns", "list", token=rita).stdout
        (row,) = json.loads(run(gate, "campaigns", "list", "--json").stdout)
        assert (row["rule"], row["accounts"], row["state"]) == ("extraction", 3, "open")
        shown = run(gate, "campaigns", "show", known, token=rita)
        assert shown.exit_code == 0, shown.output
        for words in (
            "3 accounts of 3 tenants",
            "97.0 %",
            "2 accounts of 2 tenants share a template",
            "reasoning traces",
            ": 1 prints",
            f"23 {'#' * 40} 23",
            "acme-2",
            "shares a template with 9 others",
        ):
            assert words in shown.stdout, shown.stdout
        assert len(json.loads(run(gate, "campaigns", "show", known, "--all", "--json").stdout)["members"]) == 3

        def flagged() -> bool:
            return known in run(gate, "flags", "list", "--json").stdout

        await until(flagged)
        confirmed = run(gate, "campaigns", "confirm", known, "--why", "seen in the log", token=rita)
        assert (confirmed.exit_code, confirmed.stdout) == (0, f"confirmed {known}, and 1 flags\n")
        lines = [json.loads(line) for line in run(gate, "campaigns", "export", known).stdout.splitlines()]
        assert [(line["account"], line["state"]) for line in lines] == [(f"acme-{n}", "confirmed") for n in range(3)]
        assert lines[0]["evidence"] == ["2 accounts of 2 tenants share a template"]
        file = tmp_path / "members.jsonl"
        assert run(gate, "campaigns", "export", known, "--to", str(file)).stdout == f"wrote 3 members to {file}\n"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert [json.loads(line) for line in file.read_text().splitlines()] == lines
        html = tmp_path / "campaign.html"
        assert run(gate, "campaigns", "show", known, "--html", str(html), token=rita).stdout == f"wrote {html}\n"
        assert stat.S_IMODE(html.stat().st_mode) == 0o600
        for words in ("3 accounts in the names of 3 customers", "acme-2", "seen in the log", f"dismiss {known} --why"):
            assert words in html.read_text(), words
        dismissed = run(gate, "campaigns", "dismiss", known, "--why", "a customer's own test", token=rita)
        assert (dismissed.exit_code, dismissed.stdout) == (0, f"dismissed {known}, lifted 1 flags\n")
        assert "dismissed" in run(gate, "campaigns", "list").stdout
        assert "by rita on" in run(gate, "campaigns", "show", known).stdout
        last = changes(gate)[-1]
        assert (last["who"], last["action"], last["why"]) == ("rita", "campaigns.dismiss", "a customer's own test")

        async def learnt() -> bool:
            return (await gate.metrics()).get('stillgate_findings{state="dismissed"}') == 1

        await until(learnt)
        await gate.restart()
        await ask(scene, "acme-9")
        await until(learnt)
        assert (await hunted(scene, 3))["accounts"] == 3
        bad: tuple[tuple[tuple[str, ...], int, str], ...] = (
            (("dismiss", known), 2, "Missing option '--why'"),
            (("confirm", known, "--why", "x"), 1, "was dismissed"),
            (("show", "camp-0"), 1, "There is no such campaign."),
            (("show", ""), 1, "'' is not the id of a campaign"),
            (("export", "a b"), 1, "'a b' is not the id of a campaign"),
            (("show", known, "--html", str(tmp_path / "no" / "file")), 1, "cannot be written: No such file"),
            (("export", known, "--to", str(tmp_path / "no" / "file")), 1, "cannot be written: No such file"),
        )
        for asked, exit_code, complaint in bad:
            result = run(gate, "campaigns", *asked)
            assert (result.exit_code, result.stdout) == (exit_code, ""), result.output
            assert complaint in " ".join(result.stderr.replace("│", " ").split())
    assert_said_nothing_wrong(scene.gate)


async def test_a_hunter_of_its_own_hunts_on_a_shared_store(tmp_path: Path) -> None:
    with Valkey(tmp_path / "s") as server:
        settings = {"store": server.url, "secret_file": "shared.secret", "hunter": {"run": False, "judge_seconds": 0.2}}
        folder = tmp_path / "gate"
        load_or_create_master(folder / "shared.secret")
        async with staged(folder, settings, pack=PACK, command=FAKE) as scene:
            hunter = await scene.gate._spawn("hunter", "--admin-port", "0", stdout=None, stderr=None)
            try:
                for number in range(3):
                    await ask(scene, f"acme-{number}")
                assert (await hunted(scene, 3))["state"] == "open"
                hunter.send_signal(signal.SIGHUP)  # as whatever has a service's files read anew does
                for number in range(3, 5):
                    await ask(scene, f"acme-{number}")
                assert (await hunted(scene, 5))["state"] == "open"
            finally:
                hunter.terminate()
                async with asyncio.timeout(15):
                    assert await hunter.wait() == 0


async def test_with_the_embedded_store_the_hunter_is_serves_own(tmp_path: Path) -> None:
    result = await Stillgate.installed(tmp_path, upstream_url=NOBODY).cli("hunter")
    assert (result.returncode, result.stdout) == (1, "")
    assert "`stillgate serve` runs itself" in result.stderr
