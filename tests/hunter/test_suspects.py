"""Groups under suspicion: suspicions join, begin and merge them; ids and what was decided stay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from proxy.hunter import suspects as suspects_module
from proxy.hunter.finding import Finding, Template
from proxy.hunter.ids import Keys, Numbers
from proxy.hunter.suspects import Suspect, Suspects
from proxy.hunter.suspicions import Suspicion
from tests.hunting.fake_hunt import finding as some_finding

_ACCOUNTS, _LEAST = 100, 4


def _suspicion(key: int, accounts: range | list[int], users: int = 0) -> Suspicion:
    members = np.array(list(accounts), np.int32)
    return Suspicion(20.0, key, members, users or len(members))


def _hear(suspects: Suspects, *suspicions: Suspicion, now: float = 1.0) -> None:
    suspects.hear(suspicions, _ACCOUNTS, _LEAST, now, "account-{}".format)


def _groups(suspects: Suspects) -> list[tuple[set[int], set[int]]]:
    return [(set(group.core.tolist()), group.keys) for group in suspects]


def _report(group: Suspect, *, text: bool = True) -> Finding:
    accounts = [f"account-{number}" for number in group.core.tolist()]
    templates = (Template("t", (1,), 1),) if text else ()
    group.finding = replace(some_finding(group.id, accounts=accounts), templates=templates)
    return group.finding


def test_a_suspicion_begins_a_group_and_others_that_share_half_join_it() -> None:
    suspects = Suspects()
    _hear(suspects, _suspicion(7, range(8)), _suspicion(8, range(4, 12)), _suspicion(9, range(50, 60)))
    assert _groups(suspects) == [(set(range(12)), {7, 8}), (set(range(50, 60)), {9})]


def test_a_suspicion_of_few_accounts_that_nobody_has_begins_nothing() -> None:
    suspects = Suspects()
    _hear(suspects, _suspicion(7, range(10)), _suspicion(8, range(6, 20)), _suspicion(9, range(97, 100)))
    assert [group.keys for group in suspects] == [{7}, {8}]
    assert len({number for group in suspects for number in group.core.tolist()}) == 20


def test_an_account_is_in_one_group_and_so_is_a_print() -> None:
    suspects, rng = Suspects(), np.random.default_rng(1)
    for _ in range(200):
        members = rng.choice(_ACCOUNTS, rng.integers(4, 20), replace=False)
        _hear(suspects, _suspicion(int(rng.integers(1, 40)), members.tolist()))
    cores = [number for group in suspects for number in group.core.tolist()]
    keys = [key for group in suspects for key in group.keys]
    assert len(cores) == len(set(cores))
    assert len(keys) == len(set(keys))


def test_a_group_keeps_its_id_while_it_grows_and_has_the_same_wherever_its_text_comes_up_first() -> None:
    one, other = Suspects(), Suspects()
    _hear(one, _suspicion(7, range(8)))
    _hear(other, _suspicion(7, range(20, 40)))
    (first,), (second,) = one, other
    assert first.id == second.id
    _hear(one, _suspicion(8, range(12)))
    assert [group.id for group in one] == [first.id]


def test_the_id_of_linked_accounts_goes_by_their_names_and_not_by_their_numbers() -> None:
    ids = []
    for names, members in (("a-{}", range(8)), ("a-{}", [*range(7, -1, -1)]), ("b-{}", range(8))):
        suspects = Suspects()
        suspects.hear([_suspicion(0, members)], _ACCOUNTS, _LEAST, 1.0, names.format)
        ids += [group.id for group in suspects]
    assert ids[0] == ids[1] != ids[2]


def test_public_text_that_members_of_a_finding_send_brings_nobody_into_it() -> None:
    suspects = Suspects()
    _hear(suspects, _suspicion(7, range(8)))
    (group,) = suspects
    _report(group)
    _hear(suspects, _suspicion(8, range(12), users=80), _suspicion(9, range(8), users=9))
    assert _groups(suspects) == [(set(range(8)), {7, 9})]


def test_a_group_that_another_groups_text_raised_knows_whose_campaign_it_is_once_that_is_told() -> None:
    suspects = Suspects()
    _hear(suspects, _suspicion(7, range(8)))
    (first,) = suspects
    _hear(suspects, _suspicion(8, range(8), users=9))
    _hear(suspects, _suspicion(7, range(20, 40)), _suspicion(8, range(60, 80)))
    raised = [group for group in suspects if group is not first]
    assert [(group.keys, group.raised_by) for group in raised] == [(set(), 8)], "one id, one group"
    assert suspects.told_of_text(raised[0]) is None
    _report(first)
    assert suspects.told_of_text(raised[0]) is first
    assert suspects.told_of_text(first) is None
    restored = Suspects()
    restored.restore(suspects.arrays())
    assert restored.told_of_text(restored[raised[0].id]) is restored[first.id]


def test_whoever_is_linked_to_a_finding_without_text_is_looked_at_with_it() -> None:
    suspects = Suspects()
    _hear(suspects, _suspicion(0, range(8)))
    (group,) = suspects
    _report(group, text=False)
    _hear(suspects, _suspicion(0, range(14)))
    assert _groups(suspects) == [(set(range(14)), set())]


def test_merging_keeps_the_accounts_and_prints_of_both_and_what_was_decided() -> None:
    suspects = Suspects()
    _hear(suspects, _suspicion(7, range(8)), _suspicion(8, range(20, 30)))
    into, other = suspects
    other.confirmed = True
    suspects.merge(into, other)
    assert _groups(suspects) == [({*range(8), *range(20, 30)}, {7, 8})]
    assert into.confirmed
    with pytest.raises(KeyError):
        suspects[other.id]


def test_two_findings_that_are_merged_let_nobody_go() -> None:
    suspects = Suspects()
    _hear(suspects, _suspicion(7, range(8)), _suspicion(8, range(20, 30)))
    into, other = suspects
    one, two = replace(_report(into), last_at=5.0), replace(_report(other), last_at=7.0, confidence=1.0)
    two = replace(two, templates=(Template("u", (2,), 1),), reach=two.reach._replace(began=1.0, opened_to=9e9))
    into.finding, other.finding = one, two
    suspects.merge(into, other)
    assert into.finding is not None
    assert (into.finding.id, into.finding.found_at) == (one.id, one.found_at)
    assert into.finding.members.keys() == one.members.keys() | two.members.keys()
    assert into.finding.templates == (*one.templates, *two.templates), "whoever sends either is known"
    assert (into.finding.last_at, into.finding.confidence) == (7.0, 1.0)
    assert into.finding.exposure.exchanges == one.exposure.exchanges + two.exposure.exchanges
    assert (into.finding.reach.began, into.finding.reach.opened_to) == (1.0, 9e9)
    assert suspects.merged == {other.id}
    restored = Suspects()
    restored.restore(suspects.arrays())
    assert restored.merged == {other.id}, "who takes over has still to take it back"
    before = suspects.arrays()
    del before["merged"]
    restored.restore(before)
    restored.drop(restored[into.id])
    _hear(restored, _suspicion(8, range(20, 30)))
    assert [group.id for group in restored] == [other.id]
    assert not restored.merged, "what it became a part of is gone"


def test_of_what_was_merged_the_latest_is_known_also_after_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes over asks the store about each: all that ever were would be more every month."""
    monkeypatch.setattr(suspects_module, "_MERGED_MOST", 2)
    suspects = Suspects()
    ids = []
    for key in (7, 3, 5, 1):
        _hear(suspects, _suspicion(key, range(8)), _suspicion(10 * key, range(20, 30)))
        into, other = suspects
        into.finding, other.finding = _report(into), _report(other)
        ids.append(other.id)
        suspects.merge(into, other)
        suspects.drop(into)
        restored = Suspects()
        restored.restore(suspects.arrays())
        assert list(restored.merged) == list(suspects.merged) == ids[-2:]


