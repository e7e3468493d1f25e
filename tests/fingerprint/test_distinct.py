"""Every value once, in order."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from proxy.fingerprint.distinct import distinct


@given(st.lists(st.integers(0, 20)))
def test_distinct_values_are_each_there_once_and_in_order(values: list[int]) -> None:
    assert distinct(np.array(values, np.int64)).tolist() == sorted(set(values))
