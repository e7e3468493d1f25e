"""Promises of the event splitter: no byte is lost, and where the bytes are split changes nothing."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.dialects._sse import Event, EventSplitter, written
from proxy.errors import UpstreamFailed

_TABLE: dict[str, tuple[bytes, list[Event]]] = {
    "one": (b"data: a\n\n", [(b"data: a\n\n", b"", b"a")]),
    "a name": (b"event: e\ndata: a\n\n", [(b"event: e\ndata: a\n\n", b"e", b"a")]),
    "the name last": (b"data: a\nevent: e\n\n", [(b"data: a\nevent: e\n\n", b"e", b"a")]),
    "the last name counts": (b"event: e\nevent: f\ndata: a\n\n", [(b"event: e\nevent: f\ndata: a\n\n", b"f", b"a")]),
    "no space": (b"event:e\ndata:a\n\n", [(b"event:e\ndata:a\n\n", b"e", b"a")]),
    "two spaces": (b"data:  a\n\n", [(b"data:  a\n\n", b"", b" a")]),
    "many lines": (b"data: a\ndata\ndata: b\n\n", [(b"data: a\ndata\ndata: b\n\n", b"", b"a\n\nb")]),
    "id and retry": (b"id: 1\nretry: 9\ndata: a\n\n", [(b"id: 1\nretry: 9\ndata: a\n\n", b"", b"a")]),
    "a comment": (b": ping\n\n", [(b": ping\n\n", b"", b"")]),
    "a comment between": (
        b"data: a\n\n: ping\n\ndata: b\n\n",
        [(b"data: a\n\n", b"", b"a"), (b": ping\n\n", b"", b""), (b"data: b\n\n", b"", b"b")],
    ),
    "a comment inside": (b"data: a\n: c\n\n", [(b"data: a\n: c\n\n", b"", b"a")]),
    "an unknown field": (b"datas: a\n\n", [(b"datas: a\n\n", b"", b"")]),
    "a mark first": (b"\xef\xbb\xbfdata: a\n\n", [(b"\xef\xbb\xbfdata: a\n\n", b"", b"a")]),
    "a mark later": (
        b"data: a\n\n\xef\xbb\xbfdata: b\n\n",
        [(b"data: a\n\n", b"", b"a"), (b"\xef\xbb\xbfdata: b\n\n", b"", b"")],
    ),
    "carriage returns and line feeds": (
        b"data: a\r\n\r\ndata: b\r\n\r\n",
        [(b"data: a\r\n\r\n", b"", b"a"), (b"data: b\r\n\r\n", b"", b"b")],
    ),
    "carriage returns": (b"data: a\r\rdata: b\r\r", [(b"data: a\r\r", b"", b"a"), (b"data: b\r\r", b"", b"b")]),
    "a mixture": (b"data: a\r\n\ndata: b\n\r\n", [(b"data: a\r\n\n", b"", b"a"), (b"data: b\n\r\n", b"", b"b")]),
    "too many blank lines": (
        b"data: a\n\n\ndata: b\n\n",
        [(b"data: a\n\n", b"", b"a"), (b"\ndata: b\n\n", b"", b"b")],
    ),
    "unterminated": (b"data: a\n\ndata: b", [(b"data: a\n\n", b"", b"a"), (b"data: b", b"", b"b")]),
    "bad UTF-8": (b"data: \xff\n\n", [(b"data: \xff\n\n", b"", b"\xff")]),
    "nothing": (b"", []),
}

_bodies = st.lists(
    st.sampled_from(
        [b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b"data: a", b"data:b", b"event: e", b": c", b"\xef\xbb\xbf", b"x"]
    ),
    max_size=30,
).map(b"".join)


def _events(pieces: list[bytes]) -> list[Event]:
    splitter = EventSplitter()
    events = [event for piece in pieces for event in splitter.feed(piece)]
    return events + splitter.finish()


def _cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


@pytest.mark.parametrize(("body", "events"), _TABLE.values(), ids=_TABLE.keys())
def test_events_are_what_the_standard_says(body: bytes, events: list[Event]) -> None:
    assert _events([body]) == events
    assert _events([body[index : index + 1] for index in range(len(body))]) == events


@settings(deadline=None)
@given(_bodies, st.lists(st.integers(0, 1_000), max_size=8))
def test_where_the_bytes_are_split_changes_nothing(body: bytes, cuts: list[int]) -> None:
    whole = _events([body])
    assert _events(_cut(body, cuts)) == whole
    assert b"".join(raw for raw, _, _ in whole) == body


def test_an_event_comes_out_with_the_read_that_ends_it() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"event: e\ndata: a") == []
    assert splitter.feed(b"\n") == []
    assert splitter.feed(b"\ndata: b\n\nda") == [(b"event: e\ndata: a\n\n", b"e", b"a"), (b"data: b\n\n", b"", b"b")]


@pytest.mark.parametrize(
    "pieces",
    [
        [b"data: " + b"a" * 100 + b"\n\n"],
        [b"data: " + b"a" * 100],
        [b"a"] * 101,
        [b"data: a\n\n" * 20 + b": " + b"a" * 100 + b"\n\n"],
        [b"data: a\n\n" * 20 + b"a" * 101],
        [b"data: a\r\n" * 13],
    ],
    ids=["whole", "open", "byte by byte", "among others", "after others", "many lines"],
)
def test_an_event_over_the_limit_is_the_upstreams_failure(pieces: list[bytes]) -> None:
    splitter = EventSplitter(max_event_bytes=100)
    *first, last = pieces
    for piece in first:
        splitter.feed(piece)
    with pytest.raises(UpstreamFailed, match="too large"):
        splitter.feed(last)


def test_two_pictures_fit_into_an_event() -> None:
    assert len(EventSplitter().feed(b"data: " + b"a" * 9_000_000 + b"\n\n")) == 1


def test_small_events_may_be_many_in_one_read() -> None:
    assert len(EventSplitter(max_event_bytes=100).feed(b"data: a\n\n" * 1_000)) == 1_000


def test_a_large_event_byte_by_byte_is_not_searched_again_and_again() -> None:
    body = b"data: " + b"a" * 300_000 + b"\n\n"
    assert _events([body[index : index + 1] for index in range(len(body))]) == [(body, b"", body[6:-2])]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_an_event_of_many_lines_is_written_in_no_time(end: bytes) -> None:
    like = end.join([b"data: {}", *[b"x: 1"] * 1_000, b"data: {}", b"", b""])
    assert written(b"{}", b"", like) == b"data: {}\n\n"
