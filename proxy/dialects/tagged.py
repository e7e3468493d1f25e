"""Appends the tenant's tag to the ids that an answer gives out, see `proxy.keyed.issued_ids`.

Laws: an id is known once a document gave it out, and from then on is tagged wherever it is the value of an id member,
also in bytes that nobody parses; within texts the quotes around it would be escaped. Every other byte stays as it came.
The cost is linear in the bytes, however many ids there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from proxy.dialects.base import ChunkDecoder
from proxy.exchange import Chunk, Progress
from proxy.keyed.issued_ids import MAX_ID_CHARS, IssuedIds

Gives = Callable[[dict[str, Any]], Iterable[str]]

_MAX_KNOWN = 4_096  # an answer has a few items; further ids get no tag, and are of no use
# `id`, `item_id` and the like, with a value without escapes. A call's id is left alone, also where a server gives its
# item the same one: an upstream that keeps the call finds its output by that id.
_MEMBER = re.compile(rb'id"(?<!call_id")(?<!caller_id")\s*:\s*"([^"\\]{1,%d})"' % MAX_ID_CHARS)
_OF_CALLS = ("call_id", "caller_id")
_IDLESS = ("logprobs", "embedding")  # nine tenths of a large answer, and without ids


class TaggedDecoder:
    """A decoder of one answer; `gives` returns the ids that a document gives out, `every` is the inner decoder's."""

    progress: Progress

    def __init__(self, inner: ChunkDecoder, gives: Gives, ids: IssuedIds, *, every: bool) -> None:
        self.progress = inner.progress
        self._inner = inner
        self._gives = gives
        self._ids = ids
        self._every = every
        self._known: dict[bytes, bytes] = {}  # ids as they came, and as they go out
        self._spelt: dict[str, str] = {}  # the same, as text

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
        if not self._every or chunk.data is None:
            return Chunk(raw, None, chunk.event)  # the document has the old ids, and nobody reads it
        self._show_in(chunk.data)
        return Chunk(raw, chunk.data, chunk.event)

    def _learn(self, document: dict[str, Any]) -> None:
        for given in self._gives(document):
            shown = self._ids.give(given)
            if shown != given and len(self._known) < _MAX_KNOWN:
                self._known[given.encode()] = shown.encode()
                self._spelt[given] = shown

    def _show_in(self, document: dict[str, Any]) -> None:
        """Put the tags into a document that was parsed from the untagged bytes."""
        waiting: list[object] = [document]
        while waiting:
            node = waiting.pop()
            if type(node) is list:
                waiting += node
            elif type(node) is dict:
                for name, value in node.items():
                    if type(value) is not str:
                        if not name.endswith(_IDLESS):
                            waiting.append(value)
                    elif name.endswith("id") and not name.endswith(_OF_CALLS) and (tagged := self._spelt.get(value)):
                        node[name] = tagged

    def _shown(self, member: re.Match[bytes]) -> bytes:
        shown = self._known.get(member[1])
        return member[0] if shown is None else b'%b%b"' % (member[0][: -len(member[1]) - 1], shown)
