"""One hunt through shuffled, doubled and late exchanges, leaping clocks, floods, restarts and what people decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from proxy.hunter import hunt as hunt_module
from proxy.hunter import ledger as ledger_module
from proxy.hunter import links as links_module
from proxy.hunter import looks as looks_module
from proxy.hunter import postings as postings_module
from proxy.hunter.event import Event
from proxy.hunter.finding import Finding
from proxy.hunter.hunt import Hunt
from proxy.hunter.named import Named
from proxy.hunter.suspects import Suspects
from proxy.hunter.terms import Going, first_met
from tests.hunter.campaigns import fixed, no_template, slow, two_batches, varied, without_cards
from tests.hunter.traffic import DAY_S, HOUR_S, START, TERMS, World, in_order, ordinary, run

_EVERY_S = 4 * HOUR_S
_END = START + 2 * DAY_S


def _world(seed: int = 1, make: Callable[[World], None] = fixed) -> World:
    world = World(seed)
    ordinary(world)
    make(world)
    return world


@pytest.fixture(scope="module")
def world() -> World:
    return _world()


@pytest.fixture(scope="module")
def plain(world: World) -> Hunt:
    return run(in_order(world), every_s=_EVERY_S, until=_END).hunt


def _tell(events: list[Event], *, hunt: Hunt | None = None) -> Hunt:
    """Tell a hunt exchanges by the hour in which they were told, which may be later than that of the exchange."""
    return run(events, hunt=hunt, every_s=_EVERY_S, until=_END).hunt


def _late(events: list[Event], seed: int) -> list[tuple[float, Event]]:
    rng = np.random.default_rng(seed)
    told = [(event.at + rng.random() * HOUR_S, event) for event in events]
    return sorted(told, key=lambda entry: entry[0])


def _told_late(events: list[Event], seed: int) -> Hunt:
    hunt, due, batch = Hunt(TERMS), START + _EVERY_S, list[Event]()
    for told_at, event in _late(events, seed):
        if told_at >= due:
            hunt.see(batch)
            hunt.judge(due)
            batch, due = [], due + _EVERY_S
        batch.append(event)
    hunt.see(batch)
    hunt.judge(_END)
    return hunt


def _members(hunt: Hunt) -> dict[str, frozenset[str]]:
    return {finding_id: frozenset(finding.members) for finding_id, finding in hunt.findings.items()}


def test_exchanges_told_twice_and_in_small_batches_change_no_finding(world: World, plain: Hunt) -> None:
    events = in_order(world)
    hunt, due = Hunt(TERMS), START + _EVERY_S
    for start in range(0, len(events), 97):
        batch = events[start : start + 97]
        while batch and batch[-1].at >= due:
            now = [event for event in batch if event.at < due]
            hunt.see(now)
            hunt.see(now[::-1])
            hunt.judge(due)
            batch, due = batch[len(now) :], due + _EVERY_S
        hunt.see(batch)
        hunt.see([*batch, *batch])
    hunt.judge(_END)
    # What was told is known by a table of fixed size, in which one now and then has the place of another.
    assert len(events) <= len(hunt._ledger) <= len(events) + 3
    assert _members(hunt) == _members(plain)


@pytest.mark.parametrize("seed", [1, 2])
def test_exchanges_told_up_to_an_hour_late_and_out_of_order_lead_to_the_same_accounts(
    world: World, plain: Hunt, seed: int
) -> None:
    hunt = _told_late(in_order(world), seed)
    assert set().union(*_members(hunt).values()) == set().union(*_members(plain).values()) == world.guilty
    assert len(hunt.findings) == len(plain.findings)


def test_a_hunt_that_is_restored_half_way_goes_on_as_if_nothing_had_been(world: World, plain: Hunt) -> None:
    events = in_order(world)
    # Told by another process: hashes of strings are others there, and what was told before may be told again.
    hunt = _tell(events[:3000])
    restored = Hunt.from_bytes(hunt.to_bytes(), TERMS)
    assert restored.findings == hunt.findings
    assert restored.to_bytes() == hunt.to_bytes()
    for each in (hunt, restored):
        each.see(events[2800:])
    assert restored.judge(_END) == hunt.judge(_END)
    assert restored.findings == hunt.findings
    assert _members(restored) == _members(plain)


def test_the_same_exchanges_lead_to_the_same_findings_under_the_same_ids(world: World, plain: Hunt) -> None:
    again = _tell(in_order(world))
    assert again.findings == plain.findings


def test_a_finding_keeps_its_id_while_it_grows_and_an_account_is_in_one_at_most() -> None:
    world = _world(1, slow)
    outcome = run(in_order(world), world.guilty)
    sizes: dict[str, list[int]] = {}
    for _, finding in outcome.told:
        sizes.setdefault(finding.id, []).append(len(finding.members))
    (grown,) = sizes.values()
    assert grown == sorted(grown)
    assert grown[-1] > 2 * grown[0]


def test_a_campaign_began_when_it_did_however_long_it_goes_on() -> None:
    world = World(1, days=10)
    ordinary(world)
    fixed(world)
    outcome = run(in_order(world), every_s=12 * HOUR_S)
    told = [finding for _, finding in outcome.told]
    assert {finding.reach.began for finding in told} == {min(e.at for e in world.events if e.account in world.guilty)}
    assert told[-1].last_at > START + 9 * DAY_S
    assert told[-1].first_at > told[-1].reach.began + DAY_S, "what it was given is that of the window"
    since = max(event.at for event in world.events) - TERMS[0].window_s
    of = Counter(event.account for event in world.events if event.at >= since)
    (last,) = outcome.hunt.findings.values()
    assert {name: member.of for name, member in last.members.items()} == {name: of[name] for name in last.members}
    rows = outcome.hunt._accounts.rows
    assert rows["exchanges"].sum() == len(outcome.hunt._ledger)


def test_what_two_findings_that_turn_out_to_be_one_had_told_is_told_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the evidence on both together would not be enough: the second is taken back in that moment."""
    world = _world(1, fixed)
    opened = START - 3 * DAY_S
    others = [world.account(f"other-{n}", opened=opened, payment=f"theirs-{n % 4}") for n in range(40)]
    for number, at in world.by_turns(len(others), 18):
        world.ask(others[number], at, ("another text", 24))
    hunt = run(in_order(world)).hunt
    first, second = sorted(hunt.findings.values(), key=lambda finding: finding.found_at)

    def one_campaign(suspects: Suspects, *_: object) -> list[Named]:
        suspects.merge(suspects[first.id], suspects[second.id])
        return []

    monkeypatch.setattr(hunt_module, "who_belongs", one_campaign)
    (told,) = hunt.judge(_END)
    assert told.id == first.id
    assert told.members.keys() == first.members.keys() | second.members.keys()
    assert told.templates == (*first.templates, *second.templates)
    assert list(hunt.findings) == [first.id]


