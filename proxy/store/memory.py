"""The store in this process's memory, on a clock that can be injected: the reference for what a store promises.

Used by policy tests, replay and unit tests, and as the local fallback while the shared store is away.

Laws: nothing here awaits but `changes`, so every call is atomic; a call does a bounded amount of garbage collection.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

from proxy.clock import Clock
from proxy.store.base import (
    FEED_ROWS,
    MAX_UNITS,
    REMEMBERED_MS,
    SLOTS,
    Ask,
    Changes,
    Claim,
    Claimed,
    Conclusion,
    Credit,
    Grant,
    Held,
    Hold,
    Note,
    Row,
    Tail,
)
from proxy.store.claims import ClaimTable
from proxy.store.distinct import DistinctWindow
from proxy.store.unit_window import UnitWindow

# How many buckets and remembered operations a call checks for garbage: more than it can add, so that none pile up.
_SWEEP = 4


class _Stream:
    """One stream's entries by their number, its bytes, and the number of the last entry that was dropped."""

    __slots__ = ("bytes", "cut", "entries", "last")

    def __init__(self) -> None:
        self.entries: deque[tuple[int, bytes]] = deque()
        self.bytes = self.cut = self.last = 0

    def drop(self) -> None:
        """Drop the oldest entry."""
        self.cut, data = self.entries.popleft()
        self.bytes -= len(data)


class _Holder(NamedTuple):
    slots: int
    expires: int


