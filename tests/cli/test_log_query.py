"""`stillgate log query` and `export`: what they print, and their exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from proxy.cli import app
from proxy.cli.ending import EXIT_TERMINATED
from proxy.clock import VirtualClock
from proxy.decision import Effect, Shadow, Verdict
from proxy.decisions.change_log import Change, ChangeLog
from proxy.decisions.target import FileTarget
from proxy.review.views import BY, VIEWS
from tests.decisions.bindings import sealed
from tests.decisions.endings import STARTED, ending, exchange, recorder
from tests.review.traffic import lines, write

ROOT = Path(__file__).parents[2]
HOSTILE = "=cmd()\n\x1b[31m<script>\u202e[red]\u2028'; DROP VIEW log; --"


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["log", *map(str, words)])


def rows(*words: str | Path) -> list[dict[str, Any]]:
    result = run("query", *words, "--json")
    assert result.exit_code == 0, result.output
    return list(json.loads(result.stdout)["rows"])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """One plain exchange, one that a rule degraded, one that a quota and one that a rung denied."""
    scribe = recorder()
    verdicts = [
        Verdict(Effect.ALLOW, shadow=Shadow("stop", 100, ("chatty",), ("soft",))),
        Verdict(
            Effect.DEGRADE, by="strip", reasons=("3 probes",), rung="strip", fired=("probing",), flags=("probing",)
        ),
        Verdict(Effect.DENY, by="key-quota", reasons=("12 requests",)),
        Verdict(Effect.DENY, by="stop", reasons=("5 probes",), rung="stop", actions=("reject",), flags=("probing",)),
    ]
    file = tmp_path / "decisions" / "0.jsonl"
    file.parent.mkdir()
    made = []
    for number, verdict in enumerate(verdicts):
        one = exchange(id=f"x{number}", started=STARTED + 600 * number, cluster="c-1" if verdict.rung else "")
        made.append(
            scribe.exchange(
                ending(one, verdict=verdict, quotas=() if verdict.effect is Effect.DENY else ("key-quota",))
            )
        )
    file.write_bytes(b"".join(made))
    return file


def test_rules_say_what_those_in_shadow_would_have_done(log: Path) -> None:
    found = {row["rule"]: row for row in rows(log, "--view", "rules")}
    assert (found["probing"]["fired"], found["probing"]["degraded"]) == (1, 1)
    shadow = found["chatty"]
    assert (shadow["fired"], shadow["shadow_fired"], shadow["would_change_rung"]) == (0, 1, 1)
    assert shadow["would_stand_on"] == ["stop"]


def test_a_quota_counts_its_own_denials_and_those_it_would_make(log: Path) -> None:
    found = {row["quota"]: row for row in rows(log, "--view", "quotas")}
    assert (found["key-quota"]["counted"], found["key-quota"]["denied"]) == (2, 1)
    assert (found["key-quota"]["input_tokens"], found["key-quota"]["output_tokens"]) == (2 * 500, 2 * 311)
    assert (found["soft"]["denied"], found["soft"]["would_deny"]) == (0, 1)
    assert found.keys() == {"key-quota", "soft"}  # a rung's denial is no quota's


def test_quotas_are_counted_alike_where_parts_of_a_column_do_not_do(log: Path, tmp_path: Path) -> None:
    chosen = {row["quota"]: row for row in rows(log, "--view", "quotas", "--rule", "chatty")}
    assert chosen.keys() == {"key-quota", "soft"}
    assert chosen["soft"]["would_deny"] == 1
    to = tmp_path / "a.parquet"
    assert run("export", log, "--to", to).exit_code == 0
    once, both = rows(log, "--view", "quotas"), rows(log, to, "--view", "quotas")
    for name in ("counted", "input_tokens", "output_tokens", "cost_usd", "denied", "would_deny"):
        assert [row[name] for row in both] == [2 * row[name] for row in once]


def test_reasons_with_other_numbers_are_one_reason(log: Path) -> None:
    found = [(row["effect"], row["reason"]) for row in rows(log, "--view", "top-reasons", "--rule", "probing")]
    assert found == [("degrade", "# probes")]


def test_what_a_flag_of_before_did_has_it_for_a_reason(tmp_path: Path) -> None:
    flagged = Verdict(Effect.DEGRADE, by="strip", rung="strip", score=85, flags=("campaign", "v2"))
    fired = replace(flagged, reasons=("7 probes",), fired=("probing",))
    untouched = replace(flagged, effect=Effect.ALLOW, by="")
    made = [
        recorder().exchange(ending(exchange(id=f"x{number}"), verdict=verdict))
        for number, verdict in enumerate([flagged, flagged, fired, untouched])
    ]
    (tmp_path / "0.jsonl").write_bytes(b"".join(made))
    found = [(row["decider"], row["reason"], row["exchanges"]) for row in rows(tmp_path, "--view", "top-reasons")]
    assert found == [
        ("strip", "flag campaign, raised before", 2),
        ("strip", "flag v2, raised before", 2),
        ("strip", "# probes", 1),
    ]


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (["--effect", "deny"], ["x3", "x2"]),
        (["--campaign", "c-1"], ["x3", "x1"]),
        (["--rule", "chatty"], ["x0"]),
        (["--since", "2025-11-24T16:10:00Z", "--until", "2025-11-24T16:20:00+00:00"], ["x1"]),
        (["--account", "a_" + "0" * 32], []),
    ],
)
def test_filters_choose(log: Path, words: list[str], ids: list[str]) -> None:
    assert [row["id"] for row in rows(log, "--view", "exchanges", *words)] == ids


def test_time_goes_by_intervals(log: Path) -> None:
    found = rows(log, "--view", "over-time", "--every", "20m")
    assert [(row["exchanges"], row["degraded"], row["denied"]) for row in found] == [(2, 1, 0), (2, 0, 2)]


async def test_false_positives_join_what_reviewers_said_with_what_was_flagged(log: Path) -> None:
    ids = iter("abcdefgh")
    path, clock = log.parent / "admin.jsonl", VirtualClock(STARTED)
    changes = ChangeLog(FileTarget(path), sealed(path, clock), "0", clock, ids.__next__)

    async def nothing() -> None:
        return None

    def named(what: str) -> Callable[[None], str]:
        def name(_: None) -> str:
            return what

        return name

    async def change(action: str, what: str, end: str) -> None:
        await changes.make(Change("alice", "reviewer", "token", action, what, "why"), nothing, named(what + end))

    for action, what, end in (
        ("flags.confirm", "probing on account acct-1", " (enforced)"),
        ("flags.lift", "probing on account acct-1", " (enforced and shadow)"),
        ("flags.confirm", "probing on account acct (x) 2", " (enforced)"),
        ("campaigns.dismiss", "c-1", " (3 flags lifted)"),
        ("flags.lift", "elsewhere on account acct-1", " (enforced)"),
        ("keys.create", "probing on account acct-9", ""),
    ):
        await change(action, what, end)
    found = {(row["about"], row["name"]): row for row in rows(log.parent, "--view", "false-positives")}
    flag, campaign = found["flag", "probing"], found["campaign", "c-1"]
    assert (flag["withdrawn"], flag["confirmed"], flag["share_of_decided"]) == (1, 1, 0.5)
    assert (flag["accounts"], flag["degraded_or_denied"], flag["share_of_flagged"]) == (1, 2, 1)
    assert (campaign["withdrawn"], campaign["confirmed"], campaign["share_of_decided"]) == (1, 0, 1)
    unseen = found["flag", "elsewhere"]
    assert (unseen["accounts"], unseen["withdrawn"], unseen["share_of_flagged"]) == (0, 1, None)
    assert rows(log.parent, "--view", "false-positives", "--campaign", "c-1") == [campaign]
    await change("flags.lift", "probing on tenant big", " (enforced)")
    flag = next(row for row in rows(log.parent, "--view", "false-positives") if row["name"] == "probing")
    assert (flag["withdrawn"], flag["share_of_flagged"]) == (2, None), "nobody knows how many accounts the tenant has"
    assert rows(log.parent, "--view", "false-positives", "--campaign", "c-2") == []
    await changes.close()


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
def test_hostile_values_are_words_in_every_form(tmp_path: Path, view: str, form: list[str]) -> None:
    verdict = Verdict(Effect.DENY, by=HOSTILE, reasons=(HOSTILE,), fired=(HOSTILE,), flags=(HOSTILE,))
    line = recorder().exchange(ending(exchange(cluster=HOSTILE, id=HOSTILE), verdict=verdict, quotas=(HOSTILE,)))
    (tmp_path / "a.jsonl").write_bytes(line)
    result = run("query", tmp_path / "a.jsonl", "--view", view, *form)
    assert result.exit_code == 0, result.output
    assert not {"\x1b", "\u202e", "\u2028"} & set(result.output)
    if form == ["--csv"]:
        assert not re.search(r"""(^|,)"?=cmd""", result.output, re.MULTILINE)
    if form == ["--json"]:
        assert json.loads(result.stdout)["rows"]


