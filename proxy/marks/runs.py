"""What a run without white space is by itself, wherever it stands: a plain word or not, and which kind of one.

Prose has few words that come again and again, so what is known of each is kept: to look at its letters takes longer.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from proxy.marks.joint_words import FINITE_WORDS, JOINED, NESTING, SAYING
from proxy.marks.spared import NOTED
from proxy.marks.words import words

SIGNS: Final = ".!?:;,…"
ENDS: Final = ".!?:;"  # after one of these a sentence, or what is like one, begins
# What a word is besides, as bits that are set.
ENGLISH, CONTENT, NESTS, FINITE, SAYS, JOINS, WATCHED, ARTICLE, PLAIN = (1 << bit for bit in range(9))
# The share of these among the words tells English from other languages.
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
_KEPT = 4_096  # nine of ten words of any text are among so many
_SHAPE = re.compile(r"([(\[*_]*)([^\W\d_]+(?:['’][^\W\d_]+)?)([)\]*_.,;:!?…]*)")  # noqa: RUF001 - an apostrophe
_ITALIC = re.compile(r"[(\[]*([*_])(?=[^\s*_])")  # titles of works are written so


class Piece:
    """A run of characters; `word` is what matching sees, empty unless it is a plain word of prose, of that `kind`.

    It came `at` so many characters behind the beginning of its text.
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
        self.starts = False  # a sentence

    def __str__(self) -> str:
        return f"{self.gap}{self.lead}{self.core}{self.trail}"


class PlainWord(NamedTuple):
    """A plain word with the signs around it; `ends` says that a sentence ends with them."""

    lead: str
    core: str
    trail: str
    word: str
    kind: int
    ends: bool


@lru_cache(_KEPT)
def plain(run: str) -> PlainWord | None:
    """Return the plain word that a run is, None if it is none."""
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
    """Return the bits of a word."""
    return PLAIN + CONTENT * (len(word) >= _CONTENT_CHARS) + sum([bit for bit, those in _KINDS if word in those])


def is_shaped(run: str) -> bool:
    """Tell whether a run is a word with signs around it, whatever these mean."""
    return _SHAPE.fullmatch(run) is not None


def opens_italic(run: str) -> str:
    """Return the sign of a span in italics that a run begins and that goes on behind it; empty if it begins none."""
    match = _ITALIC.match(run)
    return "" if match is None or match[1] in run[match.end() :] else match[1]
