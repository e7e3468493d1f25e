"""Lets a filter rewrite the prose of an answer, lane by lane, whether it comes as one document or in pieces.

Laws:
- However a stream is cut, the text that comes out, joined, is what the filter makes of the text that goes in, joined.
- What a filter holds back goes out before anything that ends its lane.
- Log-probabilities tell the model's own words, so they go as soon as a lane is rewritten at all. So do copies, but for
  one of the text that the same chunk carries: it says what that becomes.
- What a filter only held back for a while is no change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

from proxy.errors import UpstreamFailed
from proxy.exchange import Chunk, Saying
from proxy.wire import ALL_LANES, PADDING, Kind, Part, Path, Wire, edited, repadded


class TextFilter(Protocol):
    """Rewrites one lane's text as it comes."""

    def feed(self, text: str) -> str:
        """Return what may go out now; what is held back is bounded."""
        ...

    def end(self) -> str:
        """Return what was held back."""
        ...


# Lanes at once, eight times as many as there can be choices: each keeps a filter.
MAX_LANES: Final = 1_024
# What a filter may hold back at most; if more of a text has not come out, it will not come out as it was.
_MAX_HELD_CHARS = 4_096
_RUN = re.compile(r"\s*\S+|\s+$")
_PADDED = re.compile(rb'"%b": ?"([^"\\]*)"' % PADDING.encode())


class _Lane:
    """One lane's filter; `changed` says whether it has given out anything else than it was given."""

    __slots__ = ("_due", "_filter", "changed")

    def __init__(self, filter_: TextFilter) -> None:
        self.changed = False
        self._filter = filter_
        self._due = ""  # what went in and has not come out yet

    def feed(self, text: str) -> str:
        written = self._filter.feed(text)
        return written if self.changed else self._noted(text, written)

    def end(self) -> str:
        rest = self._noted("", self._filter.end())
        self.changed = self.changed or bool(self._due)
        return rest

    def _noted(self, text: str, written: str) -> str:
        due = self._due + text
        self._due = due.removeprefix(written)
        self.changed = self.changed or not due.startswith(written) or len(self._due) > _MAX_HELD_CHARS
        return written


