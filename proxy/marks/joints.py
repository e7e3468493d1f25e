"""Finds the places between two words: a comma, the word "that" or "then", or a full stop for a semicolon.

Law: whether there is a place does not depend on what stands there now.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from proxy.marks.asides import added, begins, in_a_list, phrase_ends
from proxy.marks.joint_words import (
    AND,
    CAUSES,
    CLAUSES,
    CONCESSIONS,
    CONCLUDING,
    CONTRASTED,
    DENYING,
    EITHER,
    FINITE,
    FOCUS,
    FOCUSED,
    GOING_ON,
    LEADING,
    LED,
    NESTING,
    NO_COMMA_BEFORE_BUT,
    OPENED,
    OPENERS,
    SAYING,
    SUBJECTS,
    UNSEEN_BEFORE,
    VERBS,
)
from proxy.marks.runs import Piece

THAT: Final = "that"
THEN: Final = "then"
COMMA: Final = ","
STOP: Final = "."  # rather than a semicolon
_PHRASE_WORDS = (2, 6)  # of an opening phrase
_LEAST_WORDS = 4  # words in a sentence before a comma is a matter of taste
_SHORT_CHARS = 3  # up to this length a word may be a preposition or an abbreviation
_AFTER_OPENING = OPENED | LED
_OPENING = LEADING | {phrase.partition(" ")[0] for phrase in OPENERS}  # the first words of what opens a sentence
# Words that end no phrase, no clause, and no part of one.
_NO_PHRASE_ENDS = NESTING | VERBS | AND
_NO_CLAUSE_ENDS = NESTING | AND
_NO_PART_ENDS = VERBS | AND
_PART_WORDS = 3  # so many words without a sign are no part of a list


class Joint(NamedTuple):
    """A place after a word: whether `what` stands there."""

    row: str
    what: str
    there: bool


class Spot(NamedTuple):
    """What stands around the end of a word: the pieces on its left, nearest last, and ahead, nearest first.

    `last` is the word that has ended, `word` the one that comes. `since` counts the words since the sentence began and
    `said` has them while they are few and may open it; `nested` says that the sentence has a dependent clause,
    `condition` that all of it so far is a condition, such as "If it is".
    """

    left: Sequence[Piece]
    ahead: Sequence[Piece]
    since: int
    said: Sequence[str]
    nested: bool
    condition: bool
    last: Piece
    word: str

    def commas(self, row: str) -> Joint:
        """Return the place for a comma."""
        return Joint(row, COMMA, bool(self.last.trail))


def may_be(last: Piece, word: str, said: Sequence[str], *, condition: bool) -> bool:
    """Tell cheaply whether it is worth asking for a joint before a word; mostly it is not."""
    if last.trail:
        if last.trail != COMMA:
            return word in GOING_ON
        if condition:
            return True
    return word in UNSEEN_BEFORE or last.word in SAYING or (bool(said) and word in _AFTER_OPENING)


def joint(spot: Spot) -> Joint | None:
    """Return the place at a spot between two words, if there is one."""
    following = spot.ahead[0]
    if following.lead or "\n\n" in following.gap:
        return None
    if spot.last.trail not in ("", COMMA):
        return _stop(spot)
    for rule in _BEFORE.get(spot.word, _OTHERWISE):
        found = rule(spot)
        if found is not None:
            return found
    return None


def opens(said: Sequence[str]) -> bool:
    """Tell whether words at a sentence's beginning may have a comma after them."""
    return " ".join(said) in OPENERS


def may_open(word: str) -> bool:
    """Tell whether a word may begin an opening that can have a comma after it; mostly it does not."""
    return word in _OPENING


def unseen(piece: Piece, after: Piece | None, *, opened: bool) -> bool:
    """Tell whether the comma after a piece might as well be missing."""
    if piece.trail != COMMA or after is None or after.lead:
        return False
    return after.word in UNSEEN_BEFORE or (opened and after.word in OPENED)


