"""Brings text into the one form that patterns are matched in, so that case, look-alikes and invisible characters hide
nothing: compatibility folding, case folding, no combining marks, Cyrillic, Greek and other look-alikes as Latin.

Laws: linear time; patterns are folded as the text is, so a Russian pattern still finds Russian text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping


def _range(first: int, last: int) -> range:
    return range(first, last + 1)


# Characters that show nothing or only direct how others are shown (Unicode's default ignorable code points), but for
# the tags, which spell hidden letters.
INVISIBLE = frozenset(
    chr(code)
    for codes in (
        (0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0),
        _range(0x180B, 0x180F),
        _range(0x200B, 0x200F),
        _range(0x202A, 0x202E),
        _range(0x2060, 0x206F),
        _range(0xFE00, 0xFE0F),
        _range(0xFFF9, 0xFFFB),
        _range(0x1D173, 0x1D17A),
        _range(0xE0100, 0xE01EF),
    )
    for code in codes
)
TAGS = frozenset(map(chr, _range(0xE0000, 0xE007F)))
# The marks that pile up on Latin, Greek and Cyrillic letters; those of other scripts are part of their words.
MARKS = frozenset(
    chr(code)
    for codes in (
        _range(0x0300, 0x036F),
        _range(0x0483, 0x0489),
        _range(0x1AB0, 0x1ACE),
        _range(0x1DC0, 0x1DFF),
        _range(0x20D0, 0x20F0),
        _range(0xFE20, 0xFE2F),
    )
    for code in codes
)
# Putting marks in order takes time that grows with the square of their run, and no word has as many on one letter.
_MAX_MARKS = 8
# A compatibility character can stand for 18 others; text that grows like that is no text.
_MAX_GROWTH = 4


_COMBINING = frozenset(char for char in map(chr, range(0x0300, 0x1E950)) if unicodedata.combining(char))
_LONG_RUN = re.compile(f"([{''.join(sorted(_COMBINING))}]{{{_MAX_MARKS}}})[{''.join(sorted(_COMBINING))}]+")
# Letters as they look in either case, in the form that case folding leaves (Unicode's confusables, shortened).
_LOOK_ALIKES = {
    "абвгеёзікмнопрстухһјѕԁԛԝѵьӏ": "abbreeeikmhonpctyxhjsdqwvbl",
    "αβγεζηικμνορτυχω": "abyeznikuvoptuxw",
    "օսհոցզյ": "ouhngqj",
    "ɑɡıɩʏᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡᴢ": "agiiyabcdefghijklmnoprstuvwz",
}
_FOLDED: Mapping[int, str | None] = {
    **{ord(char): None for char in INVISIBLE | TAGS | MARKS},
    **{
        ord(alike): latin
        for letters, latins in _LOOK_ALIKES.items()
        for alike, latin in zip(letters, latins, strict=True)
    },
}
_REPLACED = frozenset(map(chr, _FOLDED))
# What a pattern says with a backslash or as the head of a group, and what it says with itself.
_PATTERN_PIECE = re.compile(
    r"\\[pP]\{[^}]*\}|\\[pP].|\\x\{[^}]*\}|\\.|\(\?[a-zA-Z]*[:)]|\(\?P?<\w+>|\[:\^?\w+:\]|.", re.DOTALL
)
# One space of a pattern: any run of what parts words, also of none, so that neither line breaks nor markup matter.
_GAP = r"[\s_*\-]*"


def fold(text: str) -> str:
    """Return the text in the form that folded patterns match; it may be longer or shorter."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", without_long_runs(text))[: _MAX_GROWTH * len(text)]
    folded = plain.casefold()
    if not _REPLACED.isdisjoint(folded):  # most text beyond ASCII has typographic quotes and no more
        folded = folded.translate(_FOLDED)
    return unicodedata.normalize("NFC", without_long_runs(folded))


def without_long_runs(text: str) -> str:
    """Return the text with at most eight combining marks in a row, which can then be normalised in linear time."""
    return text if _COMBINING.isdisjoint(text) else _LONG_RUN.sub(r"\1", text)


def fold_pattern(pattern: str) -> str:
    """Return a regular expression that finds in folded text what the given one means; a space is any gap."""
    folded = []
    in_class = False
    for piece in _PATTERN_PIECE.findall(pattern):
        if piece in ("[", "]"):
            in_class = piece == "["
        if piece == " " and not in_class:
            folded.append(_GAP)
        else:
            folded.append(fold(piece) if len(piece) == 1 else piece)
    return "".join(folded)
