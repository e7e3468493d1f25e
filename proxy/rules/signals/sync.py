"""Exchanges the counts of one process with the store: tells what was added here, learns what all have together.

Laws:
- Nobody waits for it: an exchange is judged by what is known, and what others counted is known half a second later.
- What is told again because no answer came counts once. Only after the store has been away for longer than it remembers
  may the words that were on their way when it left count twice; there are at most `_WORDS_MAX` of them.
- After a process has told the store about a key it asks once more, a turn later; and for a key that is only looked at,
  once a slot. So processes that tell of the same key at the same time learn of each other.
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
# Keys in one round trip: quotas wait in the same line, so neither the server nor this process is busy with them for
# much longer than a millisecond.
_WORDS_MAX = 64
# An operation is sent again for so long; the margin is for the way there and for clocks that drift.
_SEND_AGAIN_S = REMEMBERED_MS / 1000 - 5
_SWEPT_A_TURN = 200


class _Batch(NamedTuple):
    counter: AnyCounter
    words: list[Word]
    op: str
    begun: float


class SignalSync:
    """The one that tells the store about a book made with `shared=True`; `run` for as long as the process lives.

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
                continue  # it all waits for the next turn, and the store's errors are counted where they happen

    async def flush(self) -> None:
        """Tell all that waits now and hear the answers. Raises StoreUnavailable; what was not heard waits on."""
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
    """Return the wish that counts so many exchanges; with none, one that is always refused and so changes nothing.

    Either way the window's units are the limit less what remains.
    """
    if added:
        return Ask(bucket, MAX_UNITS, window_ms, added, added)
    return Ask(bucket, MAX_UNITS - 1, window_ms, MAX_UNITS, MAX_UNITS)
