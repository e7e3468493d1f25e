"""Replaces each block of reasoning in a message by a handle, in a document or in a stream.

Laws:
- The client sees one `redacted_thinking` block at the index of the original; or, with a summary, one `thinking` block
  whose signature is the handle.
- In a stream, the start of such a block is held back until the original has stopped, and nothing but its text is kept.
- A block that waits for its summary was withheld already, on a lower rung, and passes.
- Text, tool calls and figures pass as they came; a delta of reasoning where no such block is open never passes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from proxy.dialects._anthropic_summary import in_message, in_stream
from proxy.dialects._reasoning_budget import BLOCK_BYTES, Budget
from proxy.dialects._sse import is_unread
from proxy.exchange import Chunk, text_bytes
from proxy.wire import Path, Seal, Summarise, edited, value_at

BLOCKS = ("thinking", "redacted_thinking")
_DELTAS = {"thinking_delta": "thinking", "signature_delta": "signature"}


def _is_reasoning(block: object) -> bool:
    return type(block) is dict and block.get("type") in BLOCKS


def _replaced(content: object, where: Path, seal: Seal, budget: Budget) -> dict[Path, Any]:
    """Return the edits that put handles into a message's content."""
    edits: dict[Path, Any] = {}
    for place, block in enumerate(content if type(content) is list else ()):
        if _is_reasoning(block):
            budget.take(BLOCK_BYTES + sum(text_bytes(value) for value in block.values() if type(value) is str))
            edits[*where, place] = _handle(seal(block))
    return edits


def _handle(data: str) -> dict[str, Any]:
    return {"type": "redacted_thinking", "data": data}


class MessageWithoutReasoning:
    """The transform of a message that comes as one document."""

    def __init__(self, seal: Seal, summarise: Summarise | None) -> None:
        self.changed = False
        self.takes_sayings = False
        self._seal = seal
        self._summarise = summarise
        self._budget = Budget()

    def feed(self, chunk: Chunk) -> Iterator[Chunk]:
        """Return the message with handles; one with gaps has them already."""
        if chunk.gaps:
            yield chunk
            return
        content = chunk.data.get("content") if chunk.data is not None else None
        edits = _replaced(content, ("content",), self._seal, self._budget)
        if edits:
            self.changed = True
            gaps = [in_message(path, value_at(chunk, path), edits[path]["data"], self._summarise) for path in edits]
            chunk = replace(edited(chunk, edits), gaps=(*chunk.gaps, *(gap for gap in gaps if gap is not None)))
        yield chunk

    def end(self) -> Iterator[Chunk]:
        """Return nothing: nothing was held back."""
        yield from ()


class _Held:
    """A block whose start waits for its end."""

    def __init__(self, start: Chunk, event: dict[str, Any], budget: Budget) -> None:
        self.start = start
        self.event = event
        self._block: dict[str, Any] = event["content_block"]
        self._budget = budget
        self._texts = {name: io.StringIO() for name in _DELTAS.values()}
        budget.take(BLOCK_BYTES)
        for name, value in self._block.items():
            if name in self._texts:
                self.add(name, value)
            elif type(value) is str:
                budget.take(text_bytes(value))

    def add(self, name: str, text: object) -> None:
        if type(text) is str:
            self._budget.take(text_bytes(text))
            self._texts[name].write(text)

    def whole(self) -> dict[str, Any]:
        texts = {name: text.getvalue() for name, text in self._texts.items()}
        return {**self._block, **{name: text for name, text in texts.items() if text or name in self._block}}


class StreamWithoutReasoning:
    """The transform of a message that comes as events."""

    def __init__(self, seal: Seal, summarise: Summarise | None) -> None:
        self.changed = False
        self.takes_sayings = True
        self._seal = seal
        self._summarise = summarise
        self._budget = Budget()
        self._held: dict[int, _Held] = {}

    def feed(self, chunk: Chunk) -> Iterator[Chunk]:
        """Return what the client gets for an event: itself, nothing, or the handle before it."""
        event = chunk.data
        if event is None:
            within = chunk.saying is not None and chunk.saying.lane in self._held
            if within or is_unread(chunk.raw):  # text within a block of reasoning does not pass either
                self.changed = True
            else:
                yield chunk
            return
        index = event.get("index")
        key = index if type(index) is int else -1
        match event.get("type"):
            case "message_start":
                yield self._begun(chunk, event)
            case "content_block_start":
                yield from self._started(chunk, event, key)
            case "content_block_delta":
                if self._passes(event.get("delta"), key):
                    yield chunk
            case "content_block_stop":
                yield from self._stopped(key)
                yield chunk
            case "message_delta" | "message_stop":
                for open_ in list(self._held):
                    yield from self._closed(open_)
                yield chunk
            case _:
                yield chunk

    def end(self) -> Iterator[Chunk]:
        """Return nothing: the event that ends a message has let everything out."""
        yield from ()

    def _begun(self, chunk: Chunk, event: dict[str, Any]) -> Chunk:
        message = event.get("message")
        content = message.get("content") if type(message) is dict else None
        edits = _replaced(content, ("message", "content"), self._seal, self._budget)
        self.changed = self.changed or bool(edits)
        return edited(chunk, edits) if edits else chunk

    def _started(self, chunk: Chunk, event: dict[str, Any], key: int) -> Iterator[Chunk]:
        yield from self._closed(key)
        if not chunk.gaps and _is_reasoning(event.get("content_block")):
            self.changed = True
            self._held[key] = _Held(chunk, event, self._budget)
        else:
            yield chunk

    def _passes(self, delta: object, key: int) -> bool:
        """Tell whether a delta may go to the client; one of a held block is kept with it, if it is reasoning at all."""
        kind = delta.get("type") if type(delta) is dict else None
        name = _DELTAS.get(kind) if type(kind) is str else None
        held = self._held.get(key)
        if held is None and name is None:
            return True
        self.changed = True
        if held is not None and name is not None and type(delta) is dict:
            held.add(name, delta.get(name))
        return False

    def _stopped(self, key: int) -> Iterator[Chunk]:
        held = self._held.pop(key, None)
        if held is not None:
            block = held.whole()
            handle = self._seal(block)
            gap = in_stream(held.event, block, handle, self._summarise)
            event = {**held.event, "content_block": _handle(handle)}
            yield Chunk(None, event, held.start.event, gaps=() if gap is None else (gap,))

    def _closed(self, key: int) -> Iterator[Chunk]:
        """Let go of a block that never stopped, with a stop event of ours."""
        if key in self._held:
            index = self._held[key].event.get("index")
            yield from self._stopped(key)
            yield Chunk(None, {"type": "content_block_stop", "index": index}, "content_block_stop")
