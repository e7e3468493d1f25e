from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.standin import tokens
from proxy.standin.answer import Tool, Wish, choose_tool, compose
from proxy.standin.prose import Prose

PROSE = Prose(0)
LOOK, WRITE = Tool("look_up", {"type": "object"}), Tool("write_down", {"type": "object"})


@given(st.text())
def test_the_tokens_of_a_text_join_to_it_and_are_as_many_as_counted(text: str) -> None:
    assert "".join(tokens.split(text)) == text
    assert len(tokens.split(text)) == tokens.count(text)


@given(st.binary(max_size=8), st.integers(1, 700), st.integers(0, 300))
def test_no_answer_is_longer_than_its_cap(seed: bytes, cap: int, reasoning: int) -> None:
    answer = compose(Wish(seed=seed, max_tokens=cap, reasoning=reasoning), PROSE)
    assert answer.output_tokens <= cap
    assert (answer.ending == "length") <= (answer.output_tokens == cap)


@given(st.binary(max_size=8))
def test_an_answer_without_a_cap_has_64_to_about_130_tokens_and_ends_by_itself(seed: bytes) -> None:
    answer = compose(Wish(seed=seed, max_tokens=None), PROSE)
    assert 64 <= answer.output_tokens < 190  # a list or a piece of code may come last
    assert answer.ending == "stop"


@given(st.binary(max_size=8), st.integers(0, 3))
def test_the_same_wish_gives_the_same_answer(seed: bytes, index: int) -> None:
    wish = Wish(seed=seed, max_tokens=90, reasoning=20)
    assert compose(wish, PROSE, index) == compose(wish, Prose(0), index)
    assert compose(wish, PROSE, index + 1) != compose(wish, PROSE, index)


@given(st.binary(max_size=8), st.integers(1, 60))
def test_a_stop_sequence_beyond_the_cap_does_not_hide_the_cap(seed: bytes, cap: int) -> None:
    whole = compose(Wish(seed=seed, max_tokens=None), PROSE)
    stop = whole.text[-9:]
    answer = compose(Wish(seed=seed, max_tokens=cap, stop=(stop,)), PROSE)
    at = whole.text.index(stop)
    expected = ("length", None) if at > cap * tokens.TOKEN_CHARS else ("stop_sequence", stop)
    assert (answer.ending, answer.stopped_by) == expected


def test_a_tool_is_called_by_its_call_only() -> None:
    wish = Wish(seed=b"", max_tokens=None, tool=LOOK)
    answer = compose(wish, PROSE)
    assert (answer.tool, answer.text, answer.ending) == ("look_up", "{}", "tool")
    assert compose(dataclasses.replace(wish, stop=("{",)), PROSE).text == "{}"


@pytest.mark.parametrize(
    ("tools", "required", "asked", "expected"),
    [
        ([LOOK, WRITE], True, "", LOOK),
        ([LOOK, WRITE], True, "call write_down now", WRITE),
        ([LOOK, WRITE], False, "Please USE THE TOOL.", LOOK),
        ([LOOK, WRITE], False, "use the write_down tool", WRITE),
        ([LOOK, WRITE], False, "what is a tool?", None),
        ([], True, "use the tool", None),
    ],
)
def test_a_tool_is_chosen_when_required_or_asked_for(
    tools: list[Tool], required: bool, asked: str, expected: Tool | None
) -> None:
    assert choose_tool(tools, required=required, asked=asked) == expected
