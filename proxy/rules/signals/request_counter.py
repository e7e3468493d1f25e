"""Counts how many exchanges each key had in a sliding window; see `counter` for the laws."""

from __future__ import annotations

from collections.abc import Sequence

from proxy.rules.pack.pack import Signal
from proxy.rules.signals.counter import SignalCounter, Word
from proxy.rules.signals.sliding import RequestWindow


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
        """Take up to `most` waiting words for the store."""
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
        """Queue words again that the store did not hear."""
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
