"""Exchanges the counts of one process with the store: tells what was added here, learns what all processes counted.

Laws:
- No exchange waits for it: exchanges are judged by what is known, and others' counts are known half a second later.
- Words that are told again because no answer came count once. Only if the store was away for longer than it remembers
  operations may the words then on their way count twice; these are at most `_WORDS_MAX`.
- After telling the store about a key, a process asks once more a turn later, so that processes that tell of the same
  key at the same time learn of each other. A key that is only looked at is asked for once a slot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from proxy.clock import Clock
from proxy.errors import StoreRefused, StoreUnavailable
from proxy.rules.signals.book import AnyCounter, SignalBook
from proxy.rules.signals.counter import Word
from proxy.rules.signals.request_counter import RequestCounter
from proxy.store.base import MAX_UNITS, REMEMBERED_MS, Ask, Note, Store

_TURN_S = 0.5
# Keys in one round trip: quotas queue behind it, so neither the server nor this process may be busy with it for much
# longer than a millisecond.
_WORDS_MAX = 64
# For how long an operation is sent again; the margin is for the way there and for clocks that drift.
_SEND_AGAIN_S = REMEMBERED_MS / 1000 - 5
_SWEPT_A_TURN = 200


class _Batch(NamedTuple):
    counter: AnyCounter
    words: list[Word]
    op: str
    begun: float


class SignalSync:
    """Exchanges counts with the store for a book made with `shared=True`; keep `run` running while the process lives.

    `new_id` makes ids that are unique among all processes.
    """

    def __init__(self, book: SignalBook, store: Store, clock: Clock, new_id: Callable[[], str]) -> None:
        self._book = book
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._unanswered: _Batch | None = None

    async def run(self) -> None:
        """Exchange counts until cancelled; survives a store that is away."""
        while True:
            await asyncio.sleep(_TURN_S)
            try:
                await self.flush()
            except StoreUnavailable:
                continue  # all waits for the next turn; the store's errors are counted where they happen

    async def flush(self) -> None:
        """Tell all waiting words and hear the answers. Raises StoreUnavailable; words not heard go on waiting."""
        now = self._clock.wall()
        await self._settle_unanswered()
        for counter in self._book.counters():
            counter.sweep(now, _SWEPT_A_TURN)
            counter.begin_turn()
            while words := counter.take(_WORDS_MAX, now):
                await self._tell(_Batch(counter, words, self._new_id(), self._clock.monotonic()))

    async def _settle_unanswered(self) -> None:
        batch = self._unanswered
        if batch is None:
            return
        if self._clock.monotonic() - batch.begun < _SEND_AGAIN_S:
            await self._tell(batch)
        else:
            self._unanswered = None
            batch.counter.give_back(batch.words)

    async def _tell(self, batch: _Batch) -> None:
        fresh = self._unanswered is None
        self._unanswered = batch
        try:
            totals = await self._totals(batch)
        except StoreRefused as error:
            if fresh:
                self._unanswered = None
                words = enumerate(batch.words)
                batch.counter.give_back([word if part in error.parts else Word(word.key) for part, word in words])
            raise
        self._unanswered = None
        for word, total in zip(batch.words, totals, strict=True):
            batch.counter.hear(word, total)

    async def _totals(self, batch: _Batch) -> list[int]:
        counter, window_ms = batch.counter, batch.counter.window_ms
        if isinstance(counter, RequestCounter):
            asks = [_ask(counter.bucket(word.key), window_ms, word.added) for word in batch.words]
            grants = await self._store.reserve(asks, batch.op)
            return [ask.limit - grant.remaining for ask, grant in zip(asks, grants, strict=True)]
        return await self._store.note(
            [
                Note(counter.bucket(word.key), window_ms, tuple(member.to_bytes(8) for member in word.members))
                for word in batch.words
            ]
        )


def _ask(bucket: str, window_ms: int, added: int) -> Ask:
    """Return a question that counts `added` exchanges; for 0, one that is always refused and so changes nothing.

    Either way, the window's units are the limit less what remains.
    """
    if added:
        return Ask(bucket, MAX_UNITS, window_ms, added, added)
    return Ask(bucket, MAX_UNITS - 1, window_ms, MAX_UNITS, MAX_UNITS)
