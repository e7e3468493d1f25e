"""When two groups are one campaign: by the text that they send, or by where they have their cards and addresses from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from proxy.hunter.alike import Known, hang_together, same_text, senders_of
from proxy.hunter.belonging import LEAST_ACCOUNTS, who_belongs
from proxy.hunter.chance import ways_to_choose
from proxy.hunter.holders import Holders
from proxy.hunter.ids import Numbers
from proxy.hunter.looks import Looks
from proxy.hunter.membership import Tie
from proxy.hunter.named import Named
from proxy.hunter.suspects import Suspect, Suspects
from proxy.hunter.suspicions import Suspicion
from proxy.hunter.texts import Texts
from tests.hunter.test_evidence import _MEMBERS, _NOW, _Scene
from tests.hunting.fake_hunt import finding as some_finding

_ACCOUNTS = 100


def _named(members: Numbers, users: Numbers, *, joins: bool = True) -> Named:
    used = Texts(
        users.astype(np.int32), np.ones(len(users)), np.ones(len(users)), 4.0, joins, np.arange(4, dtype=np.uint64)
    )
    ties = [Tie("age", members.astype(np.float64)), Tie("text", -members.astype(np.float64))]
    return Named(Suspect("c-1", members), used, members, len(users), ties, members, np.ones(len(members)), members[:0])


def _some(*parts: range) -> Numbers:
    return np.array([number for part in parts for number in part], np.int32)


@pytest.mark.parametrize(
    ("users", "joins", "same"),
    [
        (_some(range(40)), True, True),
        (_some(range(1, 8), range(20, 30)), True, True),
        (_some(range(4, 50)), True, False),
        (_some(range(20, 42)), True, False),
        (_some(range(40)), False, False),
    ],
    ids=["the same users", "nearly all of either's members", "half of one's", "one way only", "no text"],
)
def test_two_groups_send_one_text_if_nearly_all_members_of_each_send_the_others(
    users: Numbers, *, joins: bool, same: bool
) -> None:
    one = _named(_some(range(8)), _some(range(40)))
    other = _named(_some(range(20, 30)), users, joins=joins)
    assert same_text(one, other, _ACCOUNTS) is same
    assert same_text(other, one, _ACCOUNTS) is same


def test_a_group_with_the_members_of_another_has_their_ties_too() -> None:
    one, other = (
        _named(_some(range(10, 20)), _some(range(40))),
        _named(_some(range(5), range(30, 33)), _some(range(40))),
    )
    both = one.with_those_of(other)
    assert both.members.tolist() == [*range(5), *range(10, 20), *range(30, 33)]
    assert [tie.weights.tolist() for tie in both.ties] == [both.members.tolist(), (-both.members).tolist()]
    assert len(both.alike) == len(both.members)


def test_two_groups_of_different_rounds_are_joined_by_the_traits_of_either() -> None:
    one, other = _named(_some(range(3)), _some(range(4))), _named(_some(range(3, 5)), _some(range(2, 5)))
    later = other._replace(ties=[*other.ties, Tie("sign-up", np.ones(2))])
    for first, second, said in ((one, later, [0, 0, 0, 1, 1]), (later, one, [0, 0, 0, 1, 1])):
        ties = {tie.trait: tie.weights.tolist() for tie in first.with_those_of(second).ties}
        assert ties["age"] == [0, 1, 2, 3, 4]
        assert ties["sign-up"] == said


def test_the_members_of_two_groups_were_chosen_among_the_users_of_both_texts() -> None:
    one, other = _named(_some(range(6)), _some(range(8))), _named(_some(range(6, 12)), _some(range(2, 12)))
    both = one.with_those_of(other)
    assert both.pool == len(both.members) == 12
    assert ways_to_choose(both.pool, len(both.members)) == 0.0


def _pool(n: int) -> dict[str, Any]:
    return {"peer": f"of-{n % 3}", "prefix": f"net-{n % 3}"}


def _colleagues(n: int) -> dict[str, Any]:
    return {"peer": "office", "prefix": "office"} if n in (0, 10, 11) else {}


@pytest.mark.parametrize(
    ("told", "together"), [(_pool, True), (_colleagues, False), (lambda _: {}, False)], ids=["a pool", "few", "nothing"]
)
def test_two_groups_hang_together_if_one_has_its_addresses_from_the_other(
    told: Callable[[int], dict[str, Any]], *, together: bool
) -> None:
    scene = _Scene(told)
    halves = scene.members[: _MEMBERS // 2], scene.members[_MEMBERS // 2 :]
    one, other = (_named(half, half) for half in halves)
    assert hang_together(one, other, scene.usual) is together


@pytest.mark.parametrize("told", [_pool, _colleagues, lambda _: {}], ids=["a pool", "few", "nothing"])
@pytest.mark.parametrize("text_of", [[0, 1, 2, 3], [0, 0, 1, 1], [2, 1, 0, 0]])
def test_of_known_groups_the_first_that_is_on_the_same_campaign_is_found(
    told: Callable[[int], dict[str, Any]], text_of: list[int]
) -> None:
    scene = _Scene(told)
    parts = np.split(scene.members, len(text_of))
    users = [np.concatenate([part for part, of in zip(parts, text_of, strict=True) if of == text]) for text in text_of]
    groups = [_named(part, np.sort(sends)) for part, sends in zip(parts, users, strict=True)]
    count = len(scene.accounts)
    known = Known([], count, scene.usual)
    for number, group in enumerate(groups):
        same = (
            one.group
            for one in groups[:number]
            if same_text(one, group, count) or hang_together(one, group, scene.usual)
        )
        assert known.whole_of(group) is next(same, None)
        known.add(group)


def test_a_group_is_compared_with_those_only_whose_text_its_members_send() -> None:
    senders = Holders()
    for place in range(_ACCOUNTS // 10):
        senders.add(place, _some(range(10 * place, 10 * place + 10)))
    entry = _named(_some(range(31, 39)), _some(range(30, 40)))
    assert senders_of(entry, senders) == [3]
    assert senders_of(_named(_some(range(36, 44)), _some(range(30, 40))), senders) == []


def test_who_merely_sends_a_public_text_that_a_campaign_sends_too_is_no_part_of_it() -> None:
    scene = _Scene(lambda n: {"links": (("payment", f"of-{n % 4}"),)})
    early, late, honest = scene.members[:12], scene.members[12:], np.arange(0, 60, 2, dtype=np.int32)
    everybody = np.concatenate([scene.members, honest])
    tenants = scene.accounts.rows["tenant"]
    for key, users in [(1, np.repeat(scene.members, 5)), (2, everybody)]:
        prints, at = np.full(len(users), key, np.uint64), np.full(len(users), _NOW)
        scene.postings.see(prints, users, at, tenants)
    suspects = Suspects()

    def hear(key: int, accounts: Numbers, users: int) -> None:
        heard = [Suspicion(20.0, key, accounts, users)]
        suspects.hear(heard, len(scene.accounts), LEAST_ACCOUNTS, _NOW, scene.accounts.name)

    hear(1, early, len(early))
    (campaign,) = suspects
    campaign.finding = some_finding(campaign.id, accounts=list(map(scene.accounts.name, early.tolist())))
    hear(2, np.concatenate([early, late, honest]), len(everybody))
    assert len(suspects) == 2
    (named,) = who_belongs(suspects, Looks(), scene.postings, scene.accounts, scene.usual)
    assert sorted(named.members) == sorted(scene.members)
    (group,) = suspects
    assert group.keys == {1, 2}
    assert sorted(group.core) == sorted(scene.members)
