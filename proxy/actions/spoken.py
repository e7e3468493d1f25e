"""Withholds reasoning in tags from a spoken answer: it is cut out of the transcript, and the sound goes too.

Nobody can cut a word out of the sound, which says what the transcript says. So once anything was cut, the sound goes:
in a stream from there on, since the transcript comes before it; in a document all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from proxy.actions.tag_filter import TagFilter
from proxy.actions.text_lanes import MAX_LANES
from proxy.errors import UpstreamFailed
from proxy.exchange import Chunk
from proxy.wire import ALL_LANES, Kind, Path, Wire, edited


class WithoutSpokenReasoning:
    """The transform; `make` returns the filter of an answer's transcript."""

    takes_sayings = True

    def __init__(self, wire: Wire, make: Callable[[], TagFilter]) -> None:
        self.changed = False
        self._wire = wire
        self._make = make
        self._filters: dict[int, TagFilter] = {}
        self._silent: set[int] = set()  # answers that something was cut out of
        self._last: dict[int, tuple[Chunk, Path]] = {}  # each transcript's last chunk, and the piece's path

    def feed(self, chunk: Chunk) -> Iterator[Chunk]:
        """Return the chunk with what is left of it; before it, what was held back of answers that it ends."""
        if chunk.saying is not None:
            yield chunk
            return
        edits: dict[Path, Any] = {}
        for part in self._wire.parts(chunk):
            if part.kind is Kind.SPOKEN:
                filter_ = self._filter(part.lane)
                self._last[part.lane] = chunk, part.path
                written = filter_.feed(part.text)
                if not self._wire.streamed:
                    written += filter_.end()
                if written != part.text:
                    edits[part.path] = written
                if filter_.is_open or filter_.has_cut:
                    self._silent.add(part.lane)
            elif part.kind is Kind.SOUND and part.lane in self._silent:
                edits[part.path] = ""
            elif part.kind is Kind.END and self._wire.streamed and self._filters:
                yield from self._ended(part.lane)
        self.changed = bool(self._silent)
        yield edited(chunk, edits) if edits else chunk

    def end(self) -> Iterator[Chunk]:
        """Return what was held back of answers that never ended."""
        return self._ended(ALL_LANES) if self._wire.streamed else iter(())

    def _filter(self, lane: int) -> TagFilter:
        if lane not in self._filters:
            if len(self._filters) >= MAX_LANES:
                raise UpstreamFailed("The model API sent more answers than were asked for.")
            self._filters[lane] = self._make()
        return self._filters[lane]

    def _ended(self, lane: int) -> Iterator[Chunk]:
        for each in list(self._filters) if lane == ALL_LANES else [lane]:
            if (filter_ := self._filters.pop(each, None)) is not None and (rest := filter_.end()):
                like, path = self._last[each]
                sounds = [part.path for part in self._wire.parts(like) if part.kind is Kind.SOUND]
                yield edited(like, {**dict.fromkeys(sounds, ""), path: rest})
