"""Takes the reasoning out of a chat completion's answer, as a document or as a stream of chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from proxy.dialects._sse import is_unread
from proxy.errors import UpstreamFailed
from proxy.exchange import Chunk
from proxy.wire import GONE, Kind, Part, Path, edited

_MAX_LANES = 1_024  # eight times as many choices as can be asked for


class _Parted(Protocol):
    streamed: bool

    def parts(self, chunk: Chunk) -> Sequence[Part]: ...


class ChatWithoutReasoning:
    """The transform; what it leaves of a chunk that carried reasoning alone is nothing."""

    def __init__(self, wire: _Parted) -> None:
        self.changed = False
        self._wire = wire
        self._reasoned: set[int] = set()  # lanes
        self._begun: set[object] = set()  # lanes whose role the client knows

    def feed(self, chunk: Chunk) -> Iterator[Chunk]:
        """Return a chunk without its reasoning, and without log-probabilities, which would spell it."""
        if chunk.data is None:
            if not is_unread(chunk.raw):
                yield chunk
                return
            self.changed = True
            return
        edits: dict[Path, Any] = {}
        for part in self._wire.parts(chunk):
            if part.kind is Kind.REASONING:
                edits[part.path] = GONE
                self._reasoned.add(part.lane)
            elif part.kind is Kind.LOGPROBS and part.lane in self._reasoned:
                edits[part.path] = None
        if len(self._reasoned) > _MAX_LANES or len(self._begun) > _MAX_LANES:
            raise UpstreamFailed("The model API sent more answers than were asked for.")
        if edits:
            self.changed = True
            chunk = edited(chunk, edits)
        if self._carries(chunk.data or {}) or not edits or not self._wire.streamed:
            yield chunk

    def end(self) -> Iterator[Chunk]:
        """Return nothing: nothing was held back."""
        yield from ()

    def _carries(self, data: dict[str, Any]) -> bool:
        """Tell whether a chunk of a stream says anything that the client does not know."""
        choices = data.get("choices")
        told = [self._tells(choice) for choice in choices] if type(choices) is list else [True]
        return any(told) or bool(data.get("usage")) or "error" in data

    def _tells(self, choice: Any) -> bool:  # noqa: ANN401 - an item of an upstream's list
        delta = choice.get("delta") if type(choice) is dict else None
        if type(delta) is not dict:
            return True
        index = choice.get("index")
        lane = index if type(index) is int else None
        news = {name for name, value in delta.items() if value} - ({"role"} if lane in self._begun else set())
        if delta.get("role"):
            self._begun.add(lane)
        return bool(news) or any(choice.get(name) is not None for name in ("finish_reason", "logprobs"))
