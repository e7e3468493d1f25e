"""Shares the flags of one process with the others through the store.

Laws:
- Nobody waits for it. A flag is in force here at once, and everywhere else within a second or two.
- While the store is away what is known stays in force, and what is raised meanwhile is told when it is back.
- The store's rows are joined with what is known, never taken instead of it: whoever knows more tells it. So all come to
  the same, in whatever order they hear of each other.
- A flag that ended by a clock that was ahead is in force again once the clock is right.
- Nothing is deleted by who was cut off, or stood still, until he has heard of everything: others may have renewed what
  ended here.
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
# Rows in one script, or read in one round trip: this process is busy with them for a few milliseconds.
_ROWS_MAX = 100
# How long after its end a flag is deleted from the store: longer than the clocks of processes may differ.
_KEPT_S = 3600.0
# Who heard nothing for so long does not know what is in force: the feed answers every second.
_BEHIND_S = 10.0

# What was lifted comes first, so that no flag is in force in between; a confirmation needs its flag.
_TABLES = (LIFTS_TABLE, FLAGS_TABLE, CONFIRMATIONS_TABLE)


class FlagSync:
    """The one that shares a book made with `shared=True`.

    Call `begin` before anything is served, so that what was in force before a restart is again, and `run` from then on.
    """

    def __init__(self, book: FlagBook, store: Store, clock: Clock) -> None:
        self.in_step = False  # whether the store's flags are known, and not only what was remembered of them
        self._book = book
        self._store = store
        self._clock = clock
        self._steadiness = Steadiness(clock)
        self._heard = float("-inf")  # up to when everything was, on the monotonic reading

    async def run(self) -> None:
        """Tell and hear until cancelled; survives a store that is away."""
        async with asyncio.TaskGroup() as both:
            both.create_task(follow_feed(self._store, self._clock, self, by_wall=True))
            both.create_task(self._tell())

    async def begin(self) -> None:
        """Read all flags. Raises StoreUnavailable; what was read by then is in force."""
        await self.recall(self._store)
        self.in_step = True

    async def recall(self, store: Store) -> None:
        """Read all flags from a store, which may be what is remembered of ours."""
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
        """Take note of it for `sweep`: what is known stays in force however old it is."""
        self._heard = at

    async def flush(self) -> None:
        """Tell all that waits. Raises StoreUnavailable; what was not told waits on."""
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
        """Delete from the store what ended long ago, a part each time. Raises StoreUnavailable.

        Nothing is deleted for an hour after this process's clock was set: by a wrong one every flag has ended.
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
                continue  # it all waits for the next turn, and the store's errors are counted where they happen

    def _hear(self, table: str, name: str, value: bytes | None, *, found: bool = False) -> tuple[FlagKey, str] | None:
        """Hand a row to the book and return whose it is, None if it cannot be read."""
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
