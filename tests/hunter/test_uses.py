"""Which uses of prints count and which repeat, told without a sort of all."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from proxy.hunter.uses import of_several, repeated, uses_in_order

_USES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 9)), max_size=60, unique=True)


@given(_USES, st.lists(st.integers(0, 5), min_size=10, max_size=10))
def test_a_tenant_counts_once_for_each_print_with_its_first_account(
    pairs: list[tuple[int, int]], tenants: list[int]
) -> None:
    pairs.sort(key=lambda pair: pair[0])
    prints, owners = (np.array([pair[place] for pair in pairs], np.int32) for place in (0, 1))
    of = np.array(tenants, np.int32)
    uses = uses_in_order(prints, owners, np.ones(len(pairs), np.int32), of, of_several(of))
    seen: set[tuple[int, int]] = set()
    first = []
    for place, (number, owner) in enumerate(pairs):
        if (number, tenants[owner]) not in seen:
            seen.add((number, tenants[owner]))
            first.append(place)
    assert uses.once.tolist() == first
    assert uses.numbers.tolist() == sorted({number for number, _ in pairs})
    assert [uses.numbers[row] for row in uses.rows] == prints.tolist()
    assert [prints[end - 1] for end in uses.ends] == uses.numbers.tolist()


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), max_size=60))
def test_who_has_a_token_in_common_has_it_with_another_of_the_same_row(pairs: list[tuple[int, int]]) -> None:
    rows = np.array([row for row, _ in pairs], np.intp)
    tokens = np.array([token for _, token in pairs], np.int32)
    told = repeated(rows, tokens).tolist()
    assert told == [token > 0 and pairs.count((row, token)) > 1 for row, token in pairs]
