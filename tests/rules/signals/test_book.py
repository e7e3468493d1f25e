from __future__ import annotations

import dataclasses
import gc
import sys

import pytest

from proxy.rules.conditions.condition import AllOf
from proxy.rules.pack.pack import Signal
from proxy.rules.pack.words import Scope
from proxy.rules.signals import counter as signal_counter
from proxy.rules.signals import distinct_counter
from proxy.rules.signals.book import SignalBook
from proxy.rules.signals.counter import KEYS_MAX
from proxy.rules.signals.distinct_counter import SHOWN_MAX
from proxy.rules.signals.signals import Signals
from proxy.store.distinct import DISTINCT_ERROR

NOW = 1_768_478_400.0
REQUESTS = Signal("asks", "", Scope.ACCOUNT, 3_600_000, AllOf(()), "digest 1")
DISTINCT = Signal("tokens", "request.logit_bias_keys", Scope.ACCOUNT, 3_600_000, AllOf(()), "digest 2")


@pytest.fixture
def book() -> SignalBook:
    return SignalBook(b"k" * 32)


def test_an_exchange_counts_for_its_key_and_until_its_window_is_over(book: SignalBook) -> None:
    counter = book.counter(REQUESTS)
    assert [counter.add("acme", (), NOW + minute * 60) for minute in (0, 10, 20)] == [1, 2, 3]
    assert counter.add("other", (), NOW + 1200) == 1
    assert [counter.count("acme", NOW + minute * 60) for minute in (60, 61, 71, 81)] == [3, 2, 1, 0]
    assert counter.count("never seen", NOW) == 0


def test_a_book_is_what_the_engine_counts_with(book: SignalBook) -> None:
    signals: Signals = book
    assert signals.counter(REQUESTS).add("acme", (), NOW) == 1


def test_members_count_once_each(book: SignalBook) -> None:
    counter = book.counter(DISTINCT)
    assert counter.add("acme", ("a", "b", "a"), NOW) == 2
    assert counter.add("acme", ("b", "c"), NOW + 1800) == 3
    assert counter.add("acme", (), NOW + 1800) == 3
    assert counter.count("acme", NOW + 3700) == 2


@pytest.mark.parametrize("size", [300, 2048])
def test_members_are_counted_exactly_where_thresholds_are(book: SignalBook, size: int) -> None:
    counter = book.counter(DISTINCT)
    assert [counter.add("acme", (f"{number}",), NOW) for number in range(size)] == list(range(1, size + 1))


def test_members_are_counted_within_the_error_beyond(book: SignalBook) -> None:
    counter = book.counter(DISTINCT)
    for first in range(0, 20_000, 100):
        count = counter.add("acme", [f"{number}" for number in range(first, first + 100)], NOW)
        assert count == pytest.approx(first + 100, rel=4 * DISTINCT_ERROR)


def test_an_exchange_that_shows_a_heap_of_members_is_looked_at_in_part(book: SignalBook) -> None:
    assert book.counter(DISTINCT).add("acme", [f"{number}" for number in range(100_000)], NOW) == SHOWN_MAX


def test_texts_that_no_encoding_has_are_counted(book: SignalBook) -> None:
    assert book.counter(DISTINCT).add("acme", ("\ud800", "\ud801", ""), NOW) == 3
    assert book.counter(REQUESTS).bucket("\ud800") != book.counter(REQUESTS).bucket("\ud801")


def test_a_reload_keeps_the_counters_whose_definition_is_unchanged(book: SignalBook) -> None:
    counter = book.counter(REQUESTS)
    counter.add("acme", (), NOW)
    book.counter(DISTINCT).add("acme", ("a",), NOW)
    assert book.counter(dataclasses.replace(REQUESTS, name="renamed")) is counter
    book.keep_only(frozenset({"digest 1"}))
    assert book.counter(REQUESTS).count("acme", NOW) == 1
    assert book.counter(DISTINCT).count("acme", NOW) == 0


@pytest.mark.parametrize("signal", [REQUESTS, DISTINCT])
def test_a_clock_that_is_set_back_resets_nothing_and_stops_nothing(book: SignalBook, signal: Signal) -> None:
    counter = book.counter(signal)
    for number in range(5):
        counter.add("acme", (f"{number}",), NOW)
    assert counter.count("acme", NOW - 86_400) == 5
    assert counter.add("acme", ("5",), NOW - 86_400) == 6
    assert counter.count("acme", NOW - 86_400 + 3_600) == 6
    assert counter.count("acme", NOW - 86_400 + 3_720) == 0


@pytest.mark.parametrize("signal", [REQUESTS, DISTINCT])
def test_of_more_accounts_than_there_is_room_for_those_in_use_stay(book: SignalBook, signal: Signal) -> None:
    counter = book.counter(signal)
    for number in range(KEYS_MAX + 1000):
        counter.add(f"account {number}", ("a",), NOW)
        if number % 1000 == 0:
            counter.add("busy", (f"{number}",), NOW)
    assert len(counter) == KEYS_MAX
    assert counter.count("busy", NOW) == (KEYS_MAX + 1000) // 1000
    assert counter.count("account 1", NOW) == 0


def test_the_members_of_all_keys_together_are_bounded(book: SignalBook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distinct_counter, "MEMBERS_MAX", 1000)
    counter = book.counter(DISTINCT)
    for number in range(300):
        counter.add(f"account {number}", [f"{member}" for member in range(10)], NOW)
    assert len(counter) == 100
    assert counter.count("account 299", NOW) == 10


@pytest.mark.parametrize("signal", [REQUESTS, DISTINCT])
def test_keys_that_were_not_used_for_a_window_are_swept(book: SignalBook, signal: Signal) -> None:
    counter = book.counter(signal)
    for number in range(100):
        counter.add(f"account {number}", ("a",), NOW)
    counter.add("late", ("a",), NOW + 3000)
    counter.sweep(NOW + 3600, 1000)
    assert len(counter) == 101
    counter.sweep(NOW + 3700, 1000)
    assert len(counter) == 1


@pytest.mark.parametrize("signal", [REQUESTS, DISTINCT])
def test_what_waits_for_a_store_is_bounded_and_what_is_lost_is_counted(
    signal: Signal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal_counter, "KEYS_MAX", 100)
    monkeypatch.setattr(distinct_counter, "UNSENT_MAX", 100)
    book = SignalBook(b"k" * 32, shared=True)
    counter = book.counter(signal)
    for number in range(250):
        counter.add(f"account {number}", ("a",), NOW)
    words = counter.take(1000, NOW)
    assert sum(word.added + len(word.members) for word in words) + book.dropped == 250
    assert book.dropped >= 150
    book.keep_only(frozenset())
    assert book.dropped >= 150


def test_no_value_that_is_counted_is_kept(book: SignalBook) -> None:
    counter = book.counter(DISTINCT)
    value = f"a secret value {NOW}"
    kept = sys.getrefcount(value)
    counter.add("acme", (value,), NOW)
    assert sys.getrefcount(value) == kept
    assert not [held for held in gc.get_objects() if isinstance(held, dict) and value in held and held is not locals()]
