"""Decodes embeddings, and names their parts: one document, of which all but a few hundred bytes are figures."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from proxy.dialects._answers import DocumentDecoder, error_type, note_model, tokens
from proxy.dialects._passed_over import AT_ONCE_BYTES
from proxy.dialects._wordless import WordlessWire
from proxy.errors import UpstreamFailed
from proxy.exchange import Chunk, Progress, Usage
from proxy.wire import Kind, Part

# The most vectors that can be asked for, of 3,072 dimensions each, take 32 MiB in base64.
_MAX_BYTES = 64 << 20
# Reading a longer document only for its usage would take over a millisecond: that stands near its beginning or end.
_READ_BYTES = 1 << 18
_EDGE_BYTES = 1 << 12
_USAGE = re.compile(rb'"usage"\s*:\s*')


class EmbeddingsDecoder(DocumentDecoder):
    """Decodes a list of embeddings; with `every`, all of it is read, and every number so that it can be rewritten."""

    def __init__(self, *, every: bool) -> None:
        super().__init__(_observe, _MAX_BYTES, AT_ONCE_BYTES if every else _MAX_BYTES, exact=every)

    def finish(self) -> list[Chunk]:
        """Return the document as one chunk. Raises UpstreamFailed if it is no JSON object, as far as it was read."""
        raw = b"".join(self._pieces)
        self._pieces = [raw]
        if self._exact or len(raw) <= _READ_BYTES:
            return super().finish()
        first, last = raw[:_EDGE_BYTES].lstrip(), raw[-_EDGE_BYTES:].rstrip()
        if not first.startswith(b"{") or not last.endswith(b"}"):
            raise UpstreamFailed("The model API sent an answer that is not valid JSON.")
        self.progress.complete = b'"data"' in first
        self.progress.usage = _usage_in(last) or _usage_in(first)
        return [Chunk(raw)]


class EmbeddingsWire(WordlessWire):
    """The wire; a lane is the place of a vector."""

    def parts(self, chunk: Chunk) -> Sequence[Part]:
        """Return the parts of a document."""
        found = [*super().parts(chunk)]
        data = chunk.data.get("data") if chunk.data is not None else None
        for place, item in enumerate(data if type(data) is list else ()):
            if type(item) is dict and item.get("embedding") is not None:
                found.append(Part(Kind.VECTOR, place, ("data", place, "embedding")))
        return found


def _observe(progress: Progress, document: dict[str, Any]) -> None:
    progress.complete = type(document.get("data")) is list
    note_model(progress, document)
    progress.usage = _usage(document.get("usage"))
    if error := document.get("error"):
        progress.failed = error_type(error)


def _usage(usage: object) -> Usage | None:
    read = tokens(usage, "prompt_tokens")
    return Usage(read, 0) if read is not None else None


def _usage_in(edge: bytes) -> Usage | None:
    """Return the usage within a document's first or last bytes, None if there is none."""
    found = _USAGE.search(edge)
    if found is None:
        return None
    try:
        usage, _ = json.JSONDecoder().raw_decode(edge[found.end() :].decode())
    except ValueError:
        return None
    return _usage(usage)
