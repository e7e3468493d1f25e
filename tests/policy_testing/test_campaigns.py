"""What a pack does about a found campaign can be tested like everything else in it: flags, budgets, whom it contains."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import pytest

from proxy.detectors import field_table
from proxy.policy_testing.coverage import Coverage
from proxy.policy_testing.mutation import Pinning
from proxy.policy_testing.running import cases_of
from proxy.rules.mutate import mutants
from proxy.rules.pack.pack import Campaign, ClientMessage, Contain, FlagSpec, Limit, Pack, Quota
from proxy.rules.pack.words import Measure, Mode, Scope, Subject
from tests.policy_testing.packs import EXAMPLE, HEAD, HOUR, faults, runner, suite

DAY = 24 * HOUR
FLAG = FlagSpec("campaign", (Subject.TEMPLATE, Subject.CLUSTER), 60, 10 * DAY)
ENTRY = Campaign("copying", Mode.ENFORCE, 10, 8, 7 * DAY, 0.95, FLAG, Contain(30 * DAY, ("payment", "peer_prefix")))
BUDGET = Quota(
    "campaign-budget",
    Scope.CLUSTER,
    Mode.ENFORCE,
    (Limit(Measure.REQUESTS, 3, HOUR, exact=False),),
    ClientMessage(429, "quota_exceeded", "no"),
)
HEAD_WITH_CAMPAIGN = HEAD.replace(
    "  accounts:\n",
    """\
  campaigns:
    ring: {rule: copying, templates: [tutor], began_days: 5, oldest_days: 20, youngest_days: 5, shared: {payment: [card-1], peer_prefix: [198.51.100.1]}}
  accounts:
    member: {tenant: "org-m{i}", age_days: 6, cluster: ring}
    card: {tenant: org-c, age_days: 400, attributes: {payment: card-1}}
    near: {tenant: org-n, age_days: 400, peer: 198.51.100.77}
    age50: {tenant: org-a, age_days: 50}
    older: {tenant: org-b, age_days: 50.4}
