"""What one process knows of campaigns: whose prompt it is, whose account, and whom else it reaches."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from proxy.keyed.link_names import LinkNames
from proxy.rules.campaigns import book as campaign_book
from proxy.rules.campaigns.book import CampaignBook
from proxy.rules.campaigns.known import KnownCampaign, KnownTemplate
from proxy.rules.campaigns.template_index import TemplateIndex, distinct
from proxy.rules.pack.pack import Contain
from tests.rules.campaigns.known import DAY_S, NAMES_KEY, NOW, caller, campaign, prints, sample, template

NAMES = LinkNames(NAMES_KEY)
MONTH = Contain(30 * DAY_S * 1000, ())


def book(*known: KnownCampaign) -> CampaignBook:
    made = CampaignBook(NAMES)
    for each in known:
        made.hear(each)
    return made


def match(known: CampaignBook, prints: NDArray[np.uint64]) -> str:
    """Return the id of the template that matches best, empty if there is none."""
    return next((found.template for found in known.matches(prints)), "")


def test_a_prompt_matches_a_template_from_its_least_number_of_prints_on() -> None:
    known = book(campaign(templates=(template("t-1", 1, least=20),)))
    assert match(known, sample(prints(1)[:20], prints(7))) == "t-1"
    assert match(known, sample(prints(1)[:19], prints(7))) == ""
    assert match(known, sample()) == ""
    assert match(book(), sample(prints(1))) == ""


def test_the_best_match_wins_then_the_smaller_template_then_the_id() -> None:
    one, two = template("a", 1, least=5), template("b", 2, least=5)
    known = book(campaign(templates=(one, two)))
    assert match(known, sample(prints(1)[:10], prints(2)[:11])) == "b"
    assert match(known, sample(prints(1)[:11], prints(2)[:10])) == "a"
    assert match(known, sample(prints(1)[:10], prints(2)[:10])) == "a"
    smaller = KnownTemplate("z", prints(2)[:30], 5)
    assert match(book(campaign(templates=(one, smaller))), sample(prints(1)[:10], prints(2)[:10])) == "z"


def test_a_better_match_with_too_few_prints_of_its_own_does_not_hide_another() -> None:
    known = book(campaign(templates=(template("strict", 1, least=50), template("loose", 2, least=5))))
    assert match(known, sample(prints(1)[:49], prints(2)[:5])) == "loose"


def test_matching_agrees_with_counting_by_hand_where_templates_share_prints() -> None:
    chance = random.Random(3)
    pool = prints(0, 300)
    templates = [
        KnownTemplate(f"t-{number}", tuple(chance.sample(pool, chance.randint(1, 80))), chance.randint(1, 12))
        for number in range(40)
    ]
    index = TemplateIndex(templates, [distinct(template) for template in templates])
    for _ in range(300):
        asked = chance.sample(pool, chance.randint(0, 60)) + list(prints(chance.randrange(10**6), 10))
        shared = Counter({n: len({*each.prints} & {*asked}) for n, each in enumerate(templates)})
        enough = [n for n, count in shared.items() if count >= templates[n].least]
        best = sorted(enough, key=lambda n: (-shared[n], len(templates[n].prints), templates[n].id))
        assert index.matches(sample(asked)) == best


def test_the_greatest_and_least_prints_are_found_too() -> None:
    edges = (0, 2**64 - 1)
    assert match(book(campaign(templates=(KnownTemplate("t", edges, 2),))), sample(edges)) == "t"


def test_a_campaign_that_changes_is_matched_as_it_is_now() -> None:
    known = book(campaign())
    assert match(known, sample(prints(1))) == "t-1"
    known.hear(campaign(templates=(template("t-2", 2),), accounts=frozenset({"m-3", "m-4"})))
    assert (match(known, sample(prints(1))), match(known, sample(prints(2)))) == ("", "t-2")
    assert [list(known.clusters(account)) for account in ("m-1", "m-3", "m-4")] == [[], ["c-1"], ["c-1"]]
    known.forget("c-1")
    known.forget("c-1")
    assert (match(known, sample(prints(2))), list(known.clusters("m-3")), len(known)) == ("", [], 0)


def test_an_account_is_in_the_campaign_that_was_updated_last() -> None:
    first, second = campaign("c-1", updated_at=NOW), campaign("c-2", updated_at=NOW - 1)
    known = book(first, second)
    assert list(known.clusters("m-1")) == ["c-1", "c-2"]
    known.hear(replace(second, updated_at=NOW + 1))
    assert list(known.clusters("m-1")) == ["c-2", "c-1"]
    known.forget("c-2")
    assert list(known.clusters("m-1")) == ["c-1"]


def test_a_campaign_ends_by_itself() -> None:
    known = book(campaign("c-1", until=NOW + 1), campaign("c-2", until=NOW + 2, templates=()))
    known.end(NOW + 1)
    assert (match(known, sample(prints(1))), list(known.clusters("m-1"))) == ("", ["c-2"])


@pytest.mark.parametrize(
    ("age_days", "reached"),
    [
        (0, True),
        (10, True),  # the day it began
        (44.9, True),  # thirty days before the first member's account
        (45.1, False),
        (900, False),
    ],
)
def test_accounts_opened_close_to_the_members_or_the_beginning_are_reached(age_days: float, *, reached: bool) -> None:
    assert book(campaign()).reached("c-1", caller(age_days=age_days), "192.0.2.1", MONTH) is reached


def test_accounts_opened_long_after_the_last_member_are_not_reached() -> None:
    known = book(campaign(began=NOW - 90 * DAY_S, opened_from=0, opened_to=NOW - 40 * DAY_S))
    assert known.reached("c-1", caller(age_days=11), "", MONTH)
    assert not known.reached("c-1", caller(age_days=9), "", MONTH)
    assert not known.reached("c-1", caller(age_days=121), "", MONTH)


def test_one_old_account_among_the_members_does_not_widen_the_reach_over_older_customers() -> None:
    known = book(campaign(opened_from=NOW - 2000 * DAY_S))
    assert not known.reached("c-1", caller(age_days=900), "", MONTH)
    assert known.reached("c-1", caller(age_days=69), "", MONTH), "but by as much as is contained anyway"


def test_an_account_of_which_nobody_knows_when_it_was_opened_is_not_reached_by_its_age() -> None:
    assert not book(campaign()).reached("c-1", replace(caller(), created_at=0.0), "", MONTH)


def test_accounts_that_share_a_link_with_members_are_reached_by_the_links_that_the_pack_names() -> None:
    shared = {
        "payment": frozenset({NAMES.name("payment", "card-1")}),
        "peer_prefix": frozenset({NAMES.peer("198.51.100.7")[1]}),
        "peer": frozenset({NAMES.peer("203.0.113.9")[0]}),
    }
    known = book(campaign(shared=shared))
    payment, prefix, peer = (Contain(0, (kind,)) for kind in ("payment", "peer_prefix", "peer"))
    assert known.reached("c-1", caller(payment="card-1"), "192.0.2.1", payment)
    assert not known.reached("c-1", caller(payment="card-1"), "192.0.2.1", prefix)
    assert not known.reached("c-1", caller(payment="card-2", signup="card-1"), "192.0.2.1", payment)
    assert not known.reached("c-1", caller(payment=""), "", payment)
    assert known.reached("c-1", caller(), "198.51.100.200", prefix)
    assert not known.reached("c-1", caller(), "198.51.101.200", prefix)
    assert known.reached("c-1", caller(), "203.0.113.9", peer)
    assert not known.reached("c-1", caller(), "203.0.113.10", peer)
    assert not known.reached("c-1", caller(), "no address", peer)


def test_who_was_seen_not_to_belong_is_not_reached_whatever_he_shares() -> None:
    shared = {"payment": frozenset({NAMES.name("payment", "card-1")})}
    contain = Contain(30 * DAY_S * 1000, ("payment",))
    known = book(campaign(shared=shared, spared=frozenset({"judge"})))
    assert not known.reached("c-1", caller("judge", age_days=10, payment="card-1"), "", contain)
    assert known.reached("c-1", caller("other", age_days=10, payment="card-1"), "", contain)


def test_without_contain_members_alone_are_reached_and_sharing_alone_looks_at_no_age() -> None:
    known = book(campaign())
    assert known.reached("c-1", caller("m-1"), "", None)
    assert not known.reached("c-1", caller(age_days=1), "", None)
    assert not known.reached("c-1", caller(age_days=12), "", Contain(0, ("payment",)))


@pytest.mark.parametrize("bound", ["CAMPAIGNS_MAX", "ACCOUNTS_MAX", "PRINTS_MAX", "LINKS_MAX"])
def test_beyond_its_bounds_the_campaign_that_was_not_updated_for_longest_goes(
    bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign_book, bound, {"CAMPAIGNS_MAX": 2, "ACCOUNTS_MAX": 6, "PRINTS_MAX": 120}.get(bound, 2))
    known = book(
        *(
            campaign(
                f"c-{number}",
                updated_at=NOW + age,
                templates=(template(f"t-{number}", number),),
                accounts=frozenset({f"{number}-{n}" for n in range(3)}),
                shared={"payment": frozenset({f"{number}"})},
            )
            for number, age in ((1, 5), (2, 1), (3, 0))
        )
    )
    assert (len(known), known.evicted) == (2, 1)
    assert [bool(match(known, sample(prints(n)))) for n in (1, 2, 3)] == [True, False, True]
    assert not known.clusters("2-0")


def test_one_campaign_alone_is_never_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign_book, "ACCOUNTS_MAX", 1)
    known = book(campaign("c-1"))
    known.hear(campaign("c-1", updated_at=NOW + 1))
    assert (len(known), known.evicted, list(known.clusters("m-2"))) == (1, 0, ["c-1"])


def test_prints_are_unsigned_numbers_of_64_bits() -> None:
    assert sample(prints(1)).dtype == np.uint64
