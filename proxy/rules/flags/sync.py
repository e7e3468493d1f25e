"""Shares the flags of one process with the others through the store.

Laws:
- No exchange waits for it. A flag is in force here at once, and everywhere else within a second or two.
- While the store is away, known flags stay in force, and flags raised meanwhile are told when it is back.
- A row of the store is merged with what is known here, never taken in its place: a process that knows more tells it. So
  all processes end up with the same, in whatever order they hear of each other.
- A flag that ended only because the clock was ahead is in force again once the clock is right.
- A process that was cut off, or stood still, deletes nothing until it has caught up: others may have renewed what ended
  here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from proxy.clock import Clock, Steadiness
from proxy.errors import StoreUnavailable
from proxy.rules.flags.book import FlagBook
from proxy.rules.flags.flag import FlagKey
from proxy.rules.flags.rows import (
    CONFIRMATIONS_TABLE,
    FLAGS_TABLE,
    LIFTS_TABLE,
    flag_row,
    read_confirmation,
    read_flag,
    read_lift,
    read_name,
    row_name,
)
from proxy.store.base import Row, Store
from proxy.store.feed_follower import follow_feed

_TURN_S = 0.5
# Rows in one script, or read in one round trip; they keep this process busy for a few milliseconds.
_ROWS_MAX = 100
# How long after its end a flag is deleted from the store: longer than clocks of processes may differ.
_KEPT_S = 3600.0
# After so long without news a process does not know what is in force: the feed answers every second.
_BEHIND_S = 10.0

# In the order of reading: lifts first, so that no lifted flag is in force meanwhile; a confirmation needs its flag.
_TABLES = (LIFTS_TABLE, FLAGS_TABLE, CONFIRMATIONS_TABLE)


class FlagSync:
    """Shares a book made with `shared=True`.

    Call `begin` before anything is served, so that flags are in force as before a restart, and `run` from then on.
    """

    def __init__(self, book: FlagBook, store: Store, clock: Clock) -> None:
        self.in_step = False  # whether the flags were read from the store itself, not only from a remembered copy
        self._book = book
        self._store = store
        self._clock = clock
        self._steadiness = Steadiness(clock)
        self._heard = float("-inf")  # up to when every change was heard, by the monotonic clock

    async def run(self) -> None:
        """Tell the store and hear from it until cancelled; survives a store that is away."""
        async with asyncio.TaskGroup() as both:
            both.create_task(follow_feed(self._store, self._clock, self, by_wall=True))
            both.create_task(self._tell())

    async def begin(self) -> None:
        """Read all flags. Raises StoreUnavailable; what was read by then is in force."""
        await self.recall(self._store)
        self.in_step = True

    async def recall(self, store: Store) -> None:
        """Read all flags from `store`, which may be a remembered copy of our own."""
        present: set[tuple[FlagKey, str]] = set()
        for table in _TABLES:
            async for name, value in store.scan(table):
                named = self._hear(table, name, value, found=True)
                if table != LIFTS_TABLE and named is not None:
                    present.add(named)
        self._book.hear_all(present, self._clock.wall())

    async def hear(self, rows: Sequence[tuple[str, str]]) -> None:
        """Read the flags that changed."""
        for table in _TABLES:
            names = list(dict.fromkeys(name for changed, name in rows if changed == table))
            for first in range(0, len(names), _ROWS_MAX):
                part = names[first : first + _ROWS_MAX]
                values = await asyncio.gather(*(self._store.read(table, name) for name in part))
                for name, value in zip(part, values, strict=True):
                    self._hear(table, name, value)

    def caught_up(self, at: float) -> None:
        """Note it for `sweep`; known flags stay in force, however old that knowledge is."""
        self._heard = at

    async def flush(self) -> None:
        """Tell all waiting flags. Raises StoreUnavailable; those not told go on waiting."""
        while self._book.unsent:
            flags = self._book.take(_ROWS_MAX, self._clock.wall())
            try:
                if flags:
                    await self._store.write([flag_row(key, flag) for key, flag in flags])
            except BaseException:
                self._book.give_back([key for key, _ in flags])
                raise
            for key, flag in flags:
                self._book.hear(key, flag, self._clock.wall())

    async def sweep(self) -> None:
        """Delete flags from the store that ended long ago, some in each call. Raises StoreUnavailable.

        Nothing is deleted for an hour after this process's clock was set: by a wrong clock every flag has ended.
        """
        if self._steadiness.seconds() < _KEPT_S or self._clock.monotonic() - self._heard > _BEHIND_S:
            return
        before = self._clock.wall() - _KEPT_S
        ended = self._book.ended(before, _ROWS_MAX)
        rows = [Row(LIFTS_TABLE, row_name(key), None) for key in self._book.forget_lifts(before)]
        for key in ended:
            rows.append(Row(FLAGS_TABLE, row_name(key), None))
            rows += [Row(CONFIRMATIONS_TABLE, row_name(key, who), None) for who in self._book.confirmers(key)]
        if rows:
            await self._store.write(rows)
        for key in ended:
            self._book.forget(key)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(_TURN_S)
            try:
                await self.flush()
                await self.sweep()
            except StoreUnavailable:
                continue  # all waits for the next turn; the store's errors are counted where they happen

    def _hear(self, table: str, name: str, value: bytes | None, *, found: bool = False) -> tuple[FlagKey, str] | None:
        """Hand a row to the book and return the flag and person in its name, None if it cannot be read."""
        try:
            key, who = read_name(name)
            if table == FLAGS_TABLE:
                flag = None if value is None else read_flag(key, value)
                self._book.hear(key, flag, self._clock.wall(), found=found)
            elif table == CONFIRMATIONS_TABLE:
                self._book.hear_confirmation(key, who, None if value is None else read_confirmation(who, value).at)
            elif value is not None:
                self._book.hear_lift(key, read_lift(value).lifted)
        except ValueError:
            return None
        return key, who
