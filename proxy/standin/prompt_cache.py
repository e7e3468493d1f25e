"""Which prompt prefixes were marked for caching lately, so that the usage's cache figures are what a client expects."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from proxy.clock import Clock

_LIFETIME_S = 300.0  # the default lifetime at the API that is imitated; each use starts it anew
_MOST_PREFIXES = 1024


class Prefix(NamedTuple):
    """A prompt up to a mark: its digest and its tokens."""

    digest: bytes
    tokens: int


class CacheUse(NamedTuple):
    """Tokens of a prompt that were read from the cache and that were written to it."""

    read: int
    written: int


class PromptCache:
    """Remembers digests only; the oldest are forgotten first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._used_at: OrderedDict[bytes, float] = OrderedDict()

    def use(self, prefixes: Sequence[Prefix]) -> CacheUse:
        """Return what a prompt with these prefixes, shortest first, reads and writes, and remember them."""
        now = self._clock.monotonic()
        read = max(
            (one.tokens for one in prefixes if now - self._used_at.get(one.digest, -math.inf) < _LIFETIME_S), default=0
        )
        for prefix in prefixes:
            self._used_at[prefix.digest] = now
            self._used_at.move_to_end(prefix.digest)
        while len(self._used_at) > _MOST_PREFIXES:
            self._used_at.popitem(last=False)
        return CacheUse(read, prefixes[-1].tokens - read if prefixes else 0)
