"""What the counters of signals have in common: a sliding window for each key, and words for a shared store.

Laws:
- Nothing here awaits. Words for the store wait in bounded queues; what finds no room is counted.
- Memory is bounded for each signal, however many accounts somebody brings. The keys used least recently are dropped;
  with a shared store their counts come back when they are next added to.
- The store counts words as of their arrival: so it is not told what has left its window here while the store was away.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

from proxy.rules.pack.pack import Signal
from proxy.rules.signals.sliding import MemberWindow, RequestWindow, SlotClock
from proxy.store.base import SLOTS

# Keys of one signal in one process, at some 500 bytes each: an attacker may bring a million accounts.
KEYS_MAX = 50_000


class Word(NamedTuple):
    """What the store is told of one key: exchanges or members since the last word; with neither, ask for the count."""

    key: str
    added: int = 0
    members: tuple[int, ...] = ()


Window = TypeVar("Window", RequestWindow, MemberWindow)


class SignalCounter(ABC, Generic[Window]):
    """The counts of one signal by key. `shared` says that somebody takes the words that wait here."""

    def __init__(self, signal: Signal, digest_key: bytes, *, shared: bool) -> None:
        self.digest = signal.digest
        self.window_ms = signal.window_ms
        self.dropped = 0  # exchanges and members that found no room in the queue for the store
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
        """Queue the questions that follow the words of the turn before."""
        self._asked.update(self._asked_later)
        self._asked_later.clear()

    @abstractmethod
    def take(self, most: int, now: float) -> list[Word]:
        """Take up to `most` waiting words for the store; give back those that it does not answer."""

    @abstractmethod
    def give_back(self, words: Sequence[Word]) -> None:
        """Queue words again that the store did not hear."""

    def hear(self, word: Word, total: int) -> None:
        """Take the store's count after a word; if the word added something, ask again in the next turn."""
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
        """Drop up to `most` keys that were not used for a whole window."""
        slot = self._slot(now)
        for key in [key for key, _ in zip(self._windows, range(most), strict=False)]:
            if self._windows[key].slot >= slot - SLOTS:
                return
            self._drop(key)

    def _used(self, key: str, now: float) -> Window:
        """Return the window of a key that is counted now, and mark the key as used most recently."""
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
