"""Who used which print: once accounts of two tenants used a print, it is kept with every account that did.

Laws:
- Most prints belong to one prompt of one account; these cost eight bytes each in a table of fixed size, where new ones
  replace old ones, so that a flood of text costs no memory.
- A pair of print and account is one row, however often the account used the print.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proxy.hunter.columns import Columns
from proxy.hunter.grouped import Grouped
from proxy.hunter.ids import MIX, Ids, Keys, Numbers, joined

PRINTS_FOLLOWED = 64  # of one exchange, or about as many of a long prompt
_LONE_BITS = 23  # eight million prints that one tenant used so far: 67 MB
_NOBODY = np.int32(-1)
_ONE = np.int32(1)  # of the type of what it is added to: a number of another takes eighty times as long
_FULL = 2 * PRINTS_FOLLOWED  # prints of a sample
_HALF_OF_ALL = np.uint32(1 << 31)
# A row takes about 45 bytes with its places in the indexes, and for a moment, when one text is most of them and its
# users are counted, another 40.
PAIRS_MOST = 12_000_000
# Beyond that many, this part is kept: rebuilding the indexes takes seconds, so it must be seldom.
_KEPT_PART = 0.8
_INDEXED_AT_ONCE = 1 << 20  # rows


def followed(samples: Sequence[Keys]) -> tuple[Keys, NDArray[np.intp]]:
    """Return the prints that are followed, exchange by exchange, and how many each has.

    A sample is ordered by value, and its lowest prints are followed: the same ones in every prompt that has them. But a
    long prompt's sample is full, and has shares for either end, where templates mostly stand, whose values are not the
    lowest. Of such a sample the prints whose other half is low are followed: a like part of each share.
    """
    prints, sizes = np.concatenate(samples), np.array([len(sample) for sample in samples])
    if sizes.max() <= PRINTS_FOLLOWED:
        return prints, sizes
    places = np.arange(len(prints)) - np.repeat(sizes.cumsum() - sizes, sizes)
    full = np.repeat(sizes >= _FULL, sizes)
    chosen = np.where(full, prints.astype(np.uint32) < _HALF_OF_ALL, places < PRINTS_FOLLOWED)
    owners = np.repeat(np.arange(len(sizes)), sizes)[chosen]
    return prints[chosen], np.bincount(owners, minlength=len(sizes))


class Postings:
    """Pairs of print and account. `prints` has a row for each shared print, `pairs` one for each use by an account."""

    def __init__(self) -> None:
        self._lone_tags = np.zeros(1 << _LONE_BITS, np.uint32)
        self._lone_users = np.full(1 << _LONE_BITS, _NOBODY)
        self._print_ids = Ids()
        self._pair_ids = Ids()
        self._by_print = Grouped()
        self.prints = Columns(
            {"users": np.int32, "asked_at": np.int32, "uses": np.int32, "asked_uses": np.int32, "dealt": np.bool_}
        )
        self.pairs = Columns({"print": np.int32, "account": np.int32, "times": np.int32, "last": np.float64})

    def see(self, prints: Keys, accounts: Numbers, at: NDArray[np.float64], tenants: Numbers) -> None:
        """Note uses of prints, one an element; `tenants` are the tenants of all accounts, by number."""
        numbers = self._print_ids.find(prints)
        lone = np.flatnonzero(numbers < 0)
        if len(lone):
            numbers[lone] = self._meet(prints[lone], accounts[lone], at[lone], tenants)
        shared = numbers >= 0
        self._pair(numbers[shared], accounts[shared], at[shared])

    def print_keys(self) -> Keys:
        """Return the prints themselves, by number; not to be changed."""
        return self._print_ids.keys()

    def numbers(self, prints: Keys) -> Numbers:
        """Return the numbers of prints, -1 for those that are not shared."""
        return self._print_ids.find(prints)

    def marked(self, prints: Keys) -> NDArray[np.bool_]:
        """Tell of each shared print, by its number, whether it is one of these."""
        found = np.zeros(len(self.prints), np.bool_)
        numbers = self.numbers(prints)
        found[numbers[numbers >= 0]] = True
        return found

    def users_of(self, marked: NDArray[np.bool_]) -> tuple[Numbers, Numbers, Numbers]:
        """Return print, account and times of every pair whose print is marked, in the order of the prints."""
        pairs, prints = self.pairs, np.flatnonzero(marked).astype(np.int32)
        rows = self._by_print.rows_of(pairs["print"], marked)
        return np.repeat(prints, self.prints["users"][prints]), pairs["account"][rows], pairs["times"][rows]

    def keep(self, accounts: Numbers, since: float, left: NDArray[np.float64]) -> None:
        """Forget pairs not used since; `accounts` has the new number of every account, -1 for those that are gone.

        `left` says, by the new numbers, which part of each account's exchanges is still held; as far as anybody knows,
        of the uses of each of its pairs it is the same part.
        """
        pairs = self.pairs
        self._by_print.forget()
        self._pair_ids = Ids()
        rows = np.flatnonzero((accounts[pairs["account"]] >= 0) & (pairs["last"] >= since)).astype(np.int32)
        if len(rows) > PAIRS_MOST:
            rows = _newest(rows, pairs["last"][rows], len(rows) - int(_KEPT_PART * PAIRS_MOST))
        held = np.zeros(len(self.prints), np.bool_)
        held[pairs["print"][rows]] = True
        used = np.flatnonzero(held)
        renumbered = np.full(len(self.prints), _NOBODY)
        renumbered[used] = np.arange(len(used), dtype=np.int32)
        pairs.keep(rows)
        pairs["print"][:] = renumbered[pairs["print"]]
        pairs["account"][:] = accounts[pairs["account"]]
        self.prints.keep(used)
        self._print_ids.keep(used)
        self._lessen(left, since)
        users = self.prints["users"]
        users[:] = np.bincount(pairs["print"], minlength=len(used))
        uses = self.prints["uses"]
        uses[:] = np.bincount(pairs["print"], pairs["times"], minlength=len(used))
        # What many used once and few do now has to be looked at again when these grow.
        np.minimum(self.prints["asked_at"], users, out=self.prints["asked_at"])
        np.minimum(self.prints["asked_uses"], uses, out=self.prints["asked_uses"])
        self._index_pairs()
        for start in range(0, len(self._lone_users), _INDEXED_AT_ONCE):
            users = self._lone_users[start : start + _INDEXED_AT_ONCE]
            known = np.flatnonzero(users >= 0)
            users[known] = accounts[users[known]]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is shared, for a checkpoint; what only one tenant used is forgotten."""
        return {
            "keys": self.print_keys(),
            **self.prints.arrays(),
            **{f"pair_{k}": v for k, v in self.pairs.arrays().items()},
        }

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take what `arrays` returned."""
        self._print_ids.number_all(arrays["keys"])
        self.prints.restore(arrays)
        self.pairs.restore({name: arrays[f"pair_{name}"] for name in self.pairs.arrays()})
        self._index_pairs()

    def _lessen(self, left: NDArray[np.float64], since: float) -> None:
        """Let pairs have a part of their uses; by the print they are rounded up or down, so that nothing adds up."""
        pairs, seed = self.pairs, np.float64(since).view(np.uint64)
        up = (((self.print_keys() ^ seed) * MIX) >> np.uint64(32)).astype(np.float64) / (1 << 32)
        for start in range(0, len(pairs), _INDEXED_AT_ONCE):
            part = slice(start, start + _INDEXED_AT_ONCE)
            of = left[pairs["account"][part]]
            fewer = start + np.flatnonzero(of < 1)
            times = pairs["times"][fewer] * left[pairs["account"][fewer]] + up[pairs["print"][fewer]]
            pairs["times"][fewer] = np.maximum(1, times.astype(np.int32))

    def _index_pairs(self) -> None:
        prints, accounts = self.pairs["print"], self.pairs["account"]
        for start in range(0, len(prints), _INDEXED_AT_ONCE):
            part = slice(start, start + _INDEXED_AT_ONCE)
            self._pair_ids.number_all(joined(prints[part], accounts[part]))

    def _meet(self, prints: Keys, accounts: Numbers, at: NDArray[np.float64], tenants: Numbers) -> Numbers:
        """Note prints that were not shared so far, and return the numbers of those that are now, -1 for the others."""
        # Prints of long prompts are the lowest of many: by their values they would share a corner of the table.
        slots = ((prints * MIX) >> np.uint64(64 - _LONE_BITS)).astype(np.int64)
        tags = prints.astype(np.uint32)
        before = np.where(self._lone_tags[slots] == tags, self._lone_users[slots], _NOBODY)
        known = before >= 0
        # Of each print, whether all who have it, now or before, are of one tenant.
        _, place = np.unique(prints, return_inverse=True)
        lowest = np.full(int(place.max()) + 1, np.int32(np.iinfo(np.int32).max))
        highest = np.full(len(lowest), _NOBODY)
        for of, where in ((tenants[accounts], place), (tenants[before[known]], place[known])):
            np.minimum.at(lowest, where, of)
            np.maximum.at(highest, where, of)
        shared = (lowest != highest)[place]
        fresh = ~known & ~shared
        self._lone_tags[slots[fresh]] = tags[fresh]
        self._lone_users[slots[fresh]] = accounts[fresh]
        numbers = np.full(len(prints), _NOBODY)
        if shared.any():
            numbers[shared] = self._print_ids.number(prints[shared])
            self.prints.add(len(self._print_ids) - len(self.prints))
            first = np.flatnonzero(shared & known)
            first = first[np.unique(prints[first], return_index=True)[1]]
            self._pair(numbers[first], before[first], at[first])  # whoever had it alone so far
        return numbers

    def _pair(self, prints: Numbers, accounts: Numbers, at: NDArray[np.float64]) -> None:
        numbers = self._pair_ids.number(joined(prints, accounts))
        fresh = numbers >= len(self.pairs)
        if fresh.any():
            order, first = np.unique(numbers[fresh], return_index=True)
            new = np.flatnonzero(fresh)[first]
            self.pairs.add(len(order), print=prints[new], account=accounts[new])
            np.add.at(self.prints["users"], prints[new], _ONE)
        np.add.at(self.prints["uses"], prints, _ONE)
        np.add.at(self.pairs["times"], numbers, _ONE)
        np.maximum.at(self.pairs["last"], numbers, at)


def _newest(rows: Numbers, last: NDArray[np.float64], beyond: int) -> Numbers:
    """Return all rows but so many, of which none was used later than any that is returned, in their order."""
    edge = np.partition(last, beyond)[beyond]
    kept = last > edge
    kept[np.flatnonzero(last == edge)[: len(rows) - beyond - int(kept.sum())]] = True
    newest: Numbers = rows[kept]
    return newest
