from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.detectors.phrases import OVERLAP_CHARS, PIECE_CHARS, PIECES, Phrases
from proxy.pattern_sets import Pattern, PatternSet, Within

PASSAGE = PIECES[Within.PASSAGE] * PIECE_CHARS


def phrases(*patterns: Pattern) -> Phrases:
    return Phrases([PatternSet("example", "content.x", patterns)], ["mark"])


def pattern(*parts: str, none: tuple[str, ...] = (), within: Within = Within.PASSAGE) -> Pattern:
    return Pattern("-".join(parts), 1.0, parts, none, within, "")


def found(group: Phrases, text: str) -> set[str]:
    return {hit.pattern.id for hit in group.find(text)[0]}


@given(st.integers(0, 2000), st.integers(0, 2000), st.integers(1, PASSAGE - PIECE_CHARS - 8), st.booleans())
def test_parts_close_together_are_found_wherever_they_stand(before: int, after: int, gap: int, turned: bool) -> None:
    first, second = ("beta", "alfa") if turned else ("alfa", "beta")
    text = "." * before + first + "." * gap + second + "." * after
    assert found(phrases(pattern("alfa", "beta")), text) == {"alfa-beta"}


@given(st.integers(0, 2000), st.integers(PASSAGE + OVERLAP_CHARS, 3000))
def test_parts_far_apart_belong_together_only_within_the_prompt(before: int, gap: int) -> None:
    text = "." * before + "alfa" + "." * gap + "beta"
    near, anywhere = pattern("alfa", "beta"), pattern("beta", "alfa", within=Within.PROMPT)
    assert found(phrases(near, anywhere), text) == {"beta-alfa"}


@pytest.mark.parametrize(
    ("text", "expected"), [("alfa", {"alfa"}), ("alfa but", set()), ("alfa" + "." * 900 + "but", {"alfa"})]
)
def test_what_must_not_be_there_counts_where_the_rest_is(text: str, expected: set[str]) -> None:
    assert found(phrases(pattern("alfa", none=("but",))), text) == expected


def test_marks_come_with_the_same_pass() -> None:
    assert phrases(pattern("alfa")).find("a mark") == ([], 1)
    assert phrases(pattern("alfa")).find("none") == ([], 0)


def test_half_a_surrogate_pair_hides_nothing() -> None:
    assert found(phrases(pattern("alfa", "beta")), "alfa \ud800 beta") == {"alfa-beta"}