class MemoryStore:
    """A store that lives and dies with its process; several users share it by sharing the object."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: OrderedDict[str, UnitWindow] = OrderedDict()
        self._granted: OrderedDict[str, tuple[int, Grant | None]] = OrderedDict()
        self._holders: OrderedDict[str, dict[str, _Holder]] = OrderedDict()
        self._distinct: OrderedDict[str, tuple[int, DistinctWindow]] = OrderedDict()
        self._claims = ClaimTable()
        self._tables: dict[str, dict[str, bytes]] = {}
        self._streams: dict[str, _Stream] = {}
        self._feed: deque[tuple[str, str]] = deque(maxlen=FEED_ROWS)
        self._announced = 0
        self._news = asyncio.Event()

    async def reserve(self, asks: Sequence[Ask], op: str) -> list[Grant]:
        """Grant or refuse each ask on its own."""
        now = self._now()
        return [self._reserve(ask, f"reserve {op} {index}", now) for index, ask in enumerate(asks)]

    async def credit(self, amounts: Sequence[Credit], op: str) -> None:
        """Apply all credits, once for each `op`."""
        now = self._now()
        for index, credit in enumerate(amounts):
            self._credit(credit, f"credit {op} {index}", now)

    async def hold(self, holds: Sequence[Hold]) -> list[Held]:
        """Set each holder's slots."""
        now = self._now()
        return [self._hold(hold, now) for hold in holds]

    async def note(self, notes: Sequence[Note]) -> list[int]:
        """Note members and count the different ones."""
        now = self._now()
        return [self._note(note, now) for note in notes]

    async def claim(self, claims: Sequence[Claim]) -> list[Claimed]:
        """Make or renew each claim."""
        now = self._now()
        return [self._claims.claim(claim, now) for claim in claims]

    async def conclude(self, conclusions: Sequence[Conclusion]) -> None:
        """Conclude all claims."""
        now = self._now()
        for conclusion in conclusions:
            self._claims.conclude(conclusion, now)

    async def read(self, table: str, name: str) -> bytes | None:
        """Return one row's value."""
        return self._tables.get(table, {}).get(name)

    async def write(self, rows: Sequence[Row], *, only_new: bool = False, given: Row | None = None) -> bool:
        """Write all rows or none, and announce them."""
        if only_new and any(row.name in self._tables.get(row.table, {}) for row in rows):
            return False
        if given is not None and self._tables.get(given.table, {}).get(given.name) != given.value:
            return False
        for row in rows:
            table = self._tables.setdefault(row.table, {})
            if row.value is None:
                table.pop(row.name, None)
            else:
                table[row.name] = row.value
            self._feed.append((row.table, row.name))
            self._announced += 1
        self._news.set()
        self._news = asyncio.Event()
        return True

    async def scan(self, table: str) -> AsyncIterator[tuple[str, bytes]]:
        """Yield the table's rows as they are now."""
        for row in list(self._tables.get(table, {}).items()):
            yield row

    async def changes(self, cursor: str | None, wait_ms: int) -> Changes:
        """Return what changed after `cursor`; the wait is in real time, whatever the clock."""
        seen = self._seen(cursor)
        if seen == self._announced and cursor is not None:
            # Not `asyncio.wait_for`: before Python 3.12 it loses a cancellation that coincides with the wait's end.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_ms / 1000):
                    await self._news.wait()
            seen = self._seen(cursor)
        end = str(self._announced)
        if seen is None:
            return Changes(end, (), lost=cursor is not None)
        new = self._announced - seen
        return Changes(end, tuple(self._feed)[len(self._feed) - new :], lost=False)

    async def append(self, stream: str, data: bytes, keep_bytes: int, op: str) -> None:
        """Add one entry to a stream, once for each `op`."""
        now = self._now()
        if self._recall(f"append {stream} {op}", now) is not None:
            return
        self._remember(f"append {stream} {op}", now, None)
        found = self._streams.setdefault(stream, _Stream())
        found.last += 1
        found.entries.append((found.last, data))
        found.bytes += len(data)
        while found.bytes > keep_bytes and len(found.entries) > 1:
            found.drop()

    async def follow(self, stream: str, after: str, most: int) -> Tail:
        """Return up to `most` entries after a position."""
        found = self._streams.get(stream) or _Stream()
        known = int(after) if after.isdecimal() else 0
        beyond = bool(found.entries) and known > found.last
        new = [(number, data) for number, data in found.entries if beyond or number > known][:most]
        anew = bool(after) and (beyond or str(known) != after)
        cut = anew or (bool(after) and found.cut > known)
        return Tail(str(new[-1][0]) if new else after, tuple(data for _, data in new), cut, anew)

    async def trim(self, stream: str, through: str) -> None:
        """Drop the entries up to a position."""
        found = self._streams.get(stream)
        while found and found.entries and through.isdecimal() and found.entries[0][0] <= int(through):
            found.drop()

    async def ping(self) -> float:
        """Return at once."""
        return self._clock.wall()

    async def close(self) -> None:
        """Do nothing: there are no connections, and the data goes with the object."""

    def numbers(self) -> Mapping[str, float]:
        """Return nothing: there are no connections."""
        return {}

    def _now(self) -> int:
        # Rounded to microseconds first: a float may lie just under the whole millisecond that it stands for.
        return round(self._clock.monotonic() * 1_000_000) // 1000

    def _seen(self, cursor: str | None) -> int | None:
        """Return how many announcements come before a cursor, None if the feed does not reach back to it."""
        if cursor is None or not cursor.isdecimal():
            return None
        seen = int(cursor)
        return seen if self._announced - len(self._feed) <= seen <= self._announced else None

    def _window(self, bucket: str, window_ms: int, now: int) -> UnitWindow:
        for name in [name for name, _ in zip(self._windows, range(_SWEEP), strict=False)]:
            window = self._windows[name]
            window.advance(now)
            if window.slots:
                self._windows.move_to_end(name)
            else:
                del self._windows[name]
        return self._windows.setdefault(bucket, UnitWindow(window_ms))

    def _remember(self, op: str, now: int, answer: Grant | None) -> None:
        for _ in range(_SWEEP):
            if not self._granted or next(iter(self._granted.values()))[0] > now:
                break
            self._granted.popitem(last=False)
        self._granted[op] = (now + REMEMBERED_MS, answer)

    def _recall(self, op: str, now: int) -> tuple[int, Grant | None] | None:
        known = self._granted.get(op)
        return known if known is not None and known[0] > now else None

    def _reserve(self, ask: Ask, op: str, now: int) -> Grant:
        known = self._recall(op, now)
        if known is not None and known[1] is not None:
            return known[1]
        window = self._window(ask.bucket, ask.window_ms, now)
        slot = window.advance(now)
        limit = min(ask.limit, MAX_UNITS)
        free = limit - window.total
        granted = min(free, ask.most)
        if granted < ask.least:
            return window.refusal(ask.least, limit, slot, now)
        window.charge(slot, granted)
        # As in the Lua script, one millisecond less, since `now` was cut to whole ones.
        lease = max((slot + 1) * ask.window_ms // SLOTS - now - 1, 0)
        grant = Grant(granted, slot, free - granted, lease, 0, window.begins(slot + SLOTS + 1) - now)
        self._remember(op, now, grant)
        return grant

    def _credit(self, credit: Credit, op: str, now: int) -> None:
        if self._recall(op, now) is not None:
            return
        self._remember(op, now, None)
        window = self._window(credit.bucket, credit.window_ms, now)
        present = window.advance(now)
        if credit.slot < present - SLOTS:
            return
        window.charge(min(credit.slot, present), -credit.amount)

    def _note(self, note: Note, now: int) -> int:
        for bucket in [bucket for bucket, _ in zip(self._distinct, range(_SWEEP), strict=False)]:
            window_ms, window = self._distinct[bucket]
            window.advance(now * SLOTS // window_ms)
            if len(window):
                self._distinct.move_to_end(bucket)
            else:
                del self._distinct[bucket]
        present = now * SLOTS // note.window_ms
        _, window = self._distinct.setdefault(note.bucket, (note.window_ms, DistinctWindow(present)))
        window.advance(present)
        window.note(int.from_bytes(member) for member in note.members)
        return window.total

    def _hold(self, hold: Hold, now: int) -> Held:
        for bucket in [bucket for bucket, _ in zip(self._holders, range(_SWEEP), strict=False)]:
            live = {holder: held for holder, held in self._holders.pop(bucket).items() if held.expires > now}
            if live:
                self._holders[bucket] = live
        holders = {name: held for name, held in self._holders.get(hold.bucket, {}).items() if held.expires > now}
        mine = holders.pop(hold.holder, _Holder(0, 0)).slots
        others = sum(held.slots for held in holders.values())
        offered = max(min(hold.most, hold.limit - others), 0)
        if offered >= hold.least:
            mine = offered
        if mine:
            holders[hold.holder] = _Holder(mine, now + hold.ttl_ms)
        if holders:
            self._holders[hold.bucket] = holders
        else:
            self._holders.pop(hold.bucket, None)
        return Held(mine, others + mine)
