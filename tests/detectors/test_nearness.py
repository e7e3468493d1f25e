from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.detectors.nearness import Stretch, stand_together
from proxy.patterns.linear_match import Finder, Search

REACH = 20
SEARCHES = {letter: Finder(letter) for letter in "abcdn"}
FILLERS = st.sampled_from(["a", "b", "c", "n", ".", ".......", "....................", "\u00e9", "\u4e2d\u6587\u4e2d"])


def together(text: str, every: str, never: str = "", reach: int = REACH) -> bool:
    data = text.encode()
    return stand_together(
        Stretch(data, narrow=text.isascii()),
        [SEARCHES[letter] for letter in every],
        [SEARCHES[letter] for letter in never],
        reach,
    )


def as_defined(text: str, every: str, never: str) -> bool:
    places = {letter: [found.start() for found in re.finditer(letter, text)] for letter in every + never}
    against = [place for letter in never for place in places[letter]]
    return any(
        max(chosen) - min(chosen) <= REACH
        and not any(min(chosen) - REACH <= place <= max(chosen) + REACH for place in against)
        for chosen in product(*(places[letter] for letter in every))
    )


@given(
    st.lists(FILLERS, max_size=30).map("".join), st.sampled_from(["a", "ab", "ba", "abc"]), st.sampled_from(["", "n"])
)
def test_it_is_as_defined_over_all_places_of_all_parts(text: str, every: str, never: str) -> None:
    assert together(text, every, never) is as_defined(text, every, never)


@given(st.lists(FILLERS, max_size=30).map("".join), st.permutations("abc"))
def test_the_order_of_the_parts_means_nothing(text: str, every: list[str]) -> None:
    assert together(text, "".join(every)) is together(text, "abc")


@pytest.mark.parametrize(
    "text",
    [
        "a" * 9000,
        "ab" * 4000 + "c",
        "a" * 4000 + "." * 400 + "b" * 4000,
        ("a" + "." * 21 + "b" + "." * 21 + "c" + "." * 21) * 120,
        ("aaaa" + "." * 21 + "bbbb" + "." * 21 + "cccc" + "." * 21) * 120,
        ("a" + "." * 10 + "b" + "." * 11 + "c") * 350,
        ("abc" + "." * 21 + "d" + "." * 21) * 180,
        "abcdn" * 1600,
        "n" * 8000 + "abcd",
        ("n" + "." * 20 + "abcd" + "." * 20) * 170,
        ("\u4e2d" * 21 + "a" + "\u4e2d" * 21 + "b" + "\u4e2d" * 21 + "c") * 120,
    ],
)
@pytest.mark.parametrize(("every", "never"), [("ab", ""), ("abc", ""), ("abcd", ""), ("dcba", ""), ("abcd", "n")])
def test_a_hostile_text_is_searched_so_many_times_and_read_a_few_times(text: str, every: str, never: str) -> None:
    data = text.encode()
    steps, read = 0, 0

    def counted(search: Search) -> Search:
        def find(data: bytes, at: int) -> int:
            nonlocal steps, read
            place = search(data, at)
            steps += 1
            read += (place if place >= 0 else len(data)) - min(at, len(data)) + 1
            return place

        return find

    searches = {letter: counted(SEARCHES[letter]) for letter in every + never}
    text_of = Stretch(data, narrow=text.isascii())
    stand_together(text_of, [searches[each] for each in every], [searches[each] for each in never], REACH)
    parts, excluded = len(every), data.count(b"n") if never else 0
    assert steps <= parts * parts * (len(text) // REACH + 1) + (parts + 2) * excluded + 2
    assert read <= (parts + 2) * len(data) + steps
