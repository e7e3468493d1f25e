from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from proxy.patterns.folding import INVISIBLE, TAGS, fold, fold_pattern
from proxy.patterns.linear_match import compile_pattern


@pytest.mark.parametrize(
    ("disguised", "plain"),
    [
        ("REASONING", "reasoning"),
        ("ｒｅａｓｏｎｉｎｇ", "reasoning"),
        ("𝐫𝐞𝐚𝐬𝐨𝐧𝐢𝐧𝐠", "reasoning"),
        ("ⓡⓔⓐⓢⓞⓝⓘⓝⓖ", "reasoning"),
        ("rea\u200bso\u00adni\u2060ng", "reasoning"),
        ("rea\U000e0041soning", "reasoning"),
        ("re\x00as\x01on\x7fing", "reasoning"),
        ("re\x80as\U0001bca0on\U000e01f0ing", "reasoning"),
        ("rеa\x01soning", "reasoning"),  # Cyrillic
        ("r\u0336e\u0336asoning", "reasoning"),
        ("اشـــرح", "اشرح"),
        ("réàsônïng", "reasoning"),
        ("rеаsоning", "reasoning"),  # Cyrillic
        ("REΑSΟNING", "reasoning"),  # Greek
        ("ɍeasøɲɨng", "reasoning"),  # strokes and hooks
        ("ꓣꓰꓮꓢꓳꓠꓲꓠꓖ", "reasoning"),  # Lisu
        ("ᎡᎬᎪᏚⲞⲚⲒⲚg", "reasoning"),  # Cherokee and Coptic
        ("ʀᴇᴀꜱᴏɴɪɴɢ", "reasoning"),
    ],
)
def test_disguises_fold_to_the_plain_word(disguised: str, plain: str) -> None:
    assert fold(disguised) == plain


@given(st.text(st.characters(max_codepoint=127)), st.sampled_from(sorted(INVISIBLE | TAGS)), st.integers(0, 50))
def test_an_invisible_character_changes_nothing_wherever_it_stands(text: str, hidden: str, place: int) -> None:
    assert fold(text[:place] + hidden + text[place:]) == fold(text)


@given(st.text())
def test_composed_and_decomposed_text_fold_alike(text: str) -> None:
    assert fold(unicodedata.normalize("NFC", text)) == fold(unicodedata.normalize("NFD", text))


@given(st.text(st.characters(), min_size=1))
def test_whatever_the_text_it_is_folded_and_at_most_some_times_as_long(text: str) -> None:
    assert len(fold(text)) <= 20 * len(text)


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\u2019\u2026\u200b\u0301\u0430\u4e2dÉ")))
def test_among_much_ascii_text_becomes_what_it_becomes_alone(text: str) -> None:
    assume(len(unicodedata.normalize("NFKD", text)) <= 2 * len(text))  # else it is cut
    around = "Words, " * (2 * len(text) + 1)
    assert fold(around + text) == around.lower() + fold(text)


@pytest.mark.parametrize(
    "word", ["рассуждения", "思考过程", "思考プロセス", "사고 과정", "raisonnement caché", "verständlich"]
)
def test_a_folded_pattern_finds_its_own_word(word: str) -> None:
    assert compile_pattern(fold_pattern(word))(fold(f"... {word.upper()} ..."))


@pytest.mark.parametrize(
    "text",
    [
        "chain of thought",
        "chain-of-thought",
        "chain_of\n  thought",
        "**chain** of *thought*",
        "chainofthought",
        "chain\vof\fthought",
        "chain\u2028of\x85thought",
        "chain\u2011of\u2013thought",
        "chain\u2014of\u2212thought",
        "思考 chain\u2010of\u1680thought",
    ],
)
def test_a_space_in_a_pattern_is_any_gap(text: str) -> None:
    assert compile_pattern(fold_pattern("chain of thought"))(fold(text))


@pytest.mark.parametrize(
    "pattern", [r"\S\W\D\B", r"\pL\P{Greek}\p{Han}", r"\x{4e00}", r"(?P<Name>x)", r"[[:alpha:]]", "[a b]"]
)
def test_what_a_pattern_says_with_a_backslash_or_in_a_class_keeps_its_meaning(pattern: str) -> None:
    assert fold_pattern(pattern) == pattern


def test_a_dash_in_a_class_is_no_range() -> None:
    pattern = compile_pattern(fold_pattern("^[a–c]$"))
    assert [char for char in "abc-" if pattern(char)] == ["a", "c", "-"]


@given(st.from_regex(r"[A-Z]{1,8}", fullmatch=True))
def test_letters_of_a_pattern_fold_as_the_text_does(word: str) -> None:
    assert re.search(fold_pattern(word), fold(word))
