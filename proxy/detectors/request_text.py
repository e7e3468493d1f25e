"""In which scripts a prompt is written, and how much of it is disguised: properties of characters, not of words."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import ClassVar

from proxy.detectors.reading import scanned
from proxy.exchange import Exchange
from proxy.fields import Cost, Field, Value
from proxy.patterns.folding import CONTROLS, INVISIBLE, MARKS, TAGS, without_long_runs

# The first code point of each run, in order (Unicode's Blocks.txt, runs of one script joined); empty: of no script.
_RUNS: tuple[tuple[int, str], ...] = (
    (0x0000, ""), (0x0041, "latin"), (0x005B, ""), (0x0061, "latin"), (0x007B, ""), (0x00C0, "latin"), (0x02B0, ""),
    (0x0370, "greek"), (0x0400, "cyrillic"), (0x0530, "armenian"), (0x0590, "hebrew"), (0x0600, "arabic"),
    (0x0700, "other"), (0x0900, "devanagari"), (0x0980, "other"), (0x0E00, "thai"), (0x0E80, "other"),
    (0x10A0, "georgian"), (0x1100, "hangul"), (0x1200, "other"), (0x1C80, "cyrillic"), (0x1C90, "georgian"),
    (0x1CC0, "other"), (0x1D00, "latin"), (0x1DC0, ""), (0x1E00, "latin"), (0x1F00, "greek"), (0x2000, ""),
    (0x2C00, "other"), (0x2C60, "latin"), (0x2C80, "other"), (0x2DE0, "cyrillic"), (0x2E00, ""), (0x2E80, "han"),
    (0x2FF0, ""), (0x3005, "han"), (0x3008, ""), (0x3041, "hiragana"), (0x30A0, "katakana"), (0x30FB, ""),
    (0x30FD, "katakana"), (0x3100, "bopomofo"), (0x3130, "hangul"), (0x3190, ""), (0x31F0, "katakana"), (0x3200, ""),
    (0x3400, "han"), (0x4DC0, ""), (0x4E00, "han"), (0xA000, "other"), (0xA640, "cyrillic"), (0xA6A0, "other"),
    (0xA720, "latin"), (0xA800, "other"), (0xAC00, "hangul"), (0xD800, ""), (0xF900, "han"), (0xFB00, "latin"),
    (0xFB07, "other"), (0xFB1D, "hebrew"), (0xFB50, "arabic"), (0xFE00, ""), (0xFE70, "arabic"), (0xFEFF, ""),
    (0xFF21, "latin"), (0xFF3B, ""), (0xFF41, "latin"), (0xFF5B, ""), (0xFF66, "katakana"), (0xFFA0, "hangul"),
    (0xFFE0, ""), (0x10000, "other"), (0x1D000, ""), (0x1E000, "other"), (0x1F000, ""), (0x20000, "han"),
    (0x323B0, ""),
)  # fmt: skip
_SCRIPTS = tuple(sorted({name for _, name in _RUNS if name}))
_STARTS = [start for start, _ in _RUNS]
_LETTER = "[A-Za-z\u00c0-\u024f\u0370-\u052f]"
# The last ones as a range: listed, thousands would be compared with every character of a text.
_HIDDEN = "".join(sorted(char for char in INVISIBLE if char < "\U000e0000")) + "\U000e0080-\U000e0fff"
# Bold or underlined letters as in manual pages: a letter twice, or after an underscore.
_OVERSTRUCK = re.compile("_\b|(.)\b(?=\\1)")
# Between letters of these scripts nothing invisible has a purpose, except a soft hyphen; joiners between letters of
# other scripts, or in emoji, do.
_INSIDE_A_WORD = re.compile(f"(?<={_LETTER})[{_HIDDEN}]+(?={_LETTER})")
_TURNED = re.compile("[\u202d\u202e]")  # bidirectional overrides, which show text in another order than it has
_TAG = re.compile("[\U000e0000-\U000e007f]")
_MARK = re.compile(f"[{''.join(sorted(MARKS))}]")
# Alphabets with letters like Latin ones; letters of other scripts stand right beside those in honest text too.
_FOREIGN = (
    "\u0370-\u03ff\u0400-\u052f\u0531-\u0587\u10a0-\u10ff\u13a0-\u167f\u16a0-\u16ea\u2c80-\u2cee\ua4d0-\ua4f7"
    "\uab70-\uabbf\U00010400-\U000104ff\U000118a0-\U000118ff\U00016f00-\U00016f9f"
)
_MIXED = re.compile(f"[A-Za-z][{_FOREIGN}]|[{_FOREIGN}][A-Za-z]")
_ALIKE = {"armenian", "cyrillic", "georgian", "greek", "other"}


class RequestText:
    """Adds `request.scripts` and `request.obfuscation`; only text beyond printable ASCII is looked at closely."""

    fields: ClassVar[tuple[Field, ...]] = (
        Field(
            "request.scripts",
            (),
            f"The scripts that the prompt's letters are of: {', '.join(_SCRIPTS)}.",
            Cost.TEXT,
            among=_SCRIPTS,
        ),
        Field(
            "request.obfuscation",
            0.0,
            "How many disguises the prompt has a word, at most 1: invisible characters within words, tag characters, "
            "text turned around, mixed alphabets and piled-up marks.",
            Cost.TEXT,
            most=1.0,
        ),
    )

    def inspect(self, exchange: Exchange) -> Mapping[str, Value]:
        """Return the scripts, and how much is disguised."""
        text = scanned(exchange.texts)
        if text.isascii() and len(text.encode().translate(None, CONTROLS)) == len(text):
            return {"request.scripts": ("latin",)} if any(map(str.isalpha, text)) else {}
        chars = set(text)
        scripts = _scripts_of(chars)
        return {"request.scripts": scripts, "request.obfuscation": _obfuscation(text, chars, scripts)}


def _scripts_of(chars: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the scripts of these characters, in alphabetical order."""
    found = {_RUNS[bisect_right(_STARTS, code) - 1][1] for code in map(ord, chars)}
    return tuple(sorted(found - {""}))


def _obfuscation(text: str, chars: set[str], scripts: tuple[str, ...]) -> float:
    disguised = 0
    if not INVISIBLE.isdisjoint(chars):
        text = _OVERSTRUCK.sub("", text) if "\b" in chars else text
        disguised += len(_INSIDE_A_WORD.findall(text)) + len(_TURNED.findall(text))
    if not TAGS.isdisjoint(chars):
        disguised += len(_TAG.findall(text))
    if "latin" in scripts and not _ALIKE.isdisjoint(scripts):
        disguised += len(_MIXED.findall(text))
    if not MARKS.isdisjoint(chars):
        # A letter and its own accent become one character.
        composed = unicodedata.normalize("NFC", without_long_runs(text))
        disguised += len(_MARK.findall(composed))
    if not disguised:  # nearly always; splitting into words takes longer than all of the above
        return 0.0
    return round(min(1.0, disguised / max(1, len(text.split()))), 3)
