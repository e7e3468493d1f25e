"""Takes the reasoning out of a response, and puts it back where the client returns its item.

Laws:
- A reasoning item keeps its place and its id. What a next turn needs of it, sealed content or the thoughts themselves,
  is in a handle that stands where the API has its own sealed content, the same one wherever the item is told again.
- No event that carries on reasoning passes; text, tool calls and figures pass as they came.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson

from proxy.dialects._answer_json import dump, load
from proxy.dialects._sse import is_unread
from proxy.errors import BadRequest, UpstreamFailed
from proxy.exchange import Call, Chunk
from proxy.sealed_reasoning import PREFIX, SealedReasoning
from proxy.wire import Path, Seal, edited

_HELD = ("summary", "content", "encrypted_content")  # what an item says of its thoughts
_REASONING = "reasoning"
_THOUGHTS = ("reasoning_text", "summary_text")
_MAX_BYTES = 2 << 20  # of reasoning in one answer, twice what one item may have
_ITEM_BYTES = 1_024  # what an item takes besides its text


class ResponseWithoutReasoning:
    """The transform, of a document or of events."""

    def __init__(self, seal: Seal) -> None:
        self.changed = False
        self._seal = seal
        self._left = _MAX_BYTES
        self._handles: dict[str, str] = {}  # by what they hold
        self._thinking: set[object] = set()  # numbers of the items of a stream that are reasoning

    def feed(self, chunk: Chunk) -> Iterator[Chunk]:
        """Return a chunk without its reasoning, nothing for one that is only that."""
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
        edits: dict[Path, Any] = {}
        final = event.get("type") != "response.output_item.added"
        for path, item in _items(event):
            without = self._without(item, sealed=final)
            if without != item:
                edits[path] = without
        self.changed = self.changed or bool(edits)
        yield edited(chunk, edits) if edits else chunk

    def end(self) -> Iterator[Chunk]:
        """Return nothing: nothing was held back."""
        yield from ()

    def _carries_on(self, event: dict[str, Any]) -> bool:
        """Tell whether an event carries on a reasoning item, by its name or by the item that it belongs to."""
        kind, item, number = event.get("type"), event.get("item"), event.get("output_index")
        if type(kind) is not str:
            return False
        if kind.startswith("response.output_item."):
            reasons = type(item) is dict and item.get("type") == _REASONING
            if reasons and type(number) is int and number not in self._thinking:
                self._take(_ITEM_BYTES)
                self._thinking.add(number)
            return False
        part = event.get("part")
        if kind.startswith("response.reasoning") or (type(part) is dict and part.get("type") in _THOUGHTS):
            return True
        return type(number) is int and number in self._thinking

    def _without(self, item: dict[str, Any], *, sealed: bool) -> dict[str, Any]:
        """Return an item without its thoughts; `sealed` says that it is whole, so that its handle can be made."""
        kept = {name: value for name, value in item.items() if name not in _HELD}
        if "summary" in item:
            kept["summary"] = []
        if sealed and (item.get("content") or item.get("encrypted_content")):
            kept["encrypted_content"] = self._handle({name: item[name] for name in _HELD if name in item})
        elif "encrypted_content" in item and not item["encrypted_content"]:
            kept["encrypted_content"] = item["encrypted_content"]
        return kept

    def _handle(self, held: dict[str, Any]) -> str:
        text = dump(held).decode()
        handle = self._handles.get(text)
        if handle is None:
            self._take(_ITEM_BYTES + len(text))
            handle = self._handles[text] = self._seal({"type": _REASONING, "held": text})
        return handle

    def _take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise UpstreamFailed("The model API sent more reasoning than can be passed on.")


def put_back(call: Call, sealed: SealedReasoning) -> Call:
    """Return the call with the thoughts that its handles stand for, the very same object if it has none.

    Raises BadRequest for a handle that cannot be opened, as the API does for content that it cannot verify.
    """
    items = call.body.get("input")
    if type(items) is not list or not any(map(_is_handle, items)):
        return call
    restored = [_restored(item, f"input[{at}]", sealed) if _is_handle(item) else item for at, item in enumerate(items)]
    return replace(call, body={**call.body, "input": restored})


def _restored(item: dict[str, Any], where: str, sealed: SealedReasoning) -> dict[str, Any]:
    opened = sealed.open(item["encrypted_content"])
    held = load(opened["held"].encode()) if opened is not None and opened.get("type") == _REASONING else None
    if held is None or not all(map(_is_unicode, held.values())):
        message = f"`{where}.encrypted_content` could not be verified."
        raise BadRequest(message, code="invalid_encrypted_content", param=f"{where}.encrypted_content")
    return {**{name: value for name, value in item.items() if name not in _HELD}, **held}


def _is_unicode(value: object) -> bool:
    """Tell whether a value has no half of a surrogate pair, which no request may have."""
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return False
    return True


def _is_handle(item: Any) -> bool:  # noqa: ANN401 - an item of a request
    if type(item) is not dict or item.get("type") != _REASONING:
        return False
    content = item.get("encrypted_content")
    return type(content) is str and content.startswith(PREFIX)


def _items(document: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the reasoning items of a response or of an event, each with its place."""
    holders: list[tuple[Path, Any]] = [(("output",), document.get("output"))]
    if type(response := document.get("response")) is dict:
        holders.append((("response", "output"), response.get("output")))
    for where, output in holders:
        for place, item in enumerate(output if type(output) is list else ()):
            if type(item) is dict and item.get("type") == _REASONING:
                yield (*where, place), item
    if type(item := document.get("item")) is dict and item.get("type") == _REASONING:
        yield ("item",), item