def test_what_is_no_number_is_null(log: Path) -> None:
    query = "select 'nan'::double as a, ['-inf'::double] as b, 1.5 as c from log limit 1"
    assert rows(log, "--sql", query) == [{"a": None, "b": [None], "c": "1.5"}]


@pytest.mark.parametrize(
    ("claim", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("-1", "'-1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("r;=cmd|' /C calc'!A0;x", "r;'=cmd|' /C calc'!A0;x"),
        ("r;\uff201", "r;'\uff201"),
        ("a-b=c;d", "a-b=c;d"),
    ],
)
def test_no_spreadsheet_takes_what_a_client_wrote_for_a_formula(tmp_path: Path, claim: str, cell: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(recorder().exchange(ending(exchange(client_request_id=claim))))
    result = run("query", tmp_path, "--sql", "select client_request_id from log", "--csv")
    assert result.stdout.splitlines()[1] == cell


@pytest.mark.parametrize("early", ["999999d", "0001-01-01", "0001-01-01T00:00+14:00"])
@pytest.mark.parametrize("late", ["9999-12-31", "9999-12-31T23:59-14:00"])
def test_all_times_that_can_be_written_can_be_asked_for(log: Path, early: str, late: str) -> None:
    assert sum(row["exchanges"] for row in rows(log, "--since", early, "--until", late)) == 4
    assert rows(log, "--until", early) == rows(log, "--since", late) == []
    assert run("report", log, "--since", early, "--until", late).exit_code == 0


@pytest.mark.parametrize("by", BY)
def test_counts_can_be_grouped_by_each(log: Path, by: str) -> None:
    assert sum(row["exchanges"] for row in rows(log, "--by", by)) == 4


def test_lines_that_cannot_be_read_are_told_and_exit_with_1(log: Path) -> None:
    with log.open("ab") as file:
        file.write(b"noise\n")
    result = run("query", log)
    assert result.exit_code == 1
    assert result.stderr == "1 of 5 lines are not records of this version and were passed over\n"
    assert "degrade" in result.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["query", "missing"],
        ["query", "LOG", "--account", "acme"],
        ["query", "LOG", "--view", "nope"],
        ["query", "LOG", "--by", "nope"],
        ["query", "LOG", "--view", "false-positives", "--effect", "deny"],
        ["query", "LOG", "--since", "yesterday"],
        ["query", "LOG", "--view", "over-time", "--every", "0s"],
        ["query", "LOG", "--sql", "drop view log"],
        ["query", "LOG", "--sql", "select 1", "--by", "day"],
        ["query", "LOG", "--memory", "much"],
        ["query", "LOG", "--json", "--csv"],
        ["export", "LOG", "--to", "missing/out.parquet"],
    ],
)
def test_what_cannot_be_used_exits_with_2(log: Path, words: list[str]) -> None:
    result = run(*(str(log) if word == "LOG" else word for word in words))
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output


