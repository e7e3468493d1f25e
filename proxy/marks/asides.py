"""Knows where a comma may stand before an addition to a clause, and after what opens a sentence.

Law: the conditions on the surrounding words depend neither on the comma nor on wordings that may be exchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxy.marks.joint_words import (
    CLAUSES,
    CONNECTING,
    EITHER,
    NESTING,
    STARTED,
    STARTING,
    SUBJECTS,
    UNSEEN_BEFORE,
    VERBS,
)
from proxy.marks.runs import SIGNS, Piece
from proxy.marks.words import words

# Additions: the first word, and the second words that may follow it.
_ADDED: Final = {
    "even": words("if when after before"),
    "except": words("for when if in by with where"),
    "apart": words("from"),
    "regardless": words("of"),
    "irrespective": words("of"),
    "depending": words("on upon"),
    "rather": words("than"),
    "instead": words("of"),
    "and": words(
        "then thus therefore hence consequently even also perhaps maybe possibly not is are was were has have had can "
        "could will would must should may might does do did cannot"
    ),
    "or": words("even perhaps maybe possibly"),
}
# Words that a row exchanges for each other, under the name of the first.
_SAME_AS: Final = {"apart": "except", "irrespective": "regardless", "instead": "rather"}
_CONTRASTS = words("rather instead")  # no comma stands before these between two verbs
_VERB_ENDINGS = ("ed", "ing")
_NOT_AFTER = (
    VERBS
    | NESTING
    | words("and or but not just only nothing anything everything all none nobody everyone it this that used done")
)
# A phrase before the subject, whatever its length: the words it begins with, and words it does not have.
_PREPOSITIONS = words("in on at by with from during under within without among through despite")
_NO_PHRASE = (
    NESTING | VERBS | SUBJECTS | EITHER | CLAUSES | words("that which who whose whom how why what to be been being let")
)
_POINTING = words("this these there")  # these may stand right after the preposition
_NO_END = words(
    "of all both half such quite many only even just also about least most best worst first time times moment minute "
    "year years extent degree instant addition order part fact what more less than into onto upon over under with "
    "from within without between during through and or not very case event hope belief contrast particular conclusion "
    "summary words course behind above below beneath against around across along beside beyond inside outside toward "
    "towards until near upon off down"
)
_FOLLOWING: Final = words("the these this all some most many several")
_SO_WHO = (SUBJECTS | EITHER | CLAUSES | words("the your")) - words("these those")  # between "so" and these
_MODALS = words("can could will would may might must should cannot can't couldn't won't wouldn't shouldn't")
_LIST_WORDS = 3  # before the last "and"
# How many words a sentence may have for another to be joined to it: the less the words between show that they belong
# together, the fewer.
_MOST_BEFORE: Final = {"noun": 10, "clause": 16, "connected": 24}


def begins(ahead: Sequence[Piece], since: int) -> bool:
    """Tell whether a sentence begins that may as well be a part of the one before it, which has `since` words."""
    word = ahead[0].word
    if word not in STARTING or len(ahead) < 3:
        return False
    kind = "connected" if word in CONNECTING else "clause" if word in NESTING or word in STARTED else "noun"
    if since > _MOST_BEFORE[kind]:
        return False
    second, third = ahead[1].word, ahead[2].word
    if word in STARTED and second not in STARTED[word]:
        return False
    # "In this way" and "this way", "a lot of" and "lots of" are the same.
    return not (word == "this" and second == "way") and not (second == "this" and third == "way") and second != "lot"


def added(last: Piece, ahead: Sequence[Piece]) -> str:
    """Return the name of an addition after a word, empty if that is a part of the clause."""
    first = ahead[0].word
    seconds = _ADDED.get(first)
    if first == "so":
        return _purpose(ahead)
    if seconds is None or len(ahead) < 3 or ahead[1].word not in seconds or ahead[0].trail or ahead[1].trail:
        return ""
    if last.word in _NOT_AFTER or (first in _CONTRASTS and last.word.endswith(_VERB_ENDINGS)):
        return ""
    return "" if _goes_on(ahead) else _SAME_AS.get(first, first)


def _purpose(ahead: Sequence[Piece]) -> str:
    """Return the name of "so that", or of a "so" that a row exchanges for it; else empty."""
    if len(ahead) < 3 or ahead[0].trail or ahead[1].trail:
        return ""
    clause = ahead[1].word in _SO_WHO and ahead[2].word in _MODALS
    return "so that" if clause or ahead[1].word == "that" else ""


def _goes_on(ahead: Sequence[Piece]) -> bool:
    """Tell whether a comma ends the addition, so that the one before it has to stand."""
    for piece, after in zip(ahead, list(ahead)[1:], strict=False):
        if piece.trail[-1:] and piece.trail[-1] in SIGNS:
            return piece.trail[-1] == "," and after.word not in UNSEEN_BEFORE
    return False


def phrase_ends(said: Sequence[str], following: str) -> bool:
    """Tell whether a sentence has opened with a phrase, and its subject follows."""
    if following not in _FOLLOWING or said[0] not in _PREPOSITIONS or said[-1] in _NO_END:
        return False
    inner = said[2:] if said[1] in _POINTING else said[1:]
    return bool(inner) and all(word not in _NO_PHRASE and not word.endswith("ing") for word in inner)


def in_a_list(left: Sequence[Piece], ahead: Sequence[Piece]) -> bool:
    """Tell whether the last piece is the last but one of at least three words of a list."""
    if len(left) < _LIST_WORDS or len(ahead) <= 1:
        return False
    one, two, three, four = left[-3], left[-2], left[-1], ahead[1]
    if two.trail != "," or not two.word or not four.word or not two.core.islower():
        return False
    if one.trail == "," and one.word:
        return True
    return not one.trail and bool(one.word) and _alike(two.word, three.word) and _alike(three.word, four.word)


def _alike(one: str, other: str) -> bool:
    """Tell whether two words look like the same part of speech."""
    return one[-2:] == other[-2:] or (one[-1] == other[-1] == "s" and "ss" not in (one[-2:], other[-2:]))
