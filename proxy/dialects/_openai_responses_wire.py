"""The parts of a response, as a document or as a typed event of a stream.

What an event only repeats is no part: `_openai_responses_retelling` puts in what was really sent. A text that did not
come in pieces is a part wherever it first stands; one that comes with a new part or item is a first piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from proxy.dialects._answers import member
from proxy.dialects._logprobs import coarse
from proxy.dialects._openai_responses_answer import written_by, written_in
from proxy.dialects._openai_responses_reasoning import ResponseWithoutReasoning
from proxy.exchange import Chunk
from proxy.wire import ALL_LANES, PADDING, Kind, Part, Path, Seal, Summarise, Transform, manner, repadded

_PARTS = 1 << 12  # more than an item has parts; a lane is the item's number times this, plus the part's
_MAX_LANES = 1 << 14
_ENDS = ("response.completed", "response.incomplete", "response.failed")
# Events that add an item or a part, which the API itself sends empty.
ADDED = ("response.output_item.added", "response.content_part.added")
_TEXT_EVENT = "response.output_text.delta"


class ResponsesWire:
    """The wire; a lane is a part of an item."""

    def __init__(self, *, streamed: bool) -> None:
        self.streamed = streamed
        self.one_answer = True
        self._items: dict[int, str] = {}  # ids of the items, by their number
        self._padded = ("", "")  # the padding of the last event with text, if it has any, and that text
        self._came: dict[int, str] = {}  # lanes of text that came in pieces, with the type of their first event

    def parts(self, chunk: Chunk) -> Sequence[Part]:
        """Return the parts of a chunk."""
        if chunk.data is None:
            return []
        return list(self._of_event(chunk.data) if self.streamed else _of_response(chunk.data, ()))

    def written(self, chunk: Chunk) -> int:
        """Return how many UTF-8 bytes of a chunk the model wrote."""
        if chunk.data is None:
            return 0
        return written_by(chunk.data) if self.streamed else written_in(chunk.data.get("output"))

    def coarse(self, logprobs: Any, most: int | None, decimals: int | None) -> Any:  # noqa: ANN401 - JSON
        """Return log-probabilities with less detail."""
        return coarse(logprobs, most, decimals)

    def delta(self, like: Chunk, lane: int, text: str) -> Chunk:
        """Return an event that carries on the text of a part; its number is corrected behind all actions."""
        item, part = divmod(lane, _PARTS)
        data: dict[str, Any] = {
            "type": _TEXT_EVENT,
            "item_id": self._items.get(item, ""),
            "output_index": item,
            "content_index": part,
            "delta": text,
            "logprobs": [],
        }
        padding, was = self._padded
        if padding:
            data[PADDING] = repadded(padding[::-1], was, text)
        if like.data is not None and "sequence_number" in like.data:
            data["sequence_number"] = like.data["sequence_number"]
        return Chunk(None, data, _TEXT_EVENT, like=manner(like))

    def without_reasoning(self, seal: Seal, summarise: Summarise | None) -> Transform:
        """Return a transform that takes out each item's reasoning, for a handle where it returns, perhaps a summary."""
        return ResponseWithoutReasoning(seal, summarise, streamed=self.streamed)

    def _of_event(self, event: dict[str, Any]) -> Iterator[Part]:
        kind = event.get("type")
        if kind == "error":
            yield from (Part(Kind.ERROR, ALL_LANES, (name,)) for name in ("message", "error") if event.get(name))
        elif kind == _TEXT_EVENT:
            yield from self._of_piece(event, lane_of(event))
        elif kind in ("response.output_text.done", "response.content_part.done"):
            yield from self._of_whole(event, lane_of(event))
        elif kind in ADDED:
            for lane, where, part in added(event):
                yield from self._of_beginning(event, lane, where, part)
        elif kind == "response.output_item.done":
            yield from self._new(_of_item(event.get("item"), _index(event), ("item",)))
        elif type(response := event.get("response")) is dict:
            yield from self._new(_of_response(response, ("response",)))
            if kind in _ENDS:
                yield Part(Kind.END, ALL_LANES, ())

    def _note(self, lane: int, item: object, kind: str) -> None:
        """Note a lane whose text comes in pieces, and the id of its item."""
        if len(self._came) < _MAX_LANES:
            self._came.setdefault(lane, kind)
        if type(item) is str and len(self._items) < _PARTS:
            self._items[lane // _PARTS] = item

    def _of_beginning(self, event: dict[str, Any], lane: int, where: Path, part: dict[str, Any]) -> Iterator[Part]:
        yield from _logprobs(part, lane, where)
        kind = event["type"]
        # The event that began a lane has the lane's first piece, however often it is looked at.
        if part["text"] and self._came.get(lane, kind) == kind:
            self._note(lane, event.get("item_id") or member(event.get("item"), "id"), kind)
            yield Part(Kind.TEXT, lane, (*where, "text"), part["text"])

    def _of_piece(self, event: dict[str, Any], lane: int) -> Iterator[Part]:
        self._note(lane, event.get("item_id"), _TEXT_EVENT)
        said = event.get("delta")
        self._padded = (padding, said) if type(padding := event.get(PADDING)) is str and type(said) is str else ("", "")
        yield from _logprobs(event, lane, ())
        if type(event.get("delta")) is str:
            yield Part(Kind.TEXT, lane, ("delta",), event["delta"], alone=True)

    def _of_whole(self, event: dict[str, Any], lane: int) -> Iterator[Part]:
        yield from _logprobs(event, lane, ())
        holder, where = event, tuple[str, ...]()
        if type(part := event.get("part")) is dict:
            yield from _logprobs(part, lane, ("part",))
            holder, where = (part if part.get("type") == "output_text" else {}), ("part",)
        if lane not in self._came and type(holder.get("text")) is str:
            yield Part(Kind.TEXT, lane, (*where, "text"), holder["text"])
        yield Part(Kind.END, lane, ())

    def _new(self, parts: Iterator[Part]) -> Iterator[Part]:
        """Yield the parts of an event that may repeat texts, without the texts that came in pieces."""
        return (part for part in parts if part.kind is not Kind.TEXT or part.lane not in self._came)


def lane_of(event: dict[str, Any]) -> int:
    """Return the lane of an event that belongs to a part of an item."""
    part = event.get("content_index")
    return _index(event) * _PARTS + (part if type(part) is int and 0 <= part < _PARTS else 0)


def added(event: dict[str, Any]) -> Iterator[tuple[int, Path, dict[str, Any]]]:
    """Yield each part of text that an event adds: its lane, its place, and itself."""
    if type(part := event.get("part")) is not dict:
        yield from lanes_of_item(event.get("item"), _index(event), ("item",))
    elif _is_text(part):
        yield lane_of(event), ("part",), part


def lanes(output: object, where: Path) -> Iterator[tuple[int, Path, dict[str, Any]]]:
    """Yield each part of text in the items of a response: its lane, its place, and itself."""
    for number, item in enumerate(output if type(output) is list else ()):
        yield from lanes_of_item(item, number, (*where, number))


def lanes_of_item(item: object, number: int, where: Path) -> Iterator[tuple[int, Path, dict[str, Any]]]:
    """Yield each part of text in an item."""
    if type(item) is dict and item.get("type") == "message" and type(content := item.get("content")) is list:
        for place, part in enumerate(content[:_PARTS]):
            if type(part) is dict and _is_text(part):
                yield number * _PARTS + place, (*where, "content", place), part


def _is_text(part: dict[str, Any]) -> bool:
    return part.get("type") == "output_text" and type(part.get("text")) is str


def _index(event: dict[str, Any]) -> int:
    number = event.get("output_index")
    return number if type(number) is int and number >= 0 else 0


def _of_response(response: dict[str, Any], where: Path) -> Iterator[Part]:
    if type(response.get("model")) is str:
        yield Part(Kind.MODEL, ALL_LANES, (*where, "model"), response["model"])
    if response.get("error"):
        yield Part(Kind.ERROR, ALL_LANES, (*where, "error"))
    output = response.get("output")
    for number, item in enumerate(output if type(output) is list else ()):
        yield from _of_item(item, number, (*where, "output", number))


def _of_item(item: object, number: int, where: Path) -> Iterator[Part]:
    for lane, place, part in lanes_of_item(item, number, where):
        yield from _logprobs(part, lane, place)
        yield Part(Kind.TEXT, lane, (*place, "text"), part["text"])
        yield Part(Kind.END, lane, ())


def _logprobs(holder: dict[str, Any], lane: int, where: Path) -> Iterator[Part]:
    if holder.get("logprobs"):
        yield Part(Kind.LOGPROBS, lane, (*where, "logprobs"))
