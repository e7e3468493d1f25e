"""Lets a filter rewrite the prose of an answer, lane by lane, whether it comes as one document or in pieces.

Laws:
- However a stream is cut, the text that comes out, joined, is what the filter makes of the text that goes in, joined.
- What a filter holds back goes out before anything that ends its lane, in the events that it came in.
- Log-probabilities tell the model's own words, so they go as soon as a lane is rewritten at all. So do copies, except a
  copy of text in the same chunk, which changes with that text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final, TypeAlias, final

from proxy.actions.lane import Lane, TextFilter
from proxy.errors import UpstreamFailed
from proxy.exchange import Chunk, Saying
from proxy.wire import ALL_LANES, PADDING, Kind, Part, Path, Wire, edited, manner, repadded

_TEXT = Kind.TEXT  # looked up once, since an enumeration is slow
# Lanes at once, each of which keeps a filter: eight times as many as there can be choices.
MAX_LANES: Final = 1_024
_MOST_WAITING_BYTES: Final = 131_072  # of events that wait in a lane, if all are as long as the newest
_PADDED = re.compile(rb'"%b": ?"([^"\\]*)"' % PADDING.encode())


# One text of a chunk that is a `Saying`: the bytes before it, the text as it came, the bytes behind it, and the chunk.
_Said: TypeAlias = tuple[bytes, str, bytes, Chunk]


@final
@dataclass(slots=True)
class _Whole:
    """A chunk that was read whole and waits for its one text, with all its parts and its other edits."""

    chunk: Chunk
    parts: Sequence[Part]
    part: Part
    edits: Mapping[Path, Any]


@final
@dataclass(slots=True)
class _Rest:
    """What was held back of a text whose chunk could not wait: it gets an event of its own, or still that chunk."""

    written: dict[Path, str]  # what goes into each text of that chunk
    path: Path


_Event: TypeAlias = _Whole | _Said | _Rest
_Told: TypeAlias = tuple[str, _Event | None]  # a text that goes out, and the event that it goes in


class TextLanes:
    """A transform that runs one filter a lane; `make` returns the filter for a lane's number."""

    def __init__(self, wire: Wire, make: Callable[[int], TextFilter]) -> None:
        self.changed = False
        self.takes_sayings = True
        self._wire = wire
        self._make = make
        self._lanes: dict[int, Lane[_Event]] = {}
        self._last: Chunk | None = None  # the last that was read whole

    def feed(self, chunk: Chunk) -> Iterable[Chunk]:
        """Return what may go now: events that waited, and the chunk with its texts rewritten, unless it waits too."""
        if chunk.saying is not None:
            return self._resaid(chunk, chunk.saying)
        return self._of_stream(chunk) if self._wire.streamed else self._of_document(chunk)

    def end(self) -> Iterator[Chunk]:
        """Return what was held back in lanes that never ended."""
        if self._last is not None:
            yield from self._ended(ALL_LANES, self._last)

    def _of_document(self, chunk: Chunk) -> Iterator[Chunk]:
        parts = self._wire.parts(chunk)
        edits = self._without_figures(parts)
        texts = [part for part in parts if part.kind is _TEXT]
        last = {part.lane: part for part in texts}
        written = dict.fromkeys([part.path for part in texts], "")
        here: dict[int, Path] = {}  # by lane, where the last text went
        for part in texts:
            told = self._fed(part.lane, part.text, _Whole(chunk, parts, part, {}))
            if last[part.lane] is part:
                told = [*told, *self._end(part.lane)]
            for text, event in told:
                here[part.lane] = path = event.part.path if type(event) is _Whole else here.get(part.lane, part.path)
                written[path] += text
        edits |= {part.path: text for part in texts if (text := written[part.path]) != part.text}
        edits |= self._copied(parts, edits)
        yield edited(chunk, edits) if edits else chunk

    def _of_stream(self, chunk: Chunk) -> Iterator[Chunk]:
        parts = self._wire.parts(chunk)
        if chunk.data is not None:
            self._last = chunk
        texts = [part for part in parts if part.kind is _TEXT]
        edits = self._without_figures(parts) if len(parts) > len(texts) else {}
        waits = len(texts) == 1 and (texts[0].alone or texts[0].waits) and not chunk.gaps
        if waits and self._has_room(texts[0].lane, chunk):
            part = texts[0]
            if told := self._fed(part.lane, part.text, _Whole(chunk, parts, part, edits)):
                yield from self._sent(part.lane, told, chunk)
        else:
            yield from self._of_more(chunk, parts, edits)

    def _of_more(self, chunk: Chunk, parts: Sequence[Part], edits: dict[Path, Any]) -> Iterator[Chunk]:
        """Yield what goes now that a chunk came which cannot wait, and the chunk with what may go of its texts."""
        texts = [part for part in parts if part.kind is _TEXT]
        closed = {part.lane: part.kind for part in parts if part.kind in (Kind.CALL, Kind.END)}
        last = {part.lane: part for part in texts if part.lane in closed}
        written = dict.fromkeys([part.path for part in texts], "")
        here: dict[int, Path] = {}  # by lane, where in the chunk the last text went
        for part in parts:
            lane = part.lane
            if part.kind is _TEXT:
                came = _Whole(chunk, parts, part, edits)
                told = [*self._fed(lane, part.text, came)]
                if last.get(lane) is part:
                    told += self._end(lane) if closed[lane] is Kind.END else self._pause(lane)
                told += self._now(lane, came, _Rest(written, part.path))
                for text, event in told:
                    if event is came:
                        here[lane] = part.path
                    elif type(event) is _Rest and event.written is written:
                        here[lane] = event.path
                    elif event is not None or lane not in here:
                        yield from self._sent(lane, [(text, event)], chunk)
                        continue
                    written[here[lane]] += text
            elif part.kind is Kind.CALL and lane not in last:
                yield from self._sent(lane, self._pause(lane), chunk)
            elif part.kind is Kind.END and lane not in last:
                yield from self._ended(lane, chunk)
        edits |= {part.path: text for part in texts if (text := written[part.path]) != part.text}
        yield _with(chunk, parts, edits | self._copied(parts, edits))

    def _resaid(self, chunk: Chunk, saying: Saying) -> Iterable[Chunk]:
        """Return what goes now of the texts of a chunk that is a `Saying`, and of those that came before."""
        self._last = saying.like
        number, texts, head, tails, _ = saying
        lane = self._lane(number)
        alone = len(texts) == 1
        events = [(head, texts[0], tails[0], chunk)] if alone else [*zip(repeat(head), texts, tails, repeat(chunk))]
        told = lane.feed(texts, events)
        self.changed = self.changed or lane.changed
        return self._sent(number, told, chunk) if told else ()

    def _lane(self, number: int) -> Lane[_Event]:
        lane = self._lanes.get(number)
        if lane is None:
            if len(self._lanes) >= MAX_LANES:
                raise UpstreamFailed("The model API sent more answers than were asked for.")
            lane = self._lanes[number] = Lane(self._make(number))
        return lane

    def _has_room(self, number: int, chunk: Chunk) -> bool:
        """Tell whether a chunk may wait with others of its lane: else thousands could, of megabytes each."""
        lane = self._lanes.get(number)
        return (1 if lane is None else 1 + lane.waiting) * len(manner(chunk) or b"") <= _MOST_WAITING_BYTES

    def _fed(self, number: int, text: str, event: _Whole) -> Sequence[_Told]:
        lane = self._lane(number)
        told = lane.feed([text], [event])
        self.changed = self.changed or lane.changed
        return told

    def _now(self, number: int, event: _Whole, rest: _Rest) -> Sequence[_Told]:
        lane = self._lanes.get(number)
        return lane.now(event, rest) if lane is not None else ()

    def _pause(self, number: int) -> Sequence[_Told]:
        lane = self._lanes.get(number)
        if lane is None:
            return ()
        told = lane.pause()
        self.changed = self.changed or lane.changed
        return told

    def _end(self, number: int) -> Sequence[_Told]:
        lane = self._lanes.pop(number, None)
        if lane is None:
            return ()
        told = lane.end()
        self.changed = self.changed or lane.changed
        return told

    def _ended(self, lane: int, like: Chunk) -> Iterator[Chunk]:
        for each in list(self._lanes) if lane == ALL_LANES else [lane]:
            yield from self._sent(each, self._end(each), like)

    def _sent(self, lane: int, told: Iterable[_Told], like: Chunk) -> Iterator[Chunk]:
        """Yield the events with their texts; a text without an event gets one like others of its stream.

        Texts of sayings that follow each other and are alike become one chunk.
        """
        said = like
        head = like.saying.head if like.saying is not None else None
        texts: list[str] = []
        tails: list[bytes] = []
        for text, event in told:
            if type(event) is tuple:
                before, came, tail, chunk = event
                if before is not head or (said is not like and chunk.not_before != said.not_before):
                    yield from _said(said, texts, tails)
                    said, head, texts, tails = chunk, before, [], []
                if text == came:
                    texts.append(text)
                    tails.append(tail)
                elif text:
                    texts.append(text)
                    tails.append(_repadded(tail, came, text))
                continue
            yield from _said(said, texts, tails)
            texts, tails = [], []
            if type(event) is _Whole:
                yield from self._of_event(event, text)
            elif text:
                like = like if like.data is not None or self._last is None else self._last
                yield self._wire.delta(like, lane, text)
        yield from _said(said, texts, tails)

    def _of_event(self, event: _Whole, text: str) -> Iterator[Chunk]:
        """Yield an event with its text, or nothing if it carries only that and none is left."""
        chunk, parts, part, edits = event.chunk, event.parts, event.part, event.edits
        if text or not part.text or not part.alone:
            edits = {**edits, part.path: text} if text != part.text else edits
            yield _with(chunk, parts, {**edits, **self._copied(parts, edits)} if len(parts) > 1 else edits)

    def _without_figures(self, parts: Sequence[Part]) -> dict[Path, Any]:
        """Return the edits that take log-probabilities away."""
        edits: dict[Path, Any] = {part.path: None for part in parts if part.kind is Kind.LOGPROBS}
        self.changed = self.changed or bool(edits)
        return edits

    def _copied(self, parts: Sequence[Part], edits: Mapping[Path, Any]) -> dict[Path, Any]:
        """Return the edits that keep copies from saying more than the texts."""
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


