"""What a run without white space is by itself, wherever it stands: whether it is a plain word, and of which kind.

The same few words come again and again in prose, so the results are cached: looking at the letters takes longer.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from proxy.marks.joint_words import FINITE_WORDS, JOINED, NESTING, SAYING
from proxy.marks.spared import NOTED
from proxy.marks.words import words

SIGNS: Final = ".!?:;,…"
ENDS: Final = ".!?:;"  # after one of these a sentence or the like begins
# Kinds of words, as bits.
ENGLISH, CONTENT, NESTS, FINITE, SAYS, JOINS, WATCHED, ARTICLE, PLAIN = (1 << bit for bit in range(9))
# The share of these words tells English from other languages.
_ENGLISH = words("the and of that this with you are it is to for be not")
_ARTICLES = words("a an")
_CONTENT_CHARS = 4  # of the shortest word that is content
_KINDS: Final = (
    (ENGLISH, _ENGLISH),
    (NESTS, NESTING),
    (FINITE, FINITE_WORDS),
    (SAYS, SAYING),
    (JOINS, JOINED),
    (WATCHED, NOTED),
    (ARTICLE, _ARTICLES),
)
_KEPT = 4_096  # so many hold nine of ten words of any text
_SHAPE = re.compile(r"([(\[*_]*)([^\W\d_]+(?:['’][^\W\d_]+)?)([)\]*_.,;:!?…]*)")  # noqa: RUF001 - an apostrophe
_ITALIC = re.compile(r"[(\[]*([*_])(?=[^\s*_])")  # titles of works are written so


class Piece:
    """A run of characters; `word` is what is matched, empty unless it is a plain word of prose, and `kind` its bits.

    It stands `at` so many characters from the beginning of its text.
    """

    __slots__ = ("at", "core", "gap", "kind", "lead", "starts", "trail", "word")

    def __init__(self, gap: str, lead: str, core: str, trail: str, at: int = 0, word: str = "", kind: int = 0) -> None:
        self.gap = gap
        self.lead = lead
        self.core = core
        self.trail = trail
        self.at = at
        self.word = word
        self.kind = kind
        self.starts = False  # whether it starts a sentence

    def __str__(self) -> str:
        return f"{self.gap}{self.lead}{self.core}{self.trail}"


class PlainWord(NamedTuple):
    """A plain word with the signs around it; `ends` says that they end a sentence."""

    lead: str
    core: str
    trail: str
    word: str
    kind: int
    ends: bool


@lru_cache(_KEPT)
def plain(run: str) -> PlainWord | None:
    """Return the plain word that a run is, None if it is no plain word."""
    if run.isalpha():
        word = run.lower()
        return PlainWord("", run, "", word, kind_of(word), ends=False)
    match = _SHAPE.fullmatch(run)
    if match is None or "**" in run or "__" in run or opens_italic(run):
        return None
    word = match[2].lower().replace("’", "'")  # noqa: RUF001 - an apostrophe
    return PlainWord(match[1], match[2], match[3], word, kind_of(word), any(sign in ENDS for sign in match[3]))


@lru_cache(_KEPT)
def kind_of(word: str) -> int:
    """Return the kinds of a word, as bits."""
    return PLAIN + CONTENT * (len(word) >= _CONTENT_CHARS) + sum([bit for bit, those in _KINDS if word in those])


def is_shaped(run: str) -> bool:
    """Tell whether a run is a word with signs around it, whatever these mean."""
    return _SHAPE.fullmatch(run) is not None


def opens_italic(run: str) -> str:
    """Return the sign of a span in italics that begins in a run and goes on after it; empty if there is none."""
    match = _ITALIC.match(run)
    return "" if match is None or match[1] in run[match.end() :] else match[1]
