"""`Idempotency-Key`: a client may send a call again, and it is answered and charged once.

Laws:
- A claim is made last, when nothing else refuses the call any more: a refused call leaves nothing in the store.
- A key belongs to its caller: nobody can meet, block or find out about another's.
- The store holds keyed digests of keys and of calls, and no answers: none can be given again.
- `end` does not await, so no client that leaves cuts it short; the store is told as soon as it can be reached.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from hashlib import blake2b

from multidict import CIMultiDictProxy

from proxy.errors import BadRequest, Conflict, ProxyError, StoreAway, StoreRefused, StoreUnavailable, Unavailable
from proxy.exchange import Exchange
from proxy.store.base import Claim, Claimed, Conclusion, Store

_MAX_CHARS = 255
# How long the keys of a process that died stay in use; a living one renews those of what still runs.
_TTL_MS = 60_000
_RENEW_S = 20.0
_KEPT_MS = 86_400_000  # some 130 bytes each at the store
_BATCH = 256
_AT_ONCE = 32  # claims that are sent one by one: less than a millisecond of the loop
_PAUSE_AFTER_FAILURE_S = 0.5
_DIGEST_BYTES = 16
_OFF_LOOP_BYTES = 1 << 20  # digesting as much takes a millisecond
_RETRY_S = 5  # most answers are there by then
_FOR_GOOD = {"x-should-retry": "false"}  # the official clients retry a 409 twice unless they are told not to


def key_of(headers: CIMultiDictProxy[str]) -> str:
    """Return the key that a request carries, empty if there is none. Raises BadRequest for what is no key."""
    values = headers.getall("Idempotency-Key", None)
    if values is None:
        return ""
    key = values[0]
    if len(values) > 1 or not 0 < len(key) <= _MAX_CHARS or not key.isascii() or not key.isprintable() or " " in key:
        raise BadRequest(
            f"Idempotency-Key should be one value of 1 to {_MAX_CHARS} visible ASCII characters.",
            code="invalid_idempotency_key",
        )
    return key


class Claims:
    """The calls of one process that carry a key; `run` must run as long as they are used, `close` tells what is left.

    `secret` keys the digests. While the store is away, calls with a key are refused, so few claims wait for it.
    """

    def __init__(self, store: Store, secret: bytes) -> None:
        self._store = store
        self._secret = secret
        self._running: dict[str, Claim] = {}  # by holder, those that may be at the store
        self._ended: dict[str, Conclusion] = {}  # by holder, what the store has not been told of
        self._wake = asyncio.Event()

    async def of(self, exchange: Exchange, key: str, sent: bytes) -> Claim:
        """Return the claim that an exchange has to make under its caller's key; `sent` is its call as it was judged."""
        bucket = self._digest(b"key", f"{exchange.principal.key_id}\0{key}".encode())
        about = b"%b\0%b\0" % (bucket, exchange.dialect.encode())
        if len(sent) < _OFF_LOOP_BYTES:
            digest = self._digest(b"about", about, sent)
        else:
            digest = await asyncio.to_thread(self._digest, b"about", about, sent)
        return Claim(bucket.hex(), digest, exchange.id, _TTL_MS)

    async def make(self, claim: Claim) -> ProxyError | None:
        """Make a claim at the store, or return why its call may not run. In either case, `end` is to be called."""
        self._running[claim.holder] = claim  # before anything is asked: the client may leave meanwhile
        try:
            (found,) = await self._store.claim([claim])
        except StoreUnavailable as error:
            if isinstance(error, StoreAway | StoreRefused):
                del self._running[claim.holder]
            return Unavailable("It is not known right now whether this Idempotency-Key was used before.", retry_after=2)
        if found is Claimed.MINE:
            return None
        del self._running[claim.holder]
        return _conflict(found)

    def end(self, claim: Claim, *, answered: bool) -> None:
        """Have the store told how an exchange ended, if the claim is the exchange's own."""
        if self._running.pop(claim.holder, None) is None:
            return
        bucket, about, holder, _ = claim
        self._ended[holder] = Conclusion(bucket, about, holder, _KEPT_MS if answered else 0)
        self._wake.set()

    async def run(self) -> None:
        """Renew what runs and tell what ended, until cancelled; while the store is away this only waits."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._renew_again_and_again())
            tasks.create_task(self._tell_again_and_again())

    async def renew(self) -> None:
        """Renew the claims of all that runs. Raises StoreUnavailable."""
        await _in_batches(list(self._running), self._renew)

    async def tell(self) -> None:
        """Tell what ended. Raises StoreUnavailable; what was not told stays, and may be told twice."""
        while self._ended:
            await _in_batches(list(self._ended), self._tell)

    async def close(self) -> None:
        """Tell what ended, as far as the store can be reached."""
        with contextlib.suppress(StoreUnavailable):
            await self.tell()

    async def _renew(self, holders: Sequence[str]) -> None:
        # Looked up only now: what has ended in the meantime must not be claimed anew.
        found = map(self._running.get, holders)
        await self._store.claim([claim for claim in found if claim is not None])

    async def _tell(self, holders: Sequence[str]) -> None:
        await self._store.conclude([self._ended[holder] for holder in holders])
        for holder in holders:
            del self._ended[holder]

    async def _renew_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_S)
            with contextlib.suppress(StoreUnavailable):
                await self.renew()

    async def _tell_again_and_again(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.tell()
            except StoreUnavailable:
                self._wake.set()
                await asyncio.sleep(_PAUSE_AFTER_FAILURE_S)

    def _digest(self, purpose: bytes, *parts: bytes) -> bytes:
        """Return a keyed digest; `blake2b` lets other threads run while it works on much."""
        digest = blake2b(key=self._secret, person=purpose, digest_size=_DIGEST_BYTES)
        for part in parts:
            digest.update(part)
        return digest.digest()


async def _in_batches(holders: Sequence[str], send: Callable[[Sequence[str]], Awaitable[None]]) -> None:
    """Send all, a batch in one round trip, or one by one where a batch fails. Raises StoreUnavailable if some fail.

    On a cluster the server of one key may be away for long: the keys on others are not held up by it.
    """
    failed: list[BaseException] = []
    for batch in _parts(holders, _BATCH):
        try:
            await send(batch)
        except StoreUnavailable:
            for part in _parts(batch, _AT_ONCE):
                outcomes = await asyncio.gather(*(send([holder]) for holder in part), return_exceptions=True)
                failed += [outcome for outcome in outcomes if outcome is not None]
    if failed:
        raise next((error for error in failed if not isinstance(error, StoreUnavailable)), failed[0])


def _parts(holders: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (holders[first : first + size] for first in range(0, len(holders), size))


def _conflict(found: Claimed) -> Conflict:
    match found:
        case Claimed.RUNNING:
            message = "A request with this Idempotency-Key is being answered right now."
            return Conflict(message, code="idempotency_key_in_use", retry_after=_RETRY_S)
        case Claimed.DONE:
            return Conflict(
                "This request was answered before, under the same Idempotency-Key. Answers are not kept, and it is not"
                " charged again; to have it answered anew, send it with another key.",
                code="idempotency_key_answered",
                headers=_FOR_GOOD,
            )
        case _:
            return Conflict(
                "This Idempotency-Key was used for another request. Send this one with a key of its own.",
                code="idempotency_key_reused",
                headers=_FOR_GOOD,
            )