def test_what_was_told_by_a_clock_that_was_ahead_is_told_again_once_it_is_right(world: World) -> None:
    """Otherwise what gateways know of a campaign ends while it goes on."""
    events = in_order(world)
    hunt = _tell(events[:4000])
    (before,) = hunt.findings.values()
    for first, leap in ((4000, 400 * DAY_S), (4100, 0.0)):
        hunt.see(events[first : first + 100])
        (told,) = hunt.judge(events[first + 99].at + leap)
        assert (told.id, told.updated_at) == (before.id, events[first + 99].at + leap)


@pytest.mark.parametrize("leap", [-400 * DAY_S, -3 * HOUR_S, 3 * HOUR_S, 8 * DAY_S, 400 * DAY_S])
def test_a_clock_that_leaps_for_a_moment_loses_no_finding_and_stops_nothing(world: World, leap: float) -> None:
    events = in_order(world)
    hunt = _tell(events[:4000])
    found = _members(hunt)
    assert found
    hunt.judge(events[3999].at + leap)
    assert {
        finding_id: set(found[finding_id]) <= members for finding_id, members in _members(hunt).items()
    } == dict.fromkeys(found, True)
    hunt.see(events[4000:])
    hunt.judge(_END)
    assert set().union(*_members(hunt).values()) == world.guilty


@pytest.mark.parametrize("at", [0.0, 1e6, START + 400 * DAY_S, 1e12, 9e18])
def test_an_exchange_by_a_wrong_clock_ends_nothing(world: World, plain: Hunt, at: float) -> None:
    events = in_order(world)
    strange = [event._replace(at=at + n) for n, event in enumerate(events[:40])]
    strange += [event._replace(at=at) for event in events if event.account in world.guilty][:1]
    hunt = _tell(events[:3000])
    hunt.see(strange)
    hunt.judge(START + 1.5 * DAY_S)
    hunt.see(events[3000:])
    hunt.judge(_END)
    assert set().union(*_members(hunt).values()) == world.guilty == set().union(*_members(plain).values())