def test_a_dismissed_text_raises_no_suspicion_any_more_and_one_that_was_dropped_does() -> None:
    suspects = Suspects()
    _hear(suspects, _suspicion(7, range(8)), _suspicion(8, range(20, 30)))
    dismissed, dropped = suspects
    suspects.dismiss(dismissed)
    suspects.drop(dropped)
    _hear(suspects, _suspicion(7, range(40, 60)), _suspicion(8, range(20, 30)))
    assert _groups(suspects) == [(set(range(20, 30)), {8})]


def test_a_finding_leaves_the_accounts_that_another_has_now() -> None:
    suspects = Suspects()
    _hear(suspects, _suspicion(7, range(8)), _suspicion(8, range(20, 30)))
    stale, fresh = suspects
    _report(stale)
    told = replace(_report(fresh), members=some_finding(accounts=["account-1", "account-2", "account-25"]).members)
    suspects.leave([told], 9.0)
    assert stale.finding is not None
    assert stale.finding.updated_at == 9.0
    assert set(stale.finding.members) == {f"account-{n}" for n in (0, 3, 4, 5, 6, 7)}
    suspects.leave([], 10.0)
    assert stale.finding.updated_at == 9.0


def test_accounts_that_are_gone_leave_their_groups_and_an_empty_one_goes_unless_it_was_confirmed() -> None:
    suspects = Suspects()
    _hear(suspects, _suspicion(7, range(8)), _suspicion(8, range(20, 30)), _suspicion(9, range(40, 50)))
    suspects[list(suspects)[2].id].confirmed = True
    numbers = np.full(_ACCOUNTS, -1, np.int32)
    numbers[4:8] = np.arange(4)
    suspects.keep(numbers, _used([]))
    assert _groups(suspects) == [({0, 1, 2, 3}, {7}), (set(), {9})]


