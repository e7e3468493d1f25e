"""Counts how many different members each key had in a sliding window; see `counter` for more laws.

Law: counted values are not kept: a member is 64 bits of a keyed digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from proxy.rules.pack.pack import Signal
from proxy.rules.signals.counter import SignalCounter, Word
from proxy.rules.signals.sliding import MemberWindow

# Members of all keys of one signal, at some 100 bytes each.
MEMBERS_MAX = 500_000
# The most members of one exchange that are looked at, to keep its cost under 2 ms; thresholds are far below.
SHOWN_MAX = 2_048
# The most members of one signal that wait for the store: at 1,000 new ones a second, a minute without it.
UNSENT_MAX = 60_000
# Members told to the store in one round trip, and of one key.
_TOLD_MAX = 2_000
_TOLD_OF_KEY_MAX = 500


class DistinctCounter(SignalCounter[MemberWindow]):
    """Counts different members."""

    def __init__(self, signal: Signal, digest_key: bytes, *, shared: bool) -> None:
        super().__init__(signal, digest_key, shared=shared)
        self._hash = hashlib.blake2b(digest_size=8, key=digest_key)
        self._unsent: dict[str, list[int]] = {}  # members that the store was not told of yet
        self._unsent_members = 0
        self._held = 0  # members of all keys

    def add(self, key: str, members: Sequence[str], now: float) -> int:
        """Count the members that one exchange of `key` showed and return the count after it."""
        window = self._used(key, now)
        before = len(window)
        if fresh := window.see([self._digest(member) for member in members[:SHOWN_MAX]]):
            self._held += len(window) - before
            if self._shared:
                self._keep(key, fresh)
            while self._held > MEMBERS_MAX and len(self._windows) > 1:
                self._evict()
        return window.count

    def take(self, most: int, now: float) -> list[Word]:
        """Take up to `most` waiting words for the store; fewer if they are long."""
        words: list[Word] = []
        slot, told = self._slot(now), 0
        for key in [key for key, _ in zip(self._unsent, range(most), strict=False)]:
            if told >= _TOLD_MAX:
                break
            members = self._unsent.pop(key)
            if len(members) > _TOLD_OF_KEY_MAX:
                self._unsent[key] = members[_TOLD_OF_KEY_MAX:]
                del members[_TOLD_OF_KEY_MAX:]
            self._unsent_members -= len(members)
            still = self._window(key, slot).still(members)
            self.dropped += len(members) - len(still)
            told += len(still)
            self._asked.pop(key, None)
            words.append(Word(key, members=still))
        return words if self._unsent else words + self._questions(most - len(words))

    def give_back(self, words: Sequence[Word]) -> None:
        """Queue words again that the store did not hear."""
        for key, _, members in words:
            if key not in self._windows:
                self.dropped += len(members)
            elif members:
                self._keep(key, members)
            else:
                self._asked[key] = None

    def _digest(self, member: str) -> int:
        digest = self._hash.copy()
        digest.update(member.encode("utf-8", "surrogatepass"))
        return int.from_bytes(digest.digest())

    def _keep(self, key: str, members: Sequence[int]) -> None:
        room = UNSENT_MAX - self._unsent_members
        self.dropped += max(len(members) - room, 0)
        kept = members[: max(room, 0)]
        if kept:
            self._unsent_members += len(kept)
            self._unsent.setdefault(key, []).extend(kept)

    def _advance(self, key: str, window: MemberWindow, slot: int) -> None:
        before = len(window)
        super()._advance(key, window, slot)
        self._held += len(window) - before

    def _drop(self, key: str) -> None:
        self._held -= len(self._windows[key])
        unsent = len(self._unsent.pop(key, ()))
        self._unsent_members -= unsent
        self.dropped += unsent
        super()._drop(key)

    def _opened(self, slot: int) -> MemberWindow:
        return MemberWindow(slot)
