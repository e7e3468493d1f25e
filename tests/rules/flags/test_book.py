from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.rules.flags import book as flag_book
from proxy.rules.flags.book import FlagBook
from proxy.rules.flags.flag import Flag, FlagKey, Flags, Lifted, World
from proxy.rules.pack.words import Subject

NOW = 1_768_478_400.0
KEY = FlagKey(World.ENFORCED, Subject.ACCOUNT, "acme", "probe")


def _flag(score: int = 40, at: float = NOW, ttl: float = 100.0, rule: str = "rule", name: str = "probe") -> Flag:
    return Flag(name, score, at, at + ttl, rule)


def _put(book: FlagBook, *flags: Flag) -> None:
    for flag in flags:
        book.put(World.ENFORCED, Subject.ACCOUNT, "acme", flag)


def _on(book: FlagBook, now: float = NOW) -> dict[str, Flag]:
    return dict(book.on(World.ENFORCED, Subject.ACCOUNT, "acme", now))


def test_a_flag_is_on_its_subject_in_its_world_and_nowhere_else() -> None:
    book: Flags = FlagBook()
    book.put(*KEY[:3], _flag())
    for world, subject, name in itertools.product(World, Subject, ("acme", "other")):
        there = (world, subject, name) == KEY[:3]
        assert bool(book.on(world, subject, name, NOW)) == there


def test_where_nothing_is_on_nothing_is_made() -> None:
    book = FlagBook()
    _put(book, _flag())
    assert book.on(World.SHADOW, Subject.TENANT, "x", NOW) is book.on(World.SHADOW, Subject.ACCOUNT, "acme", NOW)


def test_a_flag_ends_with_its_lifetime() -> None:
    book = FlagBook()
    _put(book, _flag(ttl=100), _flag(ttl=50, name="other"))
    assert [sorted(_on(book, NOW + later)) for later in (0, 49.9, 50, 99.9, 100)] == [
        ["other", "probe"],
        ["other", "probe"],
        ["probe"],
        ["probe"],
        [],
    ]


def test_what_was_read_does_not_change_when_another_flag_is_raised() -> None:
    book = FlagBook()
    _put(book, _flag())
    before = book.on(World.ENFORCED, Subject.ACCOUNT, "acme", NOW)
    _put(book, _flag(name="other"), _flag(score=99, at=NOW + 1))
    assert {name: flag.score for name, flag in before.items()} == {"probe": 40}


def test_many_flags_of_one_request_are_not_copied_for_each() -> None:
    book, flags = FlagBook(), [_flag(name=f"probe {number}") for number in range(20_000)]
    began = time.process_time()
    _put(book, *flags)
    assert _on(book).keys() == {flag.name for flag in flags}
    assert time.process_time() - began < 2  # a tenth of a second, and half a minute if each were


@pytest.mark.parametrize(
    ("raises", "expected"),
    [
        # score, at, ttl of each raise -> score, raised_at, expires_at, times, renewed_at
        ([(40, 0, 100)], (40, 0, 100, 1, 0)),
        ([(40, 0, 100), (40, 10, 100)], (40, 0, 110, 2, 10)),
        ([(40, 0, 100), (25, 10, 100)], (25, 0, 110, 2, 10)),
        ([(40, 0, 100), (65, 10, 20)], (65, 0, 100, 2, 10)),
        ([(40, 0, 100), (25, 0, 100)], (40, 0, 100, 2, 0)),
        ([(25, 0, 10), (40, 0, 100), (30, 0, 50)], (40, 0, 100, 3, 0)),
        ([(40, 0, 100), (25, 100, 50)], (25, 100, 150, 1, 0)),
    ],
)
def test_raising_again_renews(raises: list[tuple[int, int, int]], expected: tuple[int, ...]) -> None:
    book = FlagBook()
    _put(book, *(_flag(score, NOW + at, ttl) for score, at, ttl in raises))
    flag = _on(book, raises[-1][1] + NOW)["probe"]
    score, raised_at, expires_at, times, renewed_at = expected
    assert (flag.score, flag.raised_at, flag.expires_at, flag.times) == (
        score,
        NOW + raised_at,
        NOW + expires_at,
        times,
    )
    assert flag.renewed_at == (NOW + renewed_at if renewed_at else 0)


raised = st.builds(_flag, st.integers(1, 99), st.floats(0, 50), st.floats(60, 200), st.sampled_from("ab"))


@given(st.lists(raised, min_size=1, max_size=6), st.randoms())
def test_flags_of_one_moment_or_of_several_processes_come_to_the_same_in_any_order(
    flags: list[Flag], order: object
) -> None:
    first, second = FlagBook(), FlagBook()
    same_moment = [flag._replace(raised_at=50.0) for flag in flags]
    _put(first, *same_moment)
    shuffled = same_moment.copy()
    order.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis gives a random.Random
    _put(second, *shuffled)
    assert _on(first, 55.0) == _on(second, 55.0)
    one = two = flags[0]
    mixed = flags.copy()
    order.shuffle(mixed)  # type: ignore[attr-defined] # as above
    for flag in flags:
        one = one.merged(flag)
    for flag in mixed:
        two = flag.merged(two)
    assert one == two == one.merged(two)


