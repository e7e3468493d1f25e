"""Tells from its words when an answer should be left alone: a refusal, or one about somebody's safety.

A sign that comes late spares the rest, and the few words that are still held back.
"""

from __future__ import annotations

from typing import Final

from proxy.marks.words import words

_REFUSING_WORDS: Final = 40  # a refusal comes at the beginning
_REFUSES: Final = words("sorry apologize apologise unable")
_MODALS: Final = words("can't cannot couldn't won't")  # after "I"
_SAFETY: Final = words(
    "suicide suicidal overdose hotline helpline poison poisoning poisonous seizure choking unconscious ambulance "
    "anaphylaxis cpr"
)
_WARNS: Final = words("warning caution danger")  # where a sentence begins with it
NOTED: Final = _REFUSES | _MODALS | _SAFETY | _WARNS | {"i"}


class Spared:
    """Reads one answer's words in order: the noted ones, and those while it is `wary`; others are only counted."""

    def __init__(self) -> None:
        self.words = 0
        self.wary = False  # the next word may complete what the last one began

    def by(self, word: str, *, starts: bool) -> bool:
        """Tell whether this word shows that the answer is to be left alone."""
        self.words += 1
        refuses = self.words <= _REFUSING_WORDS and (word in _REFUSES or (self.wary and word in _MODALS))
        self.wary = word == "i"
        return refuses or word in _SAFETY or (starts and word in _WARNS)
