"""Brings text to the characters that fingerprints are made of: letters, without case, marks or disguise.

Laws: a character becomes the same whatever stands beside it, except that marks count only after a letter of their own
script; linear time; no text becomes more than four times as long; no text raises.
The characters are compatibility-folded (NFKC_Casefold of Unicode), then look-alikes become one: the classes of UTS #39,
made independent of case. What is invisible, punctuation, a symbol, a space or unassigned is dropped, and so are digits:
a number is payload, and lists may be numbered or not. The table is made for one version of Unicode, so that every
replica has the same whatever its Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import or_
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

# One byte a character if all are ASCII, else four.
Canonical: TypeAlias = NDArray[np.uint8] | NDArray[np.uint32]

END = 0x33000  # no letter has a code as high as this
_ROWS_END = 0x10000  # from here on only some three dozen codes stand for several characters
_TABLE = Path(__file__).with_name("characters.txt")
_ASCII = 128
_MARK = 1 << 20  # added to a mark, which counts after some letters only
_SPELLED = 1 << 24  # set for what stands for several characters, which are in its row
_LETTERS = _MARK - 1  # all bits that a letter can have
_PAGE = np.uint32(0xFF)  # codes that differ in these bits alone are on one page of Unicode
_ROW = 4
_BLOCK = 1 << 16  # characters at a time: the results stay in the processor's cache
_HANGUL_FIRST, _HANGUL_END = 0xAC00, 0xD7A4
_LEADS, _VOWELS, _TAILS = 0x1100, 0x1161, 0x11A7
_VOWEL_COUNT, _TAIL_COUNT = 21, 28

# What characters stand for, with marks as such; all bits of them; and where the two places in the text are there.
_Letters: TypeAlias = tuple[Canonical, int, int, int]


class Characters(NamedTuple):
    """The characters of a text, those of a part of it by itself, and a superset of the bits of all their codes.

    For ASCII alone `bits` is 0.
    """

    whole: Canonical
    part: Canonical
    bits: int


class Alphabet:
    """What every character stands for; takes 2 MB and some milliseconds to load."""

    def __init__(self) -> None:
        self._table, rows = _tables(_TABLE.read_text(encoding="ascii"))
        self._rows = rows[:_ROWS_END].copy()
        self._rare = (self._table[_ROWS_END:] & np.uint32(_SPELLED)).nonzero()[0] + _ROWS_END
        self._rows_of_rare = rows[self._rare]
        plain = [int(code) for code in self._table[:_ASCII]]
        self._ascii = bytes(plain) + bytes(_ASCII)
        self._dropped = bytes(code for code, stands in enumerate(plain) if not stands)

    def canonical(self, text: str) -> Canonical:
        """Return the characters that a text is made of."""
        return self.with_part("", text, "").whole

    def with_part(self, before: str, part: str, after: str) -> Characters:
        """Return the characters of three texts read as one, and those of the middle one by itself."""
        if before.isascii() and part.isascii() and after.isascii():
            inner = self._plain(part)
            whole = b"".join((self._plain(before), inner, self._plain(after)))
            return Characters(np.frombuffer(whole, np.uint8), np.frombuffer(inner, np.uint8), 0)
        codes = np.frombuffer(f"{before}{part}{after}".encode("utf-32-le", "surrogatepass"), "<u4")
        found, bits, begin, end = self._letters(codes, len(before), len(before) + len(part))
        inside = found[begin:end]
        if bits >= _MARK:
            inside, found = _without_stray_marks(inside), _without_stray_marks(found)
        return Characters(_narrow(found), _narrow(inside), bits & _LETTERS)

    def _plain(self, text: str) -> bytes:
        return text.encode("ascii").translate(self._ascii, self._dropped)

    def _letters(self, codes: NDArray[np.uint32], begin: int, end: int) -> _Letters:
        """Return what characters stand for, and where the part between two places of the text begins and ends there."""
        if codes.size <= _BLOCK:
            return self._letters_of_block(codes, begin, end)
        blocks = [
            self._letters_of_block(codes[at : at + _BLOCK], max(begin - at, 0), max(end - at, 0))
            for at in range(0, codes.size, _BLOCK)
        ]
        letters, bits, begins, ends = zip(*blocks, strict=True)
        return np.concatenate(letters), reduce(or_, bits), sum(begins), sum(ends)

    def _letters_of_block(self, codes: NDArray[np.uint32], begin: int, end: int) -> _Letters:
        found: NDArray[np.uint32] = self._table.take(codes, mode="clip")  # the last entry of the table is nothing
        bits = int(np.bitwise_or.reduce(found))
        if bits < _ASCII:
            data = found.astype(np.uint8).tobytes()
            parts = [each.translate(None, b"\0") for each in (data[:begin], data[begin:end], data[end:])]
            begin = len(parts[0])
            return np.frombuffer(b"".join(parts), np.uint8), bits, begin, begin + len(parts[1])
        if bits & _SPELLED:
            rows = self._rows.take(codes, axis=0, mode="clip")
            if codes.max() >= _ROWS_END:
                beyond = (codes >= _ROWS_END).nonzero()[0]
                rows[beyond, 0] = found[beyond]
                if (rare := beyond[found[beyond] >= _SPELLED]).size:
                    rows[rare] = self._rows_of_rare[self._rare.searchsorted(codes[rare])]
            found = rows.ravel()
            begin, end = begin * _ROW, end * _ROW
        there = found != 0
        letters: NDArray[np.uint32] = found.compress(there)
        return letters, bits & ~_SPELLED, int(np.count_nonzero(there[:begin])), int(np.count_nonzero(there[:end]))


def _narrow(characters: Canonical) -> Canonical:
    """Return characters as bytes if all are ASCII."""
    if characters.dtype == np.uint8:
        return characters
    if not characters.size or (characters[0] < _ASCII and characters.max() < _ASCII):
        return characters.astype(np.uint8)
    return characters


def _without_stray_marks(found: Canonical) -> NDArray[np.uint32]:
    """Drop marks after letters of another script, or after nothing: those only disguise.

    A script with marks has its letters and marks on one page of Unicode, except for a few rare letters.
    """
    marks = found >= _MARK
    codes: NDArray[np.uint32] = found & np.uint32(_LETTERS)
    if found.size and found[0] < _MARK and not np.count_nonzero(marks[1:] & (codes[1:] ^ codes[:-1] > _PAGE)):
        return codes  # each follows a letter of its own script, or another such mark
    places = np.arange(1, found.size + 1)
    places[marks] = 0
    bearer = np.concatenate((np.zeros(1, np.uint32), codes))[np.maximum.accumulate(places)]
    return codes.compress(~marks | (bearer ^ codes <= _PAGE))


def _tables(text: str) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Read the file of characters; return the bits of what each one stands for, and what it stands for, a row each."""
    rows = np.zeros((END, _ROW), np.uint32)
    lines = [line.partition("; ") for line in text.splitlines() if not line.startswith("#")]
    for stands, _, ranges in lines:
        if stands in ("=", "+"):
            for first, last in _ranges(ranges):
                rows[first : last + 1, 0] = np.arange(first, last + 1) + (_MARK if stands == "+" else 0)
    for stands, _, ranges in lines:
        if stands not in ("=", "+"):
            codes = [rows[int(code, 16), 0] for code in stands.split()]
            for first, last in _ranges(ranges):
                rows[first : last + 1, : len(codes)] = codes
    rows[_HANGUL_FIRST:_HANGUL_END] = _spelled(np.arange(_HANGUL_END - _HANGUL_FIRST), rows[:, 0])
    several = np.where(rows[:, 1:].any(axis=1), np.uint32(_SPELLED), np.uint32(0))
    return np.bitwise_or.reduce(rows, axis=1) | several, rows


def _spelled(syllables: NDArray[np.int_], table: NDArray[np.uint32]) -> NDArray[np.uint32]:
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
