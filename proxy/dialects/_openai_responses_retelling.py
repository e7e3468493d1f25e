"""Keeps a response consistent after actions have worked on it.

This API says everything several times: a text in pieces, then whole with its part, its item and the response; a summary
that an action puts in, with its item and the response; and what was asked, with every response.
Laws: repeated texts are what the client was sent before; of the request the client reads its own words, whatever was
sent upstream; events are numbered without a gap. What no action has changed is not touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from proxy.dialects._answers import MAX_DOCUMENT_BYTES
from proxy.dialects._openai_responses_wire import ADDED, added, lane_of, lanes, lanes_of_item
from proxy.errors import UpstreamFailed
from proxy.exchange import Call, Chunk
from proxy.wire import Path, edited

_MAX_LANES = 1 << 14
# Members of the request that each response repeats.
_TOLD = ("instructions", "max_output_tokens", "prompt", "temperature", "tool_choice", "tools", "top_logprobs")


class ResponseRetelling:
    """The response to one call, `asked` by the client and `sent` to the model."""

    def __init__(self, asked: Call, sent: Call, *, streamed: bool) -> None:
        self._streamed = streamed
        self._asked = {name: asked.body.get(name) for name in _TOLD if asked.body.get(name) != sent.body.get(name)}
        self._came: set[int] = set()  # lanes of text that came in pieces
        self._told: dict[int, list[str]] = {}  # what was sent to the client of each
        self._summaries: dict[int, Any] = {}  # put in by an action, by the number of their item
        self._left = MAX_DOCUMENT_BYTES
        self._number: int | None = None  # of the next event

    def note(self, chunk: Chunk) -> None:
        """Note which texts come in pieces."""
        if not self._streamed or chunk.data is None:
            return
        if (kind := chunk.data.get("type")) == "response.output_text.delta":
            self._came.add(lane_of(chunk.data))
        elif kind in ADDED:
            self._came.update(lane for lane, _, part in added(chunk.data) if part["text"])
        if len(self._came) > _MAX_LANES:
            raise UpstreamFailed("The model API sent more texts than an answer has.")

    def put(self, chunk: Chunk) -> Chunk:
        """Return a chunk that agrees with what was sent before."""
        if chunk.data is None:
            return chunk
        if self._streamed and chunk.raw is None:
            self._note_summary(chunk.data)
        edits = dict(self._of_event(chunk.data) if self._streamed else self._of_response(chunk.data, ()))
        return edited(chunk, edits) if edits else chunk

    def _of_event(self, event: dict[str, Any]) -> Iterator[tuple[Path, Any]]:
        yield from self._numbered(event)
        yield from _no_null(event, ())
        kind = event.get("type")
        if kind == "response.output_text.delta":
            self._tell(lane_of(event), event.get("delta"))
        elif kind in ADDED:
            yield from self._begun(event)
        elif kind == "response.output_text.done":
            yield from self._again(lane_of(event), (), event)
        elif kind == "response.content_part.done":
            part = event.get("part")
            if type(part) is dict and part.get("type") == "output_text":
                yield from self._again(lane_of(event), ("part",), part)
        elif kind == "response.output_item.done":
            number = event.get("output_index")
            for lane, path, part in lanes_of_item(event.get("item"), number if type(number) is int else 0, ("item",)):
                yield from self._again(lane, path, part)
            if type(number) is int:
                yield from self._summed(number, event.get("item"), ("item",))
        elif type(response := event.get("response")) is dict:
            yield from self._of_response(response, ("response",))

    def _of_response(self, response: dict[str, Any], where: Path) -> Iterator[tuple[Path, Any]]:
        for name, value in self._asked.items():
            if name in response and response[name] != value:
                yield (*where, name), value
        texts: list[str] = []
        for lane, path, part in lanes(response.get("output"), (*where, "output")):
            yield from self._again(lane, path, part)
            texts.append(self._of_lane(lane) if lane in self._came else part["text"])
        if self._summaries and type(output := response.get("output")) is list:
            for number, item in enumerate(output):
                yield from self._summed(number, item, (*where, "output", number))
        if type(whole := response.get("output_text")) is str and whole != (told := "".join(texts)):
            yield (*where, "output_text"), told  # some servers have this member besides

    def _numbered(self, event: dict[str, Any]) -> Iterator[tuple[Path, Any]]:
        number = event.get("sequence_number")
        if type(number) is int:
            self._number = number if self._number is None else self._number + 1
            if number != self._number:
                yield ("sequence_number",), self._number

    def _note_summary(self, event: dict[str, Any]) -> None:
        """Note the summary in an item of reasoning that an action has changed."""
        number, summary = event.get("output_index"), _reasoning(event.get("item")).get("summary")
        if event.get("type") == "response.output_item.done" and type(number) is int and summary:
            self._summaries[number] = summary

    def _summed(self, number: int, item: object, where: Path) -> Iterator[tuple[Path, Any]]:
        """Yield the edit that repeats the summary sent for an item, if the item has another."""
        told = self._summaries.get(number)
        if told is not None and (thought := _reasoning(item)) and thought.get("summary") != told:
            yield (*where, "summary"), told

    def _tell(self, lane: int, text: object) -> None:
        if type(text) is str:
            self._left -= len(text)
            if self._left < 0:
                raise UpstreamFailed("The model API sent an answer that is too large.")
            self._told.setdefault(lane, []).append(text)

    def _begun(self, event: dict[str, Any]) -> Iterator[tuple[Path, Any]]:
        """Note the texts that an event begins with; a text that has begun already is repeated as it was sent."""
        for lane, path, part in added(event):
            if lane in self._told and part["text"]:
                yield from self._again(lane, path, part)
            elif lane in self._came:
                yield from _no_null(part, path)
                self._tell(lane, part["text"])

    def _again(self, lane: int, path: Path, holder: dict[str, Any]) -> Iterator[tuple[Path, Any]]:
        """Yield the edits that repeat the text as it was sent, if the holder has another, and replace null figures."""
        if path:
            yield from _no_null(holder, path)
        if lane in self._came and holder.get("text") != (told := self._of_lane(lane)):
            yield (*path, "text"), told

    def _of_lane(self, lane: int) -> str:
        """Return the text of a lane as it was sent."""
        told = "".join(self._told.get(lane, ()))
        self._told[lane] = [told]
        return told


def _reasoning(item: object) -> dict[str, Any]:
    """Return an item of reasoning, empty if the item is another."""
    return item if type(item) is dict and item.get("type") == "reasoning" else {}


def _no_null(holder: dict[str, Any], where: Path) -> Iterator[tuple[Path, Any]]:
    """Yield the edit of figures that an action took away to an empty list, as they are a list in this API."""
    if "logprobs" in holder and holder["logprobs"] is None:
        yield (*where, "logprobs"), []
