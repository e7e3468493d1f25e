"""Loading packs: what a good one becomes, what each bad one says, and that nothing half-loads."""

from __future__ import annotations

import hashlib
import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.actions.clamp import Clamp
from proxy.actions.drop import Drop
from proxy.actions.reject import Reject
from proxy.detectors import field_table
from proxy.documents.problem import MAX_PROBLEMS, Unreadable, YamlProblems, has_errors
from proxy.rules.conditions.compiling import compile_condition
from proxy.rules.conditions.condition import Cel, Comparison, Operator
from proxy.rules.pack.pack import ClientMessage, Contain, FlagSpec, Limit, Pack, Quota
from proxy.rules.pack.words import Measure, Mode, OnError, Scope, Severity, Subject
from proxy.rules.pack_file.loading import check_pack, load_pack

BAD_PACKS = sorted((Path(__file__).parent / "bad_packs").glob("*.yaml"))
EXPECTATION = re.compile(r"# (\d+:\d+: (?:error|warning): .*)")

SPECIFICATION = Path(__file__).parents[1] / "packs" / "specification.yaml"
NEW_YEAR_2026 = 1_767_225_600.0

GOOD = """\
apiVersion: stillgate/v1
kind: PolicyPack
metadata: {name: example, version: 1.0.0, owner: abuse-team}
quotas:
  - id: key-quota
    per: key
    mode: enforce
    limits:
      - {measure: requests,      max: 80,   window: 1m}
      - {measure: output_tokens, max: 400k, window: 1h, exact: true}
      - {measure: cost_usd,      max: 0.1,  window: 1d}
      - {measure: concurrency,   max: 20}
    client: {status: 403, code: quota_exceeded, message: "{{{measure}}} per {window}: {retry_after} {exchange_id}"}
  - id: everyone
    per: global
    limits: [{measure: total_tokens, max: 1.5M, window: 90s}]
"""


def test_a_pack_becomes_frozen_values_in_whole_units() -> None:
    pack, problems = check_pack(GOOD.encode(), "example.yaml")
    assert problems == []
    assert pack == Pack(
        "example",
        "1.0.0",
        "abuse-team",
        hashlib.sha256(GOOD.encode()).hexdigest(),
        (
            Quota(
                "key-quota",
                Scope.KEY,
                Mode.ENFORCE,
                (
                    Limit(Measure.REQUESTS, 80, 60_000, exact=False),
                    Limit(Measure.OUTPUT_TOKENS, 400_000, 3_600_000, exact=True),
                    Limit(Measure.COST_USD, 100_000, 86_400_000, exact=False),
                    Limit(Measure.CONCURRENCY, 20, 0, exact=False),
                ),
                ClientMessage(403, "quota_exceeded", "{{{measure}}} per {window}: {retry_after} {exchange_id}"),
            ),
            Quota(
                "everyone",
                Scope.GLOBAL,
                Mode.SHADOW,
                (Limit(Measure.TOTAL_TOKENS, 1_500_000, 90_000, exact=False),),
                ClientMessage(429, None, "Limit on {measure} reached. Retry after {retry_after}."),
            ),
        ),
    )


def test_a_quota_without_a_mode_takes_the_default_of_the_pack() -> None:
    text = GOOD.replace("quotas:", "defaults: {mode: enforce}\nquotas:")
    pack, _ = check_pack(text.encode(), "example.yaml")
    assert pack
    assert [quota.mode for quota in pack.quotas] == [Mode.ENFORCE, Mode.ENFORCE]


@pytest.mark.parametrize(
    ("written", "units"),
    [("max: 50", 50_000_000), ("max: 0.000001", 1), ("max: 1.1", 1_100_000), ("max: 2k", 2_000_000_000),
     ("max: 0x10", 16_000_000), ("max: '9007199254.740991'", 2**53 - 1)],
)  # fmt: skip
def test_dollars_become_exact_micro_dollars(written: str, units: int) -> None:
    pack, _ = check_pack(GOOD.replace("max: 0.1", written).encode(), "example.yaml")
    assert pack
    assert pack.quotas[0].limits[2].max == units


@pytest.mark.parametrize(
    ("written", "milliseconds"),
    [("1s", 1000), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("7d", 604_800_000), ("31d", 2_678_400_000)],
)
def test_windows_become_milliseconds(written: str, milliseconds: int) -> None:
    pack, _ = check_pack(GOOD.replace("90s", written).encode(), "example.yaml")
    assert pack
    assert pack.quotas[1].limits[0].window_ms == milliseconds


