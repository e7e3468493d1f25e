"""Which groups have what another one has says the same as comparing each with each."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from proxy.hunter.holders import Holders

_NUMBERS = st.sets(st.integers(0, 9), max_size=6)


@given(st.lists(_NUMBERS, max_size=6), _NUMBERS)
def test_of_each_group_it_is_known_how_many_numbers_it_has_in_common_with_others(
    groups: list[set[int]], wanted: set[int]
) -> None:
    holders = Holders()
    for group, numbers in enumerate(groups):
        holders.add(group, np.array(sorted(numbers), np.int32))
        counts = holders.counts(np.array(sorted(wanted), np.int32)).tolist()
        told = groups[: group + 1]
        assert counts + [0] * (len(told) - len(counts)) == [len(each & wanted) for each in told]


def test_groups_that_have_nothing_are_in_common_with_nobody() -> None:
    holders, some = Holders(), np.array([0, 4], np.int32)
    assert not len(holders.counts(some))
    holders.add(0, some[:0])
    assert not len(holders.counts(some))
