"""Chooses which runs of a text its prints are made of, by secret hashes of all of them.

Laws: of every run of `RUN_SURE` letters that two texts share, one gram at least is kept in both; linear time. An
ideograph counts as three letters and a kana syllable as two, as a word of five letters is one or two ideographs: so a
template is about as long in Chinese or Japanese as elsewhere, and found as well.
Winnowing (Schleimer, Wilkerson, Aiken: Winnowing, SIGMOD 2003): every window of `_WINDOW` grams of `GRAM` letters keeps
its least.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from hashlib import shake_256
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from proxy.fingerprint.canonical import END, Canonical

Hashes = NDArray[np.uint64]

_WORD = 8
GRAM = 2 * _WORD  # letters: some four English words, as spaces are dropped
_WINDOW = 24  # grams
RUN_SURE = _WINDOW + GRAM - 1  # some 50 characters of English with their spaces
_DOUBLINGS = (1, 2, 4, 8, 8)  # the least of 2, 4, 8, 16, 24 grams: each from two of the step before, so far apart
_REVERSED = np.dtype(np.uint64).newbyteorder()
ROW_LETTERS = _BLOCK = 1 << 14  # letters at a time: the results stay in the processor's cache
_STEP = 256  # hashes; a call of numpy costs more than working on so many
_REACH = RUN_SURE - 1
_MIDDLE_ONE_IN = 64  # grams
_ASCII = 128
# Characters that count as several letters: the first code, the code after the last, and how many letters. Kana, and
# ideographs.
_DENSE = ((0x3041, 0x3100, 2), (0x3400, 0xA000, 3), (0x20000, END, 3))
_AWAY = 0x4321  # the next letter is the byte of the character so many codes further back

Letters = NDArray[np.uint8]


class _Room:
    """The arrays that a thread works in: making them anew for each step, in a used heap, would cost more than it."""

    __slots__ = ("changed", "hashes", "spare", "views")

    def __init__(self) -> None:
        self.hashes, self.spare = np.empty(_BLOCK + _STEP, np.uint64), np.empty(_BLOCK + _STEP, np.uint64)
        self.changed = np.empty(_BLOCK + _STEP, np.bool_)
        self.views: dict[int, list[tuple[Hashes, Hashes, Hashes]]] = {}  # what `_least_of_each` works on, by its size


class _Rooms(threading.local):
    def __init__(self) -> None:
        self.own = _Room()


class Grams:
    """Hashes grams under one key.

    Of a text of more than `max_letters`, only the first and the last half of that many are winnowed; of the grams
    between, one in 64 is kept by its hash alone, so that long shared documents are still found.
    """

    def __init__(self, key: bytes) -> None:
        secret = shake_256(key).digest(_WORD + END)
        self._factor = np.uint64(int.from_bytes(secret[:_WORD], "little") | 1)
        self._bytes = np.frombuffer(secret[_WORD:], np.uint8) | np.uint8(_ASCII)
        self._bytes[:_ASCII] = np.arange(_ASCII)
        # Each character's letters, filled up with 0.
        self._rows = np.zeros((END, max(letters for *_, letters in _DENSE)), np.uint8)
        self._rows[:, 0] = self._bytes
        for first, end, letters in _DENSE:
            for number in range(1, letters):
                self._rows[first:end, number] = np.roll(self._bytes, number * _AWAY)[first:end] | np.uint8(_ASCII)
        self._rooms = _Rooms()

    def letters_of(self, characters: Canonical, bits: int) -> Letters:
        """Return the letters of a text, a byte each: ASCII as it is, any other as one of 128 values by the key.

        `bits` is a superset of the bits of the characters' codes.
        """
        if characters.dtype == np.uint8:
            return characters.view(np.uint8)
        if bits < _DENSE[0][0]:
            return self._bytes.take(characters, mode="clip")
        letters = self._rows.take(characters, axis=0, mode="clip").tobytes()
        return np.frombuffer(letters.translate(None, b"\0"), np.uint8)

    def kept(self, text: Letters, max_letters: int) -> Hashes:
        """Return the hashes of the grams that are kept, in the order of the text, which has `GRAM` letters or more.

        One may come several times, but not in a row.
        """
        if text.size <= max_letters:
            return self._winnowed(text)
        edge, around = max_letters // 2, GRAM - 1
        middle = text[edge - around : around - edge]
        parts = [self._winnowed(text[:edge])]
        for at in range(0, middle.size - around, _BLOCK - around):
            hashes = self._rolled(middle[at : at + _BLOCK], self._rooms.own)
            parts.append(hashes[hashes < (1 << 64) // _MIDDLE_ONE_IN])
        parts.append(self._winnowed(text[-edge:]))
        return np.concatenate(parts)

    def kept_of_each(self, texts: Sequence[Letters]) -> tuple[Hashes, list[tuple[int, int]]]:
        """Return what `kept` does for each text, in one array, and where in it each text's part begins and ends.

        The texts have `RUN_SURE` letters or more, and at most `ROW_LETTERS` together: a fixed number of numpy calls for
        all of them is cheaper than for each.
        """
        if len(texts) == 1:
            found, _ = self._least_of_each(texts[0], (texts[0].size,))
            return found, [(0, found.size)]
        sizes = [text.size for text in texts]
        found, places = self._least_of_each(np.concatenate(texts), sizes)
        ends = list(accumulate(sizes))
        cuts = places.searchsorted([0, *ends[:-1], *(end - _REACH for end in ends)]).tolist()
        return found, list(zip(cuts[: len(texts)], cuts[len(texts) :], strict=True))

    def _winnowed(self, text: Letters) -> Hashes:
        """Winnow block by block, each block overlapping the next so that no window is missed."""
        if text.size <= _BLOCK:
            return self._least(text)
        places = range(0, text.size - _REACH, _BLOCK - _REACH)
        return np.concatenate([self._least(text[at : at + _BLOCK]) for at in places])

    def _rolled(self, text: Letters, room: _Room) -> Hashes:
        """Return the hash of every gram of a block, valid until the next call.

        Eight bytes in a row are a word; its product with a secret odd factor loses nothing, as that has an inverse mod
        2^64. The hash of a gram is the sum of two products, one with its bytes reversed: what differs late in a word
        changes only high bits of its product, which a difference in the other word would otherwise often undo.
        """
        words = np.ndarray((text.size - _WORD + 1,), "<u8", text, 0, (1,))
        products = np.multiply(words, self._factor, out=room.spare[: words.size])
        hashes = room.hashes[: text.size - GRAM + 1]
        np.copyto(hashes, products[_WORD:].view(_REVERSED))
        np.add(hashes, products[:-_WORD], out=hashes)
        return hashes

    def _least(self, text: Letters) -> Hashes:
        """Return the least hash of every window of a block, once for windows in a row; of all if there is no window."""
        if text.size < RUN_SURE:
            return np.minimum.reduce(self._rolled(text, self._rooms.own), keepdims=True)
        found, _ = self._least_of_each(text, (text.size,))
        return found

    def _least_of_each(self, row: Letters, sizes: Sequence[int]) -> tuple[Hashes, NDArray[np.intp]]:
        """Return the least hash of every window, once for windows in a row, and the windows' places.

        `row` is several texts of these `sizes`; a 0 stands between the results of two texts.
        """
        room = self._rooms.own
        hashes = self._rolled(row, room)
        windows = hashes.size - _WINDOW + 1
        for earlier, later, least in _views_of(room, hashes.size):
            np.minimum(later, earlier, out=least)
        spare, end = room.spare, 0
        for size in sizes:
            end += size
            # Windows across two texts get 0, less than any hash, so that the last window before them differs and is
            # kept.
            spare[end - _REACH : end] = 0
        found = spare[:windows]
        changed = np.not_equal(spare[1 : windows + 1], found, out=room.changed[:windows])
        places = changed.nonzero()[0]
        return found.take(places), places


def _views_of(room: _Room, size: int) -> list[tuple[Hashes, Hashes, Hashes]]:
    """Return two operands and the result for every doubling, made once for all sizes up to the next full step.

    What stands after the hashes is in no whole window. The number of doublings is odd, so the result is in the spare
    array.
    """
    size = -(-size // _STEP) * _STEP
    views = room.views.get(size)
    if views is None:
        views, left, result = [], size, (room.hashes, room.spare)
        for step in _DOUBLINGS:
            left -= step
            hashes, spare = result
            views.append((hashes[:left], hashes[step : step + left], spare[:left]))
            result = spare, hashes
        room.views[size] = views
    return views
