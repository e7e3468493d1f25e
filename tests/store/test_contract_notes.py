from __future__ import annotations

import hashlib

import pytest

from proxy.clock import VirtualClock
from proxy.store.base import SLOTS, Note, Store
from proxy.store.distinct import DISTINCT_ERROR, SAMPLE
from proxy.store.memory import MemoryStore
from tests.store.ground import Ground

BUCKET = "0123456789abcdef"
HOUR = 3_600_000
SHORT = 1200  # a window short enough to see it pass


def _members(first: int, last: int) -> tuple[bytes, ...]:
    return tuple(hashlib.blake2b(b"%d" % number, digest_size=8).digest() for number in range(first, last))


async def _note(store: Store, first: int, last: int, *, window: int = HOUR, bucket: str = BUCKET) -> int:
    (total,) = await store.note([Note(bucket, window, _members(first, last))])
    return total


async def test_a_member_counts_once_whoever_notes_it_and_how_often(ground: Ground) -> None:
    assert await _note(ground.store, 0, 10) == 10
    assert await _note(ground.store, 0, 10) == 10
    assert await _note(ground.other, 5, 15) == 15
    assert await _note(ground.store, 0, 0) == 15


async def test_each_note_of_a_call_is_answered_on_its_own_and_in_order(ground: Ground) -> None:
    totals = await ground.store.note(
        [
            Note(BUCKET, HOUR, _members(0, 3)),
            Note("another bucket 1", HOUR, _members(0, 2)),
            Note(BUCKET, HOUR, _members(2, 5)),
            Note("another bucket 2", HOUR, ()),
        ]
    )
    assert totals == [3, 2, 5, 0]


async def test_counts_are_exact_up_to_the_sample_in_whatever_pieces(ground: Ground) -> None:
    for first in range(0, SAMPLE, 512):
        assert await _note(ground.store, first, first + 512) == first + 512


@pytest.mark.parametrize("size", [2_500, 20_000])
async def test_every_store_draws_the_same_sample_of_a_crowd(ground: Ground, size: int) -> None:
    reference = MemoryStore(VirtualClock())
    for first in range(0, size, 500):
        assert await _note(ground.store, first, first + 500) == await _note(reference, first, first + 500)
    assert await _note(ground.store, 0, 0) == pytest.approx(size, rel=4 * DISTINCT_ERROR)


async def test_a_member_leaves_a_window_after_it_was_last_seen(ground: Ground) -> None:
    await _note(ground.store, 0, 10, window=SHORT)
    await ground.pass_time(SHORT // 2)
    assert await _note(ground.store, 5, 8, window=SHORT) == 10
    await ground.pass_time(SHORT // 2 + SHORT // SLOTS + 1)
    assert await _note(ground.other, 0, 0, window=SHORT) == 3
    await ground.pass_time(SHORT // 2)
    assert await _note(ground.store, 0, 0, window=SHORT) == 0


async def test_a_window_that_was_crowded_is_exact_again_when_the_crowd_has_left(ground: Ground) -> None:
    await _note(ground.store, 0, 3 * SAMPLE, window=SHORT)
    await ground.pass_time(SHORT + SHORT // SLOTS + 1)
    assert await _note(ground.store, 0, 100, window=SHORT) == 100


async def test_a_question_leaves_nothing_behind(ground: Ground) -> None:
    assert await _note(ground.store, 0, 0) == 0
    assert await _note(ground.store, 0, 1) == 1
