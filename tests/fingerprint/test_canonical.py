from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from proxy.fingerprint.canonical import END, Alphabet
from tests.fingerprint.prompts import TEMPLATES, jittered

ALPHABET = Alphabet()
TABLED = st.text(st.characters(max_codepoint=0x33000) | st.sampled_from("abcXYZ 019.-\u0941\u094d\u0345\u0301가각ﷺⅣ"))


def canonical(text: str) -> str:
    found = ALPHABET.canonical(text)
    return found.tobytes().decode("ascii" if found.dtype == np.uint8 else "utf-32-le")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Never skip a step.", "  never SKIP,\n a -- step!! "),
        ("Chapter 17 of 1234", "Chapter 3 of 9"),
        ("1. first 2. second", "- first\n- second"),
        ("ｆｕｌｌ ｗｉｄｔｈ", "full width"),
        ("𝐛𝐨𝐥𝐝 𝒊𝒕𝒂𝒍𝒊𝒄 𝔣𝔯𝔞𝔨𝔱𝔲𝔯", "bold italic fraktur"),
        ("ⓒⓘⓡⓒⓛⓔⓓ 🅝🅔🅖🅐🅣🅘🅥🅔 🆂🅀🆄🄰🆁🅴", "circled negative square"),
        ("ᴄᴀᴘɪᴛᴀʟꜱ", "capitals"),
        ("ﬁnal oﬀer Ǆ ㎏", "final offer dž kg"),
        ("STRASSE", "straße"),
        ("réàsôñîng ŁØĐ", "reasoning lod"),
        ("z\u0335a\u0321l\u0489g\u20dd\u0345o", "zalgo"),
        ("so\u00adft zero\u200b\u200c\u200d\u2060\ufeffwidth", "soft zero width"),
        ("\u202eright\u202c \u2066to\u2069 left", "right to left"),
        ("v\ufe0fa\ufe00r\U000e0100y", "vary"),
        ("t\U000e0074\U000e0061a\U000e007fg", "tag"),
        ("a\u0941\u094db\u3099", "ab"),
        ("р\u0941а\u3099з\u0e34д\u094d", "разд"),
        ("请\u3099逐\u093f步\u0e34写", "请逐步写"),
        ("최\u0941종 가\u3099다", "최종 가다"),
        ("ステ\u093fップ", "ステップ"),
        ("की\u3099 है\u0e34", "की है"),
        ("h\u3164i\u115fd\u1160d\uffa0en\u034f", "hidden"),
        ("сору раssword ехам", "copy password exam"),
        ("ΝΕνΕR ΑΒοUΤ", "vever about"),  # a capital nu looks like N, but is the nu that looks like v
        ("ѕtер ϳоkе ԁоԛ", "step joke doq"),
        ("յսոհօ", "junho"),
        ("ᎪᏢᎠ", "apd"),
        ("reveaI", "reveal"),
        ("Stra\u0308nge", unicodedata.normalize("NFC", "Stra\u0308nge")),
        ("ПРИВЕТ, МИР", "привет мир"),
        ("ΚΑΛΗΜΕΡΑ ΣΑΣ", "καλημέρα σας"),
        ("مُحَمَّد", "محمد"),
        ("ﻣﺤﻤﺪ", "محمد"),
        ("مـحـــمـ\ufe71ـد", "محمد"),
        ("ｶﾞﾗｽ", "ガラス"),
        (unicodedata.normalize("NFD", "한국어 문장"), "한국어 문장"),
        ("क़लम", "\u0915\u093cलम"),
        ("三〇二", "三 〇 二"),
        ("\ud83dstep\udc00", "step"),
    ],
)
def test_what_reads_the_same_is_the_same(one: str, other: str) -> None:
    assert canonical(one) == canonical(other) != ""


@given(st.text(st.sampled_from("abc XY019.-\u2019\u2014\U0001f600\u200b\ud83d\u00ab")))
def test_what_has_no_letters_beyond_ascii_is_what_it_is_beside_one(text: str) -> None:
    assert canonical(text) + "\u4e2d" == canonical(text + "\u4e2d")
    assert ALPHABET.canonical(text).dtype == np.uint8


ODD = st.text(
    st.sampled_from("ab 1.\u2019\u0430\u00e9你가힣ﷺ\uff76\uff9eक\u093e\u0941\u0958\u0e34\u0301\U0001f600\ud83d\u1026")
)


@settings(max_examples=500)
@given(ODD, ODD, ODD)
def test_a_part_of_a_text_is_what_it_is_by_itself(before: str, part: str, after: str) -> None:
    """A mark at its beginning may come after a letter of its script there, and after none here."""
    found = ALPHABET.with_part(before, part, after)
    for characters, text in ((found.whole, before + part + after), (found.part, part)):
        alone = ALPHABET.canonical(text)
        assert characters.dtype == alone.dtype
        assert characters.tobytes() == alone.tobytes()
        assert characters.dtype == np.uint8 or not (characters & ~np.uint32(found.bits)).any()


