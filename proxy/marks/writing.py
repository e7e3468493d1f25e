"""Recognises a wording where it stands, and writes another in its place and its form."""

from __future__ import annotations

from collections.abc import Sequence

from proxy.marks.runs import Piece, kind_of
from proxy.marks.table import Wording

_VOWELS = frozenset("aeiou")
# Words whose sound does not begin like their first letter.
_ONSETS = {"hour": True, "honest": True, "u": False, "one": False, "once": False, "use": False, "useful": False}


def may_change(head: Piece) -> bool:
    """Tell whether a word's case is the usual one where it stands: otherwise it is a name, or shouted."""
    core = head.core
    return core.islower() or (head.starts and core[0].isupper() and (len(core) == 1 or core[1:].islower()))


def stands(pieces: Sequence[Piece], wording: Wording, at: int) -> bool:
    """Tell whether the words of a wording stand at a piece, whose first word is known to match."""
    last = at + len(wording.words) - 1
    if last > at:
        if last >= len(pieces):
            return False
        for place, word in enumerate(wording.words[1:], at + 1):
            piece = pieces[place]
            if piece.word != word or piece.lead or pieces[place - 1].trail:
                return False
            if not piece.core.islower() or "\n\n" in piece.gap:
                return False
    comma = wording.row.comma
    return comma is None or pieces[last].trail == comma[wording.number]


def written(taken: list[Piece], chosen: Wording) -> list[Piece]:
    """Return the pieces of a wording in place of another's, with their case, white space and signs."""
    wanted = chosen.words
    first, last = taken[0], taken[-1]
    gaps = [piece.gap for piece in taken[1:]]
    curly = any("’" in piece.core for piece in taken)  # noqa: RUF001 - an apostrophe
    made = []
    for place, word in enumerate(wanted):
        gap = first.gap if place == 0 else gaps[place - 1] if place <= len(gaps) else " "
        if place == 0 and first.core[0].isupper():
            word = word[0].upper() + word[1:]  # noqa: PLW2901 - the same word
        if curly:
            word = word.replace("'", "’")  # noqa: PLW2901, RUF001 - the same word
        lead, trail = first.lead if place == 0 else "", last.trail if place == len(wanted) - 1 else ""
        made.append(Piece(gap, lead, word, trail, word=wanted[place], kind=kind_of(wanted[place])))
    made[0].starts = first.starts
    if chosen.row.comma is not None:
        made[-1].trail = chosen.row.comma[chosen.number]
    return made


def article_for(article: str, chosen: Wording) -> str:
    """Return "a" or "an", by the sound of what follows, in the case of the article that was there."""
    word = chosen.words[0]
    vowel = _ONSETS.get(word, word[0] in _VOWELS)
    made = "an" if vowel else "a"
    return made.capitalize() if article[0].isupper() else made
