"""What characters become, against the table that says so, read one character at a time."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import proxy.fingerprint.canonical
from proxy.fingerprint.canonical import Alphabet

ALPHABET = Alphabet()
TABLE = Path(proxy.fingerprint.canonical.__file__).with_name("characters.txt")


def _rows() -> Iterator[tuple[str, str]]:
    for line in TABLE.read_text(encoding="ascii").splitlines():
        stands, _, ranges = line.partition("; ")
        for part in () if line.startswith("#") else ranges.split():
            first, _, last = part.partition("-")
            for code in range(int(first, 16), int(last or first, 16) + 1):
                yield chr(code), stands


ROWS = dict(_rows())
MARKS = {char for char, stands in ROWS.items() if stands == "+"}


def read_slowly(text: str) -> str:
    """Return the characters of a text, by the laws of the module and the table's own words."""
    stands = "".join(_stands(char) for char in text)
    found, bearer = [], ""
    for char in stands:
        if char not in MARKS:
            bearer = char
        elif not bearer or ord(bearer) >> 8 != ord(char) >> 8:
            continue
        found.append(char)
    return "".join(found)


def _stands(char: str) -> str:
    if "가" <= char <= "힣":
        return "".join(map(_stands, unicodedata.normalize("NFD", char)))
    stands = ROWS.get(char, "")
    return char if stands in ("=", "+") else "".join(chr(int(code, 16)) for code in stands.split())


def canonical(text: str) -> str:
    found = ALPHABET.canonical(text)
    assert found.dtype == (np.uint8 if not found.size or found.max() < 128 else np.uint32)
    return found.tobytes().decode("ascii" if found.dtype == np.uint8 else "utf-32-le")


def test_every_character_is_what_the_table_says() -> None:
    different = [f"{code:X}" for code in range(0x34000) if canonical(chr(code)) != read_slowly(chr(code))]
    assert different == []
    assert canonical("".join(map(chr, range(0x34000, 0x110000)))) == ""


BESIDE_MARKS = st.sampled_from(sorted(MARKS) + [char for char in ROWS if len(ROWS[char].split()) > 1])
SEVERAL_SCRIPTS = st.sampled_from(
    "aZé 19.\u2019жЯ你好かカ가힣ᄀ각한कगฟกمπ\u0301\u200b\u202e\ud800\U0001f468\u200d\ufe0f"
)


@settings(max_examples=1000)
@given(st.text(SEVERAL_SCRIPTS | BESIDE_MARKS | st.characters(exclude_categories=[], max_codepoint=0x33010)))
def test_every_text_is_what_the_table_says_of_its_characters(text: str) -> None:
    assert canonical(text) == read_slowly(text)
