"""Brings text to the characters that fingerprints are made of: letters, without case, marks or disguise.

Laws: a character becomes the same whatever stands beside it, but that marks count only after a letter of their own
script; linear time; no text becomes more than four times as long; no text raises.

The characters are compatibility-folded (NFKC_Casefold of Unicode), then look-alikes are one: the classes of UTS #39,
made independent of case. What is invisible, punctuation, a symbol, a space or unassigned is dropped, and so are digits:
a number is payload, and lists are numbered or not. The table is made for one version of Unicode, so that every replica
has the same whatever its Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

# Of one byte each if all are ASCII, else of four.
Canonical: TypeAlias = NDArray[np.uint8] | NDArray[np.uint32]

END = 0x33000  # no letter has a code as high as this
_TABLE = Path(__file__).with_name("characters.txt")
_ASCII = 128
_ALL_OF_ASCII = bytes(range(_ASCII))
_FEW_ONE_IN = 4  # bytes
_SPELLED = 1 << 20  # added to the number of a row: what stands for several characters
_MARK = 1 << 24  # added to a mark, which counts after some letters only
_LETTER = np.uint32(_MARK - 1)
_PAGE_BITS = np.uint32(8)  # of a code: what is above them is its page of Unicode
_ROW = 4
_BLOCK = 1 << 16  # characters at a time: what is made of them stays in the processor's cache
_HANGUL_FIRST, _HANGUL_END = 0xAC00, 0xD7A4
_LEADS, _VOWELS, _TAILS = 0x1100, 0x1161, 0x11A7
_VOWEL_COUNT, _TAIL_COUNT = 21, 28


class Alphabet:
    """What every character stands for; takes 1 MB and some milliseconds to load."""

    def __init__(self) -> None:
        self._table, self._rows = _tables(_TABLE.read_text(encoding="ascii"))
        plain = [int(code) for code in self._table[:_ASCII]]
        self._ascii = bytes(plain) + bytes(_ASCII)
        self._dropped = bytes(code for code, stands in enumerate(plain) if not stands)
        self._dropped_too = self._dropped + bytes(range(_ASCII, 2 * _ASCII))

    def plain(self, text: str) -> bytes | None:
        """Return the characters of a text that has no letters beyond ASCII, None for any other that has such.

        Of such texts the characters of all together are those of each, one after the other. Typographic quotes, dashes
        and emoji are no letters, and whoever writes English writes them.
        """
        if text.isascii():
            return text.encode("ascii").translate(self._ascii, self._dropped)
        data = text.encode("utf-8", "surrogatepass")
        beyond = data.translate(None, _ALL_OF_ASCII)
        if len(beyond) * _FEW_ONE_IN > len(data):  # another script
            return None
        codes = beyond.decode("utf-8", "surrogatepass").encode("utf-32-le", "surrogatepass")
        if self._table.take(np.frombuffer(codes, "<u4"), mode="clip").any():
            return None
        return data.translate(self._ascii, self._dropped_too)

    def canonical(self, text: str) -> Canonical:
        """Return the characters that a text is made of."""
        plain = self.plain(text)
        if plain is not None:
            return np.frombuffer(plain, np.uint8)
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        if codes.size <= _BLOCK:
            found = self._letters(codes)
        else:
            found = np.concatenate([self._letters(codes[at : at + _BLOCK]) for at in range(0, codes.size, _BLOCK)])
        if found.size and found.max() >= _MARK:
            found = _without_stray_marks(found)
        return found.astype(np.uint8) if not found.size or found.max() < _ASCII else found

    def _letters(self, codes: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Return what characters stand for, marks as such."""
        found: NDArray[np.uint32] = self._table.take(codes, mode="clip")  # the last place of the table is nothing
        if found.max() >= _SPELLED:
            found = self._spell_out(found)
        return found.compress(found != 0)

    def _spell_out(self, found: NDArray[np.uint32]) -> NDArray[np.uint32]:
        spelled = (found & _SPELLED) != 0
        if not spelled.any():
            return found
        wide = np.zeros((found.size, _ROW), np.uint32)
        wide[:, 0] = found
        wide[spelled] = self._rows[found[spelled] - _SPELLED]
        return wide.ravel()


def _without_stray_marks(found: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Drop marks after letters of another script and after nothing: they are there to disguise.

    A script that has marks stands with its letters on one page of Unicode, but for a few rare letters.
    """
    marks = found >= _MARK
    codes: NDArray[np.uint32] = np.bitwise_and(found, _LETTER)
    places = np.arange(1, found.size + 1)
    places[marks] = 0
    bearer = np.concatenate((np.zeros(1, np.uint32), codes))[np.maximum.accumulate(places)]
    return codes.compress(~marks | (bearer >> _PAGE_BITS == codes >> _PAGE_BITS))


def _tables(text: str) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Read the file of characters: what each one is, and the rows of what is several."""
    table, rows = np.zeros(END, np.uint32), [(0,) * _ROW]
    lines = [line.partition("; ") for line in text.splitlines() if not line.startswith("#")]
    for stands, _, ranges in lines:
        if stands in ("=", "+"):
            for first, last in _ranges(ranges):
                table[first : last + 1] = np.arange(first, last + 1) + (_MARK if stands == "+" else 0)
    for stands, _, ranges in lines:
        if stands not in ("=", "+"):
            codes = [int(table[int(code, 16)]) for code in stands.split()]
            if len(codes) > 1:
                rows.append((*codes, *(0,) * (_ROW - len(codes))))
            for first, last in _ranges(ranges):
                table[first : last + 1] = codes[0] if len(codes) == 1 else _SPELLED + len(rows) - 1
    syllables = np.arange(_HANGUL_END - _HANGUL_FIRST)
    table[_HANGUL_FIRST:_HANGUL_END] = _SPELLED + len(rows) + syllables
    return table, np.concatenate((np.array(rows, np.uint32), _letters_of(syllables, table)))


def _letters_of(syllables: NDArray[np.int_], table: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the letters of Hangul syllables (The Unicode Standard, 3.12), two or three each."""
    tails = syllables % _TAIL_COUNT
    found = np.zeros((syllables.size, _ROW), np.uint32)
    found[:, 0] = table[_LEADS + syllables // (_VOWEL_COUNT * _TAIL_COUNT)]
    found[:, 1] = table[_VOWELS + syllables // _TAIL_COUNT % _VOWEL_COUNT]
    found[:, 2] = np.where(tails == 0, 0, table[_TAILS + tails])
    return found


def _ranges(text: str) -> Iterator[tuple[int, int]]:
    for part in text.split():
        first, _, last = part.partition("-")
        yield int(first, 16), int(last or first, 16)
