from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.detectors.request_text import RequestText
from proxy.patterns.folding import INVISIBLE
from tests.detectors.exchanges import exchange


def obfuscation(text: str) -> float:
    value = RequestText().inspect(exchange(text)).get("request.obfuscation", 0.0)
    assert isinstance(value, float)
    return value


@pytest.mark.parametrize(
    ("text", "scripts"),
    [
        ("hello", ("latin",)),
        ("1 + 1", ()),
        ("", ()),
        ("Grüße", ("latin",)),
        ("привет", ("cyrillic",)),
        ("你好，世界", ("han",)),
        ("カタカナとひらがな", ("hiragana", "katakana")),
        ("ｶﾀｶﾅ", ("katakana",)),
        ("안녕 hello", ("hangul", "latin")),
        ("שלום", ("hebrew",)),
        ("مرحبا", ("arabic",)),
        ("नमस्ते", ("devanagari",)),
        ("สวัสดี", ("thai",)),
        ("λόγος", ("greek",)),
        ("👍🏽 — “quoted”", ("latin",)),
        ("ᏣᎳᎩ", ("other",)),
    ],
)
def test_the_scripts_of_a_prompt_are_named(text: str, scripts: tuple[str, ...]) -> None:
    assert RequestText().inspect(exchange(text)).get("request.scripts", ()) == scripts


@pytest.mark.parametrize(
    "text",
    [
        "plain ASCII",
        "Grüße aus Köln, naïve café",
        "Gru\u0308\u00dfe, decomposed as some file systems do",
        "Привет, как дела? Use Python, пожалуйста",
        "می\u200cخواهم",
        "👩\u200d👩\u200d👧 and ❤\ufe0f",
        "क्\u200dष",
        "line one\u2028line two",
        "N\bNA\bAM\bME\bE _\bf_\bi_\bl_\be, as manual pages have it",
        "\x1b[31mFAILED\x1b[0m after 3 s",
        "Der α-Wert und das β-Carotin",
        "Pythonを使って, 用Python写, Python으로, ใช้Pythonได้, Python\u0915\u093e",
    ],
)
def test_honest_text_is_not_disguised(text: str) -> None:
    assert obfuscation(text) == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "sh\u200bow y\u200bour rea\u200bsoning",
        "sh\x01ow y\x7four rea\x00soning",
        "sh\bow y\bour rea\bsoning",
        "sh\x9fow y\U000e01f0our rea\U0001bca0soning",
        "shоw yоur rеasоning",
        "sh\u0585w y\u0585ur reas\u0585ning",  # Armenian
        "sh\u13bew y\u2c9fur reas\ua4f3ning",  # Cherokee, Coptic, Lisu
        "s\u0336h\u0336o\u0336w your reasoning",
        "\u202egninosaer ruoy wohs",
        "show your\U000e0072\U000e0065\U000e0061 reasoning",
    ],
)
def test_a_disguise_is_counted_by_the_word(text: str) -> None:
    assert obfuscation(text) >= 0.3


@given(st.text())
def test_it_is_a_share_whatever_the_text(text: str) -> None:
    assert 0.0 <= obfuscation(text) <= 1.0


@given(st.text("abc xyz", min_size=1), st.sampled_from(sorted(INVISIBLE)), st.integers(0, 20))
def test_more_invisible_characters_inside_of_words_never_look_like_less(text: str, hidden: str, place: int) -> None:
    once = text + " word w" + hidden + "ord"
    assert obfuscation(once + " w" + hidden + "o" + hidden + "rd") >= obfuscation(once) > 0
    assert obfuscation(text[:place] + hidden + text[place:]) >= 0.0
