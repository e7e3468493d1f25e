"""The engine: rules raise flags, flags add up to rungs, and shadow never touches what is enforced."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from proxy.actions.clamp import Clamp
from proxy.actions.drop import Drop
from proxy.actions.reject import Reject
from proxy.detectors import field_table
from proxy.exchange import NO_TIES, Call, Exchange, Principal, Ties
from proxy.rules.conditions.cel import Expressions
from proxy.rules.conditions.condition import AllOf, AnyOf, Cel, Comparison, Not, Operator
from proxy.rules.engine import Engine, Judgement, subject_name
from proxy.rules.flags.flag import Flag, World
from proxy.rules.pack.pack import Exemption, FlagSpec, Pack, Rule, Rung, Signal
from proxy.rules.pack.words import Approval, Mode, OnError, Scope, Severity, Subject
from tests.rules.books import ExactFlags, ExactSignals

QUIET: Mapping[str, Any] = {}
NOW = 1_790_000_000.0
DAY_MS = 86_400_000
TABLE = field_table()
PROBING = AllOf((Comparison("request.logprobs", Operator.EQ, operand=True),))
LADDER = (
    Rung("observe", 20, (), disclose=False, approval=Approval.NONE, client=None),
    Rung("strip", 40, (Drop(("logprobs",)),), disclose=True, approval=Approval.NONE, client=None),
    Rung("clamp", 60, (Clamp(512, 1),), disclose=True, approval=Approval.ONE, client=None),
    Rung("block", 140, (Reject(403),), disclose=False, approval=Approval.NONE, client=None),
)


def rule(identity: str, score: int, when: Any = PROBING, *, mode: Mode = Mode.ENFORCE, **changes: Any) -> Rule:
    flag = FlagSpec(changes.pop("flag", identity), changes.pop("on", (Subject.ACCOUNT,)), score, DAY_MS)
    made = Rule(identity, Severity.MEDIUM, mode, when, flag, f"{identity} fired", OnError.SKIP)
    return replace(made, **changes)


def pack(*rules: Rule, **sections: Any) -> Pack:
    return Pack("p", "1", "o", "0" * 64, (), rules=rules, ladder=LADDER, **sections)


def exchange(account: str = "acme", tenant: str = "org", fields: Mapping[str, Any] = QUIET) -> Exchange:
    principal = Principal(f"key-{account}", account, tenant, "free", NOW - 86_400, {})
    call = Call("large", stream=False, body={"model": "large", "logprobs": True})
    made = Exchange("ex_1", "openai.chat", "192.0.2.1", "", "", NOW, principal, call)
    made.fields = {**TABLE.defaults, "request.logprobs": True, "request.model": "large", **fields}
    return made


class Bench:
    """One engine with its own counters and flags."""

    def __init__(self, rules: Pack, max_mode: Mode = Mode.ENFORCE) -> None:
        self.signals, self.flags = ExactSignals(), ExactFlags()
        self.max_mode = max_mode
        self.load(rules)

    def load(self, rules: Pack) -> None:
        self.engine = Engine(rules, TABLE, self.signals, self.flags, self.max_mode)

    def judge(self, given: Exchange | None = None, now: float = NOW) -> Judgement:
        return self.engine.judge(given or exchange(), now)


def test_a_flag_counts_for_the_exchange_that_raised_it_and_for_those_after_it_until_it_ends() -> None:
    bench = Bench(pack(rule("probe", 45)))
    quiet = {"request.logprobs": False}
    assert bench.judge(exchange(fields=quiet)).enforced.rung == ""
    first = bench.judge()
    assert (first.fired, first.enforced.rung, first.enforced.score) == (("probe",), "strip", 45)
    later = bench.judge(exchange(fields=quiet), NOW + 3600)
    assert (later.fired, later.enforced.rung) == ((), "strip")
    assert bench.judge(exchange("other", "elsewhere", quiet)).enforced.rung == ""
    assert bench.judge(exchange(fields=quiet), NOW + 86_401).enforced.rung == ""


def test_every_rule_is_evaluated_and_the_highest_rung_includes_the_lower_ones() -> None:
    judged = Bench(pack(rule("a", 100), rule("b", 50))).judge()
    assert judged.fired == ("a", "b")
    assert [rung.name for rung in judged.enforced.rungs] == ["observe", "strip", "block"]
    assert judged.enforced.waiting == ("clamp",), "nobody has confirmed a flag"
    assert judged.reasons == ("a fired", "b fired")


def test_a_flag_name_counts_once_at_its_highest_score() -> None:
    judged = Bench(pack(rule("a", 30, flag="same"), rule("b", 45, flag="same", on=(Subject.TENANT,)))).judge()
    assert judged.enforced.score == 45


def test_a_confirmed_flag_opens_the_rung_that_asks_for_it() -> None:
    bench = Bench(pack(rule("a", 60)))
    assert bench.judge().enforced.rung == "strip"
    confirmed = Flag("a", 60, NOW, NOW + 1e5, "a", confirmed_by=("alice",))
    bench.flags.flags[World.ENFORCED, Subject.ACCOUNT, "acme"]["a"] = confirmed
    standing = bench.judge().enforced
    assert (standing.rung, standing.waiting) == ("clamp", ())


@pytest.mark.parametrize(
    ("approval", "confirmed_by", "opened"),
    [
        (Approval.NONE, (), True),
        (Approval.ONE, (), False),
        (Approval.ONE, ("alice",), True),
        (Approval.ONE, ("alice", "bob"), True),
        (Approval.TWO, (), False),
        (Approval.TWO, ("alice",), False),
        (Approval.TWO, ("alice", "bob"), True),
        (Approval.TWO, ("alice", "bob", "carol"), True),
    ],
)
def test_a_rung_opens_when_as_many_people_confirmed_as_it_asks_for(
    approval: Approval, confirmed_by: tuple[str, ...], *, opened: bool
) -> None:
    ladder = tuple(replace(rung, approval=approval) if rung.name == "clamp" else rung for rung in LADDER)
    bench = Bench(replace(pack(rule("a", 60), rule("b", 5)), ladder=ladder))
    bench.judge()
    raised = bench.flags.flags[World.ENFORCED, Subject.ACCOUNT, "acme"]
    raised["a"] = raised["a"]._replace(confirmed_by=confirmed_by)
    standing = bench.judge().enforced
    assert (standing.rung, standing.waiting) == (("clamp", ()) if opened else ("strip", ("clamp",)))
    assert standing.counted == {"a": (60, len(confirmed_by)), "b": (5, 0)}


@pytest.mark.parametrize(
    ("subject", "other", "reached"),
    [
        (Subject.ACCOUNT, exchange("acme", "else"), True),
        (Subject.ACCOUNT, exchange("b", "org"), False),
        (Subject.TENANT, exchange("b", "org"), True),
        (Subject.TENANT, exchange("acme", "else"), False),
    ],
)
def test_a_flag_reaches_whom_it_is_on(subject: Subject, other: Exchange, *, reached: bool) -> None:
    bench = Bench(pack(rule("a", 45, on=(subject,))))
    bench.judge()
    other.fields["request.logprobs"] = False
    assert bool(bench.judge(other).enforced.rung) == reached


@pytest.mark.parametrize(("subject", "name"), [(Subject.TEMPLATE, "template"), (Subject.CLUSTER, "cluster")])
def test_a_flag_on_a_template_or_cluster_is_raised_only_where_there_is_one(subject: Subject, name: str) -> None:
    bench = Bench(pack(rule("a", 45, on=(subject,))))
    assert bench.judge().enforced.rung == ""
    assert not bench.flags.flags
    belonging = exchange()
    belonging.ties = belonging.shadow_ties = NO_TIES._replace(**{name: "t-1"})
    assert bench.judge(belonging).enforced.rung == "strip"


@pytest.mark.parametrize("name", ["template", "cluster"])
def test_what_an_exchange_has_ties_to_in_shadow_only_counts_in_shadow_only(name: str) -> None:
    subject = Subject(name)
    bench = Bench(pack(rule("a", 45, on=(subject,))))
    watched = exchange()
    watched.shadow_ties = NO_TIES._replace(**{name: "t-1"})
    bench.flags.put(World.ENFORCED, subject, "t-1", Flag("raised_before", 100, NOW, NOW + 1, "b"))
    judged = bench.judge(watched)
    assert (judged.enforced.score, judged.shadow.score) == (0, 45)
    assert (World.ENFORCED, subject, "t-1") in bench.flags.flags
    assert [*bench.flags.flags[World.ENFORCED, subject, "t-1"]] == ["raised_before"], "the rule raises none there"


@pytest.mark.parametrize("scope", [Scope.TEMPLATE, Scope.CLUSTER])
def test_signals_of_a_template_or_cluster_count_what_is_enforced(scope: Scope) -> None:
    often = rule("often", 45, Comparison("signals.asks", Operator.GTE, 2))
    bench = Bench(pack(often, signals=(signal("asks", per=scope),)))
    ties = NO_TIES._replace(**{scope.value: "t-1"})
    for _ in range(3):
        watched = exchange()
        watched.shadow_ties = ties
        assert bench.judge(watched).fired == ()
    for fired in ((), ("often",)):
        tied = exchange()
        tied.ties = tied.shadow_ties = ties
        assert bench.judge(tied).fired == fired


def signal(name: str, **changes: Any) -> Signal:
    return replace(Signal(name, "", Scope.ACCOUNT, 60_000, PROBING, f"digest of {name}"), **changes)


def test_signals_count_the_present_exchange_and_survive_a_new_pack_while_their_definition_stays() -> None:
    often = rule("often", 45, Comparison("signals.probes", Operator.GTE, 3))
    bench = Bench(pack(often, signals=(signal("probes"),)))
    assert [bench.judge(now=NOW + n).fired for n in range(3)] == [(), (), ("often",)]
    bench.load(
        pack(
            rule("often", 45, Comparison("signals.renamed", Operator.GTE, 4)),
            signals=(signal("renamed", digest="digest of probes"),),
        )
    )
    assert bench.judge(now=NOW + 3).fired == ("often",)
    bench.load(pack(often, signals=(signal("probes", window_ms=61_000, digest="another"),)))
    assert bench.judge(now=NOW + 4).fired == ()


def test_signals_that_say_the_same_under_two_names_count_an_exchange_once() -> None:
    answered = {"where": Comparison("answer.status", Operator.EQ, 0)}
    twins = (
        signal("first"),
        signal("second", digest="digest of first"),
        signal("late", **answered),
        signal("later", digest="digest of late", **answered),
    )
    bench = Bench(pack(rule("often", 45, Comparison("signals.second", Operator.GTE, 2)), signals=twins))
    counts = []
    for _ in range(3):
        bench.judge(sent := exchange())
        bench.engine.learn(sent, NOW)
        counts.append([sent.fields[f"signals.{twin.name}"] for twin in twins])
    assert counts == [[1, 1, 0, 0], [2, 2, 1, 1], [3, 3, 2, 2]]


def test_distinct_values_are_counted_over_all_members_of_a_list() -> None:
    tokens = signal("tokens", distinct="request.logit_bias_keys")
    bench = Bench(pack(rule("sweep", 45, Comparison("signals.tokens", Operator.GTE, 5)), signals=(tokens,)))
    assert bench.judge(exchange(fields={"request.logit_bias_keys": ("1", "2", "3")})).fired == ()
    assert bench.judge(exchange(fields={"request.logit_bias_keys": ("3", "4")})).fired == ()
    assert bench.judge(exchange(fields={"request.logit_bias_keys": ("5",)})).fired == ("sweep",)


def test_an_exemption_spares_the_named_rules_and_says_so_until_it_ends() -> None:
    spared = Exemption(
        "research", Comparison("account.tenant", Operator.EQ, "org"), ("a",), None, "why", "who", NOW + 60
    )
    bench = Bench(pack(rule("a", 45), rule("b", 25), exemptions=(spared,)))
    given = {"account.tenant": "org"}
    judged = bench.judge(exchange(fields=given))
    assert (judged.fired, judged.exempt, judged.enforced.rung) == (("b",), ("research",), "observe")
    assert bench.judge(exchange(fields=given), NOW + 61).fired == ("a", "b")
    others = bench.judge(exchange("other", "elsewhere", {"account.tenant": "elsewhere"}))
    assert (others.fired, others.exempt, others.enforced.score) == (("a", "b"), (), 70)


def test_an_exemptions_cap_takes_higher_rungs_away_and_says_so() -> None:
    capped = Exemption("cap", AllOf(()), (), "observe", "why", "who", NOW + 60)
    judged = Bench(pack(rule("a", 45), exemptions=(capped,))).judge()
    assert (judged.enforced.rung, judged.enforced.score, judged.exempt) == ("observe", 45, ("cap",))
    assert Bench(pack(rule("a", 25), exemptions=(capped,))).judge().exempt == (), "it kept nothing away"


def test_a_rule_that_has_expired_does_nothing() -> None:
    bench = Bench(pack(rule("a", 45, expires=NOW + 1)))
    assert bench.judge().fired == ("a",)
    assert bench.judge(now=NOW + 1).fired == ()
    assert Bench(pack(rule("a", 45, expires=NOW), rule("b", 45, expires=NOW + 1))).judge().fired == ("b",)


@pytest.mark.parametrize(("on_error", "fired"), [(OnError.SKIP, ()), (OnError.TREAT_AS_MATCH, ("a",))])
def test_a_field_that_a_detector_could_not_tell_is_no_false(on_error: OnError, fired: tuple[str, ...]) -> None:
    bench = Bench(pack(rule("a", 45, Not(PROBING), on_error=on_error), rule("b", 20, AllOf(()))))
    given = exchange()
    given.unknown = frozenset({"request.logprobs"})
    judged = bench.judge(given)
    assert judged.failed == ("a",)
    assert judged.fired == (*fired, "b")


@pytest.mark.parametrize("world", World)
@pytest.mark.parametrize("subject", Subject)
def test_a_flag_that_stands_in_one_world_counts_there_though_no_rule_fires_and_the_ties_differ(
    world: World, subject: Subject
) -> None:
    """The hunter's flags are in the world of their campaign's entry, and the best match in shadow may be another's."""
    bench = Bench(pack())
    given = exchange()
    given.ties, given.shadow_ties = Ties("t-enforced", "c-enforced"), Ties("t-shadow", "c-shadow")
    bench.flags.put(world, subject, subject_name(subject, given, world), Flag("raised", 45, NOW - 1, NOW + 9, "r"))
    judged = bench.judge(given)
    scores = {World.ENFORCED: judged.enforced.score, World.SHADOW: judged.shadow.score}
    assert scores == {**dict.fromkeys(World, 0), world: 45}


