"""Who used which print: kept once two tenants have it, whatever the order; pairs once; bounded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.fingerprint.winnow import SAMPLE_MOST
from proxy.hunter import postings as postings_module
from proxy.hunter.postings import PRINTS_FOLLOWED, Postings, followed

# Accounts 0 and 1 are of one tenant, 2 and 3 of others.
_TENANTS = np.array([7, 7, 8, 9], np.int32)
_ALL_LEFT = np.ones(4)
_Uses = list[tuple[int, int]]


@pytest.fixture(scope="module", autouse=True)
def small_tables() -> Iterator[None]:
    """Use tables that are made in no time; the places of the prints here are apart in them too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postings_module, "_LONE_BITS", 12)
        yield


def _see(postings: Postings, uses: _Uses, at: float = 0.0) -> None:
    prints = np.array([print_ for print_, _ in uses], np.uint64)
    accounts = np.array([account for _, account in uses], np.int32)
    postings.see(prints, accounts, np.full(len(uses), at), _TENANTS)


def _held(postings: Postings) -> dict[tuple[int, int], int]:
    keys, pairs = postings.print_keys(), postings.pairs
    rows = zip(pairs["print"].tolist(), pairs["account"].tolist(), pairs["times"].tolist(), strict=True)
    return {(int(keys[print_]), account): times for print_, account, times in rows}


_uses = st.lists(st.tuples(st.integers(1, 3).map(lambda n: n * 2**60 + n), st.integers(0, 3)), max_size=12)


@given(_uses, st.integers(0, 12))
def test_a_print_is_kept_if_and_only_if_two_tenants_used_it(uses: _Uses, cut: int) -> None:
    postings = Postings()
    for part in (uses[:cut], uses[cut:]):
        _see(postings, part)
    tenants: dict[int, set[int]] = {}
    for print_, account in uses:
        tenants.setdefault(print_, set()).add(int(_TENANTS[account]))
    shared = {print_ for print_, found in tenants.items() if len(found) > 1}
    assert {print_ for print_, _ in _held(postings)} == shared == set(postings.print_keys().tolist())
    # Of each tenant that used it one account is known at least, and nobody who did not.
    held = _held(postings).keys()
    assert held <= set(uses)
    assert {(print_, int(_TENANTS[account])) for print_, account in held} == {
        (print_, int(_TENANTS[account])) for print_, account in uses if print_ in shared
    }


@given(_uses)
def test_a_pair_is_one_row_and_users_are_counted_once(uses: _Uses) -> None:
    postings = Postings()
    for use in uses:
        _see(postings, [use])
    rows = list(zip(postings.pairs["print"].tolist(), postings.pairs["account"].tolist(), strict=True))
    assert len(rows) == len(set(rows))
    users = np.bincount(postings.pairs["print"], minlength=len(postings.prints))
    assert postings.prints["users"].tolist() == users.tolist()


def test_uses_of_one_batch_are_all_counted() -> None:
    postings = Postings()
    _see(postings, [(5, 0), (5, 0), (5, 2), (5, 3)])
    assert _held(postings) == {(5, 0): 2, (5, 2): 1, (5, 3): 1}


def test_whoever_had_a_print_alone_is_known_once_another_has_it() -> None:
    postings = Postings()
    _see(postings, [(5, 0)])
    _see(postings, [(5, 0)])
    assert not _held(postings)
    _see(postings, [(5, 2)])
    assert _held(postings) == {(5, 0): 1, (5, 2): 1}


def test_users_of_a_print_come_in_the_order_of_the_prints() -> None:
    postings = Postings()
    _see(postings, [(5, 0), (6, 2), (5, 2), (6, 3), (9, 0), (9, 3)])
    marked = np.ones(len(postings.prints), np.bool_)
    marked[postings.numbers(np.array([9], np.uint64))] = False
    prints, accounts, times = postings.users_of(marked)
    keys = postings.print_keys()[prints].tolist()
    assert list(zip(keys, accounts.tolist(), times.tolist(), strict=True)) == [
        (5, 0, 1),
        (5, 2, 1),
        (6, 2, 1),
        (6, 3, 1),
    ]


def test_what_was_not_used_since_is_forgotten_and_accounts_are_renumbered() -> None:
    postings = Postings()
    _see(postings, [(5, 0), (5, 2)], at=10.0)
    _see(postings, [(6, 2), (6, 3)], at=20.0)
    postings.keep(np.array([-1, -1, 0, 1], np.int32), 15.0, _ALL_LEFT)
    assert _held(postings) == {(6, 0): 1, (6, 1): 1}
    assert postings.numbers(np.array([5, 6], np.uint64)).tolist() == [-1, 0]


def test_a_print_that_many_used_is_looked_at_again_when_the_few_who_are_left_grow() -> None:
    postings = Postings()
    _see(postings, [(5, 0), (5, 2), (5, 3)], at=10.0)
    postings.prints["asked_at"][:] = 3
    _see(postings, [(5, 0), (5, 2)], at=20.0)
    postings.keep(np.arange(4, dtype=np.int32), 15.0, _ALL_LEFT)
    assert postings.prints["asked_at"].tolist() == postings.prints["users"].tolist() == [2]


