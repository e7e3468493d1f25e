"""Places between two words: where there is one, where there is none, and that both wordings are read as the same."""

from __future__ import annotations

import pytest

from proxy.marks.place import Place
from proxy.marks.reading import read
from proxy.marks.scanner import Scanner
from proxy.marks.table import english

EITHER_WAY = [
    (
        "If the file is missing, then the server stops at once.",
        "If the file is missing, the server stops at once.",
        "then the",
    ),
    ("If it's late, then you can go.", "If it's late, you can go.", "then you"),
    ("If `host` is set, then it is used.", "If `host` is set, it is used.", "then it"),
    ("If that does not help, then there is a way.", "If that does not help, there is a way.", "then there"),
    ("The rows were read, but not written.", "The rows were read but not written.", ", but"),
    ("The rows can be read, but aren't kept.", "The rows can be read but aren't kept.", ", but"),
    ("The old baker went home; she was tired.", "The old baker went home. She was tired.", ". she"),
    ("This is the usual way; you also can wait.", "This is the usual way. You also can wait.", ". you"),
    ("The old oven can also bake bread.", "The old oven also can bake bread.", "can also"),
    ("The rows were stored in the table.", "The rows were stored within the table.", "in"),
    ("The list was made using a sieve.", "The list was made by using a sieve.", "by using"),
    ("In the old house, the stairs are steep.", "In the old house the stairs are steep.", "opening, "),
    ("He leaves the light on, even if he is out.", "He leaves the light on even if he is out.", ", even"),
    ("They stay at home, unless they have to go.", "They stay at home unless they have to go.", ", unless"),
    ("She shut the door, because it was cold.", "She shut the door because it was cold.", ", because"),
    ("She shut the door, so that it was warm.", "She shut the door so that it was warm.", ", so that"),
    ("It is the first one, rather than the last.", "It is the first one rather than the last.", ", rather"),
    ("The baker cut the loaf, and then ate it.", "The baker cut the loaf and then ate it.", ", and"),
    ("The stairs are steep. However, we went up.", "The stairs are steep; however, we went up.", ". the"),
    ("The stairs are steep. If you like, wait.", "The stairs are steep; if you like, wait.", ". the"),
    (
        "The lists are automatically created at night.",
        "The lists are created automatically at night.",
        "automatically created",
    ),
    ("This can only be used in the old house.", "This can be used only in the old house.", "can only be used"),
    ("There are more than 30 houses.", "There are over 30 houses.", "more than"),
]


def rows(text: str) -> set[str]:
    """Return which rows have a place in a text."""
    return {place.row for place in read(text)}


def chosen(text: str, row: str, wording: int) -> str:
    """Return a text with one wording of a row, and all others as they stand."""

    def choose(place: Place) -> int:
        return wording if place.row == row else place.stands

    scanner = Scanner(english(), choose)
    return scanner.feed(text) + scanner.end()


@pytest.mark.parametrize(("one", "other", "row"), EITHER_WAY)
def test_either_wording_becomes_the_other_at_the_same_place(one: str, other: str, row: str) -> None:
    assert row in rows(one)
    assert rows(one) == rows(other)
    assert {chosen(one, row, 0), chosen(one, row, 1)} == {one, other}
    assert {chosen(other, row, 0), chosen(other, row, 1)} == {one, other}


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("If the server has a host, a port, and a name, it starts.", "then a"),  # a list
        ("If the server has a host, a port and a name, it starts.", "then a"),
        ("If so, the server stops at once.", "then the"),  # no clause before the comma
        ("If, for example, the server is down, we wait.", "then the"),
        ("The file is there, the server stops at once.", "then the"),  # no condition
        ("If the file is missing, each server stops at once.", "then each"),  # "each" is a place of its own
        ("He ate nothing but the old bread.", ", but"),
        ("The file is there.\n\nYou can read it.", ". you"),  # another paragraph
        ("Also can be had.", "can also"),
        ("They are interested in the database.", "in"),
        ("Because the war was over, they could go home.", "because"),  # "since" would say when
        ("It has not changed since it was built.", "because"),
        ("You have to ensure the safety of all.", "make sure"),  # no clause
        ("To them it is all the same.", "in order to"),
        ("These are the columns that must be there.", "must be"),  # of many
        ("It is different from `print!` and `say!`, which are macros.", "that"),
        ("Now that the library is there, you can go.", "opening,"),
        ("In case it's late, you can go.", "opening, "),
        ("In cases where users change the file, the server stops.", "opening, "),  # no end of a phrase
        ("With the light behind the house was dark.", "opening, "),
        ("By using the old oven, the bakers save time.", "opening, "),
        ("The house, rather than the land, is what he wants.", ", rather"),  # the second comma stays
        ("It did not stop because it was late.", ", because"),  # which of the two is denied
        ("He leaves the light on not even if he is out.", ", even"),
        ("The stairs are steep. In theory we can go up.", ". the"),  # "theoretically" begins no such sentence
        ("The table that stood at the wall was long and old and full of cups. The baker went.", ". the"),
        ("It is his responsibility to ensure peace.", "in order to"),
        ("It was spread over 30 days.", "more than"),
    ],
)
def test_there_is_no_place_where_it_would_change_what_is_meant(text: str, row: str) -> None:
    assert row not in rows(text)