""",
).replace("    plain: ", "    tutor: {model: large, template: tutor}\n    plain: ")


def pack(*, quotas: tuple[Quota, ...] = (), **changes: Any) -> Pack:
    return replace(EXAMPLE, quotas=quotas, campaigns=(replace(ENTRY, **changes),))


def failures(given: Pack, *steps: str) -> list[str]:
    cases = "  - name: one\n    steps:\n" + "".join(f"      - {step}\n" for step in steps)
    results = runner().run(given, cases_of([suite(cases, given, HEAD_WITH_CAMPAIGN)]))
    return [result.failure.sentence() for result in results if result.failure is not None]


MET = "rung: clamp, score: 60, flags: [campaign]"
UNMET = "rung: none, score: 0, shadow_score: 0"
EVERYBODY = (
    f'{{as: "member#1", send: plain, expect: {{{MET}}}}}',
    f'{{as: "member#{{n}}", send: tutor, times: 2, expect: {{{MET}}}}}',
    f"{{as: fresh, send: tutor, expect: {{{MET}}}}}",
    f"{{as: fresh, send: plain, expect: {{{UNMET}}}}}",
    f"{{as: card, send: tutor, expect: {{{MET}}}}}",
    f"{{as: near, send: tutor, expect: {{{MET}}}}}",
    f"{{as: age50, send: tutor, expect: {{{MET}}}}}",
    f"{{as: older, send: tutor, expect: {{{UNMET}}}}}",
    f"{{as: paid, send: tutor, expect: {{{UNMET}}}}}",
    f'{{advance: 239h, as: "member#9", send: plain, expect: {{{MET}}}}}',
    f'{{advance: 1h, as: "member#9", send: plain, expect: {{{UNMET}}}}}',
)


def test_a_campaign_is_answered_as_the_entry_says() -> None:
    assert failures(pack(), *EVERYBODY) == []


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({"mode": Mode.SHADOW}, '{as: "member#1", send: tutor, expect: {rung: none, score: 0, shadow_rung: clamp}}'),
        ({"mode": Mode.OFF}, '{as: "member#1", send: tutor, expect: {rung: none, shadow_rung: none}}'),
        ({"contain": None}, "{as: fresh, send: tutor, expect: {rung: none, shadow_rung: none}}"),
        (
            {"flag": replace(FLAG, on=(Subject.ACCOUNT,))},
            '{as: "member#1", send: plain, expect: {rung: clamp, flags: [campaign]}}',
        ),
        ({"flag": replace(FLAG, on=(Subject.ACCOUNT,))}, "{as: fresh, send: tutor, expect: {rung: none}}"),
    ],
)
def test_an_entry_that_says_otherwise_does_otherwise(changes: dict[str, Any], step: str) -> None:
    assert failures(pack(**changes), step) == []


@pytest.mark.parametrize(
    ("mode", "last"), [(Mode.ENFORCE, "effect: deny, by: campaign-budget"), (Mode.SHADOW, "by: ''")]
)
def test_members_share_a_budget_where_their_campaign_is_enforced(mode: Mode, last: str) -> None:
    assert (
        failures(
            pack(quotas=(BUDGET,), mode=mode),
            '{as: "member#{n}", send: plain, times: 3}',
            f'{{as: "member#9", send: plain, expect: {{{last}}}}}',
            "{as: fresh, send: tutor, times: 5}",
            "{as: paid, send: tutor, times: 5, expect: {effect: allow}}",
        )
        == []
    )


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("cluster: ring", "cluster: rng", "unknown campaign 'rng' - did you mean 'ring'?"),
        ("template: tutor", "template: tutr", "unknown template 'tutr' - did you mean 'tutor'?"),
        ("rule: copying", "rule: coping", "unknown campaign of the pack 'coping' - did you mean 'copying'?"),
        ("rule: copying, ", "", "the key 'rule' is missing here"),
        ("began_days: 5", "began_days: -5", "should be at least 0"),
    ],
)
def test_a_fault_in_a_campaign_is_shown_in_words(old: str, new: str, fault: str) -> None:
    head = HEAD_WITH_CAMPAIGN.replace(old, new)
    found = faults("  - name: one\n    steps: [{advance: 1s}]\n", head, pack())
    assert fault in "\n".join(found)


def test_every_number_of_an_entry_that_a_case_can_pin_is_nudged() -> None:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for mutant in mutants(pack(), field_table()):
        if isinstance(mutant.before, Campaign):
            found[mutant.number].append(mutant.change)
    assert found == {
        "campaign copying: score 60": ["59", "61"],
        "campaign copying: ttl 10d": ["236h", "244h"],
        "campaign copying: opened_within 30d": ["708h", "732h"],
    }
    assert not [m for m in mutants(pack(mode=Mode.OFF), field_table()) if isinstance(m.before, Campaign)]


def test_cases_pin_what_an_entry_does() -> None:
    steps = "  - name: one\n    steps:\n" + "".join(f"      - {step}\n" for step in EVERYBODY)
    other = "  - name: nobody\n    steps: [{as: paid, send: plain}]\n"
    for text, open_numbers in ((steps, 0), (other, 3)):
        cases = cases_of([suite(text, pack(), HEAD_WITH_CAMPAIGN)])
        pinning = Pinning(pack(), cases, field_table(), lambda _: True)
        assert [result.failure for result in runner().run(pack(), cases, pinning.see)] == [None]
        found = [each.number for each in pinning.unpinned(runner()) if each.number.startswith("campaign")]
        assert len(found) == open_numbers


def test_a_campaign_whose_flag_never_counts_is_a_gap() -> None:
    coverage = Coverage(pack())
    for step, gap in (("{as: paid, send: tutor}", True), ('{as: "member#1", send: plain}', False)):
        case = f"  - name: one\n    steps:\n      - {step}\n"
        cases = cases_of([suite(case, pack(), HEAD_WITH_CAMPAIGN)])
        list(runner().run(pack(), cases, lambda _, seen: coverage.see(seen)))
        assert ("campaign copying: its flag never counts" in list(coverage.gaps())) is gap
