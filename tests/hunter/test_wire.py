from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.hunter.event import Event
from proxy.hunter.wire import Batch, decode, encode, in_time
from tests.hunter.events import any_event, event, plain

BAD = Batch(0.0, [], 1)
NOW, YEAR = 1_800_000_000.0, 366 * 86_400.0


@given(st.lists(any_event, max_size=4), st.floats(0, 1e11))
def test_what_was_written_is_read_again(events: list[Event], sent_at: float) -> None:
    batch = decode(encode(events, sent_at))
    assert [plain(found) for found in batch.events] == [plain(given) for given in events]
    assert (batch.sent_at, batch.malformed) == (sent_at, 0)


@given(st.binary(max_size=200))
def test_garbage_is_counted_and_never_raises(data: bytes) -> None:
    assert decode(data) == BAD


@given(st.data())
def test_a_batch_that_was_damaged_never_raises(data: st.DataObject) -> None:
    sound = bytearray(encode([event(), event("acme-2")], 5.0))
    for _ in range(data.draw(st.integers(1, 4))):
        sound[data.draw(st.integers(0, len(sound) - 1))] = data.draw(st.integers(0, 255))
    batch = decode(bytes(sound))
    assert len(batch.events) + batch.malformed >= 1


@given(st.integers(0, 400))
def test_a_batch_that_was_cut_is_no_batch(length: int) -> None:
    whole = encode([event()], 5.0)
    assert decode(whole[: min(length, len(whole) - 1)]) == BAD


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=18) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
def test_json_of_any_shape_never_raises(document: object) -> None:
    head = orjson.dumps(document)
    decode(b"SGE2" + len(head).to_bytes(4, "little") + head)


@pytest.mark.parametrize(
    "changes",
    [
        {"at": float("nan")},
        {"at": -1.0},
        {"opened": float("inf")},
        {"account": 7},
        {"links": (("payment", 1),)},
        {"links": (("payment",),)},
        {"effect": "maybe"},
        {"delivered": 1},
        {"input_tokens": -1},
        {"output_tokens": 2**63},
        {"reasoning_tokens": -1},
        {"question": -1},
        {"asked": event().asked._replace(turns=-1)},
        {"asked": event().asked._replace(obfuscation=1.5)},
        {"prints": np.array([2, 1], np.uint64)},
        {"prints": np.array([1, 1], np.uint64)},
    ],
    ids=str,
)
def test_what_is_no_event_is_counted_and_the_others_are_read(changes: dict[str, Any]) -> None:
    batch = decode(encode([event("a"), event("b")._replace(**changes), event("c")], 5.0))
    assert [found.account for found in batch.events] == ["a", "c"]
    assert batch.malformed == 1


def test_text_that_is_no_text_is_written_all_the_same() -> None:
    batch = decode(encode([event("a\ud800"), event("b")], 5.0))
    assert [found.account for found in batch.events] == ["a?", "b"]


def test_a_later_version_is_not_guessed_at() -> None:
    assert decode(b"SGE3" + encode([event()], 5.0)[4:]) == BAD


@pytest.mark.parametrize(
    ("sent_at", "moments", "read"),
    [
        (NOW - 1, (NOW - 3_000, NOW - 2), (NOW - 3_000, NOW - 2)),
        (NOW + 30, (NOW + 20, NOW + 29), (NOW + 20, NOW + 29)),
        (NOW + YEAR, (NOW + YEAR - 300, NOW + YEAR - 1), (NOW - 300, NOW - 1)),
        (NOW + 3_600, (NOW - 5, NOW + 3_590), (NOW - 3_605, NOW - 10)),
        (NOW - 1, (NOW + YEAR, NOW - 2), (NOW - 1, NOW - 2)),
        (0.0, (NOW + YEAR, NOW - 2), (NOW, NOW - 2)),
        (NOW + YEAR, (5.0,), (0.0,)),
    ],
)
def test_what_was_told_by_a_clock_that_is_ahead_is_read_by_the_readers(
    sent_at: float, moments: tuple[float, ...], read: tuple[float, ...]
) -> None:
    told = [event(at=at) for at in moments]
    assert [entry.at for entry in in_time(Batch(sent_at, told, 0), NOW)] == list(read)