@pytest.mark.parametrize("path", BAD_PACKS, ids=lambda path: path.stem)
def test_a_bad_pack_says_all_that_is_wrong_and_where(path: Path) -> None:
    """Each fixture's first lines are comments with every problem it must show, and it must show no other."""
    expected = [match[1] for line in path.read_text().splitlines() if (match := EXPECTATION.fullmatch(line))]
    assert expected
    pack, problems = check_pack(path.read_bytes(), path.name, NEW_YEAR_2026)
    assert [
        f"{problem.line}:{problem.column}: {problem.severity}: {problem.sentence()}" for problem in problems
    ] == expected
    assert (pack is None) == has_errors(problems)


@pytest.mark.parametrize(
    ("written", "letters"),
    [("", 65_536), ("fingerprints: {}", 65_536), ("fingerprints: {max_letters: 20k}", 20_000)]
    + [(f"fingerprints: {{max_letters: {most}}}", 1_000_000) for most in ("1M", "1000k", "1000000")],
)
def test_a_pack_says_how_many_letters_of_a_prompt_are_fingerprinted(written: str, letters: int) -> None:
    pack, problems = check_pack((GOOD + written).encode(), "example.yaml")
    assert (pack.max_letters if pack else None, has_errors(problems)) == (letters, False)
    assert [each.message for each in problems] == [
        "no campaign is on, so nothing is fingerprinted: this changes nothing"
    ] * ("max_letters" in written)


def test_a_bad_pack_is_not_loaded_and_the_error_shows_everything() -> None:
    path = Path(__file__).parent / "bad_packs" / "many_at_once.yaml"
    with pytest.raises(YamlProblems) as caught:
        load_pack(path)
    text = str(caught.value)
    assert text.count(": error: ") == 10
    assert f"{path}:19:38: error: unknown key 'windw' - did you mean 'window'?\n" in text
    assert "\n    " + " " * 37 + "^" in text


def test_eighteen_mistakes_are_shown_in_one_run() -> None:
    with pytest.raises(YamlProblems) as caught:
        load_pack(Path(__file__).parent / "bad_packs" / "eighteen_at_once.yaml")
    places = [(problem.line, problem.column) for problem in caught.value.problems]
    assert len(set(places)) == len(places) == 18
    assert all(line and column for line, column in places)


def test_the_pack_of_the_specification_has_every_part_and_no_problem() -> None:
    pack, problems = check_pack(SPECIFICATION.read_bytes(), "specification.yaml", NEW_YEAR_2026)
    assert problems == []
    assert pack
    assert [signal.distinct for signal in pack.signals] == ["", "", "request.logit_bias_keys"]
    assert [rule.mode for rule in pack.rules] == [Mode.ENFORCE, Mode.ENFORCE, Mode.SHADOW]
    assert pack.rules[0].reason == "{signals.long_asks} long requests in 1h"
    assert pack.rules[1].reason == "logprob probe"
    relay = pack.rules[2]
    assert relay.flag == FlagSpec("relay", (Subject.ACCOUNT, Subject.TENANT), 40, 7 * 86_400_000)
    assert relay.severity is Severity.MEDIUM
    assert relay.on_error is OnError.SKIP
    assert relay.expires == datetime(2027, 7, 1, tzinfo=UTC).timestamp()
    assert isinstance(relay.when, Cel)
    assert relay.when.lists == (("research_tenants", ("org-university-a",)),)
    fields = {**field_table().defaults, "request.dialect": "openai.chat", "account.tenant": "org-a"}
    assert compile_condition(relay.when)(fields) is True
    assert compile_condition(relay.when)({**fields, "account.tenant": "org-university-a"}) is False
    assert pack.campaigns[0].contain == Contain(30 * 86_400_000, ("payment", "peer_prefix"))
    assert [rung.do for rung in pack.ladder] == [
        (), (Drop(("logprobs", "logit_bias")),), (Clamp(512, 1),), (Reject(403),),
    ]  # fmt: skip
    assert [rung.disclose for rung in pack.ladder] == [False, True, True, False]
    assert pack.ladder[3].client == ClientMessage(
        403, "access_paused", "Access paused (ref {exchange_id}). Appeal: {appeal_url}."
    )
    assert pack.exemptions[0].match == Comparison("account.tenant", Operator.IN, ("org-university-a",))
    assert (pack.exemptions[0].rules, pack.exemptions[0].max_rung) == (("long-asks", "logprob-probe"), "observe")


