"""Numbers for keys, and columns that grow: the tables that all else stands in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.hunter.columns import Columns
from proxy.hunter.ids import Ids
from tests.hunter.events import U64

_MIX_INVERSE = pow(0x9E3779B97F4A7C15, -1, 2**64)


def _keys(values: list[int]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    return np.array(values, np.uint64)


@given(st.lists(st.lists(U64, max_size=30), max_size=6))
def test_a_key_keeps_its_number_and_no_two_have_the_same(batches: list[list[int]]) -> None:
    ids, known = Ids(), dict[int, int]()
    for batch in batches:
        for key, number in zip(batch, ids.number(_keys(batch)).tolist(), strict=True):
            assert known.setdefault(key, number) == number
    assert sorted(known.values()) == list(range(len(ids)))
    assert ids.find(_keys(list(known))).tolist() == list(known.values())
    assert ids.keys()[list(known.values())].tolist() == list(known)


@given(st.sets(U64), U64)
def test_who_has_no_number_is_nobody(keys: set[int], other: int) -> None:
    ids = Ids()
    ids.number(_keys(list(keys)))
    assert (ids.find(_keys([other]))[0] == -1) == (other not in keys)


@given(st.lists(U64, unique=True), st.randoms(use_true_random=False))
def test_keys_that_are_kept_are_numbered_anew_in_the_order_given(keys: list[int], random: Any) -> None:
    ids = Ids()
    ids.number_all(_keys(keys))
    kept = random.sample(range(len(keys)), len(keys) // 2)
    ids.keep(np.array(kept, np.intp))
    assert ids.keys().tolist() == [keys[number] for number in kept]
    assert sorted(ids.find(_keys(keys)).tolist()) == [-1] * (len(keys) - len(kept)) + list(range(len(kept)))


def test_keys_that_all_want_one_place_get_numbers_of_their_own() -> None:
    # Multiplied by the mix they have the same upper bits.
    keys = _keys([(number * _MIX_INVERSE) % 2**64 for number in range(500)])
    ids = Ids()
    assert sorted(ids.number(keys).tolist()) == list(range(500))
    assert ids.find(keys).tolist() == ids.number(keys).tolist()


def test_many_pairs_take_less_than_forty_bytes_each() -> None:
    ids = Ids()
    prints, accounts = np.arange(1000, dtype=np.uint64), np.arange(300, dtype=np.uint64)
    pairs = (prints[:, None] << np.uint64(32) | accounts).ravel()
    for part in np.split(pairs, 20):
        ids.number(part)
    assert (ids.find(pairs) == np.arange(len(pairs))).all()
    assert ids._keys.nbytes + ids._numbers.nbytes < 40 * len(pairs)


def test_columns_grow_and_hold_what_was_added() -> None:
    table = Columns({"a": np.int32, "b": (np.int16, 3)})
    for number in range(3000):
        table.add(1, a=[number], b=[[number, 1, 2]])
    assert table["a"].tolist() == list(range(3000))
    assert table["b"][2999].tolist() == [2999, 1, 2]
    assert len(table) == 3000


def test_what_is_not_named_is_zero_even_where_rows_were_before() -> None:
    table = Columns({"a": np.int32, "b": np.int32})
    table.add(4, a=[1, 2, 3, 4], b=[9, 9, 9, 9])
    table.keep(np.array([0]))
    table.add(2, a=[5, 6])
    assert table["b"].tolist() == [9, 0, 0]


@pytest.mark.parametrize("rows", [np.array([2, 0]), np.array([True, False, True])], ids=["rows", "mask"])
def test_kept_rows_and_a_checkpoint_hold_the_same(rows: np.ndarray[Any, Any]) -> None:
    table, restored = Columns({"a": np.int64}), Columns({"a": np.int64})
    table.add(3, a=[7, 8, 9])
    expected = np.array([7, 8, 9])[rows].tolist()
    table.keep(rows)
    restored.restore(table.arrays())
    restored.add(1, a=[1])
    assert table["a"].tolist() == expected
    assert restored["a"].tolist() == [*expected, 1]
