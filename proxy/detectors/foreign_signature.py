"""Whether a request returns a sealed block of reasoning that was issued to another tenant.

Withheld blocks count like any others: their own seals are learned before a handle replaces them, and are back before a
request is judged. A handle itself tells whose it is.
Laws: only keyed digests are kept, of seals and of tenants; a seal that nobody remembers is not foreign; `look_up` asks
the store for a bounded number of them, and `flush` writes what `learn` noted.
"""

from __future__ import annotations

import asyncio
import hmac
import struct
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar, NamedTuple

from proxy.detectors.reading import rich_parts
from proxy.detectors.recent import Recent
from proxy.exchange import Answered, Exchange
from proxy.fields import Cost, Field, Value
from proxy.store.base import Row, Store

TABLE = "signatures"
# A block comes back with the next message of its conversation, mostly sooner than this; each takes some 100 bytes.
KEPT_S = 3 * 86_400
_DIGEST_BYTES = 16  # a chance hit among 2^40 seals is one in 2^88
_MAX_KNOWN = 100_000  # in this process, so that a growing conversation asks the store once for each block; some 25 MB
_MAX_WAITING = 20_000  # not yet written, enough for minutes without the store; more are forgotten
_MAX_WRITE = 500  # rows a call, which a store takes in a few milliseconds
_MAX_ASKED = 32  # round trips for one request, all at once
_MAX_SEALS = 4_096  # seals of one request that are looked at
_UNKNOWN_S = 60.0  # how long a seal that the store does not know is not asked for again
_MEMBERS = ("signature", "data", "encrypted_content")
_SEALED = ("thinking", "redacted_thinking", "reasoning", "reasoning.encrypted", "reasoning.text", "compaction")
_LISTS = ("reasoning_details", "thinking_blocks")  # members of a chat message that hold blocks besides its content
_WHEN = struct.Struct(">Q")


class _Issued(NamedTuple):
    tenant: bytes  # empty: the store did not know it
    at: float  # Unix seconds: when it was issued, or asked for


class ForeignSignature:
    """Adds `content.foreign_signature`. `flush` has to be called every second or so, and `sweep` every hour or so."""

    fields: ClassVar[tuple[Field, ...]] = (
        Field(
            "content.foreign_signature",
            False,
            "Whether it returns a signed block of reasoning that was issued to another tenant in the last three days.",
            Cost.STORE,
        ),
    )

    def __init__(self, store: Store, secret_key: bytes) -> None:
        self._store = store
        self._key = secret_key
        self._known: Recent[str, _Issued] = Recent(_MAX_KNOWN)
        self._waiting: dict[str, _Issued] = {}

    def inspect(self, exchange: Exchange) -> Mapping[str, Value]:
        """Return nothing: the request alone does not tell."""
        del exchange
        return {}

    async def look_up(self, exchange: Exchange) -> Mapping[str, Value]:
        """Compare the request's seals with those that were issued; raises StoreUnavailable."""
        if exchange.foreign_handle:
            return {"content.foreign_signature": True}
        parts = rich_parts(exchange)
        if not parts or not (seals := _seals(parts)):
            return {}
        names = list(dict.fromkeys([self._name(seal) for seal in seals[:_MAX_SEALS]]))
        own, now = self._tenant(exchange), exchange.started
        unasked = []
        for name in names:
            issued = self._waiting.get(name) or self._known.get(name)
            if issued is None or (not issued.tenant and now - issued.at >= _UNKNOWN_S):
                unasked.append(name)
            elif _is_foreign(issued, own, now):
                return {"content.foreign_signature": True}
        # The newest blocks come from the last answer; in a made-up conversation a replayed block comes first or last.
        if len(unasked) > _MAX_ASKED:
            unasked = unasked[: _MAX_ASKED // 2] + unasked[-_MAX_ASKED // 2 :]
        values = await asyncio.gather(*(self._store.read(TABLE, name) for name in unasked))
        foreign = False
        for name, value in zip(unasked, values, strict=True):
            issued = self._waiting.get(name) or _read(value) or _Issued(b"", now)
            self._known.set(name, issued)
            foreign = foreign or _is_foreign(issued, own, now)
        return {"content.foreign_signature": True} if foreign else {}

    def learn(self, exchange: Exchange, answered: Answered) -> Mapping[str, Value]:
        """Note to whom the seals of the answer were issued; `flush` writes it."""
        for seal in answered.signatures:
            issued = _Issued(self._tenant(exchange), exchange.started)
            name = self._name(seal)
            self._known.set(name, issued)
            if len(self._waiting) < _MAX_WAITING:
                self._waiting[name] = issued
        return {}

    async def flush(self) -> None:
        """Write what was learned to the store; raises StoreUnavailable, and then it is written next time."""
        while self._waiting:
            batch = dict(islice(self._waiting.items(), _MAX_WRITE))
            rows = [Row(TABLE, name, issued.tenant + _WHEN.pack(int(issued.at))) for name, issued in batch.items()]
            await self._store.write(rows)
            for name in batch:
                self._waiting.pop(name, None)

    async def sweep(self, now: float) -> int:
        """Delete the rows that are too old to matter, and return how many; raises StoreUnavailable."""
        old: list[Row] = []
        count = 0
        async for name, value in self._store.scan(TABLE):
            issued = _read(value)
            if issued is None or now - issued.at >= KEPT_S:
                old.append(Row(TABLE, name, None))
            if len(old) == _MAX_WRITE:
                await self._store.write(old)
                count += len(old)
                old = []
        if old:
            await self._store.write(old)
        return count + len(old)

    def _name(self, seal: str) -> str:
        return self._digest(b"seal\0" + seal.encode("utf-8", "surrogatepass")).hex()

    def _tenant(self, exchange: Exchange) -> bytes:
        return self._digest(b"tenant\0" + exchange.principal.tenant.encode("utf-8", "surrogatepass"))

    def _digest(self, data: bytes) -> bytes:
        return hmac.digest(self._key, data, "sha256")[:_DIGEST_BYTES]


def _is_foreign(issued: _Issued, own: bytes, now: float) -> bool:
    return bool(issued.tenant) and issued.tenant != own and now - issued.at < KEPT_S


def _read(value: bytes | None) -> _Issued | None:
    if value is None or len(value) != _DIGEST_BYTES + _WHEN.size:
        return None
    return _Issued(value[:_DIGEST_BYTES], float(_WHEN.unpack(value[_DIGEST_BYTES:])[0]))


def _seals(messages: Sequence[Any]) -> list[str]:
    """Return the seals of blocks in messages, in the order of the messages."""
    found: list[str] = []
    for message in messages:
        if type(message) is not dict:
            continue
        content = message.get("content")
        blocks = content if type(content) is list else []
        if len(message) != 2 or "role" not in message or "content" not in message:
            blocks = [message, *blocks]
            for member in _LISTS:
                blocks += beside if type(beside := message.get(member)) is list else ()
        for block in blocks:
            if type(block) is dict and block.get("type") in _SEALED:
                found += [seal for member in _MEMBERS if type(seal := block.get(member)) is str and seal]
    return found