def test_a_rule_that_fails_is_told_of_also_where_nothing_else_is_to_be_said() -> None:
    given = exchange()
    given.unknown = frozenset({"request.logprobs"})
    judged = Bench(pack(rule("a", 45))).judge(given)
    assert (judged.failed, judged.fired, judged.enforced.score) == (("a",), (), 0)
    assert Bench(pack(rule("a", 45, expires=NOW))).judge(given).failed == ()


def test_what_the_record_holds_is_what_rules_read_and_all_that_costs_nothing_but_what_names_somebody() -> None:
    named = rule(
        "named",
        45,
        AllOf((Comparison("account.name", Operator.EQ, "acme"), Comparison("account.key", Operator.EQ, "k"))),
    )
    shapely = rule("shapely", 45, Comparison("content.trace_elicitation", Operator.GTE, 0.5))
    engine = Bench(pack(named, shapely, signals=(signal("first"),))).engine
    assert {"account.name", "account.key", "content.trace_elicitation"} <= engine.reads
    assert not {name for name in engine.recorded if name in TABLE and TABLE[name].private}
    assert {"content.trace_elicitation", "request.stream", "account.plan", "signals.first"} <= {*engine.recorded}
    assert "content.trace_elicitation" not in Bench(pack(named)).engine.recorded


