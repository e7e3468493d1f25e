"""A replay answers every line in its order, as production would, and findings act on what follows."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy.config import load_settings
from proxy.hindsight.comparing import NO_PACK
from proxy.hunter.finding import Finding
from proxy.packs.archive import archived_file
from proxy.policy_testing.requests import Asked
from proxy.policy_testing.schema import AccountFixture, Fixtures, RequestFixture
from proxy.policy_testing.world import World
from proxy.replay import lines, pool
from proxy.replay.replaying import Replay
from proxy.replay.seen import Batch, Other
from proxy.replay.setting_up import Scene, stage_of, wants_of
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Mode
from tests.hindsight.traffic import Proxy
from tests.policy_testing.packs import runner
from tests.replay.traffic import NOW, PACK, SharedText, as_bytes, campaign, line, pack_of, replayed


def written(tmp_path: Path, rows: list[dict[str, Any]], name: str = "traffic.jsonl") -> Path:
    file = tmp_path / name
    file.write_bytes(as_bytes(rows))
    return file


def test_a_quota_denies_by_its_name(tmp_path: Path) -> None:
    file = written(tmp_path, [line(at=second) for second in range(5)] + [line(at=70)])
    outcome = replayed([file])
    assert outcome.each("effect") == ["allow", "allow", "allow", "deny", "deny", "allow"]
    assert outcome.each("by") == [None, None, None, "quota:key-quota", "quota:key-quota", None]
    assert outcome.each("line") == [0, 1, 2, 3, 4, 5]
    assert outcome.summary.by == {"quota:key-quota": 2}


def test_a_rule_degrades_by_its_rung(tmp_path: Path) -> None:
    file = written(tmp_path, [line(at=30 * turn, logprobs=True) for turn in range(3)])
    outcome = replayed([file])
    assert outcome.each("effect") == ["allow", "degrade", "degrade"]
    assert outcome.decisions[1] | {"line": 1} == {
        "line": 1,
        "account": "acct-a",
        "effect": "degrade",
        "actions": ["drop"],
        "by": "rung:strip",
        "rung": "strip",
        "score": 45,
        "fired": ["probing"],
        "shadow_rung": "strip",
        "shadow_fired": ["probing"],
        "reasons": ["2 probes"],
    }


def test_a_finding_is_written_and_degrades_what_follows(tmp_path: Path) -> None:
    rows = [*campaign(), line("stranger", 15_000, "What is the capital of France?")]
    outcome = replayed([written(tmp_path, rows)])
    first, *later = outcome.findings
    assert first["campaign"] == "camp-1"
    assert first["accounts"] == sorted(first["accounts"])
    assert first["evidence"] == [f"{first['members']} accounts share a template"]
    assert {account for row in (first, *later) for account in row["accounts"]} == {f"acct-{n}" for n in range(4)}
    for row, sent in zip(outcome.decisions, rows, strict=True):
        caught = sent["ts"] > first["ts"] and row["account"] != "stranger"
        assert (row["effect"], row["by"]) == (("degrade", "rung:clamp") if caught else ("allow", None))
    assert outcome.summary.campaigns["camp-1"].accounts == 4


def test_the_first_request_of_a_new_account_with_a_flagged_template_is_degraded(tmp_path: Path) -> None:
    newcomer = line("newcomer", 6_000, f"{TEMPLATE_OF_ALL}9 plus 9")
    outcome = replayed([written(tmp_path, [*campaign(), newcomer])])
    assert outcome.decisions[-1]["template"] == "tpl-1"
    assert outcome.decisions[-1]["by"] == "rung:clamp"


TEMPLATE_OF_ALL = campaign(1, 1)[0]["body"]["messages"][0]["content"].partition("0 plus")[0]


class Joined(SharedText):
    """A hunter to whom its finding becomes a part of another one, which has no text, after an hour and a half."""

    def judge(self, now: float) -> list[Finding]:
        found = super().judge(now)
        if now - NOW < 5_400 or "camp-1" not in self.findings:
            return found
        whole = replace(self.findings.pop("camp-1"), id="camp-0", templates=())
        self.findings["camp-0"] = whole
        self.merged.add("camp-1")
        return [whole]


def test_a_finding_that_became_a_part_of_another_acts_no_more(tmp_path: Path) -> None:
    newcomer = line("newcomer", 7_000, f"{TEMPLATE_OF_ALL}9 plus 9")
    outcome = replayed([written(tmp_path, [*campaign(rounds=5), newcomer])], hunter=Joined)
    assert {row["campaign"] for row in outcome.findings} == {"camp-1", "camp-0"}
    assert (outcome.decisions[-1].get("template"), outcome.decisions[-1]["by"]) == (None, None)


class Forgetful(SharedText):
    """A hunter that knows nothing any more of a finding after an hour and a half, as after its window."""

    def judge(self, now: float) -> list[Finding]:
        found = super().judge(now)
        if now - NOW >= 5_400:
            self.findings.clear()
            return []
        return found


def test_a_finding_that_the_hunter_has_forgotten_acts_until_its_flags_end(tmp_path: Path) -> None:
    newcomer = line("newcomer", 7_000, f"{TEMPLATE_OF_ALL}9 plus 9")
    outcome = replayed([written(tmp_path, [*campaign(rounds=5), newcomer])], hunter=Forgetful)
    assert (outcome.decisions[-1]["template"], outcome.decisions[-1]["by"]) == ("tpl-1", "rung:clamp")


def test_flags_are_renewed_while_the_campaign_goes_on_and_end_after_it(tmp_path: Path) -> None:
    going_on = campaign(rounds=20, step=300)  # 6.7 hours, with flags that last one
    long_after = line("acct-1", 20 * 4 * 300 + 7_200, going_on[1]["body"]["messages"][0]["content"])
    outcome = replayed([written(tmp_path, [*going_on, long_after])])
    assert set(outcome.each("by")[-20:-1]) == {"rung:clamp"}
    assert outcome.decisions[-1]["by"] is None


def test_late_and_repeated_lines_change_no_finding_and_no_decision(tmp_path: Path) -> None:
    rows = campaign(rounds=8)
    plain = replayed([written(tmp_path, rows)])
    shuffled = [(row["ts"] + random.Random(number).uniform(0, 3_500), number) for number, row in enumerate(rows)]
    order = [number for _, number in sorted(shuffled)]
    mixed = [rows[number] for number in order for _ in range(1 + number % 2)]
    outcome = replayed([written(tmp_path, mixed, "mixed.jsonl")])
    assert outcome.findings == plain.findings
    told = {number: plain.decisions[number]["effect"] for number in range(len(rows))}
    assert outcome.each("effect") == [told[number] for number in order for _ in range(1 + number % 2)]
    assert outcome.summary.duplicates == len(rows) // 2
    assert outcome.summary.late > 0
    assert not outcome.summary.jumped


def test_a_clock_that_jumps_is_reported_and_does_not_carry_the_others_along(tmp_path: Path) -> None:
    rows = [line(at=60 * turn) for turn in range(5)]
    rows.insert(2, line(at=30 * 86_400))
    rows += [line(at=5 * 86_400 + second) for second in (0, 1)] + [line("late", text="from long ago")]
    outcome = replayed([written(tmp_path, rows)])
    assert [(jump.line, jump.seconds > 0) for jump in outcome.summary.jumps] == [(2, True), (6, True), (8, False)]
    assert outcome.each("effect") == ["allow"] * 9
    assert outcome.summary.ended == NOW + 5 * 86_400 + 1


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_clock_that_is_ahead_at_the_beginning_makes_no_other_line_late(tmp_path: Path, place: int) -> None:
    rows = [line("a", at=9), line("b", at=3), line("c", at=12), line("d", at=10), line("e", at=20)]
    rows.insert(place, line("ahead", at=30 * 86_400))
    outcome = replayed([written(tmp_path, rows)])
    assert [jump.line for jump in outcome.summary.jumps] == [place]
    assert outcome.summary.ended == NOW + 20
    assert outcome.summary.late == 2
    assert outcome.each("effect") == ["allow"] * 6


def test_what_no_dialect_takes_is_refused_and_counted(tmp_path: Path) -> None:
    rows = [line(path="/v1/images"), line(at=1, unheard_of=1), line(at=2, body={"model": "large", "messages": 1})]
    outcome = replayed([written(tmp_path, rows)])
    assert outcome.each("effect") == ["deny"] * 3
    assert outcome.each("by") == [None] * 3
    assert all(outcome.each("error"))
    assert outcome.summary.refused == 3
    assert outcome.summary.whole


def test_the_same_is_decided_and_found_with_two_processes_as_with_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_FEW", 1)
    monkeypatch.setattr(lines, "_BLOCK_BYTES", 65_536)
    rows = [*campaign(rounds=6), *(line(f"other-{n % 7}", 8_000 + n, "word " * 400, logprobs=True) for n in range(600))]
    file = written(tmp_path, rows)
    one, two = replayed([file]), replayed([file], jobs=2)
    assert one.decisions == two.decisions
    assert one.findings == two.findings
    assert len(two.decisions) == len(rows)


def test_a_pack_without_campaigns_needs_no_hunter(tmp_path: Path) -> None:
    pack = PACK.partition("campaigns:")[0] + "ladder:" + PACK.partition("ladder:")[2]
    outcome = replayed([written(tmp_path, campaign())], pack=pack, hunter=None)
    assert outcome.each("effect") == ["allow"] * 16
    assert outcome.findings == []


def test_the_hunter_is_told_what_the_answer_was(tmp_path: Path) -> None:
    hunters: list[SharedText] = []

    def made(*of: Any) -> SharedText:
        hunters.append(SharedText(*of))
        return hunters[-1]

    rows = [line(at=second, logprobs=True) for second in range(4)] + [line("b", 9, response={"status": 500})]
    replayed([written(tmp_path, rows)], hunter=made)
    events = hunters[0].events
    assert [event.effect for event in events] == ["allow", "allow", "allow", "deny", "allow"]
    assert [event.delivered for event in events] == [True, True, True, False, False]
    assert [event.output_tokens for event in events] == [20, 20, 20, 0, 0]
    assert events[0].asked.logprobs
    assert events[0].peer not in {"", "192.0.2.1"}
    assert [kind for kind, _ in events[0].links] == ["payment"]


class Noting(SharedText):
    """A hunter that finds nothing and notes when it was asked."""

    def __init__(self, pack: Pack, max_mode: Mode) -> None:
        super().__init__(pack, max_mode)
        self.asked_at: list[float] = []

    def judge(self, now: float) -> list[Finding]:
        self.asked_at.append(now - NOW)
        return []


def test_the_hunter_is_asked_once_enough_is_new_or_half_an_hour_has_passed(tmp_path: Path) -> None:
    hunters: list[Noting] = []

    def made(*of: Any) -> Noting:
        hunters.append(Noting(*of))
        return hunters[-1]

    many = [line(f"user-{n}", n / 10) for n in range(2_000)]
    few = [line(f"user-{n}", 300.0 * n) for n in range(1, 15)]
    some = [line(f"user-{n}", 4_400.0 + 5 * n) for n in range(60)]
    replayed([written(tmp_path, [*many, *few, *some])], hunter=made)
    # 2,000 by the first moment; six more in each half an hour; then enough.
    assert hunters[0].asked_at == [400.0, 2_200.0, 4_000.0, 4_600.0, 4_695.0]


class Sparing(Noting):
    """A hunter that finds the campaign, and spares a judge as soon as it saw him."""

    def judge(self, now: float) -> list[Finding]:
        super().judge(now)
        events = self.events
        self.events = [event for event in events if event.account != "judge"]
        found = SharedText.judge(self, now)
        self.events = events
        if "camp-1" not in self.findings or not any(event.account == "judge" for event in events):
            return found
        finding = self.findings["camp-1"]
        finding = replace(finding, reach=finding.reach._replace(spared=frozenset({"judge"})), last_at=events[-1].at)
        self.findings["camp-1"] = finding
        return [finding]


def test_whoever_is_reached_for_his_prompt_alone_is_looked_at_soon(tmp_path: Path) -> None:
    hunters: list[Sparing] = []

    def made(*of: Any) -> Sparing:
        hunters.append(Sparing(*of))
        return hunters[-1]

    crowd = [line(f"user-{n}", 4_700 + n / 15) for n in range(6_000)]  # so that no moment is worth a look for long
    judge = [line("judge", 5_210 + 25 * n, f"{TEMPLATE_OF_ALL}{n} plus {7 * n}") for n in range(24)]
    outcome = replayed([written(tmp_path, [*campaign(), *crowd, *judge])], hunter=made)
    assert [at for at in hunters[0].asked_at if at > 5_200] == [5_410.0, 5_785.0]  # before the ninth, and at the end
    reached = [row["by"] for row in outcome.decisions if row["account"] == "judge"]
    assert reached == ["rung:clamp"] * 8 + [None] * 16


async def test_it_agrees_with_the_world_of_pack_tests(tmp_path: Path) -> None:
    rng = random.Random(4)
    names = ["a", "b", "c"]
    accounts = {name: AccountFixture(account=name, key=f"key-{name}", tenant=f"org-{name}") for name in names}
    world = World(pack_of(), NOW, Fixtures(accounts=accounts), runner()._minds)
    rows, effects, at = [], [], 0.0
    for _ in range(200):
        pause = rng.choice([0.0, 1.0, 7.0, 30.0, 700.0])
        at += pause
        await world.advance(pause)
        name, probing = rng.choice(names), rng.random() < 0.3
        row = line(name, at, f"Say {rng.random()}.", **({"logprobs": True} if probing else {}))
        rows.append(row)
        asked = Asked(RequestFixture.model_validate({"body": row["body"]}))
        observed = await world.send(name, asked, 0, 0.0)
        by = observed.by and ("quota:" if observed.denials else "rung:") + observed.by
        effects.append((observed.effect.value, list(observed.actions), by or None))
    file = written(tmp_path, rows)
    outcome = await _in_thread(file)
    assert [(row["effect"], row["actions"], row["by"]) for row in outcome.decisions] == effects
    assert len({effect for effect, _, _ in effects}) == 3


async def _in_thread(file: Path) -> Any:
    return await asyncio.to_thread(replayed, [file], hunter=None)


RECORDED = """\
apiVersion: stillgate/v1
kind: PolicyPack
metadata: {name: example, version: 1.0.0, owner: tests}
defaults: {mode: enforce}
signals:
  probes: {count: requests, per: account, window: 1h, where: {request.logprobs: true}}
