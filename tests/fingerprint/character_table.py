"""Makes `proxy/fingerprint/characters.txt`: what every character of Unicode is for a fingerprint.

    python3.13 -m tests.fingerprint.character_table CONFUSABLES.json

The properties are those of the Python that runs it, so only a Python with the version of Unicode that the table names
(15.1: Python 3.13) makes the same table. CONFUSABLES.json is `confusable_homoglyphs/confusables.json` of the package
confusable-homoglyphs 3.3.1 on PyPI, which is Unicode's confusables.txt (UTS #39) as pairs of a character and another.
"""

from __future__ import annotations

import json
import re
import string
import sys
import textwrap
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

TABLE = Path(__file__).parents[2] / "proxy" / "fingerprint" / "characters.txt"
UNICODE = "15.1.0"
END = 0x33000  # no letter has a code as high as this
GROWTH_MOST = 4
_WIDTH = 120
_HANGUL = range(0xAC00, 0xD7A4)
_HEAD = """\
# What every character is for a fingerprint, made by tests/fingerprint/character_table.py; not to be edited by hand.
# Canonical characters in hexadecimal, then the ranges of characters that each stand for them; `=` are those that stand
# for themselves, `+` those of them that only count after a letter of their own script. All others are dropped.
#
# Derived from the Unicode Character Database and from confusables.txt of UTS #39, both version 15.1.
# Copyright (c) 1991-2023 Unicode, Inc. Used under the Unicode License v3, https://www.unicode.org/license.txt:
# data files may be used and changed freely as long as this notice goes with them; they come without warranty.
"""
# Marks of these classes part words of their scripts: none, kana voicing, virama, vowels below in Thai and Lao.
_KEPT_CLASSES = frozenset({0, 8, 9, 103, 118})
# What shows nothing or only stretches a word although it is a letter by its category, and marks of every script that
# only decorate.
_BLANK = frozenset(map(chr, (0x034F, 0x0640, 0x07FA, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0)))
_DECORATING = re.compile("[\u180b-\u180f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f]")
_PLAIN_NAME = re.compile(
    r"(?:LATIN|NEGATIVE (?:CIRCLED|SQUARED) LATIN) (?:SMALL |CAPITAL )?LETTER "
    r"(?:SMALL CAPITAL |DOTLESS |SCRIPT |LONG )?([A-Z])(?: WITH .*)?"
)


def main() -> None:
    """Write the table."""
    if unicodedata.unidata_version != UNICODE:
        sys.exit(f"this Python has Unicode {unicodedata.unidata_version}; the table is of {UNICODE}")
    TABLE.write_text(_HEAD + "".join(f"{line}\n" for line in _lines(_table(_pairs(Path(sys.argv[1]))))))


def _pairs(path: Path) -> list[tuple[str, str]]:
    document = json.loads(path.read_text(encoding="utf-8"))
    return [
        (source.strip("\u200e"), other["c"].strip("\u200e")) for source, others in document.items() for other in others
    ]