def test_the_ladder_is_in_the_order_of_its_scores() -> None:
    lines = SPECIFICATION.read_text().splitlines()
    rungs = [line for line in lines if line.startswith("  - {rung:")]
    at = lines.index(rungs[0])
    text = "\n".join([*lines[:at], *reversed(rungs), *lines[at + len(rungs) :]])
    pack, problems = check_pack(text.encode(), "f", NEW_YEAR_2026)
    assert pack
    assert problems == []
    assert [rung.name for rung in pack.ladder] == ["observe", "strip", "clamp", "block"]
    assert isinstance(pack.ladder[3].do[0], Reject)


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("  probe_tokens:", "  tokens_probed:", True),  # the name says nothing
        ("{request.logprobs: true, request.logit_bias_size: {gte: 1}}",
         "{request.logit_bias_size: {gte: 1}, request.logprobs: true}", True),
        ("request.logit_bias_size: {gte: 1}", "request.logit_bias_size: {gte: 1.0}", True),
        ("request.logit_bias_size: {gte: 1}", "request.logit_bias_size: {gte: 2}", False),
        ("distinct request.logit_bias_keys, per: account", "distinct request.logit_bias_keys, per: tenant", False),
        ("distinct request.logit_bias_keys, per: account, window: 1h",
         "distinct request.logit_bias_keys, per: account, window: 2h", False),
        ("count: distinct request.logit_bias_keys", "count: distinct request.model", False),
    ],
)  # fmt: skip
def test_a_counter_is_known_by_what_it_counts(old: str, new: str, same: bool) -> None:
    text = SPECIFICATION.read_text()
    assert old in text
    before, _ = check_pack(text.encode(), "f")
    changed = text.replace(old, new).replace(
        "signals.probe_tokens" if "tokens_" in new else "\0", "signals.tokens_probed"
    )
    after, problems = check_pack(changed.encode(), "f")
    assert before
    assert after, problems
    digests = [{signal.digest for signal in pack.signals} for pack in (before, after)]
    assert (digests[0] == digests[1]) == same


def test_a_list_is_part_of_what_a_signal_counts() -> None:
    text = GOOD + (
        "lists: {models: [large, small]}\n"
        "signals: {asks: {count: requests, per: key, window: 1h, where: {request.model: {in: $models}}}}\n"
    )
    packs = [
        check_pack(text.replace("[large, small]", models).encode(), "f")[0]
        for models in ("[large, small]", "[small, large]", "[large]")
    ]
    digests = [pack.signals[0].digest for pack in packs if pack]
    assert digests[0] == digests[1] != digests[2]


def test_a_long_list_costs_nothing_in_each_rule_that_names_it() -> None:
    rule = (
        "  - {{id: r{}, when: {{request.model: {{in: $models}}}}, flag: {{name: f, on: account, score: 9, ttl: 1d}}}}\n"
    )
    text = f"{GOOD}lists: {{models: [{', '.join(f'm{n}' for n in range(10_000))}]}}\nrules:\n"
    began = time.process_time()
    pack, _ = check_pack((text + "".join(rule.format(n) for n in range(1_000))).encode(), "f")
    assert time.process_time() - began < 2
    assert pack
    assert len(pack.rules) == 1_000


@pytest.mark.parametrize(
    "flood",
    [
        "rules:\n" + f"  - {{id: r, when: {{any: [{'{request.modle: x}, ' * 30}]}}}}\n" * 300,
        "rules:\n"
        + f"  - {{id: r, when: {{any: [{'{request.modle: x}, ' * 20}{{request.model: {{matches: '\\pL{{900}}'}}}}]}}}}\n"
        * 500,
        "rules:\n"
        + "".join(f"  - {{id: a-rule-with-number-{n}}}\n" for n in range(500))
        + "exemptions:\n"
        + f"  - {{id: e, rules: [{'a-rule-with-no-number, ' * 50}]}}\n" * 100,
    ],
    ids=["fields", "patterns", "exemptions"],
)
def test_a_flood_of_mistakes_ends_soon(flood: str) -> None:
    began = time.process_time()
    pack, problems = check_pack((GOOD + flood).encode(), "f")
    assert time.process_time() - began < 4
    assert pack is None
    assert len(problems) == MAX_PROBLEMS + 1