class TextLanes:
    """A transform that runs one filter a lane, which `make` returns for its number."""

    def __init__(self, wire: Wire, make: Callable[[int], TextFilter]) -> None:
        self.changed = False
        self.takes_sayings = True
        self._wire = wire
        self._make = make
        self._lanes: dict[int, _Lane] = {}
        self._last: Chunk | None = None  # that had a part
        self._pieces = self._chars = 0  # of text that came

    def feed(self, chunk: Chunk) -> Iterator[Chunk]:
        """Return a chunk with its texts rewritten; before it, what its end lets out."""
        if chunk.saying is not None:
            return self._resaid(chunk, chunk.saying)
        return self._rewritten(chunk)

    def _rewritten(self, chunk: Chunk) -> Iterator[Chunk]:
        parts = self._wire.parts(chunk)
        edits: dict[Path, Any] = {}
        dropped = False
        last = {} if self._wire.streamed else {part.lane: part for part in parts if part.kind is Kind.TEXT}
        for part in parts:
            if part.kind is Kind.TEXT:
                written = self._written(part.lane, part.text, ends=last.get(part.lane) is part)
                if written != part.text:
                    edits[part.path] = written
                    dropped = part.alone and not written
            elif part.kind is Kind.LOGPROBS:
                edits[part.path] = None
                self.changed = True
            elif part.kind is Kind.END and self._wire.streamed:
                text_here = any(other.kind is Kind.TEXT and other.lane == part.lane for other in parts)
                if text_here:
                    self._finish_in(parts, part.lane, edits)
                else:
                    yield from self._flushed(part.lane, chunk)
        edits |= self._copied(parts, edits)
        if chunk.data is not None:
            self._last = chunk
        if not edits:
            yield chunk
            return
        if not dropped:
            yield edited(chunk, edits | _padded(chunk, parts, edits))

    def end(self) -> Iterator[Chunk]:
        """Return what no end let out."""
        if self._last is not None:
            yield from self._flushed(ALL_LANES, self._last)

    def _resaid(self, chunk: Chunk, saying: Saying) -> Iterator[Chunk]:
        """Yield a chunk that only says something, with what is to be said instead; there may be nothing."""
        self._last = saying.like
        lane = self._lane(saying.lane)
        texts = list(map(lane.feed, saying.texts))
        self._pieces += len(texts)
        self._chars += sum(map(len, saying.texts))
        self.changed = self.changed or lane.changed
        if texts == saying.texts:
            yield chunk
            return
        said = zip(texts, saying.tails, saying.texts, strict=True)
        left = [(text, _repadded(tail, came, text)) for text, tail, came in said if text or not came]
        if left:
            resaid = Saying(
                saying.lane, [text for text, _ in left], saying.head, [tail for _, tail in left], saying.like
            )
            yield Chunk(None, not_before=chunk.not_before, saying=resaid)

    def _lane(self, number: int) -> _Lane:
        lane = self._lanes.get(number)
        if lane is None:
            if len(self._lanes) >= MAX_LANES:
                raise UpstreamFailed("The model API sent more answers than were asked for.")
            lane = self._lanes[number] = _Lane(self._make(number))
        return lane

    def _written(self, number: int, text: str, *, ends: bool) -> str:
        lane = self._lane(number)
        written = lane.feed(text)
        self._pieces += 1
        self._chars += len(text)
        if ends:
            written += self._end(number)
        self.changed = self.changed or lane.changed
        return written

    def _end(self, number: int) -> str:
        lane = self._lanes.pop(number, None)
        if lane is None:
            return ""
        rest = lane.end()
        self.changed = self.changed or lane.changed
        return rest

    def _finish_in(self, parts: Sequence[Part], lane: int, edits: dict[Path, Any]) -> None:
        """Let what is held back out in the chunk that has the lane's last text and its end."""
        last = [part for part in parts if part.kind is Kind.TEXT and part.lane == lane][-1]
        if rest := self._end(lane):
            edits[last.path] = edits.get(last.path, last.text) + rest

    def _copied(self, parts: Sequence[Part], edits: dict[Path, Any]) -> dict[Path, Any]:
        """Return the edits that let copies say no more than the texts."""
        copied: dict[Path, Any] = {}
        for part in parts:
            if part.kind is Kind.COPY:
                texts = (one for one in parts if one.kind is Kind.TEXT and one.lane == part.lane)
                text = next((one for one in texts if part.text and one.text == part.text), None)
                said = edits.get(text.path, text.text) if text is not None else None
                self.changed = self.changed or said is None
                if said != part.text:
                    copied[part.path] = said
        return copied

    def _flushed(self, lane: int, like: Chunk) -> Iterator[Chunk]:
        for each in list(self._lanes) if lane == ALL_LANES else [lane]:
            like = like if like.data is not None or self._last is None else self._last
            for piece in _pieces(self._end(each), self._chars // max(1, self._pieces)):
                yield self._wire.delta(like, each, piece)


def _pieces(rest: str, size: int) -> Iterator[str]:
    """Yield a text by runs, at least so many characters at once: as large as others, it does not show as held back."""
    piece = ""
    for run in _RUN.findall(rest):
        piece += run
        if len(piece) >= size:
            yield piece
            piece = ""
    if piece:
        yield piece


def _padded(chunk: Chunk, parts: Sequence[Part], edits: dict[Path, Any]) -> dict[Path, Any]:
    """Return the edit that lets the padding of a chunk go with its new texts."""
    padding = chunk.data.get(PADDING) if chunk.data is not None else None
    if type(padding) is not str:
        return {}
    texts = [part for part in parts if part.kind is Kind.TEXT]
    was = "".join([part.text for part in texts])
    now = "".join([edits.get(part.path, part.text) for part in texts])
    return {} if now == was else {(PADDING,): repadded(padding, was, now)}


def _repadded(tail: bytes, was: str, now: str) -> bytes:
    """Return what stands behind a text in its event, with the padding that another text there takes."""
    found = _PADDED.search(tail) if was != now else None
    if found is None:
        return tail
    padding = repadded(found[1].decode("ascii", "replace"), was, now)
    return tail[: found.start(1)] + padding.encode() + tail[found.end(1) :]
