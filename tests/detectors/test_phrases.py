from __future__ import annotations

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from proxy.detectors.phrases import REACH_CHARS, Phrases
from proxy.patterns.pattern_set import Pattern, PatternSet, Within

PASSAGE = REACH_CHARS[Within.PASSAGE]


def phrases(*patterns: Pattern) -> Phrases:
    return Phrases([PatternSet("example", "content.x", patterns)], ["mark"])


def pattern(*parts: str, none: tuple[str, ...] = (), within: Within = Within.PASSAGE) -> Pattern:
    return Pattern("-".join(parts), 1.0, parts, none, within, "")


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is compiled by itself from now on."""
    patterns: list[str] = []
    compile_one = re2.compile

    def noting(pattern: str, options: object = None) -> object:
        patterns.append(pattern)
        return compile_one(pattern, options=options)

    monkeypatch.setattr(re2, "compile", noting)
    return patterns


def found(group: Phrases, text: str) -> set[str]:
    return {hit.pattern.id for hit in group.find(text)[0]}


@given(st.integers(0, 2000), st.integers(0, 2000), st.integers(0, PASSAGE - 4), st.booleans())
def test_parts_close_together_are_found_wherever_they_stand(before: int, after: int, gap: int, turned: bool) -> None:
    first, second = ("beta", "alfa") if turned else ("alfa", "beta")
    text = "." * before + first + "." * gap + second + "." * after
    assert found(phrases(pattern("alfa", "beta")), text) == {"alfa-beta"}


@pytest.mark.parametrize("filler", [".", "\u00e9", "\u4e2d", "\U0001f600"])
def test_a_distance_is_told_in_characters_whatever_their_bytes(filler: str) -> None:
    near, far = (f"{filler * 700}alfa{filler * (gap - 4)}beta" for gap in (PASSAGE, PASSAGE + 1))
    assert found(phrases(pattern("alfa", "beta")), near) == {"alfa-beta"}
    assert found(phrases(pattern("alfa", "beta")), far) == set()


@given(st.integers(0, 2000), st.integers(PASSAGE - 3, 3000))
def test_parts_far_apart_belong_together_only_within_the_prompt(before: int, gap: int) -> None:
    text = "." * before + "alfa" + "." * gap + "beta"
    near, anywhere = pattern("alfa", "beta"), pattern("beta", "alfa", within=Within.PROMPT)
    assert found(phrases(near, anywhere), text) == {"beta-alfa"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alfa", {"alfa"}),
        ("alfa but", set()),
        ("but alfa", set()),
        ("alfa" + "." * 900 + "but", {"alfa"}),
        ("but" + "." * 900 + "alfa", {"alfa"}),
        ("alfa but" + "." * 900 + "alfa", {"alfa"}),
        ("alfa but" + "." * 300 + "alfa", set()),
    ],
)
def test_what_must_not_be_there_counts_where_the_rest_is(text: str, expected: set[str]) -> None:
    assert found(phrases(pattern("alfa", none=("but",))), text) == expected


def test_what_must_not_be_in_the_prompt_counts_wherever_it_stands() -> None:
    group = phrases(pattern("alfa", none=("but",), within=Within.PROMPT))
    assert found(group, "alfa" + "." * 2000) == {"alfa"}
    assert found(group, "alfa" + "." * 2000 + "but") == set()


def test_marks_come_with_the_patterns() -> None:
    assert phrases(pattern("alfa")).find("a mark") == ([], 1)
    assert phrases(pattern("alfa")).find("none") == ([], 0)


def test_half_a_surrogate_pair_hides_nothing() -> None:
    assert found(phrases(pattern("alfa", "beta")), "alfa \ud800 beta") == {"alfa-beta"}


def test_a_part_takes_no_memory_until_it_is_looked_for(compiled: list[str]) -> None:
    group = phrases(pattern("alfa", "beta", none=("but",)), pattern("gamma", "delta"), pattern("epsilon"))
    assert not compiled
    assert found(group, "epsilon") == {"epsilon"}
    assert not compiled  # the pass over all of it has found it
    for _ in range(2):
        assert found(group, "alfa beta epsilon") == {"alfa-beta", "epsilon"}
    assert compiled == ["alfa", "beta", "but"]
