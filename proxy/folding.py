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
_FEW_REPLACED = 8  # characters that are sooner replaced one after the other than looked up in a table
_ASCII = bytes(range(0x80))
_FEW_ONE_IN = 4  # bytes
# What folding leaves as it is, whatever stands beside it, as long as that is ASCII or the same: punctuation, arrows,
# boxes, the signs of East Asian texts, emoji, and Chinese characters.
_LEFT_ALONE = re.compile(
    "[{}]*".format(
        "".join(
            char
            for codes in (
                _range(0x00A1, 0x00BF),
                _range(0x2010, 0x205E),
                _range(0x20A0, 0x20BF),
                _range(0x2190, 0x2BFF),
                _range(0x3001, 0x3020),
                _range(0x1F300, 0x1FAFF),
            )
            for char in map(chr, codes)
            if char not in _REPLACED and unicodedata.normalize("NFKD", char).casefold() == char
        )
        + "\u4e00-\u9fff"
    )
)
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
    beyond = _few_beyond_ascii(text)
    if beyond is None:
        return _fold_anything(text)
    if _LEFT_ALONE.fullmatch("".join(beyond)):  # as most text beyond ASCII, which has typographic quotes and no more
        return text.encode().lower().decode()  # letters of ASCII alone, which takes a tenth of the time
    short = text if _COMBINING.isdisjoint(beyond) else _LONG_RUN.sub(r"\1", text)
    folded = unicodedata.normalize("NFKD", short)[: _MAX_GROWTH * len(text)].casefold()
    beyond = _few_beyond_ascii(folded)
    if beyond is None or len(replaced := _REPLACED & beyond) > _FEW_REPLACED:
        return _replaced(folded)
    for char in replaced:
        folded = folded.replace(char, _FOLDED[ord(char)] or "")
    return unicodedata.normalize(
        "NFC", folded if _COMBINING.isdisjoint(beyond - replaced) else _LONG_RUN.sub(r"\1", folded)
    )


def _fold_anything(text: str) -> str:
    folded = unicodedata.normalize("NFKD", without_long_runs(text))[: _MAX_GROWTH * len(text)].casefold()
    return (
        unicodedata.normalize("NFC", without_long_runs(folded)) if _REPLACED.isdisjoint(folded) else _replaced(folded)
    )


def _replaced(folded: str) -> str:
    return unicodedata.normalize("NFC", without_long_runs(folded.translate(_FOLDED)))


def _few_beyond_ascii(text: str) -> set[str] | None:
    """Return the characters beyond ASCII, None if they are more than a quarter of the text.

    To look at each character of a text takes several times as long.
    """
    data = text.encode("utf-8", "surrogatepass")
    beyond = data.translate(None, _ASCII)
    return None if len(beyond) * _FEW_ONE_IN > len(data) else set(beyond.decode("utf-8", "surrogatepass"))


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
