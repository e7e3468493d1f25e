"""Rows by number, and active hours: what follows a table says the same as looking at all of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.hunter import grouped as grouped_module
from proxy.hunter.grouped import Grouped
from proxy.hunter.hours import ActiveHours, hour_of, moment_of
from proxy.hunter.suspicions import in_parts

_NUMBERS = st.lists(st.lists(st.integers(0, 6), max_size=20), max_size=6)
_CELLS = st.lists(st.lists(st.tuples(st.integers(0, 40_000), st.integers(0, 3)), max_size=12), max_size=5)


@given(_NUMBERS, st.sets(st.integers(0, 6)), st.integers(0, 5))
def test_rows_of_numbers_are_found_in_order_however_the_table_grew(
    parts: list[list[int]], wanted: set[int], least: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grouped_module, "_LOOKED_THROUGH_LEAST", least)
        grouped, column, mask = Grouped(), np.zeros(0, np.int32), np.isin(np.arange(7), list(wanted))
        for part in parts:
            column = np.append(column, np.array(part, np.int32))
            expected = sorted((number, row) for row, number in enumerate(column.tolist()) if number in wanted)
            assert grouped.rows_of(column, mask).tolist() == [row for _, row in expected]


def _rows(cells: list[tuple[int, int]]) -> tuple[Any, Any]:
    return np.array([float(at) for at, _ in cells]), np.array([account for _, account in cells], np.int32)


@given(_CELLS, st.sets(st.integers(0, 3)))
def test_an_account_counts_once_an_hour_whatever_the_order(parts: list[list[tuple[int, int]]], out: set[int]) -> None:
    hours = ActiveHours()
    for part in parts:
        hours.take(*_rows(part))
    told = [cell for part in parts for cell in part]
    found, first = hours.without(np.isin(np.arange(4), list(out)), 1, 9)
    at, accounts = _rows(told)
    expected = {
        (hour, who) for hour, who in zip(hour_of(at).tolist(), accounts.tolist(), strict=True) if who not in out
    }
    active = [hour for hour, _ in expected if 1 <= hour <= 9]
    assert hours.rows == len(told)
    if active:
        assert found.tolist() == [active.count(hour) for hour in range(first, max(active) + 1)]
        assert first == min(active)
    else:
        assert (found.tolist(), first) == ([0.0], 0)


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 5))
def test_parts_are_all_of_it_and_no_larger_than_they_have_to_be(sizes: list[int], most_numbers: int) -> None:
    numbers = np.arange(len(sizes))
    parts = [part.tolist() for part in in_parts(numbers, np.array(sizes, np.int32), 10, most_numbers)]
    assert [number for part in parts for number in part] == numbers.tolist()
    assert all(len(part) <= most_numbers for part in parts)
    assert all(len(part) == 1 or sum(sizes[number] for number in part) <= 10 for part in parts)


@given(st.floats(-1e6, 1e10), st.sampled_from([60, 600, 3600]))
def test_moments_are_those_of_the_seconds(at: float, lasting_s: int) -> None:
    moments = np.array(
        [at, np.floor(at / lasting_s) * lasting_s, np.nextafter(np.floor(at / lasting_s) * lasting_s, 0)]
    )
    assert moment_of(moments, lasting_s).tolist() == np.floor_divide(moments, lasting_s).astype(np.int64).tolist()
