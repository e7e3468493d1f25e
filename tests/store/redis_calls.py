"""The store's calls as a table, and what a caller may see of each when the server or the way to it fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from proxy.errors import StoreUnavailable
from proxy.settings.store_address import Access
from proxy.store.base import Ask, Claim, Conclusion, Credit, Hold, Note, Row, Store
from proxy.store.redis import RedisStore

BUCKET = "0123456789abcdef"
ASK = Ask(BUCKET, 10, 60_000, 1, 1)

# Long enough that a busy machine fails no promise; short enough to see a deadline pass.
PATIENT_S = 5.0
DEADLINE_S = 0.2

Call = Callable[[Store], Awaitable[object]]


async def scanned(store: Store) -> list[tuple[str, bytes]]:
    return [row async for row in store.scan("keys")]


CALLS: dict[str, Call] = {
    "reserve": lambda store: store.reserve([ASK], "op"),
    "credit": lambda store: store.credit([Credit(BUCKET, 60_000, 0, 1)], "op"),
    "hold": lambda store: store.hold([Hold(BUCKET, 10, "a", 1, 1, 1000)]),
    "read": lambda store: store.read("keys", "a"),
    "write": lambda store: store.write([Row("keys", "a", b"x")]),
    "scan": scanned,
    "changes from now": lambda store: store.changes(None, 0),
    "changes": lambda store: store.changes("5-0", 50),
    "ping": lambda store: store.ping(),
    "append": lambda store: store.append("events", b"x", 100, "op"),
    "follow": lambda store: store.follow("events", "", 10),
    "trim": lambda store: store.trim("events", "5-0"),
    "note": lambda store: store.note([Note(BUCKET, 60_000, (b"member 1",))]),
    "claim": lambda store: store.claim([Claim(BUCKET, b"about what it is", "a", 1000)]),
    "conclude": lambda store: store.conclude([Conclusion(BUCKET, b"about what it is", "a", 1000)]),
}
WRITES = ("reserve", "credit", "hold", "note", "claim", "conclude", "write", "append")

each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@asynccontextmanager
async def connected(url: str, *, deadline: float = PATIENT_S, password: str | None = None) -> AsyncIterator[RedisStore]:
    """A store that is closed at the end."""
    store = await RedisStore.connect(url, deadline=deadline, access=Access(password))
    try:
        yield store
    finally:
        await store.close()


async def fails_in_time(what: Awaitable[object]) -> None:
    """Await a call that must raise StoreUnavailable at its deadline at the latest."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with pytest.raises(StoreUnavailable):
        await what
    assert loop.time() - begun < DEADLINE_S + 0.5


async def works_again(store: Store) -> None:
    """Return once the store answers; it is asked again and again for a bounded time."""
    for _ in range(1000):
        try:
            await store.ping()
        except StoreUnavailable:
            await asyncio.sleep(0.005)
        else:
            return
    raise AssertionError("the store never came back")
