"""Whom a campaign's flags and budgets count for, by the pack in force: members, newcomers, and nobody else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxy.exchange import NO_TIES, Call, Exchange, Principal, Ties
from proxy.fingerprint.winnow import Prints
from proxy.keyed.link_names import LinkNames
from proxy.rules.campaigns.book import CampaignBook
from proxy.rules.campaigns.containment import Containment
from proxy.rules.campaigns.flags import raise_flags
from proxy.rules.campaigns.known import KnownCampaign
from proxy.rules.flags.book import FLAGS_MAX, FlagBook
from proxy.rules.flags.flag import Flag, World
from proxy.rules.pack.pack import Campaign, Contain, FlagSpec, Pack
from proxy.rules.pack.words import Mode, Subject
from tests.rules.books import ExactFlags
from tests.rules.campaigns.known import DAY_S, NAMES_KEY, NOW, caller, campaign, prints, sample, template
from tests.rules.test_engine import LADDER, TABLE, Bench
from tests.rules.test_engine import pack as engine_pack

MONTH = Contain(30 * DAY_S * 1000, ("payment",))
ON = (Subject.TEMPLATE, Subject.CLUSTER, Subject.ACCOUNT)
BOTH = (World.ENFORCED, World.SHADOW)


def entry(identity: str = "extraction", mode: Mode = Mode.ENFORCE, **changes: Any) -> Campaign:
    flag = FlagSpec("campaign", changes.pop("on", ON), 60, DAY_S * 1000)
    made = Campaign(identity, mode, 10, 8, 7 * DAY_S * 1000, 0.95, flag, MONTH)
    return replace(made, **changes)


def pack(*entries: Campaign) -> Pack:
    return Pack("p", "1", "o", "0" * 64, (), campaigns=entries, ladder=LADDER)


def place(
    given: Pack,
    known: list[KnownCampaign],
    principal: Principal,
    *seeds: int,
    max_mode: Mode = Mode.ENFORCE,
    peer: str = "192.0.2.1",
    sampled: int = 1 << 20,
) -> Exchange:
    """Return an exchange of a caller whose prompt has the prints of the templates made of `seeds`, in its place."""
    book = CampaignBook(LinkNames(NAMES_KEY))
    for each in known:
        book.hear(each)
    call = Call("large", stream=False, body={"model": "large"})
    made = Exchange("ex_1", "openai.chat", peer, "", "", NOW, principal, call)
    found = sample(*(prints(seed) for seed in seeds))
    made.prints = Prints(found[:sampled], 0, 0, found)
    Containment(given, book, max_mode).place(made)
    return made


def test_what_a_sample_leaves_out_of_a_prompt_matches_too_and_is_then_let_go() -> None:
    placed = place(pack(entry()), [campaign()], caller("m-1"), *range(1, 9), sampled=40)
    assert placed.ties == Ties("t-1", "c-1")
    assert placed.prints.every is placed.prints.sample


@pytest.mark.parametrize("given", [pack(entry()), pack()])
def test_where_nothing_is_known_that_may_match_they_are_let_go_too(given: Pack) -> None:
    placed = place(given, [], caller("m-1"), *range(1, 9), sampled=40)
    assert (len(placed.prints.every), len(placed.prints.sample)) == (40, 40)


def test_a_member_has_ties_to_the_cluster_and_to_the_template_when_the_prompt_has_it() -> None:
    placed = place(pack(entry()), [campaign()], caller("m-1"), 1)
    assert placed.ties == placed.shadow_ties == Ties("t-1", "c-1")
    elsewhere = place(pack(entry()), [campaign()], caller("m-1"), 7)
    assert elsewhere.ties == Ties("", "c-1")


def test_the_first_request_of_a_new_account_in_a_known_campaign_has_ties_to_the_template() -> None:
    placed = place(pack(entry()), [campaign()], caller(age_days=0), 1)
    assert (placed.ties, placed.cluster) == (Ties("t-1", ""), "")


def test_an_old_account_that_shares_nothing_has_no_ties_whatever_prompt_an_attacker_copied_from_it() -> None:
    placed = place(pack(entry()), [campaign()], caller(age_days=900, payment="own-card"), 1)
    assert (placed.ties, placed.shadow_ties) == (NO_TIES, NO_TIES)
    assert placed.template == "t-1", "the record says that it has the prompt"


def test_an_account_that_shares_the_payment_of_a_member_has_ties_however_old_it_is() -> None:
    shared = {"payment": frozenset({LinkNames(NAMES_KEY).name("payment", "card-1")})}
    placed = place(pack(entry()), [campaign(shared=shared)], caller(age_days=900, payment="card-1"), 1)
    assert placed.ties == Ties("t-1", "")


def test_without_contain_only_members_have_ties_to_the_template() -> None:
    alone = pack(entry(contain=None))
    assert place(alone, [campaign()], caller(age_days=0), 1).ties == NO_TIES
    assert place(alone, [campaign()], caller("m-1"), 1).ties == Ties("t-1", "c-1")


@pytest.mark.parametrize(
    ("entries", "max_mode", "enforced", "shadow"),
    [
        ([entry()], Mode.ENFORCE, True, True),
        ([entry(mode=Mode.SHADOW)], Mode.ENFORCE, False, True),
        ([entry()], Mode.SHADOW, False, True),
        ([entry()], Mode.OFF, False, False),
        ([entry(mode=Mode.OFF)], Mode.ENFORCE, False, False),
        ([entry("another")], Mode.ENFORCE, False, False),
        ([], Mode.ENFORCE, False, False),
    ],
    ids=["enforce", "shadow", "capped", "capped-off", "off", "no-entry", "no-campaigns"],
)
def test_a_campaign_exists_in_the_worlds_of_its_entrys_mode(
    entries: list[Campaign], max_mode: Mode, *, enforced: bool, shadow: bool
) -> None:
    placed = place(pack(*entries), [campaign()], caller("m-1"), 1, max_mode=max_mode)
    there = Ties("t-1", "c-1")
    assert placed.ties == (there if enforced else NO_TIES)
    assert placed.shadow_ties == (there if shadow else NO_TIES)
    assert (placed.template, placed.cluster) == (there if shadow else NO_TIES)


def test_a_campaign_in_shadow_hides_no_enforced_one_however_well_it_matches_and_however_new_it_is() -> None:
    watched = campaign("c-2", rule="watched", templates=(template("a-2", 2),), updated_at=NOW + 1)
    both = pack(entry(), entry("watched", Mode.SHADOW))
    alone = place(pack(entry()), [campaign()], caller("m-1"), 1, 2)
    placed = place(both, [campaign(), watched], caller("m-1"), 1, 2)
    assert placed.shadow_ties == Ties("a-2", "c-2")
    assert placed.ties == alone.ties == Ties("t-1", "c-1")


@pytest.mark.parametrize(
    "rules",
    [("unknown",), ("off",), ("off", "unknown", "watched"), ("watched", "watched"), ("watched", "off", "watched")],
)
def test_any_number_of_others_that_match_better_hides_no_enforced_campaign(rules: tuple[str, ...]) -> None:
    given = pack(entry(), entry("watched", Mode.SHADOW), entry("off", Mode.OFF))
    others = [
        campaign(f"c-{at}", rule=rule, templates=(template(f"a-{at}", at),), updated_at=NOW + at)
        for at, rule in enumerate(rules, 2)
    ]
    prompt = range(1, 2 + len(rules))
    placed = place(given, [campaign(), *others], caller("m-1"), *prompt)
    assert placed.ties == place(given, [campaign()], caller("m-1"), *prompt).ties == Ties("t-1", "c-1")


def test_where_nobody_took_the_prints_a_template_that_is_named_stands_for_them() -> None:
    book = CampaignBook(LinkNames(NAMES_KEY))
    book.hear(campaign())
    for named, ties in (("t-1", Ties("t-1", "c-1")), ("t-9", Ties("", "c-1")), ("", Ties("", "c-1"))):
        call = Call("large", stream=False, body={"model": "large"})
        made = Exchange("ex_1", "openai.chat", "192.0.2.1", "", "", NOW, caller("m-1"), call)
        made.template = named
        Containment(pack(entry()), book, Mode.ENFORCE).place(made)
        assert made.ties == ties


def test_nobody_escapes_a_template_by_a_prompt_that_is_more_like_that_of_strangers() -> None:
    strangers = campaign(
        "c-2",
        templates=(template("a-2", 2),),
        accounts=frozenset({"x-1"}),
        opened_from=1.0,
        opened_to=2.0,
        began=3.0,
        updated_at=NOW + 1,
    )
    placed = place(pack(entry()), [campaign(), strangers], caller(age_days=0), 1, 2)
    assert (placed.ties.template, placed.template) == ("t-1", "t-1")
    unrelated = place(pack(entry()), [campaign(), strangers], caller(age_days=900), 1, 2)
    assert (unrelated.ties.template, unrelated.template) == ("", "a-2"), "the best match is what the record says"


def test_a_member_of_one_campaign_is_an_outsider_to_another() -> None:
    other = campaign("c-2", templates=(template("t-2", 2),), accounts=frozenset({"x-1"}))
    placed = place(pack(entry(contain=None)), [campaign(), other], caller("m-1"), 2)
    assert placed.ties == Ties("", "c-1")


def flagged(mode: Mode, *, on: tuple[Subject, ...] = ON, max_mode: Mode = Mode.ENFORCE, left: Any = ()) -> Any:
    flags = ExactFlags()
    known = campaign(templates=(template("t-1", 1), template("t-2", 2)))
    raise_flags(flags, known, entry(mode=mode, on=on), max_mode, NOW, left)
    return flags.flags


@pytest.mark.parametrize(
    ("mode", "max_mode", "worlds"),
    [
        (Mode.ENFORCE, Mode.ENFORCE, BOTH),
        (Mode.SHADOW, Mode.ENFORCE, BOTH[1:]),
        (Mode.ENFORCE, Mode.SHADOW, BOTH[1:]),
        (Mode.OFF, Mode.ENFORCE, ()),
        (Mode.ENFORCE, Mode.OFF, ()),
    ],
)
def test_the_flag_is_raised_in_the_worlds_of_the_mode(mode: Mode, max_mode: Mode, worlds: tuple[World, ...]) -> None:
    found = flagged(mode, max_mode=max_mode)
    named = [(Subject.TEMPLATE, "t-1"), (Subject.TEMPLATE, "t-2"), (Subject.CLUSTER, "c-1")]
    assert found.keys() == {(world, *each) for world in worlds for each in named}
    for flags in found.values():
        flag = flags["campaign"]
        assert (flag.score, flag.expires_at, flag.rule) == (60, NOW + DAY_S, "extraction")
        assert flag.reason == "campaign c-1: 3 accounts by then"


def test_an_account_has_a_flag_of_its_own_from_when_it_has_left_a_cluster_that_is_flagged() -> None:
    found = flagged(Mode.SHADOW, left=["gone"])
    assert [name for _, subject, name in found if subject is Subject.ACCOUNT] == ["gone"]


def test_where_the_cluster_is_not_flagged_every_account_is() -> None:
    found = flagged(Mode.SHADOW, on=(Subject.ACCOUNT,), left=["gone"])
    assert {name for _, _, name in found} == {"m-1", "m-2", "m-3", "gone"}
    assert {name for _, _, name in flagged(Mode.SHADOW, on=(Subject.TEMPLATE,), left=["gone"])} == {"t-1", "t-2"}


def test_where_flags_are_too_many_those_of_the_template_stay() -> None:
    flags = FlagBook()
    known = campaign(accounts=frozenset(f"m-{number}" for number in range(FLAGS_MAX)))
    raise_flags(flags, known, entry(mode=Mode.SHADOW, on=(Subject.ACCOUNT, Subject.TEMPLATE)), Mode.ENFORCE, NOW)
    assert (len(flags), flags.evicted) == (FLAGS_MAX, 1)
    assert flags.on(World.SHADOW, Subject.TEMPLATE, "t-1", NOW)


@pytest.mark.parametrize(
    ("who", "rung", "shadow_rung"),
    [
        (caller("m-1"), "strip", "strip"),
        (caller("newcomer", age_days=0), "strip", "strip"),
        (caller("victim", age_days=900), "", ""),
    ],
    ids=["member", "newcomer", "victim"],
)
@pytest.mark.parametrize("mode", [Mode.ENFORCE, Mode.SHADOW])
def test_the_ladder_answers_members_and_newcomers_and_not_the_victim(
    who: Principal, rung: str, shadow_rung: str, mode: Mode
) -> None:
    bench = Bench(engine_pack(campaigns=(entry(mode=mode),)))
    raise_flags(bench.flags, campaign(), bench.engine.pack.campaigns[0], Mode.ENFORCE, NOW)
    placed = place(bench.engine.pack, [campaign()], who, 1)
    placed.fields = dict(TABLE.defaults)
    judged = bench.judge(placed)
    assert (judged.enforced.rung, judged.shadow.rung) == (rung if mode is Mode.ENFORCE else "", shadow_rung)


def test_a_flag_that_a_rule_raised_on_a_template_does_not_reach_the_victim_either() -> None:
    bench = Bench(engine_pack(campaigns=(entry(),)))
    for world in BOTH:
        bench.flags.put(world, Subject.TEMPLATE, "t-1", Flag("raised", 45, NOW, NOW + 1e6, "a rule"))
    victim = place(bench.engine.pack, [campaign()], caller(age_days=900), 1)
    victim.fields = dict(TABLE.defaults)
    assert bench.judge(victim).enforced.score == 0
    member = place(bench.engine.pack, [campaign()], caller("m-1"), 1)
    member.fields = dict(TABLE.defaults)
    assert bench.judge(member).enforced.score == 45