rules:
  - id: probing
    when: {signals.probes: {gte: 3}}
    flag: {name: probing, on: account, score: 45, ttl: 1h}
ladder:
  - {rung: strip, score: 40, do: [{drop: [logprobs]}], disclose: header}
"""


def test_a_decision_log_is_judged_with_its_fields_and_counts(tmp_path: Path) -> None:
    proxy = Proxy(pack_of(RECORDED))
    for _ in range(4):
        proxy.send(request__logprobs=True)
    proxy.send("other")
    log = proxy.write(tmp_path / "log.jsonl")
    outcome = replayed([log], pack=RECORDED)
    assert outcome.each("by") == [None, None, "rung:strip", "rung:strip", None]
    assert outcome.each("actions")[2] == ["drop"]
    looser = RECORDED.replace("gte: 3", "gte: 4")
    outcome = replayed([log], pack=looser)
    assert outcome.each("effect") == ["deny"] * 5  # nobody has the pack that was in force, so nobody knows its counts
    assert {fault.why for fault in outcome.summary.unreadable} == {NO_PACK}


@pytest.mark.parametrize(
    ("spares", "by", "untold"),
    [
        ("rules: [probing]", [None, None, None, None], {"us": 2, "probing": 2}),
        ("max_rung: watch", [None, None, "rung:strip", "rung:strip"], {"us": 2}),
    ],
)
def test_an_exemption_of_names_is_left_out_and_counted_where_it_might_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spares: str, by: list[str | None], untold: dict[str, int]
) -> None:
    monkeypatch.chdir(tmp_path)
    packs = tmp_path / ".stillgate" / "packs"
    packs.mkdir(parents=True)
    exemption = f"{{id: us, match: {{account.tenant: us}}, {spares}, why: w, owner: o, expires: 2099-01-01}}"
    without = RECORDED.replace("ladder:\n", "ladder:\n  - {rung: watch, score: 20}\n")
    pack = without + f"exemptions:\n  - {exemption}\n"
    for made_by, came, left_out in ((without, by, untold), (pack, [None, None, "rung:strip", "rung:strip"], {})):
        proxy = Proxy(pack_of(made_by))
        archived_file(packs, proxy.pack.digest).write_text(made_by)
        for _ in range(4):
            proxy.send(request__logprobs=True)
        outcome = replayed([proxy.write(tmp_path / "log.jsonl")], pack=pack)
        assert (outcome.each("by"), outcome.summary.untold) == (came, left_out), (
            "the pack's own are known by its record"
        )


def test_quotas_are_told_to_be_left_out_of_records_which_none_of_them_was_asked_about(tmp_path: Path) -> None:
    limit = "per: account, limits: [{measure: requests, max: 1, window: 1m}]"
    pack = RECORDED + f"quotas: [{{id: few, mode: enforce, {limit}}}, {{id: none, mode: 'off', {limit}}}]\n"
    proxy = Proxy(pack_of(pack))
    proxy.send()
    proxy.send()
    outcome = replayed([proxy.write(tmp_path / "log.jsonl")], pack=pack)
    assert (outcome.each("by"), outcome.summary.untold) == ([None, None], {"few": 2})


def test_other_lines_of_a_decision_log_are_passed_over(tmp_path: Path) -> None:
    proxy = Proxy(pack_of(RECORDED))
    proxy.send()
    file = tmp_path / "log.jsonl"
    file.write_bytes(orjson.dumps({"v": 1, "kind": "gap"}) + b"\n" + b"".join(proxy.lines))
    outcome = replayed([file], pack=RECORDED)
    assert outcome.each("line") == [1]
    assert outcome.summary.passed == 1


def test_what_no_pack_was_asked_about_is_no_line_that_cannot_be_read(tmp_path: Path) -> None:
    proxy = Proxy(pack_of(RECORDED))
    proxy.send()
    file = tmp_path / "log.jsonl"
    row = orjson.loads(proxy.lines[0])
    listed = row | {"id": "ex_list", "outcome": "local", "ms": row["ms"] | {"decide": None}}  # a list of models
    file.write_bytes(b"".join(proxy.lines) + orjson.dumps(listed) + b"\n")
    summary = replayed([file], pack=RECORDED).summary
    assert (summary.whole, summary.refused, summary.effects.total()) == (True, 1, 1)


@pytest.mark.parametrize("jobs", [1, 2])
def test_nothing_of_nothing(tmp_path: Path, jobs: int) -> None:
    file = tmp_path / "empty.jsonl"
    file.write_bytes(b"")
    outcome = replayed([file], jobs=jobs)
    assert (outcome.summary.lines, outcome.decisions) == (0, [])


def test_ctrl_c_ends_it_where_it_is() -> None:
    scene = Scene(Path("example.yaml"), pack_of(PACK), load_settings(None, {}), None, 600.0)
    asked: list[int] = []

    def interrupted() -> Iterator[Batch]:
        for block in range(9):
            asked.append(block)
            if block == 2:
                signal.raise_signal(signal.SIGINT)
            yield Batch([Other()], None, [], {}, [])

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            Replay(stage_of(scene, wants_of(scene), None, None)).run(interrupted())
    finally:
        signal.signal(signal.SIGINT, before)
    assert asked == [0, 1, 2]


def test_a_text_that_may_have_been_shortened_leaves_out_what_reads_it(tmp_path: Path) -> None:
    pack = RECORDED.replace("signals.probes: {gte: 3}", "account.plan: {contains: trial}")
    assert pack != RECORDED
    proxy = Proxy(pack_of(pack))
    for plan in ("trial", "\N{HORIZONTAL ELLIPSIS}" * 256 + "trial"):
        proxy.send(account__plan=plan)
    outcome = replayed([proxy.write(tmp_path / "log.jsonl")], pack=pack)
    assert outcome.summary.untold == {"probing": 1}