@pytest.mark.parametrize("same_time", [False, True])
def test_of_more_pairs_than_there_may_be_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch, same_time: bool) -> None:
    monkeypatch.setattr(postings_module, "PAIRS_MOST", 10)
    postings = Postings()
    for number in range(20):
        _see(postings, [(number + 1, 0), (number + 1, 2)], at=1.0 if same_time else float(number))
    postings.keep(np.arange(4, dtype=np.int32), 0.0, _ALL_LEFT)
    assert len(postings.pairs) == 8
    assert same_time or {print_ for print_, _ in _held(postings)} == {17, 18, 19, 20}


@given(_uses, _uses)
def test_a_checkpoint_holds_what_is_shared_and_goes_on_alike(before: _Uses, after: _Uses) -> None:
    postings, restored = Postings(), Postings()
    _see(postings, before)
    arrays: dict[str, Any] = postings.arrays()
    restored.restore({name: array.copy() for name, array in arrays.items()})
    assert _held(restored) == _held(postings)
    shared = [use for use in after if use[0] in set(postings.print_keys().tolist())]
    _see(postings, shared)
    _see(restored, shared)
    assert _held(restored) == _held(postings)


def test_a_flood_of_text_that_one_tenant_sends_takes_no_room() -> None:
    postings, rng = Postings(), np.random.default_rng(1)
    for _ in range(20):
        prints = rng.integers(1, 2**63, 50_000).astype(np.uint64)
        postings.see(prints, np.zeros(50_000, np.int32), np.zeros(50_000), _TENANTS)
    assert len(postings.prints) == len(postings.pairs) == 0


def test_prints_that_are_the_lowest_of_many_have_the_whole_table() -> None:
    postings, rng = Postings(), np.random.default_rng(1)
    low = rng.integers(1, 2**58, 100).astype(np.uint64)
    postings.see(low, np.zeros(100, np.int32), np.zeros(100), _TENANTS)
    others = rng.integers(1, 2**58, 1_000).astype(np.uint64)  # a quarter of the table's places
    postings.see(others, np.zeros(1_000, np.int32), np.zeros(1_000), _TENANTS)
    postings.see(low, np.full(100, 2, np.int32), np.zeros(100), _TENANTS)
    assert len(postings.prints) > 60


def test_what_an_exchange_has_few_of_is_followed_whole() -> None:
    samples = [np.arange(PRINTS_FOLLOWED, dtype=np.uint64), np.zeros(0, np.uint64), np.arange(3, dtype=np.uint64)]
    prints, sizes = followed(samples)
    assert sizes.tolist() == [PRINTS_FOLLOWED, 0, 3]
    assert prints.tolist() == np.concatenate(samples).tolist()


def test_of_a_longer_prompt_as_much_is_followed_of_what_its_ends_have_as_of_the_rest() -> None:
    rng = np.random.default_rng(1)
    ends = np.sort(rng.integers(2**58, 2**62, 64).astype(np.uint64))
    samples = [np.concatenate([np.sort(rng.integers(1, 2**58, 64).astype(np.uint64)), ends]) for _ in range(20)]
    few = np.arange(5, dtype=np.uint64)
    prints, sizes = followed([*samples, few])
    of_ends = [set(part.tolist()) & set(ends.tolist()) for part in np.split(prints, sizes.cumsum())[:20]]
    assert all(part == of_ends[0] for part in of_ends), "the same prints in every prompt"
    assert 20 < len(of_ends[0]) < 44
    assert 20 * 54 < sizes[:20].sum() < 20 * 74
    assert prints[-5:].tolist() == few.tolist()


def test_of_a_prompt_whose_sample_is_not_full_the_lowest_are_followed() -> None:
    sample = np.arange(SAMPLE_MOST - 1, dtype=np.uint64) << np.uint64(40)
    prints, sizes = followed([sample, sample[:3]])
    assert sizes.tolist() == [PRINTS_FOLLOWED, 3]
    assert prints.tolist() == [*sample[:PRINTS_FOLLOWED].tolist(), *sample[:3].tolist()]
    places = np.arange(SAMPLE_MOST, dtype=np.uint64)
    half = (places << np.uint64(40)) + (places % np.uint64(2) << np.uint64(31))
    assert followed([half])[0].tolist() == half[::2].tolist()


def test_of_an_account_that_did_less_of_late_each_print_was_used_as_much_less_in_the_sum() -> None:
    postings = Postings()
    prints, accounts = np.repeat(np.arange(1, 401, dtype=np.uint64), 6), np.tile(np.array([0, 0, 0, 1, 1, 1]), 400)
    postings.see(prints, accounts.astype(np.int32), np.full(len(prints), 20.0), np.arange(2, dtype=np.int32))
    before = postings.pairs["times"].copy()
    postings.keep(np.arange(2, dtype=np.int32), 15.0, np.array([1.0, 0.5]))
    of, times = postings.pairs["account"], postings.pairs["times"]
    assert (times[of == 0] == before[of == 0]).all()
    halved = times[of == 1]
    assert set(halved.tolist()) <= {1, 2}
    assert abs(int(halved.sum()) - int(before[of == 1].sum()) / 2) < 40
    assert postings.prints["uses"].sum() == times.sum()
