"""The counters of one process by definition; `SignalSync` exchanges their counts with the store."""

from __future__ import annotations

from proxy.rules.pack.pack import Signal
from proxy.rules.signals.distinct_counter import DistinctCounter
from proxy.rules.signals.request_counter import RequestCounter

AnyCounter = RequestCounter | DistinctCounter


class SignalBook:
    """The counters of one process by the digest of their definition.

    `digest_key` is secret and the same on all replicas: members are kept as digests under it. `shared` says that a
    `SignalSync` runs on this book; without one nothing waits for a store.
    """

    def __init__(self, digest_key: bytes, *, shared: bool = False) -> None:
        self._digest_key = digest_key
        self._shared = shared
        self._counters: dict[str, AnyCounter] = {}
        self._dropped = 0  # by counters that no longer exist

    def counter(self, signal: Signal) -> AnyCounter:
        """Return the counter of a definition, the same one for the same digest."""
        counter = self._counters.get(signal.digest)
        if counter is None:
            make = DistinctCounter if signal.distinct else RequestCounter
            counter = self._counters[signal.digest] = make(signal, self._digest_key, shared=self._shared)
        return counter

    def keep_only(self, digests: frozenset[str]) -> None:
        """Drop the counters of definitions that no pack has any more."""
        for digest in self._counters.keys() - digests:
            self._dropped += self._counters.pop(digest).dropped

    def counters(self) -> list[AnyCounter]:
        """Return the counters there are."""
        return list(self._counters.values())

    @property
    def keys(self) -> int:
        """How many keys all counters have."""
        return sum(map(len, self._counters.values()))

    @property
    def dropped(self) -> int:
        """How many exchanges and members other processes will never hear of."""
        return self._dropped + sum(counter.dropped for counter in self._counters.values())
