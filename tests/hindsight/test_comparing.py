"""Two packs over one log: who would fire what and stand where, and what nobody can know is counted as that."""

from __future__ import annotations

import orjson
import pytest

from proxy.decisions.logged import Logged, read_logged
from proxy.hindsight.comparing import CUT, NO_PACK, OTHER_TYPE, UNTOLD, Compared, Move, RuleChange, compare
from proxy.rules.flags.flag import World
from proxy.rules.pack.pack import Pack
from tests.hindsight.traffic import PROBING, TABLE, Proxy, made

OLD = made(PROBING)
EAGER = made(PROBING.replace("gte: 3", "gte: 2"))


def comparison(proxy: Proxy, new: Pack, *others: Pack, old: Pack = OLD) -> Compared:
    archive = {pack.digest: pack for pack in others}
    return compare(old, new, proxy.log(), TABLE, archive.get)


def nowhere(digest: str) -> Pack | None:
    """Find no pack."""
    del digest
    return None


def probed(*times: int) -> Proxy:
    """Let accounts probe so many times each."""
    proxy = Proxy(OLD)
    for account, count in enumerate(times):
        for _ in range(count):
            proxy.send(f"account-{account}", request__logprobs=True)
    return proxy


def test_a_pack_compared_with_itself_differs_nowhere() -> None:
    found = comparison(probed(1, 2, 5), OLD)
    assert (found.exchanges, found.same, found.different, found.unknown.total()) == (8, 8, 0, 0)
    assert (found.accounts, found.moves, found.rules, found.uncertain, found.unlike) == (3, [], [], 0, 0)


def test_who_fires_and_stands_elsewhere_with_another_threshold_is_counted() -> None:
    found = comparison(probed(1, 2, 5), EAGER)
    assert (found.different, found.same) == (2, 6)
    assert found.rules == [RuleChange("probing", World.ENFORCED, 2, 0), RuleChange("probing", World.SHADOW, 2, 0)]
    assert found.moves == [Move("", "strip", 1)], "the one who probed five times reaches the rung with both"


def test_another_mode_shows_in_the_enforced_world_alone() -> None:
    shadow = made(PROBING.replace("- id: probing", "- id: probing\n    mode: shadow"))
    found = comparison(probed(5), shadow)
    assert found.rules == [RuleChange("probing", World.ENFORCED, 0, 3)]
    assert found.moves == [Move("strip", "", 1)]


def test_flags_live_as_long_as_their_pack_says_by_the_clock_of_the_log() -> None:
    both = "  - id: {0}\n    when: {{request.{1}: {{gte: 3}}}}\n    flag: {{name: {0}, on: account, score: 40, ttl: {2}}}\n"
    ladder = "ladder:\n  - {rung: watch, score: 40}\n  - {rung: closer, score: 80}\n"

    def pack(ttl: str) -> Pack:
        return made("rules:\n" + both.format("turns", "turns", ttl) + both.format("greedy", "choices", ttl) + ladder)

    short, long = pack("1m"), pack("1h")
    proxy = Proxy(short)
    proxy.send(request__turns=3)
    proxy.now += 120
    proxy.send(request__choices=3)
    assert comparison(proxy, long, old=short).moves == [Move("watch", "closer", 1)]


def test_a_signal_with_another_definition_makes_what_reads_it_unknown() -> None:
    found = comparison(probed(5), made(PROBING.replace("window: 1h", "window: 2h")))
    assert (found.unknown, found.untold) == ({UNTOLD: 5}, {"probing": 5})
    assert (found.same, found.moves, found.uncertain) == (0, [], 1)


def test_a_signal_that_is_only_named_otherwise_is_the_same() -> None:
    renamed = made(PROBING.replace("probes:", "asked:").replace("signals.probes", "signals.asked"))
    assert comparison(probed(5), renamed).same == 5