@pytest.mark.parametrize("filling", ["one word ", "\u2019", "가 ", "क\u093e"])
@pytest.mark.parametrize("beginning", [0, 1, 65_500, 65_536, 70_000, 131_072, 140_000])
def test_a_part_is_found_wherever_it_begins_and_ends_in_a_long_text(filling: str, beginning: int) -> None:
    before, after = (filling * (size // len(filling) + 1) for size in (beginning, 3))
    for part in ("", "\u093eй가 z", "한국" * 40_000):
        found = ALPHABET.with_part(before, part, after)
        assert found.part.tobytes() == ALPHABET.canonical(part).tobytes()
        assert found.whole.tobytes() == ALPHABET.canonical(before + part + after).tobytes()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("step", "stop"),
        ("की", "के"),
        ("कि", "क"),
        ("が", "か"),
        ("มี", "มู"),
        ("口", "日"),
        ("раз", "рад"),
        ("كتب", "كتف"),
        ("بيت", "بنت"),
        ("가다", "나다"),
    ],
)
def test_distinct_words_stay_distinct(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize(
    "text", ["", " \n\t", "123 456", "!?…—", "\u200b\u202e", "\u0941\u094d", "\U0010ffff\ue000", "\ud800", "😀🇺🇸"]
)
def test_what_has_no_letters_is_empty(text: str) -> None:
    assert canonical(text) == ""


@pytest.mark.parametrize("language", TEMPLATES)
def test_every_script_keeps_its_letters(language: str) -> None:
    text = TEMPLATES[language]
    letters = sum(unicodedata.category(char)[0] == "L" for char in text)
    assert letters <= len(canonical(text)) <= 4 * len(text)


@pytest.mark.parametrize("language", TEMPLATES)
@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_normal_forms_are_alike(language: str, form: str) -> None:
    assert canonical(unicodedata.normalize(form, TEMPLATES[language])) == canonical(TEMPLATES[language])  # type: ignore[arg-type]


def test_jitter_changes_nothing() -> None:
    for seed, text in enumerate(TEMPLATES.values()):
        assert canonical(jittered(text, seed)) == canonical(text)


@given(TABLED)
def test_canonical_text_is_its_own_canonical_form(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)


@given(TABLED)
def test_case_is_nothing(text: str) -> None:
    assume("\u0345" not in unicodedata.normalize("NFD", text))  # a mark whose capital is a letter
    assert canonical(text.casefold()) == canonical(text)


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_and_general_path_agree(text: str) -> None:
    fast, general = ALPHABET.canonical(text), ALPHABET.canonical(text + "\u200b")
    assert fast.dtype == general.dtype == np.uint8
    assert fast.tobytes() == general.tobytes()


@given(st.text(), st.text(st.characters(max_codepoint=0x2FF)))
def test_texts_can_be_canonicalised_apart(one: str, other: str) -> None:
    assert canonical(one) + canonical(other) == canonical(one + other)


@given(st.text(st.characters(exclude_categories=[])))
def test_growth_is_bounded_and_no_text_raises(text: str) -> None:
    assert len(canonical(text)) <= 4 * len(text)


def test_long_texts_are_the_sum_of_their_parts() -> None:
    text = "".join(TEMPLATES.values()) * 100
    assert canonical(text) == "".join(map(canonical, TEMPLATES.values())) * 100


@pytest.mark.parametrize("char", ["\u0301", "\u094d", "ﷺ", "a", "가", "\u200b", "\U0010ffff", "\ud800"])
def test_a_million_times_the_same_is_bounded(char: str) -> None:
    assert ALPHABET.canonical(char * 1_000_000).size <= 4_000_000


def test_no_letter_is_dropped_but_those_that_show_nothing() -> None:
    letters = [
        char
        for char in map(chr, range(END))
        if any(unicodedata.category(part) in ("Lu", "Ll", "Lt", "Lo") for part in unicodedata.normalize("NFKD", char))
    ]
    assert {char for char in letters if not canonical(char)} == set("\u115f\u1160\u3164\uffa0")


def test_a_rare_ideograph_is_the_same_beside_what_stands_for_several_characters() -> None:
    for rare in "\U00020000\U0002a6d6\U0002f800\U00030000\U0001fffe\U00032fff\U0010ffff":
        assert canonical(f"한{rare}글") == canonical("한") + canonical(rare) + canonical("글")


def test_what_is_beyond_the_rows_and_stands_for_several_characters_is_the_same_beside_anything() -> None:
    for several in "🄐🅊🈁🝬\U00010783\U000107b2":
        assert len(canonical(several)) == len(canonical(f"{several}{several}")) // 2
        assert canonical(f"한{several}글\U00020000😀") == canonical("한") + canonical(several) + canonical(
            "글\U00020000"
        )
    assert canonical("🅊") == canonical("hv")