def _used(prints: list[int]) -> Callable[[Keys], Numbers]:
    return lambda keys: np.where(np.isin(keys, np.array(prints, np.uint64)), 0, -1).astype(np.int32)


def test_prints_that_nobody_used_of_late_are_forgotten_but_for_those_by_which_a_group_is_known_again() -> None:
    suspects = Suspects()
    _hear(suspects, _suspicion(7, range(8)), *(_suspicion(key, range(8)) for key in (8, 9, 10, 11)))
    (group,) = suspects
    _report(group)
    assert group.finding is not None
    group.finding = replace(group.finding, templates=(Template("t", (9,), 1),))
    group.habits = np.array([10], np.uint64)
    suspects.keep(np.arange(_ACCOUNTS, dtype=np.int32), _used([11]))
    assert group.keys == {7, 9, 10, 11}
    assert sorted(suspects.prints().tolist()) == [7, 9, 10, 11]
    _hear(suspects, _suspicion(8, range(8)))
    assert group.keys == {7, 8, 9, 10, 11}, "who comes with it again finds it"


def test_of_too_many_groups_those_without_a_finding_that_were_idle_longest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspects_module, "_SUSPECTS_MOST", 3)
    suspects = Suspects()
    for number in range(6):
        _hear(suspects, _suspicion(number + 1, range(10 * number, 10 * number + 8)), now=float(number))
        if number == 0:
            _report(next(iter(suspects)))
    assert [group.keys for group in suspects] == [{1}, {5}, {6}]


def test_a_checkpoint_holds_groups_findings_and_decisions() -> None:
    suspects, restored = Suspects(), Suspects()
    _hear(suspects, _suspicion(7, range(8)), _suspicion(2**64 - 1, range(20, 30)), _suspicion(9, range(40, 50)))
    first, _, last = suspects
    _report(first)
    first.confirmed, first.confidence = True, 0.97
    suspects.dismiss(last)
    restored.restore(suspects.arrays())
    assert _groups(restored) == _groups(suspects)
    copy = restored[first.id]
    assert (copy.finding, copy.confirmed, copy.confidence, copy.touched_at) == (first.finding, True, 0.97, 1.0)
    _hear(restored, _suspicion(9, range(40, 50)))
    assert len(restored) == 2


def test_nothing_has_a_checkpoint_too() -> None:
    restored = Suspects()
    restored.restore(Suspects().arrays())
    assert len(restored) == 0