def test_a_half_written_pack_says_so_or_is_a_shorter_pack() -> None:
    data = SPECIFICATION.read_bytes()
    for end in range(0, len(data), 61):
        pack, problems = check_pack(data[:end], "f")
        assert (pack is None) == has_errors(problems)


def test_what_cannot_be_a_pack_ends_at_once(tmp_path: Path) -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
    endless = SPECIFICATION.read_text().replace('request.dialect != ""', "request.stream || " * 50_000 + "true")
    for data in (bomb.encode(), endless.encode(), b"x" * 5_000_000, b"- " * 600_000, b"{" * 100_000, b"\x80" * 1000):
        pack, problems = check_pack(data, "f")
        assert pack is None
        assert has_errors(problems)
    loop = tmp_path / "loop.yaml"
    loop.symlink_to(loop)
    for path in (loop, tmp_path, tmp_path / "missing.yaml"):
        with pytest.raises(Unreadable):
            load_pack(path)


def test_a_pack_that_is_not_there_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        load_pack(tmp_path / "missing.yaml")


TIGHT = "per: account, mode: enforce, limits: [{measure: requests, max: 500, window: 3660s}]"


@pytest.mark.parametrize(
    ("tight", "warnings"),
    [
        (TIGHT, 1),
        (TIGHT.replace("account", "key"), 1),
        (TIGHT.replace("account", "global"), 1),
        (TIGHT.replace("account", "model"), 0),
        (TIGHT.replace("enforce", "shadow"), 0),  # it keeps nothing from being reached
        (TIGHT.replace("enforce", "off"), 0),
        (TIGHT.replace("500", "1001"), 0),
        (TIGHT.replace("3660s", "3659s"), 0),  # an hour may be counted one slot longer than it is
        (TIGHT.replace("requests", "total_tokens"), 0),
    ],
)
def test_only_a_limit_that_can_never_be_reached_is_warned_of(tight: str, warnings: int) -> None:
    text = GOOD[: GOOD.index("  - id")]
    text += f"  - {{id: tight, {tight}}}\n"
    text += "  - {id: loose, per: key, limits: [{measure: requests, max: 1000, window: 1h}]}\n"
    pack, problems = check_pack(text.encode(), "example.yaml")
    assert pack
    assert len(problems) == warnings


@given(st.text(max_size=300))
def test_no_text_raises_anything_but_problems(text: str) -> None:
    pack, problems = check_pack(text.encode("utf-8", "surrogatepass"), "f")
    assert (pack is None) == has_errors(problems)


pieces = st.one_of(
    st.text(max_size=5),
    st.sampled_from([
        "", "null", "[]", "{}", "-", "true", "-1", "1e400", "'", '"', "{", "}", "\n", "  ", "*a", "&a", "!t", "<<: ",
        "#", "\t", "{measure}", "{0}", "9" * 50, "0x1", ".nan", "1k", "1M", "1d", "x: ", "- ", "enforce", "cost_usd",
        "concurrency",
    ]),
)  # fmt: skip


@given(st.data())
def test_no_mutated_pack_raises_anything_but_problems(data: st.DataObject) -> None:
    text = GOOD
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + data.draw(pieces) + text[end:]
    pack, problems = check_pack(text.encode("utf-8", "surrogatepass"), "f")
    assert (pack is None) == has_errors(problems)
    for problem in problems:
        assert problem.render()


misshapen = st.recursive(
    st.sampled_from([None, True, 0, -1, 2.5, "", "key", "requests", "concurrency", "1m", "{measure}"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from(["id", "measure", "max", "window", "limits", "x"]), inner, max_size=3),
    ),
    max_leaves=6,
)


@given(st.data())
def test_no_misshapen_pack_raises_anything_but_problems(data: st.DataObject) -> None:
    limit: dict[str, Any] = {"measure": "requests", "max": 80, "window": "1m", "exact": True}
    quota: dict[str, Any] = {
        "id": "a",
        "per": "key",
        "mode": "enforce",
        "limits": [limit, dict(limit)],
        "client": {"message": "x"},
    }
    pack: dict[str, Any] = {
        "apiVersion": "stillgate/v1",
        "kind": "PolicyPack",
        "metadata": {"name": "a", "version": "1.0.0", "owner": "b"},
        "quotas": [quota],
    }
    part = data.draw(st.sampled_from([pack, quota, limit]))
    part[data.draw(st.sampled_from(sorted(part)))] = data.draw(misshapen)
    found, problems = check_pack(json.dumps(pack).encode(), "f")
    assert (found is None) == has_errors(problems)
