"""Takes the reasoning out of a completion's answer, as a document or as a stream of chunks.

Laws: a summary stands where the reasoning was, under the same name; in a stream it comes before what the model says
next, as one chunk. What is kept for summaries is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

from proxy.dialects._openai_chat_summary import Thoughts, in_document
from proxy.dialects._sse import is_unread
from proxy.errors import UpstreamFailed
from proxy.exchange import Chunk
from proxy.wire import GONE, Kind, Part, Path, Summarise, edited

_MAX_LANES = 1_024  # eight times as many choices as can be asked for


class _Parted(Protocol):
    streamed: bool

    def parts(self, chunk: Chunk) -> Sequence[Part]: ...

    def delta(self, like: Chunk, lane: int, text: str, name: str = ...) -> Chunk: ...


class ChatWithoutReasoning:
    """The transform; what it leaves of a chunk that carried reasoning alone is nothing."""

    def __init__(self, wire: _Parted, summarise: Summarise | None) -> None:
        self.changed = False
        self._wire = wire
        self._summarise = summarise
        self._thoughts = Thoughts(wire.delta, summarise)
        self._reasoned: set[int] = set()  # lanes
        self._begun: set[int] = set()  # lanes whose role the client knows

    def feed(self, chunk: Chunk) -> Iterator[Chunk]:
        """Return a chunk without its reasoning, and without log-probabilities, which would spell it.

        Before it come the summaries of what has ended with it.
        """
        parts = self._wire.parts(chunk)
        if chunk.data is None:
            if is_unread(chunk.raw):
                self.changed = True
                return
            if parts:  # the end of all lanes
                yield from self._thoughts.all_told()
            yield chunk
            return
        thoughts = [part for part in parts if part.kind is Kind.REASONING]
        self._reasoned.update(part.lane for part in thoughts)
        edits: dict[Path, Any] = {part.path: GONE for part in thoughts}
        edits |= {part.path: None for part in parts if part.kind is Kind.LOGPROBS and part.lane in self._reasoned}
        if len(self._reasoned) > _MAX_LANES or len(self._begun) > _MAX_LANES:
            raise UpstreamFailed("The model API sent more answers than were asked for.")
        if edits:
            self.changed = True
            chunk = edited(chunk, edits)
        if self._wire.streamed:
            yield from self._of_stream(chunk, thoughts, changed=bool(edits))
        else:
            yield replace(chunk, gaps=(*chunk.gaps, *in_document(thoughts, self._summarise))) if thoughts else chunk

    def _of_stream(self, chunk: Chunk, thoughts: Sequence[Part], *, changed: bool) -> Iterator[Chunk]:
        for part in thoughts:
            self._thoughts.note(part, chunk)
        carries, going_on = self._carried(chunk.data or {})
        for lane in going_on:
            yield from self._thoughts.told(lane)
        if carries or not changed:
            yield chunk

    def end(self) -> Iterator[Chunk]:
        """Return the summaries of what no end let out."""
        yield from self._thoughts.all_told()

    def _carried(self, data: dict[str, Any]) -> tuple[bool, list[int]]:
        """Tell whether a chunk of a stream says anything that the client does not know, and the lanes that go on."""
        choices = data.get("choices")
        carries = type(choices) is not list or bool(data.get("usage")) or "error" in data
        going_on: list[int] = []
        for place, choice in enumerate(choices if type(choices) is list else ()):
            index = choice.get("index") if type(choice) is dict else None
            lane = index if type(index) is int else place
            if _says(choice):
                carries = True
                going_on.append(lane)
            if type(choice) is dict and type(choice.get("delta")) is dict and choice["delta"].get("role"):
                carries = carries or lane not in self._begun
                self._begun.add(lane)
        return carries, going_on


def _says(choice: Any) -> bool:  # noqa: ANN401 - an item of an upstream's list
    """Tell whether a choice of a stream says anything besides its role."""
    delta = choice.get("delta") if type(choice) is dict else None
    if type(delta) is not dict:
        return True
    news = {name for name, value in delta.items() if value} - {"role"}
    return bool(news) or any(choice.get(name) is not None for name in ("finish_reason", "logprobs"))
