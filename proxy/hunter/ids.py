"""Dense numbers for 64-bit keys, many at a time: a hash table in two numpy arrays.

A Python dict of ten million integers takes a gigabyte and, when cold, a microsecond a look-up. This takes eight bytes a
key and four a slot, with a third to two thirds of the slots taken, and some 50 ns a look-up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from proxy.fingerprint.distinct import distinct

Keys = NDArray[np.uint64]
Numbers = NDArray[np.int32]

_FIRST_BITS = 12
_AT_ONCE = 1 << 18  # keys that are placed at once, at some 40 bytes each meanwhile
MIX = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio: spreads keys that differ in few bits
_NONE = np.int32(-1)


def joined(left: Numbers, right: Numbers) -> Keys:
    """Return one key for each pair of numbers."""
    return left.astype(np.uint64) << np.uint64(32) | right.astype(np.uint64)


def mostly(marked: NDArray[np.bool_], numbers: Numbers) -> bool:
    """Tell whether half of these numbers are marked, or more."""
    return 2 * int(marked[numbers].sum()) >= len(numbers)


class Ids:
    """Numbers keys in the order of their arrival, from 0."""

    def __init__(self) -> None:
        self._resize(_FIRST_BITS)
        self._keys = np.zeros(1 << _FIRST_BITS, np.uint64)  # by number, with room at the end
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def find(self, keys: Keys) -> Numbers:
        """Return the number of each key, -1 for those that have none."""
        slots = self._slots(keys)
        found = self._numbers[slots]  # where most of those that have a number are found
        left = np.flatnonzero((found >= 0) & (self._keys[found] != keys))
        slots = (slots[left] + 1) & self._mask
        found[left] = _NONE
        while len(left):
            numbers = self._numbers[slots]
            taken = numbers >= 0
            hit = taken & (self._keys[numbers] == keys[left])
            found[left[hit]] = numbers[hit]
            further = taken & ~hit
            left, slots = left[further], (slots[further] + 1) & self._mask
        return found

    def number(self, keys: Keys) -> Numbers:
        """Return the number of each key, giving new ones to those that have none."""
        found = self.find(keys)
        new = found < 0
        if len(missing := distinct(keys[new])):
            start = self._count
            self._add(missing)
            found[new] = start + np.searchsorted(missing, keys[new])
        return found

    def number_all(self, keys: Keys) -> None:
        """Number distinct keys that have no number yet, in their order."""
        if len(keys):
            self._add(keys)

    def keys(self) -> Keys:
        """Return all keys, in the order of their numbers; not to be changed."""
        return self._keys[: self._count]

    def keep(self, numbers: NDArray[np.intp]) -> None:
        """Keep these keys only, numbered anew in the order given."""
        kept = self._keys[numbers]
        self._keys = kept if len(kept) else np.zeros(1, np.uint64)
        self._count = len(kept)
        self._numbers = np.zeros(0, np.int32)  # frees the old slots before the new ones are made
        self._resize(max(_FIRST_BITS, _slots_for(self._count).bit_length()))
        self._place(0)

    def _add(self, keys: Keys) -> None:
        """Give the next numbers to distinct keys that have none."""
        start, self._count = self._count, self._count + len(keys)
        if self._count > len(self._keys):
            grown = np.zeros(max(self._count, len(self._keys) * 3 // 2), np.uint64)
            grown[:start] = self._keys[:start]
            self._keys = grown
        self._keys[start : self._count] = keys
        if (needed := _slots_for(self._count)) > len(self._numbers):
            self._numbers = np.zeros(0, np.int32)
            self._resize(needed.bit_length())
            start = 0
        self._place(start)

    def _place(self, start: int) -> None:
        """Give the keys from this number on their slots."""
        for begin in range(start, self._count, _AT_ONCE):
            numbers = np.arange(begin, min(begin + _AT_ONCE, self._count), dtype=np.int32)
            slots = self._slots(self._keys[numbers])
            while len(numbers):
                free = self._numbers[slots] < 0
                # If several keys want one slot, the last written gets it; the others go on to the next slot.
                self._numbers[slots[free]] = numbers[free]
                lost = self._numbers[slots] != numbers
                numbers, slots = numbers[lost], (slots[lost] + 1) & self._mask

    def _slots(self, keys: Keys) -> NDArray[np.int64]:
        return ((keys * MIX) >> np.uint64(64 - self._bits)).astype(np.int64)

    def _resize(self, bits: int) -> None:
        self._bits = bits
        self._mask = (1 << bits) - 1
        self._numbers = np.full(1 << bits, _NONE)


def _slots_for(keys: int) -> int:
    """Return how many slots there have to be, so that few keys are far from where they belong."""
    return keys + keys // 2
