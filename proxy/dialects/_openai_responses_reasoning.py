"""Takes the reasoning out of a response.

Laws:
- A reasoning item keeps its place and its id. What a next turn needs of it, sealed content or the reasoning itself, is
  in a handle, which stands where the API has its sealed content: the same one wherever the item is repeated.
- No event that carries on reasoning passes; text, tool calls and figures pass as they came.
- An item that waits for its summary was withheld already, on a lower rung, and passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from proxy.dialects._answer_json import dump
from proxy.dialects._openai_responses_summary import in_response, in_stream
from proxy.dialects._reasoning_budget import BLOCK_BYTES, Budget
from proxy.dialects._sse import is_unread
from proxy.exchange import Chunk, Gap
from proxy.wire import Path, Seal, Summarise, edited

REASONING = "reasoning"
HELD = ("summary", "content", "encrypted_content", "signature")  # members of an item that hold its reasoning
_THOUGHTS = ("reasoning_text", "summary_text")


class ResponseWithoutReasoning:
    """The transform, of a document or of events."""

    def __init__(self, seal: Seal, summarise: Summarise | None, *, streamed: bool) -> None:
        self.changed = False
        self.takes_sayings = False
        self._streamed = streamed
        self._seal = seal
        self._summarise = summarise
        self._budget = Budget()
        self._handles: dict[str, str] = {}  # by the text that each holds
        self._thinking: set[int] = set()  # numbers of a stream's items that are reasoning
        self._whole: set[int] = set()  # of those, the ones that came as a whole
        self._passing: set[int] = set()  # and those that a lower rung withheld and is to sum up

    def feed(self, chunk: Chunk) -> Iterator[Chunk]:
        """Return a chunk without its reasoning; nothing for one that only carries reasoning on."""
        event = chunk.data
        if event is None:
            if is_unread(chunk.raw):
                self.changed = True
            else:
                yield chunk
            return
        if self._carries_on(event):
            self.changed = True
            return
        if chunk.gaps:
            if type(number := event.get("output_index")) is int:
                self._passing.add(number)
            yield chunk
            return
        edits: dict[Path, Any] = {}
        gaps: list[Gap] = []
        final = event.get("type") != "response.output_item.added"
        for path, item in _items(event):
            without = item if self._passes(event, path) else self._without(item, sealed=final)
            if without != item:
                edits[path] = without
                if (gap := self._gap(event, path, item)) is not None:
                    gaps.append(gap)
        self.changed = self.changed or bool(edits)
        yield replace(edited(chunk, edits), gaps=tuple(gaps)) if edits else chunk

    def end(self) -> Iterator[Chunk]:
        """Return nothing: nothing was held back."""
        yield from ()

    def _carries_on(self, event: dict[str, Any]) -> bool:
        """Tell whether an event carries on a reasoning item, by its type or by the item that it belongs to."""
        kind, item, number = event.get("type"), event.get("item"), event.get("output_index")
        if type(kind) is not str:
            return False
        if kind.startswith("response.output_item."):
            reasons = type(item) is dict and item.get("type") == REASONING
            if reasons and type(number) is int and number not in self._thinking:
                self._budget.take(BLOCK_BYTES)
                self._thinking.add(number)
            return False
        part = event.get("part")
        if kind.startswith("response.reasoning") or (type(part) is dict and part.get("type") in _THOUGHTS):
            return True
        return type(number) is int and number in self._thinking

    def _passes(self, event: dict[str, Any], path: Path) -> bool:
        """Tell whether an item of an event was withheld already, on a lower rung, and waits for its summary."""
        number = event.get("output_index") if path == ("item",) else path[-1]
        return type(number) is int and number in self._passing

    def _gap(self, event: dict[str, Any], path: Path, item: dict[str, Any]) -> Gap | None:
        """Return the gap for an item's summary, if the item comes as a whole for the first time."""
        if not self._streamed:
            return in_response(path, item, self._summarise)
        number = event.get("output_index")
        if event.get("type") != "response.output_item.done" or type(number) is not int or number in self._whole:
            return None
        self._whole.add(number)
        return in_stream(item, self._summarise)

    def _without(self, item: dict[str, Any], *, sealed: bool) -> dict[str, Any]:
        """Return an item without its reasoning; `sealed` says that it is whole, so that its handle can be made."""
        kept = {name: value for name, value in item.items() if name not in HELD}
        if "summary" in item:
            kept["summary"] = []
        if sealed and any(item.get(name) for name in HELD[1:]):
            kept["encrypted_content"] = self._handle({name: item[name] for name in HELD if name in item})
        elif "encrypted_content" in item and not item["encrypted_content"]:
            kept["encrypted_content"] = item["encrypted_content"]
        return kept

    def _handle(self, held: dict[str, Any]) -> str:
        text = dump(held).decode()
        handle = self._handles.get(text)
        if handle is None:
            self._budget.take(BLOCK_BYTES + len(text))
            handle = self._handles[text] = self._seal({"type": REASONING, "held": text})
        return handle


def _items(document: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the reasoning items of a response or of an event, each with its place."""
    holders: list[tuple[Path, Any]] = [(("output",), document.get("output"))]
    if type(response := document.get("response")) is dict:
        holders.append((("response", "output"), response.get("output")))
    for where, output in holders:
        for place, item in enumerate(output if type(output) is list else ()):
            if type(item) is dict and item.get("type") == REASONING:
                yield (*where, place), item
    if type(item := document.get("item")) is dict and item.get("type") == REASONING:
        yield ("item",), item