def conditional(word: str) -> bool:
    """Tell whether a sentence that begins with a word begins with a condition."""
    return word == "if"


def _then(spot: Spot) -> Joint | None:
    """Find "If it is there, then you" or "If it is there, you"."""
    if not spot.condition or spot.last.trail != COMMA:
        return None
    there = spot.word == THEN and not spot.ahead[0].trail
    if _clause(spot.ahead, int(there)) or _concludes(spot.ahead, int(there)):
        return Joint(f"{THEN} {_subject(spot.ahead[there])}", THEN, there)
    return None


def _concludes(ahead: Sequence[Piece], at: int) -> bool:
    """Tell whether a noun that begins a clause stands there, and not a part of a list."""
    if at + _PART_WORDS > len(ahead) or ahead[at].word not in CONCLUDING:
        return False
    part = [ahead[place] for place in range(at, at + _PART_WORDS)]
    return all(piece.word and piece.word not in AND and not piece.trail and not piece.lead for piece in part)


def _that(spot: Spot) -> Joint | None:
    """Find "I think that it is" or "I think it is"."""
    if spot.last.trail or spot.last.word not in SAYING:
        return None
    there = spot.word == THAT and not spot.ahead[0].trail
    return Joint(f"{THAT} {_subject(spot.ahead[there])}", THAT, there) if _clause(spot.ahead, int(there)) else None


def _stop(spot: Spot) -> Joint | None:
    """Find "It rains. It is cold" or "It rains; it is cold"."""
    last, following = spot.last, spot.ahead[0]
    if last.trail not in (STOP, ";") or spot.word not in GOING_ON or spot.since < _LEAST_WORDS:
        return None
    if following.core[0].isupper() is not (last.trail == STOP) or len(last.core) < _SHORT_CHARS:
        return None
    if _clause(spot.ahead, 0):
        return Joint(f". {_subject(following)}", STOP, last.trail == STOP)
    return Joint(". the", STOP, last.trail == STOP) if begins(spot.ahead, spot.since) else None


def _opening(spot: Spot) -> Joint | None:
    """Find "Today, we" or "Today we"."""
    if not spot.said or not opens(spot.said) or spot.word not in OPENED:
        return None
    return None if spot.word == "that" and spot.last.word == "now" else spot.commas("opening,")


def _phrase(spot: Spot) -> Joint | None:
    """Find "In this mode, it is" or "In this mode it is"."""
    if not _PHRASE_WORDS[0] <= len(spot.said) <= _PHRASE_WORDS[1] or spot.said[0] not in LEADING:
        return None
    if tuple(spot.said[:2]) == ("in", "case"):
        return None
    if len(spot.last.word) > _SHORT_CHARS and phrase_ends(spot.said, spot.word):
        return spot.commas("opening, ")
    if spot.word not in LED or len(spot.last.word) <= _SHORT_CHARS or spot.last.word in _NO_PHRASE_ENDS:
        return None
    short = "'" in spot.word and not spot.word.endswith("'ve")
    verb = _verb(spot.ahead, 1) in FINITE
    return spot.commas("opening, ") if _clause(spot.ahead, 0) and (short or verb) else None


def _contrast(spot: Spot) -> Joint | None:
    """Find "It rains, but we" or "It rains but we"."""
    if spot.word not in ("but", "yet") or not _late(spot) or spot.last.word in NO_COMMA_BEFORE_BUT:
        return None
    definite = spot.word == "but" and len(spot.ahead) > 1 and spot.ahead[1].word in CONTRASTED
    return spot.commas(f", {spot.word}") if definite or _clause(spot.ahead, 1) else None


def _addition(spot: Spot) -> Joint | None:
    """Find "red, green, and blue" or "red, green and blue"; "it rains, and we" or "it rains and we"."""
    if spot.word not in AND or not _late(spot):
        return None
    if in_a_list(spot.left, spot.ahead):
        return spot.commas("serial,")
    clause = not spot.nested and _clause(spot.ahead, 1) and spot.last.word not in VERBS
    return spot.commas(f", {spot.word}") if clause else None


