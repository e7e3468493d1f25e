"""Promises about inline reasoning: nothing of it comes out, and all else does, however the text is split."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.actions.tag_filter import LEFT_OUT, Left, TagFilter

TAGS = ("think", "thinking", "plan-b")
LONGEST_TAG = len("</thinking>")


def through(*pieces: str, left: Left = Left(), known: str = "") -> str:  # noqa: B008 - it is frozen
    made = TagFilter(TAGS, left)
    made.follow(known)
    return "".join(map(made.feed, pieces)) + made.end()


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a<think>b</think>c", "ac"),
        ("<THINK>b</Think>c", "c"),
        ('<think lang="en" deep>b</think >c', "c"),
        ("<think\n>b</think\n>c", "c"),
        ("a<think/>b<think />c", "abc"),
        ("<think>b<think>c</think>d</think>e", "e"),
        ("<think>b<think/>c</think>d", "d"),
        ("<think>b<thinking>c</thinking>d</think>e", "e"),
        ("<think>b</thinking>c</think>d", "d"),
        ("<thinking>b</thinking>c<think>d</think>e", "ce"),
        ("<plan-b>b</plan-b>c", "c"),
        ("```\n<think>b</think>\n```", "```\n\n```"),
        ("a<think>never closed", "a"),
        ("a<think", "a<think"),
        ("a<think ", "a"),
        ("a</think>b", "a</think>b"),
        ("a < b, <thinker>, <b>c</b>, <", "a < b, <thinker>, <b>c</b>, <"),
        ("write `<think>` before and '</think>' after", "write `<think>` before and '</think>' after"),
        ("<think>I shall write `</think>` soon</think>c", "c"),
        ('"<think>b</think>"', '""'),
        ("`<think>b</think>", "`"),
        ("a`<think>", "a`"),
        ("<thin\N{KELVIN SIGN}>b</think>c", "c"),
        ("`<b>", "`<b>"),
        ("<think-b>a</think-b><think.>a</think.>", "<think-b>a</think-b><think.>a</think.>"),
        ("<think>b</think>", LEFT_OUT),
        ("\n<think>b", f"\n{LEFT_OUT}"),
        ("", ""),
        (" ", " "),
    ],
)
def test_what_stands_in_a_tag_is_cut_and_the_rest_stays(text: str, left: str) -> None:
    assert through(text) == left
    assert through(*text) == left, "letter by letter"


def test_a_tag_that_the_request_opened_already_is_open() -> None:
    assert through("b</think>c", known="Sure. <think>") == "c"
    assert through("nk>b</think>c", known="Sure. <thi") == "c"
    assert through("rd>b", known="a <thi") == "rd>b", "what the request wrote is not the answer's"
    assert through(">b</think>c", known="<think") == "c"
    assert through("c", known="<think>b</think>") == "c"
    assert through("", known="<thi") == ""
    assert through("b", known="Sure. <think>") == LEFT_OUT


def test_a_lane_goes_on_where_another_has_ended() -> None:
    before = TagFilter(TAGS)
    assert before.feed("a<think>b<think>c</thi") + before.end() == "a"
    assert through("nk>d</think>e", left=before.left) == "e"


PIECES = st.lists(
    st.sampled_from(["<", ">", "/", "think", "<think>", "</think>", "<thinking", "`", '"', " ", "x", "<plan-b>", "\n"]),
    max_size=30,
).map("".join)


@given(PIECES, st.lists(st.integers(0, 200), max_size=20), PIECES)
def test_the_same_comes_out_however_the_text_is_split(text: str, cuts: list[int], known: str) -> None:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    pieces = [text[start:end] for start, end in pairwise(places)]
    assert through(*pieces, known=known) == through(text, known=known)


@given(PIECES)
def test_no_more_is_held_back_than_a_tag(text: str) -> None:
    made = TagFilter(TAGS)
    for letter in text:
        made.feed(letter)
        assert len(made._held) <= LONGEST_TAG


@given(st.text(max_size=200).filter(lambda text: "<" not in text))
def test_text_without_tags_comes_out_at_once(text: str) -> None:
    assert TagFilter(TAGS).feed(text) == text
