"""The store on a Redis 7 or Valkey server that replicas share, or on a cluster of them.

Laws: every command has a deadline and is sent once; every failure is `StoreUnavailable`; a server that comes back is
used again without a restart. What must be atomic is one Lua script over one hash tag, so that a cluster can run it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Self, TypeVar

from proxy.errors import ConfigurationError, StoreRefused, StoreUnavailable
from proxy.settings.store_address import NO_ACCESS, Access, read_place
from proxy.store.base import Ask, Changes, Claim, Claimed, Conclusion, Credit, Grant, Held, Hold, Note, Row, Tail
from proxy.store.feed import FEED, feed_after, feed_end
from proxy.store.lane import Lane
from proxy.store.link import OPEN_S
from proxy.store.resp import nonsense, numbers, packed, page, raise_first_error, raise_refused, table_key
from proxy.store.scripts import Script, Scripts, read_scripts
from proxy.store.server import Fitness
from proxy.store.streams import TRIM_PAGE, is_position, stream_keys, tail
from proxy.store.way import Command, Way
from proxy.store.ways import way_to
from proxy.store.wires import Wires

# Rows that one step of a scan asks for; it keeps a server busy for well under a millisecond.
_PAGE = 1000

_Answer = TypeVar("_Answer")


class RedisStore:
    """A store on one server; calls of the same turn of the event loop travel together.

    `deadline` is in seconds, for every call, connecting included; `changes` may take longer by its own wait.
    """

    def __init__(self, way: Way, fitness: Fitness, scripts: Scripts, deadline: float) -> None:
        self._way = way
        self._fitness = fitness
        self._scripts = scripts
        self._deadline = deadline
        self._loop = asyncio.get_running_loop()
        self._idle: list[Lane] = []  # for `changes`, which keeps a lane to itself while it waits

    @classmethod
    async def connect(
        cls, url: str, *, access: Access = NO_ACCESS, deadline: float = 0.25, required: bool = True
    ) -> Self:
        """Connect to what the URL names (see `store_address`) and check whether the server is fit to be a store.

        Raises StoreUnavailable if it cannot be reached and is `required`, ConfigurationError if it must not be used as
        it is.
        """
        try:
            place = read_place(url)
        except ValueError as error:
            raise ConfigurationError(f"the store's URL {error}") from None
        wires = await asyncio.to_thread(Wires, place, access)
        scripts = await asyncio.to_thread(read_scripts)
        way, fitness = way_to(place, wires, deadline)
        store = cls(way, fitness, scripts, deadline)
        try:
            await way.open(store._loop.time() + OPEN_S)
        except BaseException as error:
            cause = error.__cause__
            if isinstance(error, StoreUnavailable) and not required and not isinstance(cause, ConfigurationError):
                return store  # it goes on looking for the server by itself
            await store.close()
            if isinstance(cause, ConfigurationError):
                raise cause from None
            if isinstance(error, StoreUnavailable) and cause is not None:
                raise StoreUnavailable(f"{error}: {cause}") from cause
            raise
        return store

    async def reserve(self, asks: Sequence[Ask], op: str) -> list[Grant]:
        """Grant or refuse each ask on its own, in one round trip."""
        return await self._answers(
            self._scripts.reserve,
            [
                (2, f"sg:{{{bucket}}}:w", f"sg:{{{bucket}}}:r:{op}:{index}", limit, window_ms, least, most)
                for index, (bucket, limit, window_ms, least, most) in enumerate(asks)
            ],
            lambda reply: Grant(*numbers(reply, 6)),
        )

    async def credit(self, amounts: Sequence[Credit], op: str) -> None:
        """Apply all credits in one round trip, once for each `op`."""
        replies = await self._call(
            self._scripts.credit,
            [
                (2, f"sg:{{{bucket}}}:w", f"sg:{{{bucket}}}:c:{op}:{index}", window_ms, slot, amount)
                for index, (bucket, window_ms, slot, amount) in enumerate(amounts)
            ],
        )
        numbers(replies, len(amounts))

    async def hold(self, holds: Sequence[Hold]) -> list[Held]:
        """Set each holder's slots, in one round trip."""
        return await self._answers(
            self._scripts.hold,
            [
                (1, f"sg:{{{bucket}}}:h", limit, holder, least, most, ttl_ms)
                for bucket, limit, holder, least, most, ttl_ms in holds
            ],
            lambda reply: Held(*numbers(reply, 2)),
        )

    async def note(self, notes: Sequence[Note]) -> list[int]:
        """Note members and count the different ones, in one round trip."""
        replies = await self._call(
            self._scripts.note,
            [
                (2, f"sg:{{{bucket}}}:d", f"sg:{{{bucket}}}:s", window_ms, *members)
                for bucket, window_ms, members in notes
            ],
        )
        return numbers(replies, len(notes))

    async def claim(self, claims: Sequence[Claim]) -> list[Claimed]:
        """Make or renew each claim, in one round trip."""
        replies = await self._call(
            self._scripts.claim,
            [(1, f"sg:{{{bucket}}}:i", about, holder, ttl_ms) for bucket, about, holder, ttl_ms in claims],
        )
        try:
            return [Claimed(reply) for reply in numbers(replies, len(claims))]
        except ValueError:
            raise nonsense() from None

    async def conclude(self, conclusions: Sequence[Conclusion]) -> None:
        """Conclude all claims, in one round trip."""
        replies = await self._call(
            self._scripts.conclude,
            [(1, f"sg:{{{bucket}}}:i", about, holder, kept_ms) for bucket, about, holder, kept_ms in conclusions],
        )
        numbers(replies, len(conclusions))

    async def read(self, table: str, name: str) -> bytes | None:
        """Return one row's value."""
        key = table_key(table)
        (value,) = await self._way.run([Command(key, packed("HGET", key, name))], self._expires())
        raise_first_error([value])
        if value is not None and not isinstance(value, bytes):
            raise nonsense()
        return value

    async def write(self, rows: Sequence[Row], *, only_new: bool = False, given: Row | None = None) -> bool:
        """Write all rows or none, and announce them, in one script."""
        expected = [] if given is None else [given]
        keys = [FEED, *(table_key(row.table) for row in (*expected, *rows))]
        arguments: list[str | bytes] = ["new" if only_new else "any"]
        for table, name, value in expected:
            arguments += [table, name, "absent" if value is None else "given", value or b""]
        for table, name, value in rows:
            arguments += [table, name, "delete" if value is None else "set", value or b""]
        replies = await self._call(self._scripts.write, [(len(keys), *keys, *arguments)])
        return numbers(replies, 1) == [1]

    async def scan(self, table: str) -> AsyncIterator[tuple[str, bytes]]:
        """Yield every row of a table, page by page.

        All pages come over one connection: a server's cursor means nothing to another one that takes over.
        """
        key, cursor = table_key(table), b"0"
        lane = self._way.link(key).current()
        seen: set[str] = set()
        while True:
            with self._way.watched():
                (reply,) = await lane.ask([packed("HSCAN", key, cursor, "COUNT", _PAGE)], self._expires())
            cursor, rows = page(reply)
            for name, value in rows:
                if name not in seen:
                    seen.add(name)
                    yield name, value
            if cursor == b"0":
                return

    async def changes(self, cursor: str | None, wait_ms: int) -> Changes:
        """Return what changed after `cursor`, waiting on a connection that no other call uses."""
        link = self._way.link(FEED)
        if cursor is None:
            with self._way.watched():
                return Changes(await feed_end(link.current(), self._deadline), (), lost=False)
        self._idle = [lane for lane in self._idle if lane.broken_at is None]
        lane = self._idle.pop() if self._idle else link.another()
        try:
            with self._way.watched():
                found = await feed_after(lane, cursor, wait_ms, self._deadline)
        except BaseException:
            # The server may still be waiting, and would answer this call in place of the next.
            await lane.abort()
            raise
        self._idle.append(lane)
        return found

    async def append(self, stream: str, data: bytes, keep_bytes: int, op: str) -> None:
        """Add one entry to a stream, once for each `op`."""
        entries, account = stream_keys(stream)
        memory = f"{account}:{op}"
        numbers(await self._call(self._scripts.append, [(3, entries, account, memory, data, keep_bytes)]), 1)

    async def follow(self, stream: str, after: str, most: int) -> Tail:
        """Return up to `most` entries after a position."""
        known = after if is_position(after) else ""
        (reply,) = await self._call(self._scripts.follow, [(2, *stream_keys(stream), known, most)])
        found = tail(reply, known)
        return found if known == after else found._replace(cut=True, anew=True)

    async def trim(self, stream: str, through: str) -> None:
        """Drop the entries up to a position, page by page."""
        if is_position(through):
            while numbers(await self._call(self._scripts.trim, [(2, *stream_keys(stream), through, TRIM_PAGE)]), 1) == [
                TRIM_PAGE
            ]:
                pass

    async def ping(self) -> float:
        """Return the lowest time of all servers once every one answered."""
        expires = self._expires()
        lanes = [link.current() for link in self._way.links]
        if not lanes:
            raise StoreUnavailable("no server of the cluster has been reached yet")
        asked = [packed("PING"), packed("TIME")]  # a server that still loads its data answers TIME, but not PING
        replies = await asyncio.gather(*(lane.ask(asked, expires) for lane in lanes))
        if any(pong != b"PONG" for pong, _ in replies):
            raise nonsense()
        return min(_seconds(time) for _, time in replies)

    async def close(self) -> None:
        """Wait for the calls in flight, end waits for changes, and close every connection."""
        await self._way.close()

    @property
    def away(self) -> bool:
        """Whether a server is known to be away, or none has been found yet."""
        links = self._way.links
        return not links or any(link.away for link in links)

    def numbers(self) -> Mapping[str, float]:
        """See `Store.numbers`."""
        return {
            "stillgate_store_breaker_open": float(self.away),
            "stillgate_store_breaker_opens_total": self._way.opens,
            "stillgate_store_failovers_total": self._way.moves,
            "stillgate_store_append_only": float(self._fitness.append_only is not False),
        }

    def _expires(self) -> float:
        return self._loop.time() + self._deadline

    async def _answers(
        self, script: Script, calls: list[tuple[str | bytes | int, ...]], read: Callable[[object], _Answer]
    ) -> list[_Answer]:
        """Run a script as `_call` does and read its replies, also those that came with a refusal."""
        try:
            return [read(reply) for reply in await self._call(script, calls)]
        except StoreRefused as error:
            error.done = {part: read(reply) for part, reply in error.done.items()}
            raise

    async def _call(self, script: Script, calls: list[tuple[str | bytes | int, ...]]) -> list[Any]:
        """Run a script once for each call, on the server of its first key; all keys of a call have one hash tag."""
        if not calls:
            return []
        commands = [Command(str(call[1]), packed("EVALSHA", script.digest, *call)) for call in calls]
        replies = await self._way.run(commands, self._expires(), script.source)
        raise_refused(replies)
        return replies


def _seconds(reply: Any) -> float:  # noqa: ANN401 - whatever a server says
    """Return the time in a server's reply to TIME, in Unix seconds."""
    try:
        seconds, microseconds = reply
        return int(seconds) + int(microseconds) / 1_000_000
    except (TypeError, ValueError, OverflowError):
        raise nonsense() from None
