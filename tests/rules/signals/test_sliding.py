from __future__ import annotations

import random
from collections import Counter
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.rules.signals.sliding import MemberWindow, RequestWindow, SlotClock
from proxy.store.base import SLOTS
from proxy.store.distinct import DISTINCT_ERROR, SAMPLE, DistinctWindow

MINUTE_MS = 60_000

# Slots passed, and what was counted then.
steps = st.lists(st.tuples(st.integers(0, SLOTS * 2), st.integers(0, 5)), max_size=60)


@given(steps)
def test_a_window_has_what_was_added_in_its_slots(history: list[tuple[int, int]]) -> None:
    slot, added = 1000, Counter[int]()
    window = RequestWindow(slot)
    for passed, times in history:
        slot += passed
        window.advance(slot)
        for _ in range(times):
            window.add()
        added[slot] += times
        assert window.count == sum(count for then, count in added.items() if then >= slot - SLOTS)


@given(st.lists(st.tuples(st.integers(0, SLOTS), st.lists(st.integers(0, 30), max_size=8)), max_size=60))
def test_a_window_has_each_member_until_a_window_after_it_was_last_seen(history: list[tuple[int, list[int]]]) -> None:
    slot, seen = 1000, dict[int, int]()
    window = MemberWindow(slot)
    for passed, members in history:
        slot += passed
        window.advance(slot)
        window.see(members)
        seen.update(dict.fromkeys(members, slot))
        assert window.count == sum(then >= slot - SLOTS for then in seen.values())


@given(steps, st.integers(0, 50))
def test_what_others_counted_only_grows_less_until_it_is_learned_anew(
    history: list[tuple[int, int]], all_: int
) -> None:
    slot, before = 1000, all_
    window = RequestWindow(slot)
    window.learn(all_)
    for passed, _ in history:
        slot += passed
        window.advance(slot)
        assert 0 <= window.count <= before
        before = window.count
    window.advance(slot + SLOTS)
    assert window.count == 0


@pytest.mark.parametrize(
    ("readings", "slots"),
    [
        ([100.0, 100.5, 101.0, 102.0], [100, 100, 101, 102]),
        ([100.0, 99.5, 99.9, 100.0, 101.0], [100, 100, 100, 100, 101]),
        ([100.0, 40.0, 41.0, 42.5], [100, 100, 101, 102]),
        ([100.0, 40.0, 100.0], [100, 100, 160]),
        ([100.0, 9e9, 100.0, 101.0], [100, 9_000_000_000, 9_000_000_000, 9_000_000_001]),
    ],
)
def test_time_stands_still_when_the_clock_is_set_back_and_goes_on_from_there(
    readings: list[float], slots: list[int]
) -> None:
    clock = SlotClock(MINUTE_MS)
    assert [clock.slot(reading) for reading in readings] == slots


@given(st.lists(st.floats(-1e6, 1e9), min_size=1, max_size=50))
def test_slots_never_go_back_whatever_the_clock_does(readings: list[float]) -> None:
    clock = SlotClock(MINUTE_MS)
    slots = [clock.slot(reading) for reading in readings]
    assert slots == sorted(slots)


@given(st.lists(st.floats(-1e6, 1e9), min_size=1, max_size=50), st.integers(1, 10))
def test_everything_has_left_a_window_and_a_slot_later_whatever_the_clock_did(readings: list[float], size: int) -> None:
    clock = SlotClock(MINUTE_MS)
    window = RequestWindow(clock.slot(readings[0]))
    for reading in readings:
        window.advance(clock.slot(reading))
        before = window.count
        for _ in range(size):
            window.add()
        assert window.count == before + size
    later = readings[-1]
    for _ in range(SLOTS + 3):
        later += 1.0
        window.advance(clock.slot(later))
    assert window.count == 0


@pytest.mark.parametrize("size", [SAMPLE, SAMPLE + 1, 3_000, 10_000, 50_000])
def test_the_error_of_a_distinct_count_is_as_small_as_said(size: int) -> None:
    errors = []
    for seed in range(25):
        draw = random.Random(seed)
        window = DistinctWindow(0)
        window.note(draw.getrandbits(64) for _ in range(size))
        errors.append(window.total / size - 1)
    if size <= SAMPLE:
        assert not any(errors)
    assert fmean(error * error for error in errors) ** 0.5 <= 1.35 * DISTINCT_ERROR
    assert abs(fmean(errors)) <= 3 * DISTINCT_ERROR / 5
    assert len(window) <= SAMPLE


@pytest.mark.parametrize("seed", range(5))
def test_a_crowd_that_slides_is_counted_within_the_error_all_along(seed: int) -> None:
    """A flood of some slots amid a small crowd: before, while it is there, and after it has left."""
    draw = random.Random(seed)
    window = DistinctWindow(0)
    seen: dict[int, int] = {}
    largest = 0
    for slot in range(4 * SLOTS):
        window.advance(slot)
        members = [draw.getrandbits(64) for _ in range(2_000 if 70 <= slot < 90 else 20)]
        window.note(members)
        seen.update(dict.fromkeys(members, slot))
        true = sum(then >= slot - SLOTS for then in seen.values())
        largest = max(largest, true)
        assert abs(window.total - true) <= 5 * DISTINCT_ERROR * (true * largest) ** 0.5
        if slot < 70 or slot > 90 + 2 * SLOTS:
            assert window.total == true


@pytest.mark.parametrize("passed", [0, 1, SLOTS // 3, SLOTS - 1, SLOTS, SLOTS + 1])
def test_what_others_counted_leaves_evenly(passed: int) -> None:
    requests, members = RequestWindow(1000), MemberWindow(1000)
    for window in (requests, members):
        window.learn(SLOTS)
        assert window.count == SLOTS, "from the moment on at which it is learned"
        window.advance(1000 + passed)
        assert window.count == max(SLOTS - passed, 0)


def test_a_window_counts_the_larger_of_what_was_seen_here_and_by_all() -> None:
    window = MemberWindow(1000)
    assert window.see([1, 2, 3]) == [1, 2, 3]
    for learned, count in ((2, 3), (9, 9), (0, 3)):
        window.learn(learned)
        assert window.count == count
    assert window.still([3, 4, 1]) == (3, 1)
