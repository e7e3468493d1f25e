"""Puts summaries in the place of a chat completion's reasoning, where that is text under one of the usual names.

Laws: of all reasoning that waits for its end, no more than `SUMMED_BYTES` characters are kept. A handle in such a
member comes after the summary, on a line of its own, and is not summarised as reasoning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from proxy.dialects._openai_chat_held import STEPS, TEXTS, handle_in
from proxy.exchange import Chunk, Gap, text_bytes
from proxy.wire import SUMMED_BYTES, Part, Path, Summarise, edited


class _Delta(Protocol):
    def __call__(self, like: Chunk, lane: int, text: str, name: str = ...) -> Chunk: ...


@dataclass(slots=True)
class _Thought:
    name: str  # the first it came under: some servers send the same text under two
    like: Chunk
    texts: list[str] = field(default_factory=list)


def _name_of(part: Part) -> str:
    """Return the name under which reasoning came as text, empty if that is none of the usual."""
    name = part.path[-1]
    if not part.text or len(part.path) != STEPS or type(name) is not str or name not in TEXTS:
        return ""
    handle = handle_in(name, part.text)
    return "" if handle and handle == part.text.strip() else name


def in_document(parts: Iterable[Part], summarise: Summarise | None, handles: Mapping[Path, Any]) -> Iterator[Gap]:
    """Yield a gap for each answer of a document whose reasoning is text; `handles` are to stand behind it, by path."""
    if summarise is None:
        return
    lanes: set[int] = set()
    for part in parts:
        if _name_of(part) and part.lane not in lanes:
            lanes.add(part.lane)
            if (asking := summarise(part.text)) is not None:
                behind = handles.get(part.path, "")
                yield Gap(asking, _Filling(part.path, alone=False, behind=behind))


class _Filling:
    """Puts a summary at its path, before `behind`; without a summary, a chunk that is `alone` for it goes."""

    def __init__(self, path: Path, *, alone: bool, behind: str = "") -> None:
        self._path = path
        self._alone = alone
        self._behind = behind

    def __call__(self, chunk: Chunk, summary: str) -> Sequence[Chunk]:
        if summary:
            return [edited(chunk, {self._path: summary + self._behind})]
        return [] if self._alone else [chunk]


class Thoughts:
    """The reasoning of a stream's lanes whose end has not come yet."""

    def __init__(self, delta: _Delta, summarise: Summarise | None) -> None:
        self._delta = delta
        self._summarise = summarise
        self._lanes: dict[int, _Thought] = {}
        self._room = SUMMED_BYTES

    def note(self, part: Part, chunk: Chunk) -> None:
        """Keep what a part of a chunk says."""
        if self._summarise is None or not (name := _name_of(part)):
            return
        thought = self._lanes.setdefault(part.lane, _Thought(name, chunk))
        if thought.name == name and self._room > 0:
            text = part.text[: self._room]
            self._room -= text_bytes(text)
            thought.texts.append(text)

    def told(self, lane: int) -> Iterator[Chunk]:
        """Yield the chunk with a lane's summary, if it has reasoned and there is to be one."""
        thought = self._lanes.pop(lane, None)
        if thought is None:
            return
        text = "".join(thought.texts)
        self._room += text_bytes(text)
        if self._summarise is not None and (asking := self._summarise(text)) is not None:
            path = ("choices", 0, "delta", thought.name)
            gap = Gap(asking, _Filling(path, alone=True))
            chunk = self._delta(thought.like, lane, "", thought.name)
            chunk.gaps = (gap,)
            yield chunk

    def all_told(self) -> Iterator[Chunk]:
        """Yield the chunks of all lanes."""
        for lane in list(self._lanes):
            yield from self.told(lane)
