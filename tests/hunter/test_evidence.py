"""Evidence, membership and the first look, on tables small enough to be checked by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from proxy.hunter.accounts import WISHES, Accounts
from proxy.hunter.background import AGE_BINS, Background, background
from proxy.hunter.candidates import _held, candidates_of
from proxy.hunter.case import Case
from proxy.hunter.chance import SUSPICIOUS, Floats, excess, excess_of, ways_to_choose
from proxy.hunter.dealing import mostly_dealt
from proxy.hunter.event import Asked, Event
from proxy.hunter.evidence import PRIOR, TOGETHER_MOST, certainty, confidence, sought, weigh
from proxy.hunter.families import age, even_volume, fresh_payloads, rhythm, text
from proxy.hunter.finding import Evidence
from proxy.hunter.ids import Numbers
from proxy.hunter.ledger import Ledger
from proxy.hunter.links import Links
from proxy.hunter.membership import LEAST, VOLUME, Tie, judge_members
from proxy.hunter.mixture import unlike_users
from proxy.hunter.pieces import (
    asked_again,
    at_once,
    drawn,
    exchanges_in_a_sitting,
    have_served,
    one_list,
    one_session,
    rest_apart,
)
from proxy.hunter.pools import pools
from proxy.hunter.postings import Postings
from proxy.hunter.suspicions import Told, _aged, suspicious_links, suspicious_prints
from tests.hunter.events import event

_NOW = 1_790_000_000.0
_DAY_S = 86_400.0
_HONEST, _MEMBERS = 200, 20


class _Scene:
    """Honest accounts of two years and members of last week; `changes` says what else is told of a member."""

    def __init__(self, changes: Callable[[int], dict[str, Any]] | None = None, *, each: int = 10) -> None:
        rng = np.random.default_rng(1)
        self.accounts, self.links, self.ledger, self.postings = Accounts(), Links(), Ledger(), Postings()
        events: list[Event] = []
        for n in range(_HONEST):
            opened = _NOW - _DAY_S * (8 + 3.5 * n)
            for _ in range(1 + int(rng.lognormal(1, 1))):
                hour = float(rng.choice([*range(8, 20)]))
                events.append(
                    self._one(
                        f"h{n}",
                        opened,
                        _NOW - _DAY_S * (2 + rng.integers(2)) + 3600 * (hour + rng.random()),
                        len(events),
                    )
                )
        for n in range(_MEMBERS):
            told = {"each": each, **(changes(n) if changes else {})}
            for _ in range(told.pop("each")):
                at = _NOW - _DAY_S * (1 + 2 * rng.random())
                events.append(self._one(f"m{n}", _NOW - _DAY_S * (2 + n / 4), at, len(events))._replace(**told))
        numbers = self.accounts.see(events)
        self.ledger.see(events, numbers)
        self.links.see(events, numbers)
        self.members = np.array([self.accounts.number(f"m{n}") for n in range(_MEMBERS)], np.int32)
        suspected = np.zeros(len(self.accounts), np.bool_)
        suspected[self.members] = True
        self.usual = background(self.accounts, self.links, self.ledger, suspected, _NOW)

    @staticmethod
    def _one(name: str, opened: float, at: float, question: int) -> Event:
        return event(
            name, tenant=name, opened=opened, at=at, peer=f"p-{name}", prefix=f"n-{name}", agent=name[:1] + name[-1],
            links=(("payment", f"c-{name}"),), asked=Asked(), output_tokens=100, question=question + 1,
        )  # fmt: skip

    def case(self, *, has_text: bool = True, pool: int = _MEMBERS, outsiders: float = 0.01) -> Case:
        uses = self.accounts.rows["exchanges"][self.members].astype(np.float64)
        mine = np.isin(self.ledger.rows["account"], self.members)
        rows = {name: column[mine] for name, column in self.ledger.rows.arrays().items()}
        return Case(
            self.members,
            self.members,
            uses,
            uses,
            has_text,
            self.members,
            uses,
            pool,
            outsiders,
            rows,
            self.accounts,
            self.usual,
        )


def _only(found: list[Evidence]) -> Evidence:
    (entry,) = found
    return entry


def test_openings_are_weighed_against_how_many_ordinary_accounts_were_opened_then() -> None:
    entry = _only(age(_Scene().case()))
    assert entry.numbers["inside"] == entry.numbers["of"] == _MEMBERS
    assert entry.numbers["usual"] < 0.05
    assert "20 of 20 accounts were opened between" in entry.sentence


def test_who_sends_what_a_campaign_sends_is_accused_of_nothing_and_no_yardstick() -> None:
    scene = _Scene()
    suspected = np.zeros(len(scene.accounts), np.bool_)
    members = ~scene.usual.ordinary
    usual = background(scene.accounts, scene.links, scene.ledger, suspected, _NOW, members)
    assert usual.ordinary.all()
    assert (usual.yardstick == ~members).all()
    assert usual.linked == scene.usual.linked
    assert usual.log_output == scene.usual.log_output
    assert usual.hours.tolist() == scene.usual.hours.tolist()
    assert (usual.ages_before == scene.usual.ages_before).all()
    everybody = background(scene.accounts, scene.links, scene.ledger, suspected, _NOW, ~suspected)
    assert everybody.yardstick.all(), "of somebody it has to be taken"


def test_accounts_that_moved_here_on_one_day_were_not_opened_together() -> None:
    scene = _Scene()
    scene.accounts.rows["opened"][:] = _NOW - 40 * _DAY_S
    scene.accounts.rows["opened"][:5] = _NOW - 90 * _DAY_S
    scene.accounts.restore(scene.accounts.arrays())
    scene.usual = background(scene.accounts, scene.links, scene.ledger, ~scene.usual.ordinary, _NOW)
    assert age(scene.case()) == []


def test_whoever_is_left_beside_a_large_campaign_was_not_opened_together() -> None:
    scene = _Scene()
    others = np.flatnonzero(scene.usual.ordinary).astype(np.int32)[: _HONEST // 2 * 2 : 2]
    case = scene.case()
    aside = Case(
        others,
        others,
        np.ones(len(others)),
        np.ones(len(others)),
        True,
        others,
        np.ones(len(others)),
        len(others),
        0.5,
        case.rows,
        scene.accounts,
        scene.usual,
    )
    assert age(aside) == []


@pytest.mark.parametrize("known", [0, 9, 20])
def test_openings_that_mostly_nobody_knows_say_nothing(known: int) -> None:
    scene = _Scene(lambda n: {} if n < known else {"opened": 0.0})
    assert bool(age(scene.case())) == (known > 10)


def _proxies(n: int) -> dict[str, Any]:
    return {"peer": f"of-{n % 4}", "prefix": f"net-{n % 4}"}


@pytest.mark.parametrize(
    ("shared", "families"),
    [
        (lambda _: {}, set()),
        (lambda _: {"links": (("payment", "one"),)}, {"one card"}),
        (lambda n: {"links": (("payment", f"of-{n % 4}"),)}, {"payment"}),
        (lambda _: {"peer": "one", "prefix": "net"}, {"one place"}),
        (lambda n: {"peer": f"of-{n % 4}", "prefix": "net"}, {"one place"}),
        (_proxies, {"peer"}),
        (lambda n: _proxies(n) | {"links": (("payment", "one"),)}, {"one place", "one card"}),
        (lambda n: _proxies(n) | {"links": (("payment", "one" if n < 12 else f"c-{n}"),)}, {"peer", "one card"}),
        (lambda n: {"tenant": "one", "peer": f"of-{n % 4}", "links": (("payment", "one"),)}, set()),
    ],
    ids=["nothing", "a card", "cards", "an address", "an office's addresses", "proxies",
         "one payer of all", "one payer of some", "one customer"],
)  # fmt: skip
def test_what_strangers_share_is_a_pool_or_one_place_or_card(
    shared: Callable[[int], dict[str, Any]], families: set[str]
) -> None:
    assert {entry.family for entry in pools(_Scene(shared).case())} == families


def test_users_of_one_text_who_share_an_address_may_be_colleagues_however_rare_that_is() -> None:
    def told(sharing: int) -> Callable[[int], dict[str, Any]]:
        return lambda n: {"peer": f"of-{n // 2}", "prefix": f"net-{n // 2}"} if n < sharing else {}

    assert pools(_Scene(told(4)).case()) == []
    assert _only(pools(_Scene(told(12)).case())).weight == pytest.approx(float(excess(12, _MEMBERS, 0.2)))


def _chain(cards: int) -> Callable[[int], dict[str, Any]]:
    """Return what makes members share four addresses, and so many of them, in pairs, cards as well."""

    def told(n: int) -> dict[str, Any]:
        card = f"pair-{n // 2}" if n < cards else f"own-{n}"
        return {"peer": f"of-{n % 4}", "prefix": f"net-{n % 4}", "links": (("payment", card),)}

    return told


@pytest.mark.parametrize(
    ("cards", "hits"), [(0, 0), (4, 0), (12, 12), (20, 20)], ids=["no card", "a few cards", "many cards", "all cards"]
)
def test_of_accounts_found_by_what_they_share_only_what_they_share_besides_counts(cards: int, hits: int) -> None:
    chain, *found = pools(_Scene(_chain(cards)).case(has_text=False))
    assert (chain.family, chain.weight) == ("peer", 0.0)
    assert (
        chain.sentence
        == "20 of 20 tenants share their address, 4 values in all: they were found by that, so it does not count."
    )
    assert [(entry.family, entry.numbers["shared"], entry.numbers["of"]) for entry in found] == (
        [("payment", hits, _MEMBERS)] if hits else []
    )
    for entry in found:
        assert entry.weight == pytest.approx(float(excess(hits, _MEMBERS, 0.2)))
        assert f"{hits} of 20 tenants that share their address with others also share their payment" in entry.sentence


def test_one_card_or_one_place_besides_is_no_pool() -> None:
    def card(n: int) -> dict[str, Any]:
        return {"peer": f"of-{n % 4}", "prefix": f"net-{n % 4}", "links": (("payment", "one"),)}

    def place(n: int) -> dict[str, Any]:  # and somebody at home, so that cards are what most share
        peer = f"of-{n % 4}" if n else "home"
        return {"peer": peer, "prefix": "net" if n else "home", "links": (("payment", f"of-{n % 5}"),)}

    assert [entry.family for entry in pools(_Scene(card).case(has_text=False))] == ["one place", "one card"]
    assert [entry.family for entry in pools(_Scene(place).case(has_text=False))] == ["payment", "one place"]
    assert pools(_Scene().case(has_text=False)) == []


@pytest.mark.parametrize(("asking", "most"), [(20, 3.0), (10, 1.5), (5, 0.75)])
def test_what_is_asked_for_counts_by_how_many_ask_for_it(asking: int, most: float) -> None:
    scene = _Scene(lambda n: {"asked": Asked(rubric_grading=0.9 if n < asking else 0.0)})
    entry = next(entry for entry in weigh(scene.case()) if entry.family == "rubric_grading")
    assert entry.numbers["asking"] == asking
    assert entry.weight == pytest.approx(most)


@pytest.mark.parametrize(("with_text", "most"), [(6, 3.0), (20, 0.0)])
def test_what_the_text_asks_for_counts_whatever_else_they_send(with_text: int, most: float) -> None:
    scene = _Scene(each=20)
    scene.accounts.rows["wishes"][scene.members, WISHES.index("rubric_grading")] = 6
    case = replace(scene.case(), repeated=np.full(_MEMBERS, float(with_text)))
    assert sum(entry.weight for entry in weigh(case) if entry.family == "rubric_grading") == pytest.approx(most)


def test_who_sends_no_text_in_common_asks_in_half_of_all_or_it_is_nothing() -> None:
    scene = _Scene(each=20)
    scene.accounts.rows["wishes"][scene.members, WISHES.index("rubric_grading")] = 9
    families = [entry.family for entry in weigh(scene.case(has_text=False))]
    assert "rubric_grading" not in families


def test_what_a_part_is_asked_for_is_weighed_against_how_many_ask_as_large_a_part() -> None:
    scene = _Scene(each=20)
    ordinary = np.flatnonzero(scene.usual.ordinary)
    rows = scene.accounts.rows
    rows["wishes"][ordinary, 0] = 0.3 * rows["exchanges"][ordinary]
    rows["wishes"][scene.members, 0] = 6
    scene.usual = background(scene.accounts, scene.links, scene.ledger, ~scene.usual.ordinary, _NOW)
    case = replace(scene.case(), repeated=np.full(_MEMBERS, 6.0))
    assert sum(entry.weight for entry in weigh(case) if entry.family == WISHES[0]) < 2.0


def test_even_work_speaks_for_and_uneven_use_against_a_campaign() -> None:
    assert _only(even_volume(_Scene(each=12).case())).weight > 5
    assert _only(even_volume(_Scene(lambda n: {"each": 1 + n * n // 4}).case())).weight < -5


def test_of_who_was_opened_later_less_is_even() -> None:
    scene = _Scene(lambda n: {"each": 1 + n * n // 4})
    case = scene.case()
    assert _only(even_volume(case)).weight < 0
    sent = case.sent / case.sent.max()
    scene.accounts.rows["opened"][scene.members] = case.ended - sent * (case.ended - case.began)
    entry = _only(even_volume(case))
    assert entry.weight > 3
    assert "evenly, as work dealt out by turns, for the time that each was open." in entry.sentence


def test_where_nobody_fits_but_by_volume_it_says_nothing() -> None:
    case = replace(_Scene(each=12).case(), alike=np.zeros(0, np.int32), sent=np.zeros(0))
    assert even_volume(case) == []
    assert "volume" not in {entry.family for entry in weigh(case)}


def test_whoever_works_through_one_list_is_even_by_that() -> None:
    scene = _Scene(each=12)
    case = scene.case()
    for account in scene.members.tolist():
        case.rows["question"][case.rows["account"] == account] = np.arange(1, 13)
    assert even_volume(case) == []
    for place, account in enumerate(scene.members.tolist()):  # dealt out: each question is asked by two
        case.rows["question"][case.rows["account"] == account] = np.arange(1, 13) + 12 * (place // 2)
    assert _only(even_volume(case)).weight > 5


def test_a_list_of_few_questions_is_one_from_its_beginning_and_a_few_questions_among_many_texts_are_none() -> None:
    case = _Scene(each=12).case()
    case.rows["question"][:] = 1 + np.arange(len(case.rows["question"])) % (_MEMBERS // 2)
    assert even_volume(case) == []
    case.rows["question"][len(case.rows["question"]) // 3 :] = 0  # nothing but the text
    assert _only(even_volume(case)).weight > 5


def test_a_list_is_one_from_its_beginning_only_if_what_is_asked_was_asked_earlier_and_is_again() -> None:
    case = _Scene(each=3).case()
    in_time = np.argsort(case.rows["at"])
    case.rows["question"][in_time] = 1 + np.arange(3 * _MEMBERS) % _MEMBERS
    assert one_list(case)
    case.rows["question"][in_time] = 1 + np.arange(3 * _MEMBERS) // 3  # each is sampled three times, and no more
    assert not one_list(case)
    case.rows["question"][in_time] = 1 + np.arange(3 * _MEMBERS) % (_MEMBERS + 1)  # enough to give each one of his own
    assert not one_list(case)


def test_chance_deals_out_questions_where_each_comes_back_to_one_and_then_goes_on_to_new_ones() -> None:
    case = _Scene(each=24).case()
    rows, order = case.rows, np.lexsort((case.rows["at"], case.rows["account"]))
    rows["question"][order] = 1 + np.tile([*range(12), *range(12)], _MEMBERS)
    assert one_list(case)
    assert not drawn(case), "through it a second time"
    rows["question"][order] = 1 + np.tile(np.arange(24) // 2, _MEMBERS)
    assert not drawn(case), "two tries of each"
    rows["question"][order] = 1 + np.tile([0, 1, 0, 1, 2, *range(2, 21)], _MEMBERS)
    assert not drawn(case), "once in a while"
    rows["question"][order] = 1 + np.tile([0, 1, 2, *range(21)], _MEMBERS)
    assert not drawn(case), "a false start"
    for pool in (24, 12, 6):
        rows["question"][order] = 1 + np.random.default_rng(1).integers(pool, size=len(order))
        assert drawn(case), "as chance has it"
    case = _Scene(each=120).case()
    case.rows["question"][:] = 1 + np.random.default_rng(1).integers(20, size=len(case.rows["question"]))
    assert drawn(case), "as chance has it, for long after each was asked everything"


def test_a_few_prompts_that_are_the_same_again_and_again_stay_those_of_a_pool_however_often_each_asks_one() -> None:
    case = _Scene(each=60).case()
    rows, rng = case.rows, np.random.default_rng(1)
    rows["question"][:] = 1 + rng.integers(6, size=len(rows["question"]))
    assert not one_list(case)
    rows["input"][:] = 100 + rows["question"]
    assert asked_again(case)
    assert _only(even_volume(case)).numbers["drawn"] == 1
    rows["input"][:] = rng.integers(100, 900, size=len(rows["input"]))
    assert not asked_again(case), "ever new material before a few questions"
    assert _only(even_volume(case)).numbers["drawn"] == 0
    rows["input"][:] = 0
    assert not asked_again(case), "denied, so that nobody knows how long each was"
    rows["input"][:] = 100
    rows["question"][:] = np.arange(1, len(rows["question"]) + 1)
    assert not asked_again(case)
    rows["question"][:] = 0
    assert not asked_again(case), "no questions"


def test_in_which_order_exchanges_of_one_moment_are_told_says_nothing_of_chance() -> None:
    case = _Scene(each=24).case()
    rows, order = case.rows, np.argsort(case.rows["account"], kind="stable")
    rows["at"][order] = _NOW - _DAY_S + 600 * np.tile(np.arange(24) // 2, _MEMBERS)
    there_and_back = 3 * np.repeat(np.arange(6), 4) + np.tile([0, 1, 0, 2], 6)
    found = []
    for told in (there_and_back, there_and_back.reshape(6, 4)[:, [1, 0, 0, 3]].ravel()):
        rows["question"][order] = 1 + np.tile(told, _MEMBERS)
        found.append(drawn(case))
    assert found[0] == found[1]


def test_whose_questions_chance_deals_out_is_even_by_one_hand_only_if_seen_to_work_on() -> None:
    case = _Scene(each=24).case()
    case.rows["question"][:] = 1 + np.random.default_rng(1).integers(24, size=len(case.rows["question"]))
    assert _of("volume", weigh(case)) > 4, "they work on at night"
    hours = case.rows["at"] % _DAY_S // 3600
    case.rows["at"][:] -= (hours - 9 - hours % 8) * 3600  # from nine to five
    assert _of("volume", weigh(case)) == 0
    assert ": evenly, as may happen where chance draws the questions from one pool, for" in _told("volume", weigh(case))


def test_whoever_sits_as_long_as_others_is_even_by_that() -> None:
    scene = _Scene(each=12)
    case = scene.case()
    for account in scene.members.tolist():
        case.rows["at"][case.rows["account"] == account] = _NOW - _DAY_S + 100 * np.arange(12)
    assert even_volume(case) == [], "one sitting of each"
    assert (exchanges_in_a_sitting(case) == 12).all()
    for account in scene.members.tolist():
        case.rows["at"][case.rows["account"] == account] = _NOW - _DAY_S + 500 * np.arange(12)
    assert (exchanges_in_a_sitting(case) == 12 / 4).all(), "an hour and a half are more than one"
    for account in scene.members.tolist():
        case.rows["at"][case.rows["account"] == account] = _NOW - _DAY_S + 700 * np.arange(12)
    assert (exchanges_in_a_sitting(case) == 1).all()
    assert _only(even_volume(case)).weight > 5


def test_each_sits_down_as_often_as_he_does_however_much_he_sends_then() -> None:
    scene = _Scene(each=24)
    case = scene.case()
    for place, account in enumerate(scene.members.tolist()):
        again = place * place // 20  # come back so many times, of all that they ask
        moments = np.append(10 * np.arange(24 - again), 10_000 + 3_000 * np.arange(again))
        case.rows["at"][case.rows["account"] == account] = _NOW - _DAY_S + moments
    assert exchanges_in_a_sitting(case)[[0, 10, -1]].tolist() == [24, 24 / 6, 24 / 19]
    assert [entry.weight for entry in even_volume(case) if entry.weight > 0] == []
    gone = replace(case, alike=np.append(case.alike, 0).astype(np.int32))  # whose exchanges are not held
    assert 24 / 19 < exchanges_in_a_sitting(gone)[-1] < 24


def _at_hours(case: Case, hours: Callable[[int], range], apart_s: float = 170.0) -> None:
    """Let each member be active on two days, once in each of these hours, and have asked so often."""
    for place, account in enumerate(case.members.tolist()):
        rows = case.rows["account"] == account
        moments = [_NOW - _DAY_S * day + 3600.0 * hour + apart_s * place for day in (2, 1) for hour in hours(place)]
        case.rows["at"][rows] = moments[: int(rows.sum())]


def test_who_rests_at_hours_of_his_own_is_not_even_by_one_hand() -> None:
    case = _Scene(each=24).case()
    _at_hours(case, lambda place: range(7 * place, 7 * place + 12))
    assert rest_apart(case) > 20
    assert _of("volume", weigh(case)) == 0
    assert ": evenly, but each at its own hours." in _told("volume", weigh(case))
    mixed = replace(case, uses=case.uses / 2)
    assert rest_apart(mixed) == 0, "what else they send may be of other hours"
    assert _of("volume", weigh(mixed)) > 4


@pytest.mark.parametrize("hours", [range(9, 21), range(0, 24, 2)], ids=["by day", "at all hours"])
def test_who_goes_by_one_rhythm_does_not_rest_apart(hours: range) -> None:
    case = _Scene(each=24).case()
    _at_hours(case, lambda _: hours)
    assert rest_apart(case) < 0
    assert _of("volume", weigh(case)) > 4
    nobody = replace(case, rows={name: column[:0] for name, column in case.rows.items()})
    assert rest_apart(nobody) == pytest.approx(0, abs=1e-9)


def test_who_never_comes_back_does_not_rest() -> None:
    case = _Scene(each=12).case()
    turn = 12 * 3600.0
    moments = [_NOW + turn * (5 * place // _MEMBERS - 5 + n / 12) for place in range(_MEMBERS) for n in range(12)]
    order = np.argsort(case.rows["account"], kind="stable")
    case.rows["at"][order] = moments
    accounts = case.accounts.rows
    accounts["first"][case.members], accounts["opened"][case.members] = _NOW - 3 * _DAY_S, _NOW - 5 * _DAY_S
    assert rest_apart(case) == 0, "each works for half a day, and then the next ones do"
    early = case.rows["at"] < _NOW - 3 * turn
    first_day = replace(case, rows={name: column[early] for name, column in case.rows.items()})
    assert rest_apart(first_day) > 10, "whether they come back is yet to be seen"
    accounts["opened"][case.members] = _NOW - 3 * _DAY_S - 3600.0
    assert rest_apart(case) > 10, "each comes by himself, as soon as he has an account"


def test_who_has_just_begun_has_yet_to_send_what_others_did() -> None:
    case = _Scene(each=12).case()
    rows = case.accounts.rows
    first, last, half = rows["first"][case.members], rows["last"][case.members], _MEMBERS // 2
    rows["first"][case.members], rows["last"][case.members] = _NOW - _DAY_S, _NOW - _DAY_S / 2
    rows["first"][case.members[half:]] = rows["last"][case.members[half:]] = _NOW
    assert have_served(case).tolist() == [place < half for place in range(_MEMBERS)]
    just_begun = replace(case, sent=np.where(have_served(case), case.sent, 1.0))
    entry = _only(even_volume(just_begun))
    assert entry.weight > 4
    assert entry.sentence.startswith(
        f"Those that did not begin lately send {just_begun.sent[:half].mean():.1f} exchanges"
    )
    rows["first"][case.members], rows["last"][case.members] = first, last
    assert have_served(case).all(), "hardly any was there for as long as it takes"
    assert _only(even_volume(just_begun)).weight < 0


@pytest.mark.parametrize(
    ("apart_s", "part", "counts"),
    [(0, 1.0, False), (0, 0.6, False), (0, 0.4, True), (170, 1.0, True)],
    ids=["all they do", "most of it", "less than half", "each at a minute of his own"],
)
def test_who_all_act_at_the_same_few_moments_are_not_even_by_one_hand(
    apart_s: float, part: float, *, counts: bool
) -> None:
    case = _Scene(each=24).case()
    _at_hours(case, lambda _: range(0, 24, 2), apart_s)
    at, rng = case.rows["at"], np.random.default_rng(1)
    at += np.where(rng.random(len(at)) < part, 0, 7200 * rng.random(len(at)))
    assert at_once(case) is not counts
    evidence = weigh(case)
    assert (_of("volume", evidence) > 4) is counts
    if not counts:
        assert ": evenly, but all at the same time." in _told("volume", evidence)
        pooled = [*evidence, Evidence("payment", 4.0, "", {})]
        assert confidence(pooled) - certainty(pooled) > 0.01, "it stays open whether they send as people do"


@pytest.mark.parametrize(
    ("hours", "waited_h", "more", "each", "counts"),
    [
        (5, 20, 0, 16, False),
        (5, 20, 10, 16, False),
        (5, 20, 60, 16, True),
        (6, 20, 0, 16, True),
        (5, 30, 0, 16, True),
        (5, 20, 0, 17, True),
    ],
    ids=["in five hours", "a little later", "some go on", "in six hours", "accounts of before", "more than a recipe"],
)
def test_who_open_accounts_for_a_few_hours_are_not_even_by_one_hand(
    hours: int, waited_h: int, more: int, each: int, *, counts: bool
) -> None:
    case = _Scene(each=each).case()
    rows, at = case.accounts.rows, case.rows["at"]
    at[:] = _NOW - _DAY_S + 3600 * hours * np.random.default_rng(1).random(len(at))
    at[:more] = _NOW
    rows["first"][case.members] = _NOW - _DAY_S
    rows["opened"][case.members] = _NOW - _DAY_S - 3600 * waited_h
    assert one_session(case) is not counts
    evidence = weigh(case)
    assert (_of("volume", evidence) > 2) is counts
    if not counts:
        assert ": evenly, but all at the same time" in _told("volume", evidence)
    assert not one_session(replace(case, rows={name: column[:0] for name, column in case.rows.items()}))


def test_whoever_works_at_all_times_does_nothing_at_once() -> None:
    case = _Scene(each=24).case()
    each = np.arange(len(case.rows["at"]))
    case.rows["at"][:] = _NOW - _DAY_S + 600 * (each % 24) + 25 * (each // 24)
    assert not at_once(case), "half of them are active in all moments that there are"
    case.rows["at"][:] = _NOW - 2 * _DAY_S + _DAY_S * (each // 12 % 2) + 600 * (each % 12) + 25 * (each // 24)
    assert not at_once(case), "half of them are active in two hours of each day, and work on in these"
    assert not at_once(replace(case, rows={name: column[:0] for name, column in case.rows.items()}))


def test_who_uses_one_tool_by_day_is_even_for_its_sake() -> None:
    scene = _Scene(lambda _: {"agent": "tool"}, each=24)
    case = scene.case()
    assert _of("volume", weigh(case)) > 4, "they work on at night"
    hours = case.rows["at"] % _DAY_S // 3600
    case.rows["at"][:] -= (hours - 9 - hours % 8) * 3600  # from nine to five
    assert _of("volume", weigh(case)) == 0
    assert ": evenly, as users of one tool may, for" in _told("volume", weigh(case))
    agents = scene.accounts.rows["agent"]
    agents[:100] = agents[scene.members[0]]
    assert _of("volume", weigh(case)) > 4, "many others use that client"


@pytest.mark.parametrize(("hours", "counts"), [(20, False), (30, True)])
def test_users_of_one_tool_do_not_work_on_at_night_before_a_day_was_seen(hours: int, counts: bool) -> None:
    case = _Scene(lambda _: {"agent": "tool"}, each=24).case()
    before = case.rows["at"].max() - case.rows["at"]
    case.rows["at"][:] += before * (1 - hours * 3600 / before.max())
    assert (_of("volume", weigh(case)) > 4) == counts


def _of(family: str, evidence: list[Evidence]) -> float:
    return sum(entry.weight for entry in evidence if entry.family == family)


def _told(family: str, evidence: list[Evidence]) -> str:
    return next(entry.sentence for entry in evidence if entry.family == family)


def test_what_counts_nothing_does_not_say_that_work_was_dealt_out() -> None:
    once = _Scene(each=1).case()
    assert _told("volume", weigh(once)) == "They send 1.0 exchanges each, give or take 0.0: too few to tell how evenly."
    chosen = _Scene(each=12).case(pool=10_000)
    chosen.accounts.rows["opened"][chosen.members] = _NOW - _DAY_S * np.linspace(10, 600, _MEMBERS)
    evidence = weigh(chosen)
    assert _of("volume", evidence) == 0
    assert "evenly, as is any group that was chosen for being alike." in _told("volume", evidence)


def test_work_around_the_clock_speaks_for_a_campaign_where_people_sleep() -> None:
    entry = _only(rhythm(_Scene(each=60).case()))
    assert entry.weight > 1
    assert "at all hours alike" in entry.sentence


def test_that_nearly_all_rest_in_an_hour_that_has_only_begun_says_nothing() -> None:
    case = _Scene(each=60).case()
    hours = np.full(len(case.usual.hours) + 1, 100.0)  # nobody rests here
    last = 3600.0 * (case.usual.first_hour + len(hours) - 1)
    rows = {name: np.append(column[case.rows["at"] < last], column[:1]) for name, column in case.rows.items()}
    rows["at"][-1], hours[-1] = last, 6.0
    entry = _only(rhythm(replace(case, rows=rows, usual=replace(case.usual, hours=hours))))
    assert entry.weight == pytest.approx(0, abs=1)


def test_before_an_account_is_opened_it_does_not_rest() -> None:
    scene = _Scene(each=60)
    case, opened = scene.case(), scene.accounts.rows["opened"]
    opened[scene.members] = case.ended - _DAY_S * (0.1 + np.arange(len(scene.members)) / len(scene.members))
    held = case.rows["at"] >= opened[case.rows["account"]]
    late = replace(case, rows={name: column[held] for name, column in case.rows.items()})
    entry = _only(rhythm(late))
    assert entry.weight > 0
    assert "at all hours alike" in entry.sentence
    opened[scene.members] = case.began - _DAY_S
    assert [entry.weight for entry in rhythm(late) if entry.weight > 0] == []


def test_few_hours_have_no_rhythm() -> None:
    scene = _Scene()
    case = scene.case()
    case.rows["at"][:] = _NOW - _DAY_S
    assert rhythm(case) == []


def test_text_weighs_by_how_much_of_it_there_is_and_how_few_others_have_it() -> None:
    scene = _Scene()
    assert _only(text(scene.case(outsiders=0.01))).weight == pytest.approx(_MEMBERS * math.log(100))
    assert text(scene.case(has_text=False)) == []


def test_questions_asked_once_only_are_noted_and_repeated_ones_are_not() -> None:
    case = _Scene().case()
    assert _only(fresh_payloads(case)).numbers["fresh"] == 1
    case.rows["question"][: len(case.rows["question"]) // 2] = 7
    assert fresh_payloads(case) == []


@pytest.mark.parametrize("wish", WISHES)
def test_what_most_of_them_ask_for_is_named(wish: str) -> None:
    score: Any = "x" if wish == "identity_claim" else True if wish == "logprobs" else 0.9
    found = weigh(_Scene(lambda _: {"asked": Asked(**{wish: score})}).case())
    assert [entry.family for entry in found if entry.family in WISHES] == [wish]
    assert sought(found) != sought([])


def test_the_clearest_wish_counts_in_full_and_the_others_for_a_quarter() -> None:
    scene = _Scene(lambda _: {"asked": Asked(trace_elicitation=0.9, rubric_grading=0.9, logprobs=True)})
    weights = sorted(entry.weight for entry in weigh(scene.case()) if entry.family in WISHES)
    assert weights == [0.75, 0.75, 3.0]


@pytest.mark.parametrize("kinds", [1, 2, 7])
def test_an_honest_program_is_not_accused_for_how_many_things_its_one_text_asks_for(kinds: int) -> None:
    of_program = {"text": 4.0, "client": 2.0, "output": 2.0, "payload": 1.0, "volume": 5.0, "rhythm": 4.0}
    asked = [3.0, *[0.75] * (kinds - 1)]
    weights = {**of_program, **dict(zip(WISHES, asked, strict=False))}
    found = [Evidence(family, weight, "", {}) for family, weight in weights.items()]
    assert confidence(found) == confidence(found[: len(of_program) + 1]) < 0.9


def test_every_family_is_capped_and_one_alone_makes_no_finding() -> None:
    everything = _Scene(
        lambda n: {"peer": f"of-{n % 4}", "links": (("payment", f"of-{n % 4}"), ("sign_up", f"of-{n % 4}")), "agent": "one",
                   "asked": Asked(trace_elicitation=0.9), "output_tokens": 5000},
        each=30,
    )  # fmt: skip
    found = weigh(everything.case())
    assert confidence(found) > 0.999
    assert all(abs(entry.weight) <= 6 for entry in found)
    assert all(confidence([entry]) < 0.01 for entry in found)


_OCCASION = ("text", "age", "client", "one place", "one card", "output", "payload")
_PROGRAM = ("text", "client", "output", "payload", "volume", "rhythm")


@pytest.mark.parametrize("families", [_OCCASION, _PROGRAM], ids=["an occasion", "a program"])
def test_what_one_occasion_or_one_program_explains_makes_no_finding(families: Sequence[str]) -> None:
    together = [Evidence(family, 6.0, "", {}) for family in families]
    assert confidence(together) == pytest.approx(1 / (1 + math.exp(-PRIOR - TOGETHER_MOST)))
    assert confidence(together) < 0.3


@pytest.mark.parametrize(
    ("weights", "counted"),
    [
        ({"text": 4, "client": 2, "age": 6}, 11),
        ({"text": 4, "client": 2, "age": 5, "volume": 5}, 16),
        ({"text": 4, "client": 4, "age": 5, "volume": 5}, 16),
        ({"text": 4, "client": 4, "age": 6, "volume": 9}, 17),
        ({"text": 4, "age": 6, "volume": -2}, 8),
        ({"text": 4, "client": 4, "age": 6, "volume": -2}, 9),
        ({"text": 4, "age": 6, "payment": 5}, 15),
        ({"text": 4, "age": 6, "peer": 6}, 15),
        ({"text": 4, "age": 7, "peer": 6}, 15),
        ({"text": 4, "age": 6, "peer": 6, "volume": 2}, 17),
        ({"text": 4, "age": 6, "peer": 6, "volume": 3}, 19),
        ({"text": 4, "age": 6, "peer": 5, "payment": 5}, 20),
        ({"text": 4, "age": 6, "peer": 6, "payment": 2}, 18),
        ({"text": 4, "age": 6, "peer": 6, "payment": 0.1}, 15.2),
        ({"text": 4, "age": 6, "peer": 6, "payment": 0.0}, 15),
    ],
)
def test_what_occasion_and_program_explain_both_counts_once(weights: dict[str, float], counted: float) -> None:
    evidence = [Evidence(family, weight, "", {}) for family, weight in weights.items()]
    assert confidence(evidence) == pytest.approx(1 / (1 + math.exp(-PRIOR - counted)))


@pytest.mark.parametrize(
    ("others", "volume", "held_back"), [(0.0, 0, 3), (0.0, 5, 3), (0.0, 6, 0), (0.0, -2, 1), (0.0, -4, 0), (0.3, 6, 0)]
)
def test_users_of_one_tool_are_accused_once_it_shows_how_evenly_they_send(
    others: float, volume: float, held_back: float
) -> None:
    client = Evidence("client", 2.0, "", {"same": 20, "of": 20, "others": others})
    weights = {"text": 4.0, "age": 6.0, "payment": 6.0}
    evidence = [client, *(Evidence(family, weight, "", {}) for family, weight in weights.items())]
    evidence.append(Evidence("volume", volume if others else min(0.0, volume), "", {"even": volume}))
    sure, odds = certainty(evidence), math.log(confidence(evidence) / (1 - confidence(evidence)))
    assert math.log(sure / (1 - sure)) == pytest.approx(odds - held_back)


@pytest.mark.parametrize(
    ("pool", "volume", "held_back"),
    [
        ("one place", 0, 3),
        ("one place", 2, 1),
        ("one place", -2, 1),
        ("one place", 4, 0),
        ("peer", 0, 3),
        ("peer", 1, 2),
        ("payment", 0, 5.1),
        ("payment", -2, 3.1),
        ("payment", 6, 0),
        ("sign-up", 0, 5.1),
    ],
)
def test_nobody_is_accused_at_once_before_it_shows_how_evenly_they_send(
    pool: str, volume: float, held_back: float
) -> None:
    weights = {"text": 4.0, "age": 6.0, pool: 3.0}
    evidence = [Evidence(family, weight, "", {}) for family, weight in weights.items()]
    evidence.append(Evidence("volume", volume, "", {"even": volume}))
    sure, odds = certainty(evidence), math.log(confidence(evidence) / (1 - confidence(evidence)))
    assert math.log(sure / (1 - sure)) == pytest.approx(odds - held_back)


@pytest.mark.parametrize(
    ("pool", "besides", "held_back"),
    [
        ("peer", "", 3),
        ("peer", "payment", 1),
        ("peer", "rubric_grading", 1),
        ("payment", "", 5.1),
        ("payment", "one place", 5.1),
        ("payment", "sign-up", 1),
        ("payment", "rubric_grading", 1),
    ],
)
def test_one_pool_alone_is_nothing_by_which_to_accuse_sooner(pool: str, besides: str, held_back: float) -> None:
    weights = {"text": 4.0, "age": 6.0, pool: 3.0, **({besides: 2.0} if besides else {})}
    evidence = [Evidence(family, weight, "", {}) for family, weight in weights.items()]
    sure, odds = certainty(evidence), math.log(confidence(evidence) / (1 - confidence(evidence)))
    assert math.log(sure / (1 - sure)) == pytest.approx(odds - held_back)


@pytest.mark.parametrize(("pooled", "counts"), [(0.0, 0), (0.3, 0), (2.0, 0), (2.5, 0.4), (6.0, 3.9)])
def test_who_shares_a_few_cards_is_accused_no_later_than_who_shares_nothing(pooled: float, counts: float) -> None:
    evidence = [Evidence(family, weight, "", {}) for family, weight in (("text", 4.0), ("age", 6.0))]
    cards = Evidence("payment", pooled, "", {})
    sure, without = (math.log(said / (1 - said)) for said in map(certainty, ([*evidence, cards], evidence)))
    assert sure == pytest.approx(without + counts)


@pytest.mark.parametrize(("hours", "volume", "counts"), [(12, -4, 0), (12, 0, 4), (12, 1, 4), (30, -4, 4)])
def test_of_whom_a_day_was_not_seen_and_who_send_unevenly_it_accuses_nobody_that_they_were_awake(
    hours: int, volume: float, counts: float
) -> None:
    weights = {"text": 4.0, "age": 6.0, "payment": 2.0, "volume": volume}
    evidence = [Evidence(family, weight, "", {"even": volume}) for family, weight in weights.items()]
    awake = Evidence("rhythm", 4.0, "", {"hours": hours, "rests": 0.0})
    sure, without = (math.log(said / (1 - said)) for said in map(certainty, ([*evidence, awake], evidence)))
    assert sure == pytest.approx(without + counts)


@pytest.mark.parametrize(("others", "of"), [(0, 20), (10, 30), (40, 20)])
def test_who_sends_the_text_and_does_not_fit_counts_where_most_who_send_it_are_members(others: int, of: int) -> None:
    scene = _Scene(lambda n: {"opened": _NOW - _DAY_S * (10 + 4 * n)})
    case = scene.case()
    strangers = np.flatnonzero(scene.usual.ordinary)[:others].astype(np.int32)
    case = replace(case, users=np.sort(np.concatenate([case.members, strangers])))
    assert _only(age(case)).numbers["of"] == of


@pytest.mark.parametrize("new", [20, 12, 8])
def test_how_far_a_family_counts_goes_by_how_many_it_is_true_of(new: int) -> None:
    scene = _Scene(lambda n: {} if n < new else {"opened": _NOW - _DAY_S * (30 + 30 * n)})
    entry = next(entry for entry in weigh(scene.case()) if entry.family == "age")
    assert entry.numbers["true_of"] == pytest.approx(new / _MEMBERS, abs=0.08)
    assert entry.weight == pytest.approx(6 * entry.numbers["true_of"])


def test_confidence_of_any_sum_is_between_nothing_and_certainty() -> None:
    for weight in (-1e6, -800.0, 0.0, 40.0):
        assert 0 <= confidence([Evidence("volume", weight, "", {})]) <= 1


def test_what_the_choice_of_members_explains_is_taken_off() -> None:
    scene = _Scene(each=12)
    alone, chosen = weigh(scene.case()), weigh(scene.case(pool=10_000))
    assert ways_to_choose(10_000, _MEMBERS) > 100
    assert confidence(chosen) < confidence(alone)
    assert {entry.family for entry in chosen} < {entry.family for entry in alone}


def _judged(scene: _Scene, users: Numbers, core: Numbers | None = None) -> tuple[Floats, list[Tie]]:
    uses = scene.accounts.rows["exchanges"][users].astype(np.float64)
    candidates = candidates_of(users, uses, scene.accounts, scene.usual)
    return judge_members(candidates, scene.members if core is None else core)


def test_answers_to_other_work_do_not_speak_against_who_sends_that_besides() -> None:
    scene = _Scene(lambda n: {"output_tokens": 540 if n % 4 == 3 else 3_000})  # of both, or of the text
    mixed = np.arange(_MEMBERS) % 4 == 3
    exchanges = scene.accounts.rows["exchanges"][scene.members].astype(np.float64)
    said: list[float] = []
    for uses in (exchanges, np.where(mixed, exchanges / 2, exchanges)):
        candidates = candidates_of(scene.members, uses, scene.accounts, scene.usual)
        _, ties = judge_members(candidates, scene.members[~mixed])
        said += [float(tie.weights[mixed].mean()) for tie in ties if tie.trait == "output"]
    alone, besides = said
    assert alone < 0 < besides


def test_members_are_told_from_honest_users_of_the_same_text() -> None:
    scene = _Scene(lambda n: {"peer": f"of-{n % 4}", "agent": "one"}, each=12)
    honest = np.flatnonzero(scene.usual.ordinary).astype(np.int32)[:60]
    candidates = np.sort(np.concatenate([honest, scene.members]))
    uses = scene.accounts.rows["exchanges"][candidates].astype(np.float64)
    fits, ties = judge_members(candidates_of(candidates, uses, scene.accounts, scene.usual), scene.members)
    assert candidates[fits >= LEAST].tolist() == scene.members.tolist()
    assert {tie.trait for tie in ties} >= {"age", "peer", "payment", "client", "output", VOLUME, "text"}
    assert np.allclose(sum(tie.weights for tie in ties), fits)


def _apart(scene: _Scene, users: Numbers) -> Floats:
    uses = scene.accounts.rows["exchanges"][users].astype(np.float64)
    candidates = candidates_of(users, uses, scene.accounts, scene.usual)
    assert candidates.text is not None
    return unlike_users(candidates, candidates.text, np.isin(users, scene.members))


def test_the_more_others_use_a_text_the_less_it_says_of_who_belongs() -> None:
    scene = _Scene(lambda n: {"peer": f"of-{n % 4}", "agent": "one"}, each=12)
    honest = np.flatnonzero(scene.usual.ordinary).astype(np.int32)
    alone, among_few, among_many = (
        float(np.median(_apart(scene, np.concatenate([honest[:others], scene.members]))[others:]))
        for others in (0, 20, 100)
    )
    assert alone > among_few + 2
    assert among_few > among_many + 1
    assert among_many >= LEAST


def test_what_other_users_of_the_text_have_as_well_joins_nobody() -> None:
    scene = _Scene(lambda n: {"peer": f"of-{n % 4}"}, each=12)
    honest = np.flatnonzero(scene.usual.ordinary).astype(np.int32)[:60]
    rows = scene.accounts.rows
    users = np.concatenate([honest, scene.members])
    rows["agent"][users] = rows["agent"][scene.members[0]]
    rows["log_output"][users] = rows["exchanges"][users] * math.log(5_000)
    assert users[_apart(scene, users) >= LEAST].tolist() == scene.members.tolist()


def test_a_batch_that_is_not_yet_in_the_core_belongs_by_what_it_has_in_common() -> None:
    scene = _Scene(lambda _: {"agent": "one", "output_tokens": 2000}, each=12)
    batch = scene.members[10:]
    scene.usual.ages[batch] = 40
    scene.usual.ages[scene.members[:10]] = AGE_BINS - 1
    fits, _ = _judged(scene, scene.members, core=scene.members[:10])
    assert (fits >= LEAST).all()


def test_where_nobody_fits_there_is_no_tie() -> None:
    scene = _Scene()
    honest = np.flatnonzero(scene.usual.ordinary).astype(np.int32)[::9]
    fits, ties = _judged(scene, honest, core=honest)
    assert (fits.tolist(), ties) == ([0.0] * len(honest), [])


def test_nobody_belongs_to_a_core_that_is_not_among_the_candidates() -> None:
    scene = _Scene()
    candidates = candidates_of(scene.members[:5], None, scene.accounts, scene.usual)
    fits, ties = judge_members(candidates, scene.members[5:])
    assert (fits.tolist(), ties) == ([0.0] * 5, [])


def _post(scene: _Scene, prints: dict[int, np.ndarray[Any, Any]]) -> None:
    tenants = scene.accounts.rows["tenant"]
    for key, users in prints.items():
        scene.postings.see(
            np.full(len(users), key, np.uint64), users.astype(np.int32), np.full(len(users), _NOW), tenants
        )


def _nothing_told(scene: _Scene) -> Told:
    return Told(np.full(len(scene.accounts), -1, np.int32), np.zeros(len(scene.postings.prints), np.bool_))


def _dealt(scene: _Scene) -> set[int]:
    """Look at what is due, and return the prints that are taken for dealt out."""
    suspicious_prints(scene.postings, scene.accounts.rows["tenant"], scene.usual, _nothing_told(scene), 8)
    return set(scene.postings.print_keys()[scene.postings.prints["dealt"]].tolist())


def test_a_text_that_many_send_equally_often_is_dealt_out_and_its_users_are_no_yardstick() -> None:
    scene, rng = _Scene(), np.random.default_rng(1)
    workers, people = np.flatnonzero(scene.usual.ordinary)[:60], np.flatnonzero(scene.usual.ordinary)[60:120]
    scene.accounts.rows["exchanges"][workers] = 12
    _post(scene, {5: np.repeat(workers, rng.poisson(8, 60) + 1), 6: np.repeat(people, rng.geometric(0.12, 60))})
    assert _dealt(scene) == {5}
    mostly = mostly_dealt(scene.postings, scene.accounts)
    assert mostly[workers].sum() > 50
    assert mostly.sum() == mostly[workers].sum()
    usual = background(
        scene.accounts, scene.links, scene.ledger, np.zeros(len(mostly), np.bool_), _NOW, doubtful=mostly
    )
    assert not usual.yardstick[mostly].any()
    assert usual.ordinary.all(), "they are accused of nothing"


def test_of_a_dealt_out_text_one_print_is_noted_and_all_are_looked_at_again() -> None:
    scene = _Scene()
    workers = np.flatnonzero(scene.usual.ordinary)[:60]
    _post(scene, {key: np.repeat(workers, 8) for key in (5, 6, 7)})
    assert _dealt(scene) == {5}
    assert scene.postings.prints["asked_at"].tolist() == [0, 0, 0]
    assert _dealt(scene) == {5}
    assert (scene.postings.prints["asked_at"] == 60).all()


def test_a_text_that_came_to_be_sent_unevenly_is_dealt_out_no_more() -> None:
    scene = _Scene()
    workers = np.flatnonzero(scene.usual.ordinary)[:60]
    _post(scene, {5: np.repeat(workers, 8)})
    assert _dealt(scene) == {5}
    _post(scene, {5: np.repeat(workers[::4], 60)})
    assert _dealt(scene) == set()


def test_a_text_that_was_used_once_by_each_is_looked_at_again_when_it_is_used_more() -> None:
    scene = _Scene()
    workers = np.flatnonzero(scene.usual.ordinary)[:60]
    _post(scene, {5: workers})
    assert _dealt(scene) == set()
    for _ in range(7):
        _post(scene, {5: workers})
    assert _dealt(scene) == {5}


def test_a_print_of_new_accounts_is_suspicious_and_one_of_all_ages_is_not() -> None:
    scene = _Scene()
    mixed = np.flatnonzero(scene.usual.ordinary)[::10]
    _post(scene, {5: scene.members, 6: mixed, 7: scene.members[:7]})
    (found,) = suspicious_prints(scene.postings, scene.accounts.rows["tenant"], scene.usual, _nothing_told(scene), 8)
    assert found.key == 5
    assert set(found.accounts.tolist()) <= set(scene.members.tolist())
    assert found.part == len(found.accounts) / _MEMBERS


@pytest.mark.parametrize(("each", "asking", "found"), [(8, 0.9, {5, 6}), (8, 0.0, set()), (0, 0.9, set())])
def test_a_text_that_is_dealt_out_is_suspicious_by_what_it_asks_for(each: int, asking: float, found: set[int]) -> None:
    scene, rng = _Scene(), np.random.default_rng(1)
    old = np.flatnonzero(scene.usual.ordinary)[::4]
    scene.accounts.rows["wishes"][old, 0] = asking * scene.accounts.rows["exchanges"][old]
    scene.usual = background(scene.accounts, scene.links, scene.ledger, ~scene.usual.ordinary, _NOW)
    users = np.repeat(old, each or rng.geometric(0.12, len(old)))
    _post(scene, {5: users, 6: users, 7: np.concatenate([old[:5], np.flatnonzero(scene.usual.ordinary)[1:60:4]])})
    tenants = scene.accounts.rows["tenant"]
    for _ in range(2):  # that a text is dealt out is noted by one of its prints at first
        told = suspicious_prints(scene.postings, tenants, scene.usual, _nothing_told(scene), 8)
    assert {suspicion.key for suspicion in told} == found
    assert all(set(suspicion.accounts.tolist()) == set(old.tolist()) for suspicion in told)


@pytest.mark.parametrize(("asking", "again"), [(0.9, True), (0.0, False)])
def test_a_text_that_asks_for_what_tells_is_looked_at_again_when_it_is_used_an_eighth_more(
    asking: float, *, again: bool
) -> None:
    scene = _Scene()
    old = np.flatnonzero(scene.usual.ordinary)[::4]
    rows, half = scene.accounts.rows, len(old) // 2
    rows["wishes"][old, 0] = asking * rows["exchanges"][old]
    scene.usual = background(scene.accounts, scene.links, scene.ledger, ~scene.usual.ordinary, _NOW)
    _post(scene, {5: np.concatenate([np.repeat(old[:half], 24), old[half:]])})  # some are through, others begin
    looked_at: list[int] = []
    for _ in range(2):
        assert suspicious_prints(scene.postings, rows["tenant"], scene.usual, _nothing_told(scene), 8) == []
        looked_at.append(int(scene.postings.prints["asked_uses"][0]))
        _post(scene, {5: np.repeat(old[half:], 4)})
    assert (looked_at[0] != looked_at[1]) is again


@pytest.mark.parametrize(("less_than_half", "has_print", "news"), [(0, True, False), (2, True, True), (0, False, True)])
def test_what_joins_the_members_of_a_finding_by_a_print_that_it_has_is_no_news(
    less_than_half: int, *, has_print: bool, news: bool
) -> None:
    """Half of them are enough: who else sends the text is asked of the finding."""
    scene = _Scene()
    tenants = scene.accounts.rows["tenant"]
    _post(scene, {5: scene.members})
    (first,) = suspicious_prints(scene.postings, tenants, scene.usual, _nothing_told(scene), 8)
    scene.postings.prints["asked_at"][:] = 0
    findings = np.full(len(scene.accounts), -1, np.int32)
    findings[first.accounts[: (len(first.accounts) + 1) // 2 - less_than_half]] = 0
    told = Told(findings, np.full(1, has_print, np.bool_))
    assert bool(suspicious_prints(scene.postings, tenants, scene.usual, told, 8)) is news


def test_a_print_is_looked_at_again_when_its_users_have_grown_by_an_eighth() -> None:
    scene, tenants = _Scene(), None
    tenants = scene.accounts.rows["tenant"]

    def look() -> int:
        return len(suspicious_prints(scene.postings, tenants, scene.usual, _nothing_told(scene), 8))

    _post(scene, {5: scene.members[:16]})
    assert (look(), look()) == (1, 0)
    _post(scene, {5: scene.members[16:17]})
    assert look() == 0
    _post(scene, {5: scene.members[17:18]})
    assert look() == 1


def test_many_accounts_of_one_tenant_are_no_coincidence() -> None:
    scene = _Scene(lambda n: {"tenant": f"one-{n % 2}"})
    _post(scene, {5: scene.members})
    assert suspicious_prints(scene.postings, scene.accounts.rows["tenant"], scene.usual, _nothing_told(scene), 8) == []


def test_accounts_hang_together_by_a_chain_of_cards_and_addresses_and_not_by_a_network() -> None:
    def chained(n: int) -> dict[str, Any]:
        return {"peer": f"of-{n // 2}", "prefix": "all", "links": (("payment", f"of-{(n + 1) // 2}"),)}

    scene = _Scene(chained)
    (found,) = suspicious_links(scene.accounts.rows["tenant"], scene.usual, 8)
    assert (found.key, sorted(found.accounts.tolist())) == (0, scene.members.tolist())
    scene = _Scene(lambda _: {"prefix": "all"})
    assert suspicious_links(scene.accounts.rows["tenant"], scene.usual, 8) == []


@pytest.mark.parametrize("opened", [0.0, _NOW - 5 * _DAY_S])
def test_the_background_of_accounts_that_are_all_alike_is_finite(opened: float) -> None:
    scene = _Scene()
    scene.accounts.rows["opened"][:] = opened
    scene.accounts.restore(scene.accounts.arrays())
    usual: Background = background(
        scene.accounts, scene.links, scene.ledger, np.ones(len(scene.accounts), np.bool_), _NOW
    )
    assert np.isfinite(usual.ages_before).all()
    assert usual.ages_before[[0, -1]].tolist() == [0.0, pytest.approx(1.0)]
    assert len(usual.ages_before) == AGE_BINS + 1
    assert float(excess(1, 1, usual.linked["peer"])) > 0


def test_who_has_a_token_is_counted_among_the_yardstick_alone() -> None:
    scene = _Scene(lambda n: {"links": (("payment", f"c-h{n % 4}"),)})  # of honest accounts' cards
    tokens = scene.usual.tokens["payment"]
    holders = scene.usual.holders["payment"]
    assert holders[tokens[scene.members]].tolist() == [1] * _MEMBERS
    assert holders.sum() == _HONEST


def test_who_shares_tokens_with_no_other_tenant_is_neither_like_the_members_nor_unlike_them() -> None:
    tokens, tenants = np.array([5, 5, 7, 0, 9], np.int32), np.array([1, 1, 2, 3, 4], np.int32)
    assert not _held(tokens, tenants, 0.1).in_common
    held = _held(np.append(tokens, 7).astype(np.int32), np.append(tenants, 5).astype(np.int32), 0.1)
    assert held.in_common
    having, of = held.tenants(np.ones(5, np.bool_))
    assert having.all()
    assert of[held.pair].tolist() == [1, 1, 2, 1, 2]


def test_of_windows_of_age_none_that_is_suspicious_is_passed_over() -> None:
    scene, random = _Scene(), np.random.default_rng(5)
    accounts, sizes = len(scene.accounts), random.integers(8, 60, 200)
    scene.usual.ages[:] = random.integers(-1, AGE_BINS, accounts)
    rows = np.repeat(np.arange(len(sizes)), sizes)
    young = np.flatnonzero(scene.usual.ages >= AGE_BINS - 4)
    who = np.where(random.random(len(rows)) < (rows % 10) / 10, random.choice(young, len(rows)), 0).astype(np.int32)
    who[who == 0] = random.integers(0, accounts, int((who == 0).sum()))
    best, low, high = _aged(rows, who, sizes, scene.usual)
    before, found = scene.usual.ages_before, 0
    for row in range(len(sizes)):
        ages = scene.usual.ages[who[rows == row]]
        windows = [(start, start + width) for width in (1, 2, 4, 8, 16, 32) for start in range(AGE_BINS - width + 1)]
        weights = [
            excess_of(
                int(np.count_nonzero((ages >= start) & (ages < end))),
                int(np.count_nonzero(ages >= 0)),
                float(before[end] - before[start]),
            )
            for start, end in windows
        ]
        if (most := max(weights)) >= SUSPICIOUS:
            found += 1
            assert best[row] == pytest.approx(most)
            assert (low[row], high[row]) == windows[int(np.argmax(weights))]
        else:
            assert best[row] < SUSPICIOUS
    assert 10 < found < 190