def test_what_is_older_than_every_window_is_forgotten_and_an_empty_hunt_goes_on() -> None:
    world = _world()
    hunt = _tell(in_order(world))
    newcomer = replace_at(world.events[0], START + 30 * DAY_S)
    hunt.see([newcomer])
    assert hunt.judge(START + 30 * DAY_S) == []
    assert (len(hunt._accounts), len(hunt._ledger), len(hunt._postings.pairs)) == (1, 1, 0)
    assert hunt.findings == {}
    assert Hunt(TERMS).judge(START) == []


@pytest.mark.parametrize("agent", ["", "gateway"])
def test_where_all_have_one_client_or_tell_none_a_campaign_is_found_by_the_rest(world: World, agent: str) -> None:
    hunt = _tell([event._replace(agent=agent) for event in in_order(world)])
    assert set().union(*_members(hunt).values()) == world.guilty


def test_a_finding_whose_exchanges_made_room_for_newer_ones_stays_and_stops_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hunt = _tell(in_order(world))
    found = _members(hunt)
    for module in (hunt_module, ledger_module):
        monkeypatch.setattr(module, "EXCHANGES_MOST", 2_000)
    later = [event._replace(at=_END + n, account=f"later-{n % 500}") for n, event in enumerate(world.events[:3_000])]
    hunt.see([event._replace(prints=event.prints[:0], links=(), peer="", prefix="") for event in later])
    assert len(hunt._ledger) <= 2_000
    hunt.judge(_END + HOUR_S)
    assert _members(hunt) == found


def replace_at(event: Event, at: float) -> Event:
    return event._replace(at=at, account="newcomer")