def test_expressions_and_comparisons_fire_in_the_order_of_the_pack_and_one_that_fails_stops_no_other() -> None:
    compiled = Expressions([], {}).compile

    def expression(identity: str, source: str) -> Rule:
        return rule(identity, 10, Cel(source, (), compiled(source)))

    rules = [
        rule("a", 10),
        expression("b", "request.logprobs"),
        expression("c", "request.stream"),
        rule("d", 10),
        expression("e", "!request.stream"),
    ]
    assert Bench(pack(*rules)).judge().fired == ("a", "b", "d", "e")
    judged = Bench(pack(*rules, expression("f", "1 / (request.turns - request.turns) > 1"))).judge()
    assert (judged.fired, judged.failed) == (("a", "b", "d", "e"), ("f",))


@pytest.mark.parametrize("most", [Mode.SHADOW, Mode.OFF])
def test_a_deployments_cap_on_the_mode_lets_nothing_act(most: Mode) -> None:
    judged = Bench(pack(rule("a", 150)), most).judge()
    assert (judged.fired, judged.enforced.rungs) == ((), ())
    assert judged.shadow.rung == ("block" if most is Mode.SHADOW else "")


def world(bench: Bench, exchanges: list[tuple[Exchange, float]]) -> list[tuple[Any, ...]]:
    return [
        (judged.fired, judged.enforced.rung, judged.enforced.score, judged.reasons)
        for given, now in exchanges
        for judged in [bench.judge(replace(given, fields=dict(given.fields)), now)]
    ]


