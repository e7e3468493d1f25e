"""Lets a filter rewrite the prose of an answer, lane by lane, whether it comes as one document or in pieces.

Laws:
- However a stream is cut, the text that comes out, joined, is what the filter makes of the text that goes in, joined.
- What a filter holds back goes out before anything that ends its lane.
- Log-probabilities tell the model's own words, so they go as soon as a lane is rewritten at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from proxy.exchange import Chunk
from proxy.wire import ALL_LANES, Kind, Part, Path, Wire, edited


class TextFilter(Protocol):
    """Rewrites one lane's text as it comes."""

    def feed(self, text: str) -> str:
        """Return what may go out now; what is held back is bounded."""
        ...

    def end(self) -> str:
        """Return what was held back."""
        ...


class TextLanes:
    """A transform that runs one filter a lane."""

    def __init__(self, wire: Wire, make: Callable[[], TextFilter]) -> None:
        self.changed = False
        self._wire = wire
        self._make = make
        self._filters: dict[int, TextFilter] = {}
        self._last: Chunk | None = None  # that had a part

    def feed(self, chunk: Chunk) -> Iterator[Chunk]:
        """Return a chunk with its texts rewritten; before it, what its end lets out."""
        parts = self._wire.parts(chunk)
        edits: dict[Path, Any] = {}
        dropped = False
        for part in parts:
            if part.kind is Kind.TEXT:
                written = self._written(part, ends=not self._wire.streamed)
                if written != part.text:
                    edits[part.path] = written
                    dropped = part.alone and not written
            elif part.kind is Kind.LOGPROBS:
                edits[part.path] = None
            elif part.kind is Kind.END and self._wire.streamed:
                text_here = any(other.kind is Kind.TEXT and other.lane == part.lane for other in parts)
                if text_here:
                    self._finish_in(parts, part.lane, edits)
                else:
                    yield from self._flushed(part.lane, chunk)
        if chunk.data is not None:
            self._last = chunk
        if not edits:
            yield chunk
            return
        self.changed = True
        if not dropped:
            yield edited(chunk, edits)

    def end(self) -> Iterator[Chunk]:
        """Return what no end let out."""
        if self._last is not None:
            yield from self._flushed(ALL_LANES, self._last)

    def _written(self, part: Part, *, ends: bool) -> str:
        filter_ = self._filters.get(part.lane)
        if filter_ is None:
            filter_ = self._filters[part.lane] = self._make()
        written = filter_.feed(part.text)
        if ends:
            written += filter_.end()
            del self._filters[part.lane]
        return written

    def _finish_in(self, parts: Sequence[Part], lane: int, edits: dict[Path, Any]) -> None:
        """Let what is held back out in the chunk that has the lane's last text and its end."""
        last = [part for part in parts if part.kind is Kind.TEXT and part.lane == lane][-1]
        rest = self._filters.pop(lane).end() if lane in self._filters else ""
        if rest:
            edits[last.path] = edits.get(last.path, last.text) + rest

    def _flushed(self, lane: int, like: Chunk) -> Iterator[Chunk]:
        lanes = list(self._filters) if lane == ALL_LANES else [lane]
        for each in lanes:
            filter_ = self._filters.pop(each, None)
            if filter_ is not None and (rest := filter_.end()):
                self.changed = True
                yield self._wire.delta(like if like.data is not None or self._last is None else self._last, each, rest)
