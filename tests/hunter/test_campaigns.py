"""Whole hunts over a small deployment: campaigns are found with their accounts, and honest look-alikes come out clean."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from zlib import crc32

import numpy as np
import pytest

from bench.weighing import hunted
from proxy.exchange import Text
from proxy.fingerprint.winnow import Fingerprinter, Prints
from proxy.hunter.event import Asked
from proxy.keyed.link_names import LinkNames
from tests.hunter.campaigns import (
    AMONG_HONEST_USERS,
    CAMPAIGNS,
    REASONING,
    answered_from_the_ladder,
    arriving,
    asked_again,
    at_full_hours,
    balanced,
    bought,
    fixed,
    followed_up,
    from_a_collection,
    growing_pool,
    half_hidden,
    in_four_hours,
    in_many_languages,
    judges_of_two_months,
    no_template,
    opened_for_it,
    relieved,
    rotating,
    small_pool,
    two_texts,
    unevenly_pooled,
    varied,
    victim,
)
from tests.hunter.look_alikes import (
    AT_ONCE,
    LOOK_ALIKES,
    OCCASIONS,
    add_on,
    announced,
    branches,
    feed,
    free_days,
    graders,
    halls,
    joining,
    launch,
    outage,
    regions,
    resellers,
    set_up,
    timers,
    trials,
)
from tests.hunter.traffic import DAY_S, HOUR_S, PLAIN, START, TERMS, Outcome, World, in_order, ordinary, piece, run

# What is never in a finding has to hold for any seed; of the guilty some are missed where only links join them.
_RECALL = 0.9
_SURE = 0.9  # honest look-alikes stay below
_LIKELY = 0.5  # a finding grows as long as it is more likely than not


def _world(make: Callable[[World], None], seed: int = 1, asked: Asked = PLAIN, days: float = 2) -> World:
    world = World(seed, days)
    ordinary(world)
    world.asked = asked
    make(world)
    return world


def _hunted(
    make: Callable[[World], None], seed: int, asked: Asked = PLAIN, *, days: float = 2, every_h: float = 3
) -> Outcome:
    world = _world(make, seed, asked, days)
    return run(in_order(world), world.guilty, every_s=every_h * HOUR_S)


def _is_found(outcome: Outcome) -> None:
    """Check that the campaign was found, and nobody else."""
    assert outcome.recall >= _RECALL
    assert outcome.innocent == set()


def _is_clean(outcome: Outcome) -> None:
    """Check that nobody was named, nor nearly."""
    assert outcome.innocent == set()
    assert outcome.surest < _SURE


@pytest.mark.parametrize("make", CAMPAIGNS, ids=lambda make: make.__name__)
def test_a_campaign_is_found_with_its_accounts_and_nobody_else(make: Callable[[World], None]) -> None:
    outcome = _hunted(make, 1)
    _is_found(outcome)
    _is_sound(outcome)


@pytest.mark.parametrize(("make", "most"), AMONG_HONEST_USERS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_campaign_is_told_from_the_honest_users_of_its_text(make: Callable[[World], None], most: int) -> None:
    outcome = _hunted(make, 1)
    assert outcome.recall >= _RECALL
    assert len(outcome.innocent) <= most
    _is_sound(outcome)


def test_where_dates_tell_hardly_anything_hardly_anybody_innocent_is_named() -> None:
    outcome = _hunted(judges_of_two_months, 1)
    assert len(outcome.innocent) <= 5


@pytest.mark.parametrize("make", [*LOOK_ALIKES, *AT_ONCE], ids=lambda make: make.__name__)
def test_honest_traffic_comes_out_clean(make: Callable[[World], None]) -> None:
    assert _hunted(make, 1).innocent == set()


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("sent", [1.0, 0.5])
def test_a_small_course_comes_out_clean_while_each_has_done_two_exercises_or_three(seed: int, sent: float) -> None:
    assert hunted(halls, PLAIN, (0.5, sent), seed).members == {}


@pytest.mark.parametrize("seed", [1, 2])
def test_whom_the_same_servers_call_for_comes_out_clean_while_it_is_open_how_evenly_they_send(seed: int) -> None:
    assert _hunted(add_on, seed).innocent == set()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_chain_whose_regions_pay_comes_out_clean_although_it_is_open_at_first_how_evenly_it_sends(seed: int) -> None:
    assert _hunted(regions, seed, every_h=1).innocent == set()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_those_who_looked_once_come_out_clean_beside_the_few_whose_jobs_go_on_evenly(seed: int) -> None:
    assert _hunted(announced, seed).innocent == set()


@pytest.mark.parametrize("make", OCCASIONS, ids=lambda make: make.__name__)
def test_an_occasion_comes_out_clean_whatever_its_prompt_asks_for(make: Callable[[World], None]) -> None:
    assert _hunted(make, 1, REASONING).innocent == set()


@pytest.mark.parametrize("seed", [1, 3])
def test_what_accounts_did_before_the_window_hides_nothing_that_they_do_now(seed: int) -> None:
    outcome = _hunted(bought, seed, days=27, every_h=12)
    assert outcome.recall > 0.5  # in the window most of what they sent is what people sent
    assert outcome.innocent == set()


@pytest.mark.parametrize("seed", [1, 3])
def test_accounts_that_arrive_one_by_one_are_found_although_the_first_have_sent_much_more(seed: int) -> None:
    _is_found(_hunted(arriving, seed, days=7, every_h=12))


@pytest.mark.parametrize("seed", [1, 2])
def test_who_goes_on_with_ever_new_talks_by_a_few_questions_works_through_no_list(seed: int) -> None:
    _is_found(_hunted(asked_again, seed))


@pytest.mark.parametrize("seed", [1, 2])
def test_questions_that_chance_deals_out_are_no_list_however_few_they_are(seed: int) -> None:
    _is_found(_hunted(small_pool, seed))


@pytest.mark.parametrize("seed", [1, 2])
def test_who_press_the_same_few_buttons_by_day_are_not_named_however_often_they_do(seed: int) -> None:
    def kiosks(world: World) -> None:
        for n in range(60):
            who = world.account(f"kiosk-{n}", opened=START - 5 * DAY_S, agent="sdk-b", peer=f"museum-{n % 4}")
            for at in world.by_day(40, 1):
                world.ask(who, at, ("kiosk", 18), question=f"button-{world.rng.integers(6)}")

    assert _hunted(kiosks, seed).innocent == set()


@pytest.mark.parametrize("seed", [1, 2])
def test_to_act_at_the_same_moments_day_after_day_hides_nobody_who_asks_for_what_campaigns_seek(seed: int) -> None:
    _is_found(_hunted(at_full_hours, seed))


@pytest.mark.parametrize("make", [feed, outage], ids=lambda make: make.__name__)
def test_one_evening_or_incident_accuses_nobody_whatever_the_prompt_asks_for(make: Callable[[World], None]) -> None:
    assert _hunted(make, 1, REASONING).innocent == set()


@pytest.mark.parametrize("seed", [1, 2])
def test_who_hides_behind_other_work_belongs_to_those_who_do_not(seed: int) -> None:
    _is_found(_hunted(half_hidden, seed))


@pytest.mark.parametrize("seed", [1, 2])
def test_accounts_that_were_opened_when_their_work_began_are_named_as_soon_as_it_goes_on(seed: int) -> None:
    outcome = _hunted(opened_for_it, seed)
    _is_found(outcome)
    assert outcome.told[0][0] <= START + 9 * HOUR_S


@pytest.mark.parametrize(
    ("make", "asked"),
    [(in_four_hours, REASONING), (partial(in_four_hours, proxies=10), PLAIN), (partial(in_four_hours, each=40), PLAIN)],
    ids=["for reasoning", "by ten proxies", "forty times each"],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_no_few_hours_are_a_workshop_in_which_new_accounts_do_what_no_guest_does(
    make: Callable[[World], None], asked: Asked, seed: int
) -> None:
    outcome = _hunted(make, seed, asked, every_h=1)
    _is_found(outcome)
    assert outcome.told[0][0] <= START + 4 * HOUR_S


@pytest.mark.parametrize("first", [True, False])
def test_a_template_before_or_behind_long_material_is_known_again(*, first: bool) -> None:
    world, maker = World(1), Fingerprinter(b"k" * 32)
    ordinary(world)
    honest = len(world.events)
    fixed(world)
    words = ["".join(map(chr, world.rng.integers(97, 123, 7))) for _ in range(5_000)]

    def prompt(template: str) -> Prints:
        texts = [template, " ".join(world.rng.choice(words, 2_500))][:: 1 if first else -1]
        return maker.of([Text("user", f"messages[{n}].content", text) for n, text in enumerate(texts)])

    template = " ".join(world.rng.choice(words, 125))
    for place in range(honest, len(world.events)):
        prints = prompt(template)
        world.events[place] = world.events[place]._replace(prints=prints.sample, question=prints.question)
    (finding,) = run(in_order(world), world.guilty, every_s=3 * HOUR_S).hunt.findings.values()
    (known,) = finding.templates
    assert len(set(known.prints) & set(prompt(template).every.tolist())) >= known.least
    assert not set(known.prints) & set(prompt("").every.tolist())


@pytest.mark.parametrize(("seed", "every_h"), [(1, 8), (2, 8), (1, 3), (2, 1)])
def test_accounts_that_relieve_each_other_day_by_day_are_found_by_what_all_ask_for(seed: int, every_h: float) -> None:
    outcome = _hunted(relieved, seed, days=6, every_h=every_h)
    _is_found(outcome)
    _is_sound(outcome)


@pytest.mark.parametrize("seed", [1, 2])
def test_accounts_that_work_half_a_day_each_are_named_though_none_comes_back(seed: int) -> None:
    outcome = _hunted(rotating, seed, days=4)
    _is_found(outcome)
    _is_sound(outcome)


@pytest.mark.parametrize("agent", ["", "diary"])
def test_people_who_come_one_by_one_come_out_clean(agent: str) -> None:
    _is_clean(_hunted(lambda world: joining(world, agent), 1, days=7, every_h=12))


def test_who_tries_a_product_for_a_day_and_leaves_comes_out_clean() -> None:
    assert _hunted(free_days, 1, days=4, every_h=2).innocent == set()


def test_who_tries_a_prompt_in_one_sitting_and_comes_back_now_and_then_comes_out_clean() -> None:
    _is_clean(_hunted(trials, 1, days=5, every_h=12))


def test_those_who_send_a_victims_prompt_are_named_and_the_victims_are_spared() -> None:
    outcome = _hunted(victim, 2)
    (finding,) = outcome.hunt.findings.values()
    assert finding.members.keys() == outcome.guilty
    assert len([name for name in finding.reach.spared if name.startswith("victim-")]) > 15
    assert not finding.reach.spared & finding.members.keys()


def test_what_two_texts_and_one_pool_have_in_common_is_told_as_one_campaign() -> None:
    outcome = _hunted(two_texts, 1)
    assert len({finding.id for _, finding in outcome.told}) == 1
    assert outcome.recall >= _RECALL


def test_questions_of_a_public_collection_are_no_part_of_a_template() -> None:
    (finding,) = _hunted(from_a_collection, 1).hunt.findings.values()
    (template,) = finding.templates
    assert set(template.prints) == set(piece("around", 24))


def test_a_campaigns_prompt_is_known_in_whichever_of_many_languages_it_comes_next() -> None:
    outcome = _hunted(in_many_languages, 1)
    assert outcome.recall >= _RECALL
    (finding,) = outcome.hunt.findings.values()
    (template,) = finding.templates
    known = set(template.prints)
    assert all(len(known & set(piece(f"language-{n}", 60))) >= template.least for n in range(30))


@pytest.mark.parametrize("seed", [1, 2])
def test_whose_answers_are_cut_belongs_to_those_whose_answers_were_not(seed: int) -> None:
    world = World(seed, days=3)
    ordinary(world)
    followed_up(world)
    outcome = run(in_order(world), world.guilty)
    assert outcome.recall >= _RECALL
    assert outcome.innocent == set()


@pytest.mark.parametrize("seed", [1, 2])
def test_whose_short_answers_are_answered_from_the_ladder_belongs_to_nobody_whose_answers_are_cut(seed: int) -> None:
    outcome = _hunted(answered_from_the_ladder, seed, days=3)
    assert outcome.recall >= _RECALL
    assert outcome.innocent == set()


def test_all_addresses_are_known_among_which_accounts_move_with_each_request() -> None:
    outcome = _hunted(balanced, 1)
    assert outcome.recall >= _RECALL
    (finding,) = outcome.hunt.findings.values()
    assert finding.reach.shared["peer"] == {f"proxy-{n}" for n in range(30)}
    assert finding.reach.shared["peer_prefix"] == {f"net-{n}" for n in range(30)}


def _with_countries(world: World, countries: int) -> World:
    world.events = [
        event._replace(links=(*event.links, ("country", f"country-{crc32(event.account.encode()) % countries}")))
        for event in world.events
    ]
    return world


@pytest.mark.parametrize("countries", [1, 4, 40])
@pytest.mark.parametrize("make", [no_template, growing_pool], ids=lambda make: make.__name__)
def test_what_nearly_all_have_in_common_hides_no_pool(make: Callable[[World], None], countries: int) -> None:
    world = _with_countries(_world(make), countries)
    _is_found(run(in_order(world), world.guilty, every_s=3 * HOUR_S))


@pytest.mark.parametrize("make", [set_up, timers], ids=lambda make: make.__name__)
def test_what_nearly_all_have_in_common_accuses_nobody(make: Callable[[World], None]) -> None:
    _is_clean(run(in_order(_with_countries(_world(make), 30)), every_s=3 * HOUR_S))


@pytest.mark.parametrize("dated", [0, 5])
def test_where_hardly_any_opening_is_known_besides_those_of_one_tool_nobody_is_new(dated: int) -> None:
    world = World(1)
    ordinary(world)
    before = sorted({event.account for event in world.events})[dated:]
    world.events = [event._replace(opened=0.0) if event.account in before else event for event in world.events]
    timers(world)
    _is_clean(run(in_order(world), every_s=3 * HOUR_S))


def _with_domains(world: World, part: float, of: set[str]) -> None:
    """Give each of these accounts a mail domain: so many have theirs with one of four that half of the world is with."""
    bounds = np.array([0.6, 0.8, 0.92, 1.0]) * part
    for place, event in enumerate(world.events):
        if event.account in of:
            at = np.searchsorted(bounds, crc32(event.account.encode()) % 1000 / 1000, side="right")
            domain = f"of-many-{at}" if at < len(bounds) else f"own-{event.tenant}"
            world.events[place] = event._replace(links=(*event.links, ("domain", domain)))


@pytest.mark.parametrize("make", [launch, set_up, graders, halls, timers], ids=lambda make: make.__name__)
def test_what_many_have_is_no_pool_of_those_of_whom_nearly_all_have_it(make: Callable[[World], None]) -> None:
    world = World(1)
    ordinary(world)
    before = {event.account for event in world.events}
    make(world)
    _with_domains(world, 0.6, before)
    _with_domains(world, 0.95, {event.account for event in world.events} - before)
    _is_clean(run(in_order(world), every_s=3 * HOUR_S))


@pytest.mark.parametrize("one_in", [0, 20])
@pytest.mark.parametrize("make", [unevenly_pooled, no_template], ids=lambda make: make.__name__)
def test_a_pool_of_what_hardly_any_other_has_is_no_custom_of_all(make: Callable[[World], None], one_in: int) -> None:
    world = World(1)
    ordinary(world)
    paying = {event.account for event in world.events if one_in and crc32(event.account.encode()) % one_in == 0}
    make(world)
    paying |= world.guilty
    events = [event if event.account in paying else event._replace(links=()) for event in in_order(world)]
    _is_found(run(events, world.guilty, every_s=3 * HOUR_S))


def test_cards_of_those_who_send_the_same_text_are_no_custom_before_all_are_known() -> None:
    world = World(1)
    ordinary(world)
    unevenly_pooled(world, within_days=400, cards=12)
    events = [event if event.account in world.guilty else event._replace(links=()) for event in in_order(world)]
    _is_found(run(events, world.guilty, every_s=3 * HOUR_S))


@pytest.mark.parametrize("make", [graders, resellers, branches], ids=lambda make: make.__name__)
def test_the_users_of_one_tool_come_out_clean_in_whatever_version_they_have_it(make: Callable[[World], None]) -> None:
    world, names = World(1), LinkNames(b"k" * 32)
    ordinary(world)
    make(world)
    world.events = [
        event._replace(agent=names.client(f"{event.agent}/1.{crc32(event.account.encode()) % 4}"))
        for event in world.events
    ]
    _is_clean(run(in_order(world), every_s=3 * HOUR_S))


def test_two_campaigns_are_not_one_for_having_accounts_in_the_same_countries() -> None:
    world, other = World(1), World(2)
    ordinary(world)
    fixed(world)
    varied(other)
    world.events += [
        event._replace(account=f"other-{event.account}", tenant=f"other-{event.tenant}", peer="", prefix="", links=())
        for event in other.events
    ]
    findings = run(in_order(_with_countries(world, 12)), every_s=3 * HOUR_S).hunt.findings.values()
    assert sorted(len(finding.members) for finding in findings) == [60, 80]


def test_what_was_given_is_what_was_delivered() -> None:
    world = _world(fixed)
    events = [
        event._replace(output_tokens=100, reasoning_tokens=40, delivered=number % 2 == 0)
        for number, event in enumerate(in_order(world))
    ]
    [finding] = run(events, world.guilty).hunt.findings.values()
    exposure = finding.exposure
    assert 0.4 < exposure.delivered / exposure.exchanges < 0.6
    assert exposure.output_tokens == pytest.approx(100 * exposure.delivered, abs=60)
    assert exposure.reasoning_tokens == pytest.approx(40 * exposure.delivered, abs=30)


def _is_sound(outcome: Outcome) -> None:
    """Check what holds of every finding that was ever told."""
    findings = outcome.hunt.findings
    members = [name for finding in findings.values() for name in finding.members]
    assert len(members) == len(set(members))
    first = {finding.id: finding for _, finding in reversed(outcome.told)}
    assert all(finding.confidence >= TERMS[0].min_confidence for finding in first.values())
    for at, finding in outcome.told:
        assert finding.updated_at == at
        assert finding.found_at <= at
        assert START <= finding.first_at <= finding.last_at <= at
        assert finding.confidence >= _LIKELY
        assert 0 < finding.exposure.delivered <= finding.exposure.exchanges
        assert finding.exposure.prompts <= finding.exposure.delivered
        assert sum(finding.hours) >= finding.exposure.exchanges
        assert all(1 <= member.exchanges <= member.of for member in finding.members.values())
        assert len({template.id for template in finding.templates}) == len(finding.templates)
