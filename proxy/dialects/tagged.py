"""Puts the tags of their tenant behind the ids that an answer gives out, see `proxy.keyed.issued_ids`.

Laws: an id is known once a document gave it, and from then on wherever it is the value of a member for an id, in bytes
that nobody reads too; inside of texts the quotes around it would be escaped. Every other byte stays as it came. The
cost is linear in the bytes, however many ids there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from proxy.dialects._passed_over import read
from proxy.dialects.base import ChunkDecoder
from proxy.exchange import Chunk, Progress
from proxy.keyed.issued_ids import MAX_ID_CHARS, IssuedIds

Gives = Callable[[dict[str, Any]], Iterable[str]]

_MAX_KNOWN = 4_096  # an answer has a few items; ids beyond are given without a tag, and are of no use
# `id`, `item_id` and the like, with a value that has no escapes. The id of a call is its own, also where a server gives
# the item the same one: an upstream that keeps the call finds its output by that.
_MEMBER = re.compile(rb'id"(?<!call_id")(?<!caller_id")\s*:\s*"([^"\\]{1,%d})"' % MAX_ID_CHARS)


class TaggedDecoder:
    """A decoder of one answer; `gives` returns the ids that a document gives out, `every` is the inner one's."""

    progress: Progress

    def __init__(self, inner: ChunkDecoder, gives: Gives, ids: IssuedIds, *, every: bool) -> None:
        self.progress = inner.progress
        self._inner = inner
        self._gives = gives
        self._ids = ids
        self._every = every
        self._known: dict[bytes, bytes] = {}  # the ids as they came, and what takes their place

    def feed(self, data: bytes) -> list[Chunk]:
        """Return the chunks that are whole now."""
        return [self._tagged(chunk) for chunk in self._inner.feed(data)]

    def finish(self) -> list[Chunk]:
        """Return what is left."""
        return [self._tagged(chunk) for chunk in self._inner.finish()]

    def _tagged(self, chunk: Chunk) -> Chunk:
        if chunk.data is not None:
            self._learn(chunk.data)
        raw = chunk.raw
        if raw is None:
            return chunk
        raw = _MEMBER.sub(self._shown, raw)
        if raw == chunk.raw:
            return chunk
        # Where nobody asks for every document, nobody reads the one that this was.
        data = _document_in(raw) if self._every and chunk.data is not None else None
        return Chunk(raw, data, chunk.event)

    def _learn(self, document: dict[str, Any]) -> None:
        for given in self._gives(document):
            shown = self._ids.give(given)
            if shown != given and len(self._known) < _MAX_KNOWN:
                self._known[given.encode()] = shown.encode()

    def _shown(self, member: re.Match[bytes]) -> bytes:
        shown = self._known.get(member[1])
        return member[0] if shown is None else b'%b%b"' % (member[0][: -len(member[1]) - 1], shown)


def _document_in(raw: bytes) -> dict[str, Any] | None:
    """Return what an event says, or what is no event."""
    if not raw.startswith(b"data:") and b"\ndata:" not in raw and b"\rdata:" not in raw:
        return read(raw)
    lines = raw.splitlines()
    return read(b"\n".join([line.removeprefix(b"data:") for line in lines if line.startswith(b"data:")]))