def _said(chunk: Chunk, texts: list[str], tails: list[bytes]) -> Sequence[Chunk]:
    """Return a saying's chunk with these texts in place of its own; nothing if there are none."""
    if not texts or (saying := chunk.saying) is None:
        return ()
    if texts == saying.texts and tails == saying.tails:
        return (chunk,)
    lane, _, head, _, like = saying
    return (Chunk(None, None, "", chunk.not_before, None, (), Saying(lane, texts, head, tails, like)),)


def _with(chunk: Chunk, parts: Sequence[Part], edits: Mapping[Path, Any]) -> Chunk:
    return edited(chunk, {**edits, **_padded(chunk, parts, edits)}) if edits else chunk


def _padded(chunk: Chunk, parts: Sequence[Part], edits: Mapping[Path, Any]) -> dict[Path, Any]:
    """Return the edit that fits the padding of a chunk to its new texts."""
    padding = chunk.data.get(PADDING) if chunk.data is not None else None
    if type(padding) is not str:
        return {}
    texts = [part for part in parts if part.kind is _TEXT]
    was = "".join([part.text for part in texts])
    now = "".join([edits.get(part.path, part.text) for part in texts])
    return {} if now == was else {(PADDING,): repadded(padding, was, now)}


def _repadded(tail: bytes, was: str, now: str) -> bytes:
    """Return the bytes behind a text in its event, with padding that fits the text's replacement."""
    found = _PADDED.search(tail) if was != now else None
    if found is None:
        return tail
    padding = repadded(found[1].decode("ascii", "replace"), was, now)
    return tail[: found.start(1)] + padding.encode() + tail[found.end(1) :]
