"""Wraps a store to count its errors and time its answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from time import perf_counter
from typing import TypeVar

from proxy.errors import StoreUnavailable
from proxy.store.base import Ask, Changes, Claim, Claimed, Conclusion, Credit, Grant, Held, Hold, Note, Row, Store, Tail
from proxy.telemetry.tally import Tally

T = TypeVar("T")


class MeteredStore:
    """The same protocol, measured."""

    def __init__(self, store: Store, tally: Tally) -> None:
        self._store = store
        self._tally = tally

    async def reserve(self, asks: Sequence[Ask], op: str) -> list[Grant]:
        """See `Store.reserve`."""
        return await self._timed("reserve", self._store.reserve(asks, op))

    async def credit(self, amounts: Sequence[Credit], op: str) -> None:
        """See `Store.credit`."""
        await self._timed("credit", self._store.credit(amounts, op))

    async def hold(self, holds: Sequence[Hold]) -> list[Held]:
        """See `Store.hold`."""
        return await self._timed("hold", self._store.hold(holds))

    async def note(self, notes: Sequence[Note]) -> list[int]:
        """See `Store.note`."""
        return await self._timed("note", self._store.note(notes))

    async def claim(self, claims: Sequence[Claim]) -> list[Claimed]:
        """See `Store.claim`."""
        return await self._timed("claim", self._store.claim(claims))

    async def conclude(self, conclusions: Sequence[Conclusion]) -> None:
        """See `Store.conclude`."""
        await self._timed("conclude", self._store.conclude(conclusions))

    async def read(self, table: str, name: str) -> bytes | None:
        """See `Store.read`."""
        return await self._timed("read", self._store.read(table, name))

    async def write(self, rows: Sequence[Row], *, only_new: bool = False, given: Row | None = None) -> bool:
        """See `Store.write`."""
        return await self._timed("write", self._store.write(rows, only_new=only_new, given=given))

    def scan(self, table: str) -> AsyncIterator[tuple[str, bytes]]:
        """See `Store.scan`."""
        return self._store.scan(table)

    async def changes(self, cursor: str | None, wait_ms: int) -> Changes:
        """See `Store.changes`; it waits on purpose, so only its errors count."""
        try:
            return await self._store.changes(cursor, wait_ms)
        except StoreUnavailable:
            self._tally.count("stillgate_store_errors_total", ("changes",))
            raise

    async def append(self, stream: str, data: bytes, keep_bytes: int, op: str) -> None:
        """See `Store.append`."""
        await self._timed("append", self._store.append(stream, data, keep_bytes, op))

    async def follow(self, stream: str, after: str, most: int) -> Tail:
        """See `Store.follow`."""
        return await self._timed("follow", self._store.follow(stream, after, most))

    async def trim(self, stream: str, through: str) -> None:
        """See `Store.trim`."""
        await self._timed("trim", self._store.trim(stream, through))

    async def ping(self) -> float:
        """See `Store.ping`."""
        return await self._timed("ping", self._store.ping())

    async def close(self) -> None:
        """See `Store.close`."""
        await self._store.close()

    def numbers(self) -> Mapping[str, float]:
        """See `Store.numbers`."""
        return self._store.numbers()

    async def _timed(self, operation: str, answer: Awaitable[T]) -> T:
        began = perf_counter()
        try:
            return await answer
        except StoreUnavailable:
            self._tally.count("stillgate_store_errors_total", (operation,))
            raise
        finally:
            self._tally.observe("stillgate_store_seconds", perf_counter() - began, (operation,))
