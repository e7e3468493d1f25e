"""The counters of signals: how many exchanges, or how many different members, each key had in a sliding window.

Laws:
- Nothing here awaits. What is to be told to the store waits in bounded queues; what found no room is counted.
- No value that is counted is kept: members are 64 bits of a keyed digest.
- Memory is bounded by signal, not by how many accounts somebody brings. The keys used least recently are let go; with a
  shared store their counts come back when they are next added to.
- The store counts what it is told as of then: so it is not told what has left its window here while it was away.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

from proxy.rules.pack import Signal
from proxy.rules.sliding import MemberWindow, RequestWindow, SlotClock
from proxy.store.base import SLOTS

# Keys of one signal in one process, at some 500 bytes each: an attacker may bring a million accounts.
KEYS_MAX = 50_000
# Members of all keys of one signal, at some 100 bytes each.
MEMBERS_MAX = 500_000
# Members of one exchange that are looked at, so that its cost stays under 2 ms; a threshold is far below.
SHOWN_MAX = 2_048
# Members that wait for the store, of one signal: at 1,000 new ones a second, a minute without it.
UNSENT_MAX = 60_000
# Members told to the store in one round trip, and of one key.
_TOLD_MAX = 2_000
_TOLD_OF_KEY_MAX = 500


class Word(NamedTuple):
    """What the store is told of one key: exchanges or members since the last word. Neither: the count is asked for."""

    key: str
    added: int = 0
    members: tuple[int, ...] = ()


Window = TypeVar("Window", RequestWindow, MemberWindow)


class SignalCounter(ABC, Generic[Window]):
    """The counts of one signal by key. `shared` says that somebody takes the words that wait here."""

    def __init__(self, signal: Signal, digest_key: bytes, *, shared: bool) -> None:
        self.digest = signal.digest
        self.window_ms = signal.window_ms
        self.dropped = 0  # what found no room among that which waits for the store
        self._digest_key = digest_key
        self._shared = shared
        self._slot = SlotClock(signal.window_ms).slot
        self._windows: OrderedDict[str, Window] = OrderedDict()  # used least recently first
        self._asked: dict[str, None] = {}  # keys whose count is to be asked for
        self._asked_later: dict[str, None] = {}  # in the next turn

    def __len__(self) -> int:
        """Return how many keys have a count."""
        return len(self._windows)

    def count(self, key: str, now: float) -> int:
        """Return the count of `key` as it stands; 0 for a key that was never added to here."""
        window = self._windows.get(key)
        if window is None:
            return 0
        slot = self._slot(now)
        if slot != window.slot:
            self._advance(key, window, slot)
        return window.count

    def begin_turn(self) -> None:
        """Let the questions come up that follow what was told in the turn before."""
        self._asked.update(self._asked_later)
        self._asked_later.clear()

    @abstractmethod
    def take(self, most: int, now: float) -> list[Word]:
        """Take up to `most` words for the store out of what waits; those that are not answered are to be given back."""

    @abstractmethod
    def give_back(self, words: Sequence[Word]) -> None:
        """Let words that the store did not hear wait again."""

    def hear(self, word: Word, total: int) -> None:
        """Take the store's count after a word; one that added something is followed by a question in the next turn."""
        window = self._windows.get(word.key)
        if window is not None:
            window.learn(total)
            if word.added or word.members:
                self._asked_later[word.key] = None

    def bucket(self, key: str) -> str:
        """Return the name of a key's window in the store."""
        name = f"signal\0{self.digest}\0{key}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(name, digest_size=16, key=self._digest_key).hexdigest()

    def sweep(self, now: float, most: int) -> None:
        """Let up to `most` keys go that were not used for a whole window."""
        slot = self._slot(now)
        for key in [key for key, _ in zip(self._windows, range(most), strict=False)]:
            if self._windows[key].slot >= slot - SLOTS:
                return
            self._drop(key)

    def _used(self, key: str, now: float) -> Window:
        """Return the window of a key that is counted now, which is the last to go for want of room."""
        slot = self._slot(now)
        window = self._windows.get(key)
        if window is None or window.slot != slot:
            return self._window(key, slot)
        self._windows.move_to_end(key)
        return window

    def _window(self, key: str, slot: int) -> Window:
        """Return the window of a key in the present slot, a new one if there is none."""
        window = self._windows.get(key)
        if window is None:
            if len(self._windows) >= KEYS_MAX:
                self._evict()
            window = self._windows[key] = self._opened(slot)
        elif slot != window.slot:
            self._advance(key, window, slot)
        return window

    def _advance(self, key: str, window: Window, slot: int) -> None:
        self._windows.move_to_end(key)
        window.advance(slot)
        if self._shared:
            self._asked[key] = None

    def _questions(self, most: int) -> list[Word]:
        keys = [key for key, _ in zip(self._asked, range(most), strict=False)]
        for key in keys:
            del self._asked[key]
        return [Word(key) for key in keys]

    def _evict(self) -> None:
        self._drop(next(iter(self._windows)))

    def _drop(self, key: str) -> None:
        del self._windows[key]
        self._asked.pop(key, None)
        self._asked_later.pop(key, None)

    @abstractmethod
    def _opened(self, slot: int) -> Window:
        """Return a new window."""


class RequestCounter(SignalCounter[RequestWindow]):
    """Counts exchanges."""

    def __init__(self, signal: Signal, digest_key: bytes, *, shared: bool) -> None:
        super().__init__(signal, digest_key, shared=shared)
        self._unsent: dict[str, None] = {}  # keys with exchanges that the store was not told of yet

    def add(self, key: str, members: Sequence[str], now: float) -> int:  # noqa: ARG002 - see `Counter.add`
        """Count one exchange of `key` and return the count after it."""
        window = self._used(key, now)
        window.add()
        if self._shared and window.unsent == 1:
            self._unsent[key] = None
        return window.count

    def take(self, most: int, now: float) -> list[Word]:
        """Take up to `most` words for the store out of what waits."""
        words: list[Word] = []
        slot = self._slot(now)
        for key in [key for key, _ in zip(self._unsent, range(most), strict=False)]:
            del self._unsent[key]
            window = self._window(key, slot)
            told = min(window.unsent, window.own)
            self.dropped += window.unsent - told
            window.unsent = 0
            self._asked.pop(key, None)
            words.append(Word(key, told))
        return words + self._questions(most - len(words))

    def give_back(self, words: Sequence[Word]) -> None:
        """Let words that the store did not hear wait again."""
        for key, added, _ in words:
            window = self._windows.get(key)
            if window is None:
                self.dropped += added
            elif added:
                window.unsent += added
                self._unsent[key] = None
            else:
                self._asked[key] = None

    def _drop(self, key: str) -> None:
        if key in self._unsent:
            del self._unsent[key]
            self.dropped += self._windows[key].unsent
        super()._drop(key)

    def _opened(self, slot: int) -> RequestWindow:
        return RequestWindow(slot)


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
        """Take up to `most` words for the store out of what waits; fewer if they are long."""
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
        """Let words that the store did not hear wait again."""
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


AnyCounter = RequestCounter | DistinctCounter
