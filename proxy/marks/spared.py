"""Tells from the words of an answer when it is one that nobody should touch: a refusal, or about somebody's safety.

What is seen late spares the rest, and the few words that are still held back.
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
_NOTED: Final = _REFUSES | _MODALS | _SAFETY | _WARNS | {"i"}


class Spared:
    """Reads one answer's words in order."""

    def __init__(self) -> None:
        self._words = 0
        self._after_i = False

    def by(self, word: str, *, starts: bool) -> bool:
        """Tell whether with this word the answer is one to be left alone."""
        self._words += 1
        if word not in _NOTED:
            self._after_i = False
            return False
        refuses = self._words <= _REFUSING_WORDS and (word in _REFUSES or (self._after_i and word in _MODALS))
        self._after_i = word == "i"
        return refuses or word in _SAFETY or (starts and word in _WARNS)
