"""The one protocol of all stores: counters with leases, slots, distinct counts, claims, tables with a feed, streams.

Laws:
- Time is the store's own; a replica's clock decides nothing.
- A window is never over-granted. A window of length W is counted in `SLOTS` slots of W / SLOTS; what was granted in a
  slot counts until the whole slot is older than W. So capacity comes back at most one slot late, and never early; if
  the store's clock is set back, at most W late.
- A grant may be used until its slot ends (`lease_ms`), so that use and count fall into the same slot.
- An operation sent again with the same id within `REMEMBERED_MS` has one effect, and its grant is answered again. A
  refusal has no effect and is not remembered: it is decided anew.
- Every failure is `StoreUnavailable`, within the deadline and without hidden retries; at once while the store is known
  to be away.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple, Protocol

SLOTS = 60

# Limits and amounts are exact up to here, because Lua's numbers are doubles; a higher limit counts as this one.
MAX_UNITS = 2**53 - 1

# How long a store remembers the id of an operation.
REMEMBERED_MS = 30_000

# How many changed rows the feed holds at least.
FEED_ROWS = 10_000


class Ask(NamedTuple):
    """A request for units of one window: grant as many as are left, up to `most`, but none if fewer than `least`.

    `bucket` is an opaque name (16 to 64 characters of a hash), `limit` the units per window, `window_ms` its length,
    always the same for a bucket; 1 <= least <= most.
    """

    bucket: str
    limit: int
    window_ms: int
    least: int
    most: int


class Grant(NamedTuple):
    """The answer to an `Ask`.

    `granted` is 0 for a refusal. `slot` is the index of the slot charged, to be named in a `Credit`. `remaining` is
    what the window has left after this grant, never negative. `lease_ms` is how long the grant may be used, from when
    the ask was first sent. `retry_after_ms` tells a refused caller when `least` units will be free if nobody else asks
    (-1: never, `least` is over the limit). `reset_ms` is how long until the window is empty if nobody asks.
    """

    granted: int
    slot: int
    remaining: int
    lease_ms: int
    retry_after_ms: int
    reset_ms: int


class Credit(NamedTuple):
    """Units given back (positive) or charged afterwards (negative) to the slot that granted them.

    A credit for a slot that has left its window does nothing, and no more comes back than the slot holds. A charge may
    push a window over its limit, since it is what was really used.
    """

    bucket: str
    window_ms: int
    slot: int
    amount: int


class Hold(NamedTuple):
    """A request for a holder's concurrency slots in one bucket, as a total: idempotent, so it also renews them.

    The holder gets as many as the others leave, up to `most`; if these are fewer than `least`, it keeps what it has.
    `least` 0 always succeeds, so it gives slots back. Slots not renewed within `ttl_ms`, which is the same for all
    holders of a bucket, become free. 0 <= least <= most.
    """

    bucket: str
    limit: int
    holder: str
    least: int
    most: int
    ttl_ms: int


class Held(NamedTuple):
    """The answer to a `Hold`: the slots that this holder has now, and those of all holders together."""

    mine: int
    total: int


class Note(NamedTuple):
    """Members that were seen in one window; without members, it only asks for the count.

    `members` are 8 bytes of a keyed digest each; `bucket` and `window_ms` are as in an `Ask`.
    """

    bucket: str
    window_ms: int
    members: tuple[bytes, ...]


class Claim(NamedTuple):
    """A request to be the only one who does something; the holder renews it by making it again.

    `bucket`, as in an `Ask`, names what is done; `about` is a short digest that tells apart claims on the same bucket
    about something else. A claim ends `ttl_ms` after it was made or last renewed, unless it is concluded.
    """

    bucket: str
    about: bytes
    holder: str
    ttl_ms: int


class Claimed(IntEnum):
    """The answer to a `Claim`; only MINE changed anything."""

    MINE = 0
    RUNNING = 1  # somebody else has it
    DONE = 2  # concluded as done
    OTHER = 3  # made or concluded about something else


class Conclusion(NamedTuple):
    """The end of a claim: what it was for is done, which is remembered for `kept_ms`; with 0 it is given up.

    It is remembered even if the claim has ended or is unknown; a claim that somebody else has by now stays as it is.
    """

    bucket: str
    about: bytes
    holder: str
    kept_ms: int


class Row(NamedTuple):
    """One row of a small table; `value` None deletes it."""

    table: str
    name: str
    value: bytes | None


class Changes(NamedTuple):
    """What changed in the tables since a cursor.

    `rows` are (table, name), oldest first; a row may be named more than once. `lost` is true when the feed no longer
    reaches back to the cursor: drop everything cached.
    """

    cursor: str
    rows: tuple[tuple[str, str], ...]
    lost: bool


class Tail(NamedTuple):
    """What a stream holds after a position, oldest first.

    `position` is that of the last entry here, or the position asked for if there is none. `cut` is true if entries
    after the one asked for were dropped unread. `cut` and `anew` are true if the stream never gave that position, or
    lost the entry at it: then the entries are from the beginning, and may have been read before.
    """

    position: str
    entries: tuple[bytes, ...]
    cut: bool
    anew: bool = False


class Store(Protocol):
    """What every store can do; one contract suite runs over all of them."""

    async def reserve(self, asks: Sequence[Ask], op: str) -> list[Grant]:
        """Grant or refuse each ask on its own, in one round trip, in order. `op` is unique to this logical call.

        If the store did only a part, it raises StoreRefused, whose `done` has the grants.
        """
        ...

    async def credit(self, amounts: Sequence[Credit], op: str) -> None:
        """Apply all credits; the same `op` sent twice applies once."""
        ...

    async def hold(self, holds: Sequence[Hold]) -> list[Held]:
        """Set each holder's slots, in order, in one round trip; raises as `reserve` if only a part was done."""
        ...

    async def note(self, notes: Sequence[Note]) -> list[int]:
        """Note members as seen now and return how many different ones each window saw, in one round trip.

        A member noted again only leaves the window later. Counts are exact up to `distinct.SAMPLE`, and have a standard
        error of `distinct.DISTINCT_ERROR` above it.
        """
        ...

    async def claim(self, claims: Sequence[Claim]) -> list[Claimed]:
        """Make or renew each claim on its own, in order, in one round trip."""
        ...

    async def conclude(self, conclusions: Sequence[Conclusion]) -> None:
        """Conclude all claims, in one round trip; doing so again has no further effect."""
        ...

    async def read(self, table: str, name: str) -> bytes | None:
        """Return one row's value, None if there is none."""
        ...

    async def write(self, rows: Sequence[Row], *, only_new: bool = False, given: Row | None = None) -> bool:
        """Write all rows or none, and announce them in the change feed.

        With `only_new`, write nothing and return False if any of the rows exists already; with `given`, if that row
        does not have this value (None: if it exists).
        """
        ...

    def scan(self, table: str) -> AsyncIterator[tuple[str, bytes]]:
        """Yield every row of a table; rows written meanwhile may or may not appear, none appears twice."""
        ...

    async def changes(self, cursor: str | None, wait_ms: int) -> Changes:
        """Return what changed after `cursor`, waiting up to `wait_ms` for something to come.

        Without a cursor, return the present end of the feed and no rows.
        """
        ...

    async def append(self, stream: str, data: bytes, keep_bytes: int, op: str) -> None:
        """Add one entry to a stream, and drop the oldest ones beyond `keep_bytes`; the newest always stays.

        The same `op` sent twice adds it once. An entry should be well under a megabyte: it goes through one script.
        """
        ...

    async def follow(self, stream: str, after: str, most: int) -> Tail:
        """Return up to `most` entries after a position; an empty position is the beginning."""
        ...

    async def trim(self, stream: str, through: str) -> None:
        """Drop the entries up to and at a position: nobody will ask for them again."""
        ...

    async def ping(self) -> float:
        """Return the store's time in Unix seconds once it has answered; of several servers, the lowest."""
        ...

    async def close(self) -> None:
        """Close every connection; the store cannot be used any more."""
        ...

    def numbers(self) -> Mapping[str, float]:
        """Return the state of the connections to the store, by the names of the metrics."""
        ...
