"""Brings text into the one form that patterns are matched in, so that case, look-alikes and invisible characters hide
nothing: compatibility folding, case folding, no combining marks, no strokes through letters, and look-alikes of
other alphabets (Cyrillic, Greek, Armenian, Cherokee, Coptic, Lisu) as Latin.

Laws: linear time; patterns are folded as the text is, so a Russian pattern still finds Russian text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping


def _range(first: int, last: int) -> range:
    return range(first, last + 1)


# Of ASCII, what shows nothing and is no white space.
CONTROLS = bytes([*_range(0x00, 0x08), *_range(0x0E, 0x1F), 0x7F])
# Characters that show nothing or only direct how others are shown (Unicode's controls and default ignorable code
# points), but for the tags, which spell hidden letters.
INVISIBLE = frozenset(
    chr(code)
    for codes in (
        CONTROLS,
        _range(0x0080, 0x0084),
        _range(0x0086, 0x009F),
        (0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0),
        _range(0x180B, 0x180F),
        _range(0x200B, 0x200F),
        _range(0x202A, 0x202E),
        _range(0x2060, 0x206F),
        _range(0xFE00, 0xFE0F),
        _range(0xFFF0, 0xFFFB),
        _range(0x1BCA0, 0x1BCA3),
        _range(0x1D173, 0x1D17A),
        _range(0xE0080, 0xE0FFF),
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
_STRETCHES = "\u0640\u07fa"  # between letters of Arabic and NKo, which are joined: they only make a word longer
# White space and dashes beyond ASCII that normalisation leaves, as the ones that patterns take for a gap.
_GAPS = {
    **dict.fromkeys(map(chr, (0x0085, 0x1680, 0x2028, 0x2029, 0x2800)), " "),
    **dict.fromkeys(map(chr, (*_range(0x2010, 0x2015), 0x2043, 0x2212)), "-"),
}
# Putting marks in order takes time that grows with the square of their run, and no word has as many on one letter.
_MAX_MARKS = 8
# A compatibility character can stand for 18 others; text that grows like that is no text.
_MAX_GROWTH = 4


_COMBINING = frozenset(char for char in map(chr, range(0x0300, 0x1E950)) if unicodedata.combining(char))
_LONG_RUN = re.compile(f"([{''.join(sorted(_COMBINING))}]{{{_MAX_MARKS}}})[{''.join(sorted(_COMBINING))}]+")
# Letters as they look in either case, in the form that case folding leaves (Unicode's confusables, shortened):
# Cyrillic, Greek, Armenian, Latin ones with strokes and hooks, Cherokee, Coptic, Lisu, and capitals that are small.
_LOOK_ALIKES = {
    "абвгеёзікмнопрстухһјѕԁԛԝѵьӏ": "abbreeeikmhonpctyxhjsdqwvbl",
    "αβγεζηικμνορτυχω": "abyeznikuvoptuxw",
    "օսհոցզյռգ": "ouhngqjnq",
    "øđłħŧƀƃɓƈȼɖɗɇƒǥɠɦɨɉʝƙⱪƚɫɬɭɱɲƞɵƥɋɍɽʂȿƭʈⱦʉʋⱳƴɏƶȥⱥ": "odlhtbbbccddefgghijjkkllllmnnopqrrsstttuvwyyzza",
    "\u13aa\u13f4\u13cf\u13df\u13a0\u13ac\u13c0\u13bb\u13c2\u13a5\u13ab\u13e6": "abbcdeghhijk",
    "\u13de\u13b7\u13e2\u13a1\u13a2\u13d9\u13da\u13d5\u13d4\u13b3\u13a9\u13c3": "lmprtvsswwyz",
    "ⲥⲏⲓⲕⲙⲛⲟⲣⲧⲭⲩ": "chikmnoptxy",
    "\ua4ee\ua4d0\ua4da\ua4d3\ua4f0\ua4dd\ua4d6\ua4e7\ua4f2\ua4d9\ua4d7\ua4e1\ua4df": "abcdefghijklm",
    "\ua4e0\ua4f3\ua4d1\ua4e3\ua4e2\ua4d4\ua4f4\ua4e6\ua4ea\ua4eb\ua4ec\ua4dc": "noprstuvwxyz",
    "ɑɡıɩʏᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡᴢ": "agiiyabcdefghijklmnoprstuvwz",
}
_FOLDED: Mapping[int, str | None] = {
    **{ord(char): None for char in INVISIBLE | TAGS | MARKS | set(_STRETCHES)},
    **{ord(char): gap for char, gap in _GAPS.items()},
    **{
        ord(alike): latin
        for letters, latins in _LOOK_ALIKES.items()
        for alike, latin in zip(letters, latins, strict=True)
    },
}
_REPLACED = INVISIBLE.union(TAGS, MARKS, _STRETCHES, _GAPS, *_LOOK_ALIKES)  # the same objects, not as many again
_FEW_REPLACED = 8  # characters that are sooner replaced one after the other than looked up in a table
_ASCII = bytes(range(0x80))
_LOWER = bytes(range(0x100)).lower().replace(b"\v", b" ")  # which RE2 takes for no white space
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
            if (char in _GAPS or char not in _REPLACED) and unicodedata.normalize("NFKD", char).casefold() == char
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
    data = text.encode("utf-8", "surrogatepass").translate(_LOWER, CONTROLS)
    if text.isascii():
        return data.decode()
    text = data.decode("utf-8", "surrogatepass")
    beyond = _few_beyond_ascii(data)
    if beyond is None:
        return _fold_anything(text)
    for char in beyond.intersection(_GAPS):
        text = text.replace(char, _GAPS[char])
    if _LEFT_ALONE.fullmatch("".join(beyond)):  # as most text beyond ASCII, which has typographic quotes and no more
        return text  # letters of ASCII alone, which are lower already
    short = text if _COMBINING.isdisjoint(beyond) else _LONG_RUN.sub(r"\1", text)
    folded = unicodedata.normalize("NFKD", short)[: _MAX_GROWTH * len(text)].casefold()
    beyond = _few_beyond_ascii(folded.encode("utf-8", "surrogatepass"))
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


def _few_beyond_ascii(data: bytes) -> set[str] | None:
    """Return the characters beyond ASCII of a text in UTF-8, None if they are more than a quarter of it.

    To look at each character of a text takes several times as long.
    """
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
            plain = fold(piece) if len(piece) == 1 else piece
            folded.append(r"\-" if in_class and plain == "-" != piece else plain)  # it was no range
    return "".join(folded)
