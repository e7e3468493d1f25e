"""Comparing packs: each change of one value in the pack of the specification is found, and said in the right word."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.detectors import field_table
from proxy.rules.breadth import Breadth, breadth
from proxy.rules.conditions.compiling import compile_condition
from proxy.rules.conditions.condition import AllOf, AnyOf, Comparison, Condition, Not, Operator
from proxy.rules.diff import Change, Kind, differences
from proxy.rules.pack.pack import Pack
from proxy.rules.pack_file.loading import check_pack

TEXT = (Path(__file__).parent / "packs" / "specification.yaml").read_text()


def pack(text: str = TEXT) -> Pack:
    found, problems = check_pack(text.encode(), "f")
    assert found, problems
    return found


def test_another_number_of_letters_is_named() -> None:
    more = pack(TEXT + "\nfingerprints: {max_letters: 0.2M}\n")
    change = Change("fingerprints", "max_letters", Kind.CHANGED, "65,536 -> 200,000")
    assert differences(pack(), more) == [change]
    assert differences(more, more) == []


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        ("max: 80,", "max: 90,", Change("quotas", "key-quota", Kind.LOOSENED, "requests 80 per 1m -> requests 90 per 1m")),
        ("max: 50, ", "max: 0.5, ", Change("quotas", "key-quota", Kind.TIGHTENED, "cost_usd 50 dollars per 1d -> cost_usd 0.5 dollars per 1d")),
        ("window: 1m}", "window: 2m}", Change("quotas", "key-quota", Kind.RESET, "requests 80 per 1m -> requests 80 per 2m: counted anew")),
        ("      - {measure: concurrency,   max: 20}\n", "", Change("quotas", "key-quota", Kind.LOOSENED, "limit removed: concurrency 20")),
        ("per: cluster\n    mode: enforce", "per: cluster\n    mode: shadow", Change("quotas", "campaign-budget", Kind.MODE, "enforce -> shadow")),
        ("per: cluster\n", "per: template\n", Change("quotas", "campaign-budget", Kind.RESET, "per cluster -> template: all its counts start again")),
        ("max: 80,   window: 1m}", "max: 80,   window: 1m, exact: true}", Change("quotas", "key-quota", Kind.CHANGED, "requests 80 per 1m: exact true")),
        ("code: quota_exceeded", "code: too_much", Change("quotas", "key-quota", Kind.CHANGED, "client changed")),
        (
            "per: key\n    mode: enforce",
            "per: key\n    disclose: none\n    mode: enforce",
            Change("quotas", "key-quota", Kind.CHANGED, "disclose True -> False"),
        ),
        ("{gte: 100000}", "{gte: 200000}", Change("signals", "long_asks", Kind.RESET, "where changed: counted anew")),
        ("request.logit_bias_keys, per: account", "request.logit_bias_keys, per: tenant", Change("signals", "probe_tokens", Kind.RESET, "per changed: counted anew")),
        ("{gte: 20}", "{gte: 30}", Change("rules", "long-asks", Kind.LOOSENED, "when holds less often")),
        ("{gte: 20}", "{gte: 10}", Change("rules", "long-asks", Kind.TIGHTENED, "when holds more often")),
        ("{gte: 20}", "{eq: 20}", Change("rules", "long-asks", Kind.CHANGED, "when is another condition")),
        ("account.age_days < 60", "account.age_days < 61", Change("rules", "silent-relay", Kind.CHANGED, "when is another condition")),
        (", signals.probe_tokens: {gte: 300}}\n    flag", ", signals.probe_tokens: {gte: 300}, account.plan: free}\n    flag", Change("rules", "logprob-probe", Kind.LOOSENED, "when holds less often")),
        ("score: 65", "score: 70", Change("rules", "logprob-probe", Kind.TIGHTENED, "score 65 -> 70")),
        ("ttl: 72h", "ttl: 1h", Change("rules", "logprob-probe", Kind.LOOSENED, "ttl 3d -> 1h")),
        ("on: [account, tenant]", "on: tenant", Change("rules", "silent-relay", Kind.LOOSENED, "on account, tenant -> tenant")),
        ("expires: 2027-06-30", "expires: 2027-07-30", Change("rules", "silent-relay", Kind.TIGHTENED, "expires on another day")),
        ("    expires: 2027-06-30\n", "", Change("rules", "silent-relay", Kind.TIGHTENED, "expires on another day")),
        ("severity: high", "severity: low", Change("rules", "logprob-probe", Kind.CHANGED, "severity high -> low")),
        ("min_tenants: 8", "min_tenants: 9", Change("campaigns", "extraction-campaign", Kind.LOOSENED, "min_tenants 8 -> 9")),
        ("min_confidence: 0.95", "min_confidence: 0.9", Change("campaigns", "extraction-campaign", Kind.TIGHTENED, "min_confidence 0.95 -> 0.9")),
        ("sharing: [payment, peer_prefix]", "sharing: [payment]", Change("campaigns", "extraction-campaign", Kind.CHANGED, "contain changed")),
        ("score: 140", "score: 150", Change("ladder", "block", Kind.LOOSENED, "score 140 -> 150")),
        ("approval: none", "approval: two", Change("ladder", "clamp", Kind.LOOSENED, "approval none -> two")),
        ("n: 1}", "n: 2}", Change("ladder", "clamp", Kind.CHANGED, "do changed")),
        ("rung: clamp", "rung: clam", Change("ladder", "clam", Kind.ADDED)),
        ("rules: [long-asks, logprob-probe]", "rules: [long-asks]", Change("exemptions", "research-access", Kind.TIGHTENED, "rules long-asks, logprob-probe -> long-asks")),
        ("max_rung: observe", "max_rung: block", Change("exemptions", "research-access", Kind.CHANGED, "max_rung observe -> block")),
        ("expires: 2027-12-31", "expires: 2028-12-31", Change("exemptions", "research-access", Kind.LOOSENED, "expires on another day")),
        ("[org-university-a]", "[org-university-a, org-b]", Change("exemptions", "research-access", Kind.LOOSENED, "match holds more often")),
    ],
)  # fmt: skip
def test_a_change_of_one_value_is_named(old: str, new: str, change: Change) -> None:
    assert TEXT.count(old) >= 1
    changes = differences(pack(), pack(TEXT.replace(old, new, 1)))
    assert change in changes
    assert len(changes) == 1 or change.id == "clam" or "org-b" in new  # a list is in several places


def test_what_comes_and_goes_is_named_by_its_id() -> None:
    lines = TEXT.splitlines(keepends=True)
    without = "".join(line for line in lines if "rung: clamp" not in line)
    assert differences(pack(), pack(without)) == [Change("ladder", "clamp", Kind.REMOVED)]
    assert differences(pack(without), pack()) == [Change("ladder", "clamp", Kind.ADDED)]


def test_order_names_and_words_around_the_values_make_no_difference() -> None:
    rungs = [line for line in TEXT.splitlines() if line.startswith("  - {rung:")]
    text = TEXT.replace("\n".join(rungs), "\n".join(reversed(rungs))).replace("version: 1.0.0", "version: 2.0.0")
    assert text != TEXT
    assert differences(pack(), pack(text)) == []


def test_limits_of_a_quota_are_told_in_the_order_of_the_file() -> None:
    measures = ("total_tokens", "requests", "cost_usd", "input_tokens", "output_tokens")
    head = TEXT.partition("quotas:")[0] + "quotas:\n  - id: key-quota\n    per: key\n    limits:\n"
    old = head + "".join(f"      - {{measure: {measure}, max: 8, window: 1h}}\n" for measure in measures)
    told = [change.detail.split()[0] for change in differences(pack(old), pack(old.replace("max: 8", "max: 9")))]
    assert told == list(measures)


FIELDS = ("request.turns", "request.tools", "request.images")
comparisons = st.one_of(
    st.builds(
        Comparison,
        st.sampled_from(FIELDS),
        st.sampled_from([Operator.GT, Operator.GTE, Operator.LT, Operator.LTE, Operator.EQ, Operator.NE]),
        st.integers(0, 3),
    ),
    st.builds(
        Comparison,
        st.sampled_from(FIELDS),
        st.sampled_from([Operator.IN, Operator.NOT_IN]),
        st.lists(st.integers(0, 3), min_size=1, max_size=3).map(tuple),
    ),
)
conditions: st.SearchStrategy[Condition] = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds(AllOf, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Not, inner),
    ),
    max_leaves=5,
)


@settings(deadline=None)
@given(conditions, conditions)
def test_what_is_called_wider_or_narrower_is_so_for_every_exchange(old: Condition, new: Condition) -> None:
    found = breadth(old, new)
    before, after = compile_condition(old), compile_condition(new)
    for turns in range(5):
        for tools in range(5):
            for images in range(5):
                fields = {
                    **field_table().defaults,
                    **dict(zip(FIELDS, (turns, tools, images), strict=True)),
                }
                match found:
                    case Breadth.SAME:
                        assert before(fields) == after(fields)
                    case Breadth.WIDER:
                        assert after(fields) or not before(fields)
                    case Breadth.NARROWER:
                        assert before(fields) or not after(fields)
                    case Breadth.UNKNOWN:
                        return


@given(conditions)
def test_a_condition_is_as_wide_as_itself(condition: Condition) -> None:
    assert breadth(condition, condition) is Breadth.SAME


@given(conditions, conditions)
def test_a_group_of_one_says_what_is_in_it(condition: Condition, other: Condition) -> None:
    for group in (AllOf((condition,)), AnyOf((condition,))):
        assert breadth(condition, group) is breadth(group, condition) is Breadth.SAME
        assert breadth(AnyOf((other, condition)), AnyOf((group, other))) is Breadth.SAME