@pytest.mark.parametrize("small", [0, 100_000], ids=["looked at when they have grown", "looked at in each round"])
def test_without_terms_nothing_is_judged_and_other_terms_take_effect(
    world: World, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    monkeypatch.setattr(looks_module, "_SMALL", small)
    hunt = Hunt(())
    hunt.see(in_order(world))
    assert hunt.judge(_END) == []
    hunt.adopt([TERMS[0]._replace(min_accounts=1000)])
    assert hunt.judge(_END) == []
    hunt.adopt(TERMS)
    assert [finding.rule for finding in hunt.judge(_END)] == ["extraction-campaign"]
    assert hunt.judge(_END + 60) == []


def _dismissed(world: World) -> tuple[Hunt, Finding]:
    hunt = _tell(in_order(world)[:4000])
    ((finding_id, finding),) = hunt.findings.items()
    hunt.dismiss(finding_id)
    return hunt, finding


@pytest.mark.parametrize("restored", [False, True])
def test_a_dismissed_finding_does_not_come_back_with_its_accounts_or_its_text(world: World, restored: bool) -> None:
    hunt, finding = _dismissed(world)
    if restored:
        hunt = Hunt.from_bytes(hunt.to_bytes(), TERMS)
    events = in_order(world)[4000:]
    # The same accounts with other text, and other accounts with the same text.
    rng = np.random.default_rng(1)
    others = {name: rng.integers(1, 2**63, 64).astype(np.uint64) for name in ("x",)}
    moved = [
        event._replace(prints=np.union1d(others["x"], event.prints[:2]))
        for event in events
        if event.account in finding.members
    ]
    hunt.see(moved)
    assert hunt.judge(_END) == []
    heirs = [
        event._replace(account=f"heir-{event.account}", tenant=f"heir-{event.tenant}", peer="", links=(), prefix="")
        for event in events
        if event.account in finding.members
    ]
    hunt.see(heirs)
    assert hunt.judge(_END + HOUR_S) == []
    assert hunt.findings == {}


@pytest.mark.parametrize("lasts_s", [2 * HOUR_S, DAY_S])
def test_while_it_goes_on_a_finding_is_told_again_before_its_flags_end(world: World, lasts_s: float) -> None:
    hunt = Hunt([TERMS[0]._replace(lasts_s=lasts_s)])
    told = run(in_order(world), hunt=hunt, every_s=HOUR_S / 4, until=_END).told
    assert len({finding.id for _, finding in told}) == 1
    times = [finding.updated_at for _, finding in told if finding.last_at < _END - DAY_S / 2]
    assert max(later - earlier for earlier, later in pairwise(times)) <= min(lasts_s, 6.5 * HOUR_S)
    assert len(times) > 1


@pytest.mark.parametrize("lasts_s", [HOUR_S / 2, HOUR_S])
def test_a_large_finding_is_told_again_before_its_flags_end_however_little_it_grows(
    world: World, monkeypatch: pytest.MonkeyPatch, lasts_s: float
) -> None:
    monkeypatch.setattr(looks_module, "_SMALL", 0)
    every_s = HOUR_S / 12
    hunt = Hunt([TERMS[0]._replace(lasts_s=lasts_s)])
    told = run(in_order(world), hunt=hunt, every_s=every_s).told
    times = [finding.updated_at for _, finding in told]
    assert max(later - earlier for earlier, later in pairwise(times)) <= lasts_s / 2 + 2 * every_s


def test_whoever_was_dismissed_is_not_named_again_for_what_most_others_do_as_well() -> None:
    world = _world(1, without_cards)  # 200 others have their card
    (told,) = run(in_order(world), every_s=_EVERY_S, until=_END).hunt.findings.values()
    hunt = Hunt(TERMS)
    hunt.excuse(replace(told, templates=()))  # it was told of another text
    assert run(in_order(world), hunt=hunt, every_s=_EVERY_S, until=_END).told == []


def test_whoever_was_dismissed_is_suspected_no_longer_for_what_was_no_finding_yet() -> None:
    events = in_order(_world(1, without_cards))
    (told,) = run(events, every_s=_EVERY_S, until=_END).hunt.findings.values()
    hunt, half = Hunt([TERMS[0]._replace(min_accounts=1_000)]), len(events) // 2
    assert run(events[:half], hunt=hunt, every_s=_EVERY_S).surest > 0.5
    hunt.excuse(replace(told, templates=()))
    assert run(events[half:], hunt=hunt, every_s=_EVERY_S, until=_END).surest < 0.5


@pytest.mark.parametrize("make", [fixed, varied, no_template], ids=lambda make: make.__name__)
def test_a_finding_that_is_not_known_any_more_is_excused_by_what_was_told_of_it(make: Callable[[World], None]) -> None:
    world = _world(1, make)
    told = run(in_order(world), every_s=_EVERY_S, until=_END).hunt.findings
    assert told
    hunt = Hunt(TERMS)
    for finding in told.values():
        hunt.excuse(finding)
    outcome = run(in_order(world), hunt=hunt, every_s=HOUR_S, until=_END)
    assert outcome.told == []


@pytest.mark.parametrize("restored", [False, True])
def test_to_ask_again_makes_nobody_surer_of_the_few_that_were_chosen_among_many(restored: bool) -> None:
    world = World(2, days=1)
    ordinary(world)
    for n in range(100):  # chained by buildings and a dealer; sixteen are about as new and as busy as each other
        opened = START - 12 * DAY_S * float(1 + world.rng.random() / 6) if n < 16 else None
        dealer = "dealer" if n % 3 == 0 else ""
        who = world.account(f"neighbour-{n}", opened=opened, peer=f"building-{n // 2 % 25}", payment=dealer)
        for at in world.by_day(6 if n < 16 else world.rng.lognormal(0.8, 1.0), who.zone_h):
            world.ask(who, at, (f"neighbour-{n}", 8))
    hunt = Hunt(TERMS)
    hunt.see(in_order(world))
    for minute in range(8):
        hunt.judge(START + DAY_S + 60 * minute)
        if restored:
            hunt = Hunt.from_bytes(hunt.to_bytes(), TERMS)
        assert hunt.findings == {}
    (group,) = hunt._suspects
    assert len(group.core) >= TERMS[0].min_accounts


def test_to_dismiss_or_confirm_what_is_no_finding_is_a_key_error(world: World) -> None:
    hunt, finding = _dismissed(world)
    for decide in (hunt.dismiss, hunt.confirm):
        with pytest.raises(KeyError):
            decide(finding.id)


@pytest.mark.parametrize("restored", [False, True])
def test_a_confirmed_finding_stays_when_its_accounts_are_long_gone(world: World, plain: Hunt, restored: bool) -> None:
    hunt = Hunt.from_bytes(plain.to_bytes(), TERMS)
    ((finding_id, finding),) = hunt.findings.items()
    hunt.confirm(finding_id)
    for day in (30, 60):
        hunt.see([replace_at(world.events[0], START + day * DAY_S)])
        hunt.judge(START + day * DAY_S)
        if restored:
            hunt = Hunt.from_bytes(hunt.to_bytes(), TERMS)
    assert hunt.findings == {finding_id: finding}


def test_a_flood_of_accounts_stays_within_bounds_and_drives_no_campaign_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hunt_module, "ACCOUNTS_MOST", 2_000)
    monkeypatch.setattr(hunt_module, "PAIRS_MOST", 60_000)
    monkeypatch.setattr(postings_module, "PAIRS_MOST", 60_000)
    events = in_order(world)
    hunt = _tell(events[:3000])
    base = world.events[0]
    rng = np.random.default_rng(1)
    same = rng.integers(1, 2**63, 40).astype(np.uint64)
    most = [0, 0]
    for n in range(20):
        hunt.see(
            [
                base._replace(
                    account=f"flood-{n}-{m}", tenant=f"flood-{n}-{m}", at=events[2999].at + n + m / 1000, prints=same
                )
                for m in range(500)
            ]
        )
        most = [max(most[0], len(hunt._accounts)), max(most[1], len(hunt._postings.pairs))]
    assert most[0] <= 1.1 * 2_000 + 500
    assert most[1] <= 1.1 * 60_000 + 500 * 40
    hunt.see(events[3000:])
    hunt.judge(_END)
    named = set().union(*_members(hunt).values())
    assert len(named & world.guilty) > 0.9 * len(world.guilty)
    assert not {name for name in named if name.startswith("flood")}