def test_turning_a_shadow_rule_on_and_off_changes_no_enforced_decision_over_10_000_exchanges() -> None:
    rng = random.Random(7)
    enforced = (
        rule("often", 30, Comparison("signals.probes", Operator.GTE, 5)),
        rule(
            "many",
            45,
            AnyOf((Comparison("request.choices", Operator.GT, 3), Comparison("request.turns", Operator.GTE, 9))),
        ),
    )
    watched = rule("watched", 90, Comparison("request.model", Operator.EQ, "large"), mode=Mode.SHADOW, flag="often")
    moments = itertools.accumulate(rng.expovariate(2.0) for _ in range(10_000))
    exchanges = [
        (
            exchange(
                f"a{rng.randrange(40)}",
                f"t{rng.randrange(15)}",
                {
                    "request.logprobs": rng.random() < 0.03,
                    "request.choices": rng.randrange(4) + (rng.random() < 0.002),
                    "request.turns": rng.randrange(9) + (rng.random() < 0.002),
                    "request.model": rng.choice(["large", "small"]),
                },
            ),
            NOW + moment,
        )
        for moment in moments
    ]
    without = Bench(pack(*enforced, signals=(signal("probes", window_ms=3_600_000),)))
    on_and_off = Bench(pack(*enforced, watched, signals=(signal("probes", window_ms=3_600_000),)))
    expected = world(without, exchanges)
    found: list[tuple[Any, ...]] = []
    for start in range(0, len(exchanges), 500):
        shadows = (watched,) if start % 1000 else ()
        on_and_off.load(pack(*enforced, *shadows, signals=(signal("probes", window_ms=3_600_000),)))
        found += world(on_and_off, exchanges[start : start + 500])
    assert found == expected
    assert {entry[1] for entry in expected} == {"", "observe", "strip"}


