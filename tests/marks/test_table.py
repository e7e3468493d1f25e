"""The table of wordings: every row can be read, and means one thing."""

from __future__ import annotations

import pytest

from proxy.marks.table import MOST_WORDS, english, read_table


def test_the_english_table_is_long_and_its_rows_are_known_by_one_name() -> None:
    table = english()
    assert len({row.name for row in table.rows}) > 500
    for row in table.rows:
        assert all(word == word.lower() for wording in row.wordings for word in wording)
        assert max(map(len, row.wordings)) <= MOST_WORDS


def test_where_wordings_meet_a_condition_is_the_same_for_all_of_a_row() -> None:
    row = read_table("@few = a an\noften / rarely < !so @few > the $").rows[0]
    assert row.before
    assert row.after
    assert [row.before.holds(word) for word in ("so", "a", "is")] == [False, False, True]
    assert [row.after.holds(word) for word in ("the", "$", "is")] == [True, True, False]
    ends = read_table("that / which < *tion house").rows[0].before
    assert ends
    assert [ends.holds(word) for word in ("nation", "house", "nations")] == [True, True, False]


def test_a_line_with_inflections_is_a_row_for_each() -> None:
    rows = read_table("begin,begins / start,starts").rows
    assert [row.wordings for row in rows] == [(("begin",), ("start",)), (("begins",), ("starts",))]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("often", "two or four different wordings"),
        ("a / b / c", "two or four different wordings"),
        ("a / a", "two or four different wordings"),
        ("a b c d e f / g", "1 to 5 words"),
        ("a / b\na / c", "is there already"),
        ("a / b < @nothing", "@nothing"),
        ("a,b / c", "argument 2 is shorter"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused_with_its_line(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=f"line \\d: .*{says}"):
        read_table(text)
