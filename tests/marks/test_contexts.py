"""Which context a place has: a coin of its own for each, and none more for who repeats a phrase."""

from __future__ import annotations

from proxy.marks.reading import read


def contexts(text: str, row: str) -> set[str]:
    """Return the contexts in which a row has places in a text."""
    return {place.context for place in read(text) if place.row == row}


def test_a_place_hangs_on_the_content_word_before_it() -> None:
    assert contexts("The old baker often sings at the oven, and the hen often sleeps.", "often") == {"baker", "oven"}


def test_behind_the_same_word_it_hangs_on_two() -> None:
    text = "The young baker often sings. The tired baker often sleeps."
    assert contexts(text, "often") == {"baker", "tired baker"}


def test_a_phrase_that_is_repeated_is_the_same_place_again() -> None:
    again = "It is the young baker who often sings. " * 9
    assert len(contexts(again, "often")) <= 2
    assert contexts("The baker often sings to the baker who often sings to the baker.", "often") == {
        "baker",
        "sings baker",
    }
    assert contexts("A baker often is a baker, a baker often is a baker.", "often") == {"baker"}