def test_the_order_of_rules_and_exemptions_says_nothing() -> None:
    rules = [rule("a", 30), rule("b", 45, flag="a"), rule("c", 20, Comparison("request.model", Operator.EQ, "large"))]
    found = set()
    for order in itertools.permutations(rules):
        judged = Bench(pack(*order)).judge()
        found.add((frozenset(judged.fired), judged.enforced.rung, judged.enforced.score))
    assert len(found) == 1


def test_what_the_end_of_an_exchange_counts_is_not_taken_for_what_its_rules_saw() -> None:
    where = AllOf((Comparison("answer.refused", Operator.EQ, operand=True),))
    refusals = Signal("refusals", "", Scope.ACCOUNT, DAY_MS, where, "refusals")
    declined = rule("declined", 40, Comparison("signals.refusals", Operator.GTE, 1))
    engine = Engine(pack(declined, signals=(refusals,)), TABLE, ExactSignals(), ExactFlags(), Mode.ENFORCE)
    first, second = (exchange(fields={**TABLE.defaults}) for _ in range(2))
    assert engine.judge(first, NOW).fired == ()
    first.fields["answer.refused"] = True
    engine.learn(first, NOW)
    assert first.fields["signals.refusals"] == 0
    assert engine.judge(second, NOW).fired == ("declined",)