def test_people_who_confirmed_stay_when_it_is_raised_again_and_not_when_it_had_ended() -> None:
    book = FlagBook()
    _put(book, _flag())
    book.hear_confirmation(KEY, "ann", NOW + 1)
    book.hear_confirmation(KEY, "bob", NOW + 2)
    book.hear_confirmation(KEY, "ann", NOW + 3)
    _put(book, _flag(at=NOW + 50))
    assert _on(book, NOW + 50)["probe"].confirmed_by == ("ann", "bob")
    _put(book, _flag(at=NOW + 500))
    book.hear_confirmation(KEY, "ann", NOW + 1)
    assert _on(book, NOW + 500)["probe"].confirmed_by == ()


def test_a_flag_that_was_lifted_comes_back_only_when_raised_anew() -> None:
    book = FlagBook()
    _put(book, _flag())
    book.hear_lift(KEY, Lifted(NOW + 10, NOW + 110))
    assert not _on(book)
    _put(book, _flag(at=NOW + 10))
    book.hear(KEY, _flag(at=NOW + 9), NOW + 10)
    assert not _on(book)
    _put(book, _flag(at=NOW + 11))
    assert _on(book, NOW + 11)["probe"].times == 1


def test_of_a_flag_that_was_lifted_and_raised_anew_only_later_confirmations_count() -> None:
    book = FlagBook()
    _put(book, _flag())
    book.hear_confirmation(KEY, "ann", NOW + 5)
    book.hear_lift(KEY, Lifted(NOW + 10, NOW + 110))
    _put(book, _flag(at=NOW + 20))
    assert _on(book, NOW + 20)["probe"].confirmed_by == ()
    book.hear_confirmation(KEY, "bob", NOW + 30)
    assert _on(book, NOW + 30)["probe"].confirmed_by == ("bob",)
    # By a process that had not heard of the lift.
    renewed = _flag()._replace(renewed_at=NOW + 40, expires_at=NOW + 140)
    book.hear(KEY, renewed, NOW + 40)
    assert _on(book, NOW + 40)["probe"].confirmed_by == ("bob",)


@pytest.mark.parametrize("step", [0.01, 1.0])
def test_renewing_costs_a_row_only_when_the_end_has_moved_by_a_part_of_the_lifetime(step: float) -> None:
    book = FlagBook(shared=True)
    rows = 0
    for number in range(1000):
        _put(book, _flag(at=NOW + number * step, ttl=160.0))
        for key, flag in book.take(10, NOW):
            rows += 1
            book.hear(key, flag, NOW)
    assert rows <= 2 + 1000 * step / (160 / 16)
    assert rows >= 1000 * step / (160 / 16) / 1.2


def test_another_score_is_told_at_once() -> None:
    book = FlagBook(shared=True)
    _put(book, _flag(40))
    for key, flag in book.take(10, NOW):
        book.hear(key, flag, NOW)
    _put(book, _flag(41, at=NOW + 0.1))
    assert [flag.score for _, flag in book.take(10, NOW)] == [41]


def test_of_more_flags_than_there_is_room_for_those_raised_last_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flag_book, "FLAGS_MAX", 100)
    book = FlagBook(shared=True)
    for number in range(150):
        book.put(World.ENFORCED, Subject.ACCOUNT, f"account {number}", _flag(at=NOW + number))
        _put(book, _flag(at=NOW + number))
    assert len(book) == 100
    assert book.evicted == 51
    assert _on(book, NOW + 149)
    assert book.on(World.ENFORCED, Subject.ACCOUNT, "account 149", NOW + 149)
    assert not book.on(World.ENFORCED, Subject.ACCOUNT, "account 1", NOW + 1)
    assert len(book.take(1000, NOW + 149)) <= 100


def test_flags_that_ended_take_no_room_from_those_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flag_book, "FLAGS_MAX", 100)
    book = FlagBook(shared=True)
    for number in range(180):
        ttl = 1000.0 if number % 2 else 60.0
        book.hear(KEY._replace(name=f"account {number}"), _flag(at=NOW - number, ttl=ttl), NOW + 100, found=True)
    assert (len(book), len(book.items(NOW + 100)), book.evicted) == (100, 90, 0)


def test_flags_that_ended_are_found_whatever_their_order() -> None:
    book = FlagBook()
    for number in range(50):
        book.put(World.SHADOW, Subject.TENANT, f"tenant {number}", _flag(ttl=10 if number % 2 else 1000))
    ended = {key.name for _ in range(5) for key in book.ended(NOW + 100, 10)}
    assert ended == {f"tenant {number}" for number in range(1, 50, 2)}
