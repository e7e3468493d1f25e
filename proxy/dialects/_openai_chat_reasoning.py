"""Takes the reasoning out of a completion's answer, as a document or as a stream of chunks.

Laws: a summary stands where the reasoning was, under the same name; in a stream it is one chunk, before what the model
says next. A handle comes with the end of its choice. What is kept for either is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

from proxy.dialects._openai_chat_held import MAX_LANES, Handle, HeldTurns, calls_tools
from proxy.dialects._openai_chat_summary import Thoughts, in_document
from proxy.dialects._sse import is_unread
from proxy.errors import UpstreamFailed
from proxy.exchange import Chunk
from proxy.wire import GONE, Kind, Part, Path, Seal, Summarise, edited


class _Parted(Protocol):
    streamed: bool

    def parts(self, chunk: Chunk) -> Sequence[Part]: ...

    def delta(self, like: Chunk, lane: int, text: str, name: str = ...) -> Chunk: ...


class ChatWithoutReasoning:
    """The transform; a chunk that carried reasoning alone goes. Without `seal` there are no handles."""

    def __init__(self, wire: _Parted, seal: Seal | None, summarise: Summarise | None) -> None:
        self.changed = False
        self.takes_sayings = True
        self._wire = wire
        self._summarise = summarise
        self._thoughts = Thoughts(wire.delta, summarise)
        self._held = HeldTurns(seal, "" if summarise is None else "\n") if seal is not None else None
        self._reasoned: set[int] = set()  # lanes
        self._begun: set[int] = set()  # lanes whose role the client was told

    def feed(self, chunk: Chunk) -> Iterator[Chunk]:
        """Return a chunk without its reasoning, nor the log-probabilities and copies that would spell it.

        The summaries and handles of what ends with the chunk come before it.
        """
        if chunk.saying is not None:  # it may have been held back since before the reasoning came
            if any(chunk.saying.texts):
                yield from self._thoughts.told(chunk.saying.lane)
            yield chunk
            return
        parts = self._wire.parts(chunk)
        if chunk.data is None:
            if is_unread(chunk.raw):
                self.changed = True
                return
            if parts:  # the end of all lanes
                yield from self.end()
            yield chunk
            return
        thoughts = [part for part in parts if part.kind is Kind.REASONING]
        self._reasoned.update(part.lane for part in thoughts)
        edits: dict[Path, Any] = {part.path: GONE for part in thoughts}
        spelling = [part for part in parts if part.kind in (Kind.LOGPROBS, Kind.COPY) and part.lane in self._reasoned]
        edits |= {part.path: None for part in spelling}
        if len(self._reasoned) > MAX_LANES or len(self._begun) > MAX_LANES:
            raise UpstreamFailed("The model API sent more answers than were asked for.")
        self._note_turns(chunk, thoughts)
        handles = [] if self._wire.streamed else list(self._handles_of(chunk))
        edits |= handles
        if edits:
            self.changed = True
            chunk = edited(chunk, edits)
        if self._wire.streamed:
            yield from self._of_stream(chunk, parts, thoughts, changed=bool(edits))
        else:
            gaps = in_document(thoughts, self._summarise, dict(handles))
            yield replace(chunk, gaps=(*chunk.gaps, *gaps)) if thoughts else chunk

    def _note_turns(self, chunk: Chunk, thoughts: Sequence[Part]) -> None:
        """Keep the reasoning that may have to come back, and which choices call tools."""
        if self._held is None:
            return
        for part in thoughts:
            self._held.note(part, chunk)
        for lane, choice in _choices(chunk.data or {}):
            if any(calls_tools(choice.get(holder)) for holder in ("delta", "message")):
                self._held.calls(lane)

    def _handles_of(self, chunk: Chunk) -> Iterator[tuple[Path, Any]]:
        """Yield the edits that put handles into a document."""
        for place, (lane, choice) in enumerate(_choices(chunk.data or {})):
            handle = self._handle(lane) if type(choice.get("message")) is dict else None
            if handle is not None:
                yield ("choices", place, "message", handle.name), handle.value

    def _handle(self, lane: int) -> Handle | None:
        return self._held.ended(lane) if self._held is not None else None

    def _of_stream(
        self, chunk: Chunk, parts: Sequence[Part], thoughts: Sequence[Part], *, changed: bool
    ) -> Iterator[Chunk]:
        for part in thoughts:
            self._thoughts.note(part, chunk)
        carries, going_on = self._carried(chunk.data or {})
        for lane in going_on:
            yield from self._thoughts.told(lane)
        for part in parts:
            if part.kind is Kind.END:
                yield from self._last_of(part.lane)
        if carries or not changed:
            yield chunk

    def _last_of(self, lane: int) -> Iterator[Chunk]:
        """Yield the chunk with the handle of a choice that ends."""
        handle = self._handle(lane)
        if handle is not None:
            chunk = self._wire.delta(handle.like, lane, "", handle.name)
            yield edited(chunk, {("choices", 0, "delta", handle.name): handle.value})

    def end(self) -> Iterator[Chunk]:
        """Return the summaries and handles of choices that never ended."""
        yield from self._thoughts.all_told()
        for lane in self._held.open_lanes() if self._held is not None else ():
            yield from self._last_of(lane)

    def _carried(self, data: dict[str, Any]) -> tuple[bool, list[int]]:
        """Tell whether a chunk of a stream has anything that the client does not know, and which lanes go on."""
        choices = data.get("choices")
        carries = type(choices) is not list or bool(data.get("usage")) or "error" in data
        going_on: list[int] = []
        for lane, choice in _choices(data):
            if _says(choice):
                carries = True
                going_on.append(lane)
            if type(choice.get("delta")) is dict and choice["delta"].get("role"):
                carries = carries or lane not in self._begun
                self._begun.add(lane)
        return carries, going_on


def _choices(data: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """Return the choices with their numbers; what is no object counts as an empty choice."""
    choices = data.get("choices")
    found: list[tuple[int, dict[str, Any]]] = []
    for place, choice in enumerate(choices if type(choices) is list else ()):
        index = choice.get("index") if type(choice) is dict else None
        found.append((index if type(index) is int else place, choice if type(choice) is dict else {}))
    return found


def _says(choice: dict[str, Any]) -> bool:
    """Tell whether a choice of a stream says anything besides its role."""
    delta = choice.get("delta")
    if type(delta) is not dict:
        return True
    news = {name for name, value in delta.items() if value} - {"role"}
    return bool(news) or any(choice.get(name) is not None for name in ("finish_reason", "logprobs"))