def test_accounts_that_connect_from_ever_new_addresses_take_bounded_room_and_hide_no_campaign(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (hunt_module, links_module):
        monkeypatch.setattr(module, "LINKS_MOST", 6_000)
    events = in_order(world)
    moving = [
        one if one.account in world.guilty else one._replace(peer=f"peer-{n}", prefix=f"net-{n}")
        for n, one in enumerate(events)
    ]
    hunt, most = Hunt(TERMS), 0
    for start in range(0, len(moving), 500):
        hunt.see(moving[start : start + 500])
        most = max(most, len(hunt._links.pairs))
    assert 6_000 < most <= 1.1 * 6_000 + 500 * 3
    hunt.judge(_END)
    named = set().union(*_members(hunt).values())
    assert named <= world.guilty
    assert len(named) > 0.9 * len(world.guilty)


def test_a_finding_meets_a_stricter_rule_only_once_it_is_so_sure_and_keeps_its_own_until_then() -> None:
    world = _world(1, two_batches)
    strict = TERMS[0]._replace(rule="strict", min_confidence=0.999)
    told = run(in_order(world), hunt=Hunt((strict, *TERMS))).told
    assert {finding.rule for _, finding in told} == {TERMS[0].rule}
    assert len(told) > 2
    assert max(finding.confidence for _, finding in told) < 0.999


@pytest.mark.parametrize(
    ("going", "anew", "met"),
    [
        (None, 0.99, "strict"),
        (None, 0.96, "lenient"),
        (None, 0.9, None),
        (Going("lenient", 0.6, confirmed=False), 0.9, "lenient"),
        (Going("lenient", 0.6, confirmed=False), 0.99, "strict"),
        (Going("strict", 0.6, confirmed=False), 0.9, "strict"),
        (Going("strict", 0.4, confirmed=False), 0.9, None),
        (Going("strict", 0.4, confirmed=False), 0.96, "lenient"),
        (Going("lenient", 0.1, confirmed=True), 0.1, "lenient"),
        (Going("gone", 0.9, confirmed=False), 0.9, None),
        (Going("gone", 0.9, confirmed=False), 0.96, "lenient"),
        (Going("gone", 0.1, confirmed=True), 0.1, "strict"),
    ],
)
def test_the_first_rule_is_met_by_what_is_new_and_its_own_by_what_goes_on(
    going: Going | None, anew: float, met: str | None
) -> None:
    entries = [TERMS[0]._replace(rule="strict", min_confidence=0.98), TERMS[0]._replace(rule="lenient")]
    assert first_met(entries, 10, 8, going, lambda: anew) == met
    assert first_met(entries, 9, 8, going, lambda: anew) is None
    assert first_met(entries, 10, 7, going, lambda: anew) is None