def test_a_field_that_was_not_recorded_is_not_taken_for_its_default() -> None:
    rule = (
        "  - id: new\n    when: {request.obfuscation: {lt: 1}}\n    flag: {name: new, on: account, score: 1, ttl: 1h}\n"
    )
    new = made(PROBING.replace("rules:\n", f"rules:\n{rule}"))
    found = comparison(probed(2), new)
    assert (found.unknown, found.untold, found.rules) == ({UNTOLD: 2}, {"new": 2}, [])
    proxy = Proxy(new)
    proxy.send()
    assert comparison(proxy, new).rules == [
        RuleChange("new", World.ENFORCED, 1, 0),
        RuleChange("new", World.SHADOW, 1, 0),
    ]


def test_a_field_that_costs_nothing_is_known_though_the_pack_in_force_did_not_read_it() -> None:
    rule = "  - id: new\n    when: {request.images: {gte: 2}}\n    flag: {name: new, on: account, score: 1, ttl: 1h}\n"
    proxy = Proxy(OLD)
    proxy.send(request__images=2)
    proxy.send(request__images=1)
    found = comparison(proxy, made(PROBING.replace("rules:\n", f"rules:\n{rule}")))
    assert (found.different, found.same, found.untold) == (1, 1, {})


def test_a_name_is_not_known_though_the_pack_in_force_read_it() -> None:
    rule = (
        "  - id: named\n    when: {account.tenant: {ne: org-acme}}\n"
        "    flag: {name: named, on: account, score: 1, ttl: 1h}\n"
    )
    reading = made(PROBING.replace("rules:\n", f"rules:\n{rule}"))
    proxy = Proxy(reading)
    proxy.send(account__tenant="org-acme")
    found = comparison(proxy, OLD, old=reading)
    assert (found.unknown, found.untold, found.rules, found.unlike) == ({UNTOLD: 1}, {"named": 1}, [], 0)


SPARED = "exemptions:\n  - {id: us, match: {account.tenant: us}, %s, why: w, owner: o, expires: 2099-01-01}\n"


def test_an_exemption_that_cannot_be_told_leaves_open_what_becomes_of_those_who_meet_its_rules() -> None:
    sparing = made(PROBING + SPARED % "rules: [probing]")
    proxy = probed(1, 5)
    for _ in range(3):
        proxy.send(account__tenant="us", request__logprobs=True)
    proxy.send(account__tenant="us", request__turns=9)
    found = comparison(proxy, sparing, old=proxy.pack)
    assert (found.unknown, found.untold) == ({UNTOLD: 5}, {"us": 5, "probing": 5})
    assert (found.same, found.moves, found.unlike) == (5, [], 0)
    assert found.accounts - found.uncertain == 1, "one who never met it"


def test_an_exemption_that_cannot_be_told_leaves_open_where_those_stand_whom_it_may_cap() -> None:
    old = made(PROBING.replace("mode: shadow", "mode: enforce"))
    capping = made(PROBING.replace("mode: shadow", "mode: enforce") + SPARED % "max_rung: strip")
    for proxy, uncertain in ((Proxy(old), 2), (Proxy(capping), 0)):
        for turns in (1, 9):
            for account in ("acme", f"account-{turns}"):
                proxy.send(account, request__turns=turns)
        found = comparison(proxy, capping, old=proxy.pack)
        assert (found.same, found.unknown.total(), found.accounts, found.uncertain) == (4, 0, 3, uncertain)


def probed_by(pack: Pack) -> Proxy:
    """Return what a pack made of three probes of two organisations each."""
    proxy = Proxy(pack)
    for tenant in ("us", "them"):
        for _ in range(3):
            proxy.send(f"of-{tenant}", account__tenant=tenant, request__logprobs=True)
    return proxy


def test_an_exemption_is_known_where_the_record_shows_whether_it_held() -> None:
    sparing = made(PROBING + SPARED % "rules: [probing]")
    proxy = probed_by(sparing)
    found = comparison(proxy, sparing, old=sparing)
    assert (found.same, found.unlike, found.uncertain, found.untold) == (6, 0, 0, {})
    found = comparison(proxy, OLD, old=sparing)
    assert (found.same, found.different, found.moves) == (5, 1, [Move("", "strip", 1)])
    found = comparison(proxy, made(PROBING.replace("gte: 3", "gte: 2") + SPARED % "rules: [probing]"), old=sparing)
    assert (found.same, found.unknown) == (4, {UNTOLD: 2}), "what was not met then shows nothing"


