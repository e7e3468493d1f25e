"""Dense numbers for 64-bit keys, many at a time: a hash table in two numpy arrays.

A Python dict of ten million integers takes a gigabyte and a microsecond a look-up when it is cold; this takes twelve
bytes a slot, of which a third to two thirds are taken, and some 50 ns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Numbers = NDArray[np.int32]

_FIRST_BITS = 12
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio: spreads keys that differ in few bits
_NONE = np.int32(-1)


def joined(left: Numbers, right: Numbers) -> Keys:
    """Return one key for each pair of numbers."""
    return left.astype(np.uint64) << np.uint64(32) | right.astype(np.uint64)


class Ids:
    """Numbers keys in the order of their arrival, from 0."""

    def __init__(self) -> None:
        self._resize(_FIRST_BITS)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def find(self, keys: Keys) -> Numbers:
        """Return the number of each key, -1 for those that have none."""
        found = np.full(len(keys), _NONE)
        slots = self._slots(keys)
        left = np.arange(len(keys))
        while len(left):
            numbers = self._numbers[slots]
            taken = numbers >= 0
            hit = taken & (self._keys[slots] == keys[left])
            found[left[hit]] = numbers[hit]
            further = taken & ~hit
            left, slots = left[further], (slots[further] + 1) & self._mask
        return found

    def number(self, keys: Keys) -> Numbers:
        """Return the number of each key, giving new ones to those that have none."""
        found = self.find(keys)
        if len(missing := np.unique(keys[found < 0])):
            self._add(missing)
            new = found < 0
            found[new] = self.find(keys[new])
        return found

    def number_all(self, keys: Keys) -> None:
        """Number distinct keys that have no number yet, in their order."""
        if len(keys):
            self._add(keys)

    def keys(self) -> Keys:
        """Return all keys, in the order of their numbers."""
        taken = self._numbers >= 0
        ordered = np.empty(self._count, np.uint64)
        ordered[self._numbers[taken]] = self._keys[taken]
        return ordered

    def keep(self, numbers: NDArray[np.intp]) -> None:
        """Keep these keys only, numbered anew in the order given."""
        keys = self.keys()[numbers]
        self._resize(max(_FIRST_BITS, _slots_for(len(keys)).bit_length()))
        self._count = 0
        self._add(keys)

    def _add(self, keys: Keys) -> None:
        """Give the next numbers to distinct keys that have none."""
        if (needed := _slots_for(self._count + len(keys))) > len(self._keys):
            known = self.keys()
            self._resize(needed.bit_length())
            self._place(known, np.arange(len(known), dtype=np.int32))
        self._place(keys, np.arange(self._count, self._count + len(keys), dtype=np.int32))
        self._count += len(keys)

    def _place(self, keys: Keys, numbers: Numbers) -> None:
        slots = self._slots(keys)
        while len(keys):
            free = self._numbers[slots] < 0
            # Of several that want one slot the last written has it; the others go on to the next.
            self._numbers[slots[free]] = numbers[free]
            self._keys[slots[free]] = keys[free]
            lost = self._numbers[slots] != numbers
            keys, numbers, slots = keys[lost], numbers[lost], (slots[lost] + 1) & self._mask

    def _slots(self, keys: Keys) -> NDArray[np.int64]:
        return ((keys * _MIX) >> np.uint64(64 - self._bits)).astype(np.int64)

    def _resize(self, bits: int) -> None:
        self._bits = bits
        self._mask = (1 << bits) - 1
        self._keys = np.zeros(1 << bits, np.uint64)
        self._numbers = np.full(1 << bits, _NONE)


def _slots_for(keys: int) -> int:
    """Return how many slots there have to be, so that few keys are far from where they belong."""
    return keys + keys // 2
