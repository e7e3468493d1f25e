"""Which groups are looked at again: small ones always, large ones when they have grown."""

from __future__ import annotations

import numpy as np
import pytest

from proxy.hunter import looks as looks_module
from proxy.hunter.accounts import Accounts
from proxy.hunter.looks import Looks
from proxy.hunter.named import Named
from proxy.hunter.postings import Postings
from proxy.hunter.suspects import Suspect
from proxy.hunter.texts import Texts, used_texts
from tests.hunting.fake_hunt import finding as some_finding

_KEY = np.uint64(1 << 40)
_MEMBERS = 100


@pytest.fixture(autouse=True)
def _large_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks_module, "_SMALL", 150)


def _sent(postings: Postings, times: int, accounts: int = _MEMBERS) -> None:
    users = np.resize(np.arange(accounts, dtype=np.int32), times)
    postings.see(np.full(times, _KEY), users, np.zeros(times), np.arange(_MEMBERS * 2, dtype=np.int32))


def _named(group: Suspect) -> Named:
    used = Texts(group.core, np.ones(len(group.core)), np.ones(len(group.core)), 1.0, joins=True, keys=group.habits)
    return Named(group, used, group.core, len(group.core), [], group.core, np.ones(len(group.core)), group.core[:0])


def _group() -> Suspect:
    return Suspect("c-1", np.arange(_MEMBERS, dtype=np.int32), keys={int(_KEY)}, habits=np.array([_KEY]))


def _looked(group: Suspect, postings: Postings) -> Looks:
    looks, found = Looks(), [_named(group)]
    assert looks.due(group, postings, Accounts())
    assert [entry.fresh for entry in looks.note(found, found, postings, Accounts())] == [True]
    return looks


def test_a_small_group_is_looked_at_in_every_round() -> None:
    group, postings = _group(), Postings()
    _sent(postings, 149)
    assert _looked(group, postings).due(group, postings, Accounts())


@pytest.mark.parametrize(("more", "due"), [(3, False), (4, True)])
def test_a_large_group_is_looked_at_when_it_has_sent_a_fiftieth_more(more: int, *, due: bool) -> None:
    group, postings = _group(), Postings()
    _sent(postings, 200)
    looks = _looked(group, postings)
    _sent(postings, more)
    assert looks.due(group, postings, Accounts()) is due
    looks.forget()
    assert looks.due(group, postings, Accounts())


@pytest.mark.parametrize(("joined", "due"), [(1, False), (2, True)])
def test_a_large_group_is_looked_at_when_a_fiftieth_as_many_accounts_joined_it(joined: int, *, due: bool) -> None:
    group, postings = _group(), Postings()
    _sent(postings, 200)
    looks = _looked(group, postings)
    group.core = np.arange(_MEMBERS + joined, dtype=np.int32)
    assert looks.due(group, postings, Accounts()) is due


@pytest.mark.parametrize(
    ("told", "sender", "due"), [(True, _MEMBERS, True), (True, 7, False), (False, _MEMBERS, False)]
)
def test_a_large_finding_is_looked_at_when_somebody_new_sends_its_text(told: bool, sender: int, due: bool) -> None:
    group, postings = _group(), Postings()
    _sent(postings, 200)
    looks = _looked(group, postings)
    group.finding = some_finding("c-1") if told else None
    tenants = np.arange(_MEMBERS * 2, dtype=np.int32)
    postings.see(np.array([_KEY]), np.array([sender], np.int32), np.zeros(1), tenants)
    assert looks.due(group, postings, Accounts()) is due


def test_what_was_found_before_stands_and_is_news_only_if_others_took_members_of_it() -> None:
    group, postings = _group(), Postings()
    _sent(postings, 200)
    looks = _looked(group, postings)
    again = looks.last(group)
    assert not again.fresh
    assert [entry.fresh for entry in looks.note([again], [again], postings, Accounts())] == [False]
    fewer = again.of(np.arange(_MEMBERS) > 0)
    assert [entry.fresh for entry in looks.note([again], [fewer], postings, Accounts())] == [True]
    assert looks.last(group).members.tolist() == group.core.tolist(), "of what was found nothing is lost"
    assert looks.note([], [], postings, Accounts()) == []
    assert looks.texts(group) is None, "a group that is no more is forgotten"


def test_habits_are_looked_for_again_when_a_group_has_grown_by_an_eighth() -> None:
    group, postings, accounts = _group(), Postings(), Accounts()
    accounts.rows.add(2 * _MEMBERS, exchanges=4)
    accounts._names.known[:] = map(str, range(2 * _MEMBERS))
    group.habits, other = np.zeros(0, np.uint64), np.uint64(5 << 40)
    group.core = group.core[:80]
    _sent(postings, 200)
    (used,) = used_texts(postings, [group], accounts)
    assert (used.keys.tolist(), used.joins) == ([_KEY], True)
    users = np.arange(80, dtype=np.int32)
    postings.see(np.full(80, other), users, np.zeros(80), np.arange(_MEMBERS, dtype=np.int32))
    for size, keys in ((80, [_KEY]), (89, [_KEY]), (90, [_KEY, other])):
        group.keys.add(int(other))
        group.chosen_at = (group.chosen_at[0], 2, group.chosen_at[2])  # it grows by its accounts alone
        group.core = np.arange(size, dtype=np.int32)
        (used,) = used_texts(postings, [group], accounts)
        assert used.keys.tolist() == keys