def _table(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return what every character stands for, of those that are not dropped."""
    plain = {char: _plain(char) for char in map(chr, range(END)) if unicodedata.category(char) not in ("Cn", "Cs")}
    alike = _Classes()
    alike.join("i", "l")  # as capital and small letter they look the same, and no text means both
    alike.join("ε", "e")  # or it would come to c, by way of a C with a bar
    shown: dict[str, str] = {}
    # Small letters first: where a capital looks like another letter than its small form does, the small one decides.
    for one, other in sorted(pairs, key=lambda pair: pair[0].isupper() or pair[1].isupper()):
        first, second = ("".join(plain.get(char, "") for char in side) or side for side in (one, other))
        if len(first) == len(second) == 1 and not any(map(str.isdigit, first + second)):
            # In other scripts letters differ by what looks like marks on them, such as the dots of Arabic.
            if len(one) == len(other) == 1 or {first, second} & set(string.ascii_lowercase):
                alike.join(first, second)
        elif len(one) == 1 and _spelled(one) and re.fullmatch("[a-zA-Z]{2,4}", other):
            shown[first if len(first) == 1 else one] = other.lower()
    named = alike.names()
    spelled = {
        named.get(char, char): "".join(named.get(each, each) for each in letters)
        for char, letters in shown.items()
        if not named.get(char, char).isascii()
    }
    for char, stands in plain.items():
        if _symbol(char) and not stands:
            alone = named.get(char, char)
            plain[char] = spelled.get(alone, alone if alone.isascii() else "")
        else:
            plain[char] = "".join(spelled.get(each, each) for each in (named.get(part, part) for part in stands))
    assert all(plain[part] == part for stands in plain.values() for part in stands), "what stands for others is itself"
    return {char: stands[:GROWTH_MOST] for char, stands in plain.items() if stands}


def _plain(char: str) -> str:
    """Return the letters that a character is made of, by decomposition, case folding and its name."""
    named = _PLAIN_NAME.fullmatch(unicodedata.name(char, ""))
    if named:
        return named[1].lower()
    whole = char
    # Marks go first: case folding makes a letter of one of them, the iota below.
    while (simpler := "".join(map(_kept, unicodedata.normalize("NFKD", whole))).casefold()) != whole:
        whole = simpler
    return _plain(whole) if whole != char and len(whole) == 1 else whole


def _kept(char: str) -> str:
    if char in _BLANK or _DECORATING.match(char):
        return ""
    kind = unicodedata.category(char)
    return char if kind[0] == "L" or kind == "Nl" or _counting(char) else ""


def _counting(char: str) -> bool:
    return unicodedata.category(char) in ("Mn", "Mc") and unicodedata.combining(char) in _KEPT_CLASSES


def _symbol(char: str) -> bool:
    return not char.isascii() and unicodedata.category(char)[0] == "S"


def _spelled(char: str) -> bool:
    return _symbol(char) or (not char.isascii() and unicodedata.name(char, "").startswith("LATIN"))


class _Classes:
    """Characters that look alike, joined pair by pair; a pair that would make two Latin letters one is left out."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}
        self._latin: set[str] = {"i"} | set(string.ascii_lowercase) - {"l"}

    def join(self, one: str, other: str) -> None:
        low, high = sorted((self._top(one), self._top(other)), key=self._latin.__contains__)
        if low not in self._latin:
            self._above[low] = high

    def names(self) -> dict[str, str]:
        """Return the character that names each one's class: a letter of ASCII if it has one, else its first letter.

        A symbol in a class with punctuation of ASCII is punctuation itself, and so in no class.
        """
        classes = defaultdict(list)
        for char in list(self._above):
            classes[self._top(char)].append(char)
        named: dict[str, str] = {}
        for members in classes.values():
            letters = sorted(char for char in members if char.isalpha())
            punctuated = any(char.isascii() and not char.isalnum() for char in members)
            for char in members if letters else ():
                if char.isalpha() or (_symbol(char) and not punctuated):
                    named[char] = letters[0]
        return named

    def _top(self, char: str) -> str:
        while (above := self._above.setdefault(char, char)) != char:
            char = above
        return char


def _lines(table: dict[str, str]) -> Iterable[str]:
    sources = defaultdict(list)
    for char, stands in table.items():
        code = ord(char)
        if code in _HANGUL:
            continue  # by the rule of the standard, which takes no lines
        if char != stands:
            sources[" ".join(f"{ord(each):X}" for each in stands)].append(code)
        else:
            sources["+" if _counting(char) else "="].append(code)
    for stands, codes in sorted(sources.items()):
        yield from textwrap.wrap(
            " ".join(_ranges(codes)),
            _WIDTH,
            initial_indent=f"{stands}; ",
            subsequent_indent=f"{stands}; ",
            break_on_hyphens=False,
        )


def _ranges(codes: list[int]) -> Iterable[str]:
    first = last = codes[0]
    for code in [*codes[1:], END]:
        if code != last + 1 or code == END:
            yield f"{first:X}" if first == last else f"{first:X}-{last:X}"
            first = code
        last = code


if __name__ == "__main__":
    main()
