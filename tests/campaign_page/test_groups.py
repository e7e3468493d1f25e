"""Who hangs together: by the most telling thing that is shared, the same way whatever the order."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from proxy.campaign_page.drawing import draw
from proxy.campaign_page.groups import GROUPS_MOST, Group, Sharing, Tie, group
from proxy.hunter.finding import Member


def made(name: str, *links: tuple[str, str]) -> Member:
    return Member(name, f"org-{name}", 0.0, 1, 1, 1, 1.0, (), links)


POOL = [
    made(f"m{number}", ("payment", f"card-{number // 3}"), ("peer", f"exit-{number % 2}"), ("client", "script"))
    for number in range(6)
]


def test_a_member_stands_with_those_who_pay_alike_and_what_else_they_share_ties_groups() -> None:
    found = group(POOL)
    assert found.groups == (
        Group(("payment", "card-0"), ("m0", "m1", "m2")),
        Group(("payment", "card-1"), ("m3", "m4", "m5")),
    )
    assert found.ties == (Tie(0, 1, "peer", 2),)
    assert found.common == (("client", "script"),)
    assert found.sharing == (Sharing("payment", 6, 2, 3), Sharing("peer", 6, 2, 3), Sharing("client", 6, 1, 6))


@pytest.mark.parametrize(
    ("links", "home"),
    [
        ([("opened", "2026-01-01"), ("client", "c"), ("peer_prefix", "n"), ("peer", "a")], ("peer", "a")),
        ([("opened", "2026-01-01"), ("client", "c"), ("peer_prefix", "n")], ("peer_prefix", "n")),
        ([("opened", "2026-01-01"), ("client", "c")], ("client", "c")),
        ([("opened", "2026-01-01")], ("opened", "2026-01-01")),
        ([("peer", "a"), ("signup", "s")], ("signup", "s")),
    ],
)
def test_what_strangers_share_by_chance_comes_last(links: Sequence[tuple[str, str]], home: tuple[str, str]) -> None:
    others = [made(f"o{number}") for number in range(4)]
    found = group([made("a", *links), made("b", *links), *others])
    assert found.groups == (Group(home, ("a", "b")),)
    assert found.loose.accounts == ("o0", "o1", "o2", "o3")


def test_the_order_of_the_members_changes_nothing() -> None:
    shuffled = list(POOL)
    random.Random(7).shuffle(shuffled)
    assert group(shuffled) == group(POOL)
    assert draw(group(shuffled), "x") == draw(group(POOL), "x")


def test_what_is_left_out_is_counted() -> None:
    found = group([made(f"m{number}", ("payment", f"card-{number // 2}")) for number in range(200)])
    assert (len(found.groups), found.more, len(found.rest.accounts)) == (GROUPS_MOST, 60, 120)


def test_one_value_that_many_groups_have_ties_each_to_the_largest_only() -> None:
    found = group(
        [
            made(f"m{number}", ("payment", f"card-{number // 2}"), *[("peer", "exit")] * (number < 40))
            for number in range(80)
        ]
    )
    assert len(found.ties) == 19
    assert {tie.first for tie in found.ties} == {0}