SPARING = PROBING + SPARED % "rules: [probing]"
COUNTING = SPARING.replace("us}", "us, signals.calls: {gte: 3}}").replace(
    "rules:\n", "  calls: {count: requests, per: account, window: 1h}\nrules:\n", 1
)


@pytest.mark.parametrize(
    ("then", "now", "unknown"),
    [
        (SPARING, SPARING.replace("2099-01-01", "2098-01-01"), 0),
        (SPARING, SPARING.replace("account.tenant: us", "account.tenant: them"), 2),
        (SPARING.replace("2099-01-01", "2020-01-01"), SPARING, 2),
        (
            COUNTING,
            COUNTING.replace("calls: {count: requests, per: account", "calls: {count: requests, per: tenant"),
            2,
        ),
    ],
    ids=["another end", "other callers", "over by then", "another count"],
)
def test_an_exemption_is_known_only_where_it_was_the_same_then(then: str, now: str, unknown: int) -> None:
    old = made(then)
    found = comparison(probed_by(old), made(now), old=old)
    assert (found.same, found.different, found.unknown.total(), found.unlike) == (6 - unknown, 0, unknown, 0)


def test_what_a_third_pack_recorded_is_read_by_its_own_definitions_or_unknown_without_it() -> None:
    third = made(PROBING.replace("example", "third").replace("score: 45", "score: 46"))
    proxy = Proxy(third)
    proxy.send(request__logprobs=True)
    assert comparison(proxy, EAGER, third).same == 1
    found = comparison(proxy, EAGER)
    assert (found.unknown, found.uncertain) == ({NO_PACK: 1}, 1)


def test_a_text_that_may_have_been_shortened_says_as_little_as_none() -> None:
    rule = PROBING.replace("signals.probes: {gte: 3}", 'account.plan: {contains: "%s"}')
    assert rule != PROBING
    old, new = made(rule % "basic"), made(rule % "trial")
    proxy = Proxy(old)
    for plan in ("basic", "basic" * 400, "\N{REPLACEMENT CHARACTER}"):
        proxy.send(account__plan=plan)
    found = comparison(proxy, new, old=old)
    assert (found.different, found.same, found.unknown, found.untold) == (1, 0, {UNTOLD: 2}, {"probing": 2})
    assert found.unlike == 0


def test_what_was_never_judged_cut_or_is_of_another_type_is_counted_apart() -> None:
    proxy = probed(1)
    row = orjson.loads(proxy.lines[0])

    def changed(**changes: object) -> Logged:
        return read_logged({**row, **changes})

    log = [
        changed(effect="deny", by="request", ms={"decide": None}),
        changed(fields={}, truncated=True),
        changed(fields={"request.turns": "three"}),
    ]
    found = compare(OLD, EAGER, log, TABLE, nowhere)
    assert (found.exchanges, found.not_judged, found.unknown) == (3, 1, {CUT: 1, OTHER_TYPE: 1})


def test_a_denied_exchange_counts_as_the_rules_saw_it() -> None:
    row = orjson.loads(probed(2).lines[-1])
    denied = read_logged({**row, "effect": "deny", "by": "few", "status": 429})
    assert compare(OLD, EAGER, [denied], TABLE, nowhere).different == 1


def test_a_pack_that_does_not_say_what_it_said_then_is_noticed() -> None:
    proxy = probed(1)
    log = [logged._replace(shadow=logged.shadow._replace(fired=("probing",))) for logged in proxy.log()]
    assert compare(OLD, EAGER, log, TABLE, nowhere).unlike == 1


def test_what_a_detector_failed_to_tell_is_unknown_to_both() -> None:
    proxy = Proxy(OLD)
    proxy.send(unknown=frozenset({"request.turns"}))
    wider = made(PROBING.replace("request.turns: {gte: 9}", "request.turns: {gte: 0}"))
    assert comparison(proxy, wider).same == 1


def test_however_many_ways_records_show_what_exemptions_did_only_some_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.hindsight.sights.MOST", 1)
    sparing = made(SPARING)
    found = comparison(probed_by(sparing), OLD, old=sparing)
    assert (found.same, found.different, found.moves, found.uncertain) == (5, 1, [Move("", "strip", 1)], 0)