def test_an_export_is_its_owners_alone_and_is_asked_like_the_log(tmp_path: Path) -> None:
    log, to = write(tmp_path / "a.jsonl", 200), tmp_path / "a.parquet"
    result = run("export", log, "--to", to)
    assert result.exit_code == 0, result.output
    assert "wrote 200 records" in result.stdout
    assert stat.S_IMODE(to.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []
    for view in VIEWS:
        assert rows(log, "--view", view) == rows(to, "--view", view)


def test_a_file_that_a_killed_export_left_is_in_nobodys_way(tmp_path: Path, log: Path) -> None:
    (tmp_path / ".a.parquet.part").touch()
    for _ in range(2):
        assert run("export", log, "--to", tmp_path / "a.parquet").exit_code == 0
    assert {file.name for file in tmp_path.iterdir()} == {".a.parquet.part", "a.parquet", "decisions"}


def test_an_export_has_the_records_alone_where_there_is_noise(tmp_path: Path, log: Path) -> None:
    with log.open("ab") as file:
        file.write(b"noise\n")
    assert run("export", log, "--to", tmp_path / "a.parquet").exit_code == 1
    assert run("export", log, tmp_path / "a.parquet", "--to", tmp_path / "b.parquet").exit_code == 1
    for name, records in (("a.parquet", 4), ("b.parquet", 8)):
        result = run("query", tmp_path / name, "--json")
        assert (result.exit_code, json.loads(result.stdout)["lines"]) == (0, records)


@pytest.mark.parametrize(
    "words",
    [
        ["query", "LOG", "--sql", "select count(*) from range(1000000000000)"],
        ["export", "LOG", "--to", "out.parquet"],
    ],
)
def test_sigterm_ends_it_with_its_own_files_removed(tmp_path: Path, words: list[str]) -> None:
    log, temp = tmp_path / "log.jsonl", tmp_path / "temp"
    log.write_bytes(b"".join(lines(500)) * 100)
    temp.mkdir()
    words = [str(log) if word == "LOG" else word for word in words]
    command = [sys.executable, "-m", "proxy.cli", "log", *words, "--temp", str(temp), "--threads", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as running:  # noqa: S603 - words of our own
        while running.poll() is None and not any(temp.glob("*/*")):
            time.sleep(0.01)  # nothing tells of a file
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == EXIT_TERMINATED
    assert {file.name for file in tmp_path.iterdir()} == {"log.jsonl", "temp"}
    assert list(temp.iterdir()) == []


@pytest.mark.parametrize(("view", "by"), [("top-reasons", "effect"), ("top-reasons", "decider"), ("rules", "rule")])
def test_what_a_view_is_grouped_by_anyhow_is_named_once(log: Path, view: str, by: str) -> None:
    assert rows(log, "--view", view, "--by", by) == rows(log, "--view", view) != []


def test_without_the_extra_it_says_what_is_missing(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "proxy.review.log", raising=False)
    monkeypatch.setitem(sys.modules, "duckdb", None)
    result = run("query", log)
    assert result.exit_code == 2
    assert result.stderr == "this needs the extra: pip install 'stillgate[review]'\n"