def _too(spot: Spot) -> Joint | None:
    """Find "this one, too" or "this one too"; "as well" is like "too"."""
    two = spot.word == "as" and len(spot.ahead) > 1 and spot.ahead[1].word == "well" and not spot.ahead[0].trail
    if not (two or spot.word == "too") or spot.since < _LEAST_WORDS or spot.last.word in VERBS:
        return None
    return spot.commas(", too") if any(sign in ".;!?" for sign in spot.ahead[two].trail) else None


def _concession(spot: Spot) -> Joint | None:
    """Find "It rains, although it is" or "It rains although it is"."""
    if spot.word not in CONCESSIONS or not _late(spot) or spot.nested or spot.last.word in _NO_CLAUSE_ENDS:
        return None
    if spot.word != "even":
        return spot.commas(", though") if _clause(spot.ahead, 1) else None
    though = len(spot.ahead) > 1 and spot.ahead[1].word == "though"
    return spot.commas(", though") if though and _clause(spot.ahead, 2) else None


def _focus(spot: Spot) -> Joint | None:
    """Find "all of them, especially in" or "all of them especially in"; "cities, including" or "cities including"."""
    if spot.last.word in _NO_PART_ENDS or not _late(spot):
        return None
    if spot.word == "including":
        return spot.commas(", including")
    focused = spot.word in FOCUS and len(spot.ahead) > 1 and spot.ahead[1].word in FOCUSED
    return spot.commas(", especially") if focused else None


def _added(spot: Spot) -> Joint | None:
    """Find "It rains, even if it is" or "It rains even if it is"; "it rains, and then" or "it rains and then"."""
    if not _late(spot) or not spot.ahead[0].core.islower():
        return None
    if spot.word in CAUSES:
        last = spot.last.word
        fits = last not in _NO_CLAUSE_ENDS and last not in VERBS and not spot.nested and _clause(spot.ahead, 1)
        return spot.commas(f", {spot.word}") if fits and not (spot.word == "because" and _denied(spot.left)) else None
    name = added(spot.last, spot.ahead)
    return spot.commas(f", {name}") if name else None


def _denied(left: Sequence[Piece]) -> bool:
    """Tell whether what stands before a reason is denied, or holds for a part of the reason only."""
    return any(piece.word in DENYING or piece.word.endswith(("n't", "ly")) for piece in left)


# The rules for a place before a word; the first that finds one counts.
_Rules = tuple[Callable[[Spot], Joint | None], ...]
_BEFORE: dict[str, _Rules] = {
    **dict.fromkeys(UNSEEN_BEFORE, (_added,)),
    **dict.fromkeys(("but", "yet"), (_contrast,)),
    **dict.fromkeys(AND, (_addition, _added)),
    **dict.fromkeys(("too", "as"), (_too,)),
    **dict.fromkeys(CONCESSIONS, (_concession, _added)),
    **dict.fromkeys((*FOCUS, "including"), (_focus,)),
}
_OTHERWISE: _Rules = (_then, _that, _opening, _phrase)


def _late(spot: Spot) -> bool:
    return spot.since >= _LEAST_WORDS and not spot.ahead[0].trail


def _clause(ahead: Sequence[Piece], at: int) -> bool:
    """Tell whether a subject stands there, and not an object."""
    if at >= len(ahead) or ahead[at].lead or ahead[at].trail:
        return False
    word = ahead[at].word
    if word in SUBJECTS or word in CLAUSES:
        return True
    return word in EITHER and _verb(ahead, at + 1) in VERBS


def _verb(ahead: Sequence[Piece], at: int) -> str:
    """Return the word at `at`, or the next one if it is "also", which may stand on either side of a verb."""
    at += at < len(ahead) and ahead[at].word == "also"
    return ahead[at].word if at < len(ahead) else ""


def _subject(piece: Piece) -> str:
    """Return a subject without a verb that is contracted with it."""
    return piece.word.partition("'")[0]
