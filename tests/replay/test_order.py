"""What comes up to an hour late takes its place, and what cannot be believed stands where the clock is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.replay.order import InOrder

BEGAN = 1_700_000_000.0
HOUR_S = 3_600.0


def sorted_out(moments: list[float]) -> tuple[InOrder[int], list[tuple[float, int]]]:
    """Put lines with these moments into order; return each with the moment at which its turn was."""
    order: InOrder[int] = InOrder()
    turns = [turn for line, at in enumerate(moments) for turn in order.add(line, at, line)]
    turns += order.rest()
    assert [line for _, line, _ in turns] == [item for _, _, item in turns]
    return order, [(at, line) for at, line, _ in turns]


@given(st.lists(st.tuples(st.floats(0, 86_000), st.floats(0, HOUR_S)), min_size=1, max_size=40))
def test_lines_that_come_up_to_an_hour_late_have_their_turn_as_if_they_had_not(told: list[tuple[float, float]]) -> None:
    arrived = sorted(told, key=lambda line: line[0] + line[1])
    moments = [BEGAN + at for at, _ in arrived]
    order, turns = sorted_out(moments)
    assert turns == sorted((at, line) for line, at in enumerate(moments))
    assert (order.jumped, order.jumps) == (0, [])


def test_a_line_that_comes_an_hour_late_is_late_and_one_from_before_that_stands_where_the_clock_is() -> None:
    before = [BEGAN + second for second in range(7_201)]
    order, turns = sorted_out([*before, BEGAN + 3_600])
    assert (order.late, order.jumped, turns[3_601]) == (1, 0, (BEGAN + 3_600, 7_201))
    order, turns = sorted_out([*before, BEGAN + 3_598])
    assert (order.late, order.jumped, turns[3_600]) == (0, 1, (BEGAN + 3_599, 7_201))
    assert [(jump.line, jump.seconds) for jump in order.jumps] == [(7_201, -1.0)]


def test_one_line_from_far_ahead_stands_where_the_clock_is_and_two_of_them_move_it() -> None:
    before = [BEGAN + second for second in range(10)]
    order, turns = sorted_out([*before, BEGAN + 90_000, BEGAN + 10])
    assert turns == [*((BEGAN + line, line) for line in range(10)), (BEGAN + 9, 10), (BEGAN + 10, 11)]
    assert [(jump.line, jump.seconds) for jump in order.jumps] == [(10, 89_991.0)]
    order, turns = sorted_out([*before, BEGAN + 90_000, BEGAN + 90_001])
    assert (order.jumped, turns[-1]) == (1, (BEGAN + 90_001, 11))
