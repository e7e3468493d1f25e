"""Reads the table of equivalent wordings into what the scanner looks up.

A row is named by its first wording; what rows are and how their conditions are written is at the top of english.txt.
Law: whether a wording is a place depends on its surroundings only, in the same way for every wording of its row, so
that whoever tests a marked text finds the places that the marker found.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

MOST_WORDS = 5  # of a wording
PUNCTUATION: Final = "$"  # a sign right after the wording, or the end of the text
BEGINNING: Final = "^"  # of a sentence
FIGURES: Final = "#"  # something that begins with a digit
_COUNTS = (2, 4)  # of wordings, so that a key's choice is one or two fair bits


class Condition(NamedTuple):
    """Words of which one has to be there or, if it is `refused`, none may be."""

    words: frozenset[str]
    endings: tuple[str, ...]  # words with these endings are meant too
    refused: bool

    def holds(self, word: str) -> bool:
        """Tell whether the condition holds for this word, or sign."""
        words, endings, refused = self
        return (word in words or (bool(endings) and word.endswith(endings))) is not refused


class Row(NamedTuple):
    """Wordings that can stand for each other, each as its words in lower case."""

    name: str
    wordings: tuple[tuple[str, ...], ...]
    before: Condition | None
    after: Condition | None
    second: Condition | None  # on the second word after the wording
    comma: tuple[str, ...] | None = None  # the sign after each wording, if some have a comma of their own


class Wording(NamedTuple):
    """One wording of a row."""

    row: Row
    number: int
    words: tuple[str, ...]


class Table(NamedTuple):
    """Wordings by their first and second word, longest first; those of one word fit any second and come last."""

    rows: tuple[Row, ...]
    wordings: dict[str, dict[str, tuple[Wording, ...]]]


@cache
def english() -> Table:
    """Return the table for English."""
    return read_table((files("proxy.marks") / "english.txt").read_text("utf-8"))


def read_table(text: str) -> Table:
    """Read a table. Raises ValueError with the line at fault."""
    classes: dict[str, tuple[str, ...]] = {}
    rows: list[Row] = []
    named: dict[str, Row] = {}
    lines = list(enumerate(text.splitlines(), 1))
    # Classes come first: a row may use one from further down.
    for number, line in sorted(lines, key=lambda numbered: not numbered[1].startswith("@")):
        try:
            if line.startswith("@"):
                name, _, words = line.partition(" = ")
                classes[name] = _expanded(words, classes)
            elif line and not line.startswith("#"):
                rows += _known(_rows(line, classes), named)
        except (ValueError, KeyError) as error:
            raise ValueError(f"line {number}: {line!r}: {error}") from None
    found: dict[str, dict[str, tuple[Wording, ...]]] = {}
    for row in rows:
        for number, wording in enumerate(row.wordings):
            seconds = found.setdefault(wording[0], {})
            second = wording[1] if len(wording) > 1 else ""
            known = (*seconds.get(second, ()), Wording(row, number, wording))
            seconds[second] = tuple(sorted(known, key=lambda one: -len(one.words)))
    for seconds in found.values():
        alone = seconds.get("", ())
        seconds.update({second: (*those, *alone) for second, those in seconds.items() if second})
    return Table(tuple(rows), found)


def _known(rows: list[Row], named: dict[str, Row]) -> list[Row]:
    """Return the rows, unless a name is there already with other wordings; conditions may differ."""
    for row in rows:
        if named.setdefault(row.name, row).wordings != row.wordings:
            raise ValueError(f"{row.name!r} is there already, with other wordings")
    return rows


def _rows(line: str, classes: dict[str, tuple[str, ...]]) -> list[Row]:
    """Return the rows of a line: one, or one for each inflection."""
    rest, conditions = line, dict[str, Condition | None]()
    for sign in (" >> ", " > ", " < "):
        rest, _, words = rest.partition(sign)
        conditions[sign] = _condition(words, classes)
    inflected = [[form.strip() for form in wording.split(",")] for wording in rest.split(" / ")]
    rows = []
    for forms in zip(*inflected, strict=True):
        comma = tuple("," * form.endswith("_") for form in forms) if any(form.endswith("_") for form in forms) else None
        wordings = tuple(tuple(form.removesuffix("_").split()) for form in forms)
        if len(wordings) not in _COUNTS or len(set(wordings)) != len(wordings):
            raise ValueError("should have two or four different wordings")
        if not all(0 < len(words) <= MOST_WORDS for words in wordings):
            raise ValueError(f"a wording should have 1 to {MOST_WORDS} words")
        rows.append(Row(forms[0], wordings, conditions[" < "], conditions[" > "], conditions[" >> "], comma))
    return rows


def _condition(words: str, classes: dict[str, tuple[str, ...]]) -> Condition | None:
    refused = words.startswith("!")
    found = _expanded(words.removeprefix("!"), classes)
    endings = tuple(word[1:] for word in found if word.startswith("*"))
    return Condition(frozenset(found), endings, refused) if found else None


def _expanded(words: str, classes: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(each for word in words.split() for each in (classes[word] if word.startswith("@") else (word,)))
