"""Every value once, in order."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from proxy.fingerprint.distinct import among, counted, distinct


@given(st.lists(st.integers(0, 20)))
def test_distinct_values_are_each_there_once_and_in_order(values: list[int]) -> None:
    assert distinct(np.array(values, np.int64)).tolist() == sorted(set(values))


@given(st.lists(st.integers(0, 20)))
def test_values_in_order_are_counted(values: list[int]) -> None:
    values.sort()
    known, times = counted(np.array(values, np.int64))
    assert list(zip(known.tolist(), times.tolist(), strict=True)) == [(v, values.count(v)) for v in sorted(set(values))]


@given(st.lists(st.integers(0, 20)), st.sets(st.integers(0, 20)))
def test_it_is_told_which_values_are_among_others(values: list[int], others: set[int]) -> None:
    found = among(np.array(values, np.int64), np.array(sorted(others), np.int64))
    assert found.tolist() == [value in others for value in values]
