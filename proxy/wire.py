"""What an action may know of a dialect's answers: the parts of a chunk, and how to change one without knowing the API.

Laws: nothing here changes a chunk, an edit returns another; what is not named as a part is never touched, so tool
arguments, refusals and figures pass as they came.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from enum import Enum, StrEnum
from typing import Any, Final, NamedTuple, Protocol

from proxy.exchange import Chunk

Path = tuple[str | int, ...]  # names and places, from a chunk's document down to a value


class Kind(StrEnum):
    """What a part is."""

    TEXT = "text"  # prose that the caller reads
    REASONING = "reasoning"  # what the model thought, shown to the caller
    LOGPROBS = "logprobs"
    MODEL = "model"  # the name of the model that answered
    END = "end"  # no more text of its lane comes


ALL_LANES: Final = -1  # the lane of an end that is everybody's


class Part(NamedTuple):
    """One part of a chunk.

    Text of one `lane` (an answer's number, or a content block's) reads on from chunk to chunk. `alone` says that the
    chunk carries nothing else, so that it may be left out once its text is empty.
    """

    kind: Kind
    lane: int
    path: Path
    text: str = ""
    alone: bool = False


class Gone(Enum):
    """The edit that takes a member or an item away."""

    GONE = "gone"


GONE: Final = Gone.GONE


class Transform(Protocol):
    """One action at work on one answer; `changed` says whether it has changed anything so far.

    It returns what comes of each chunk and mutates nothing; what it holds back is bounded, and comes at the latest with
    the end of its lane.
    """

    changed: bool

    def feed(self, chunk: Chunk) -> Iterable[Chunk]:
        """Return what the client gets in place of a chunk, each with the moment before which it may not go."""
        ...

    def end(self) -> Iterable[Chunk]:
        """Return what was held back until the end of the answer."""
        ...


class Wire(Protocol):
    """One dialect's answers, as a stream of events or as one document."""

    streamed: bool

    def parts(self, chunk: Chunk) -> Sequence[Part]:
        """Return the parts of a chunk in the order in which they are read; none of what is no document."""
        ...

    def delta(self, like: Chunk, lane: int, text: str) -> Chunk:
        """Return a new chunk of a stream that carries on a lane's text; `like` is any chunk of that stream."""
        ...


def edited(chunk: Chunk, edits: Mapping[Path, object]) -> Chunk:
    """Return a chunk with other values at some paths, or without them (`GONE`); it is written anew."""
    data: Any = chunk.data
    # The last item of a list first, so that the places of the others stay true.
    for path in sorted(edits, key=_place, reverse=True):
        data = _edited(data, path, edits[path])
    return replace(chunk, raw=None, data=data)


def _place(path: Path) -> tuple[tuple[int, str], ...]:
    return tuple((step, "") if isinstance(step, int) else (-1, step) for step in path)


def _edited(node: Any, path: Path, value: object) -> Any:  # noqa: ANN401 - a part of a JSON document
    step, rest = path[0], path[1:]
    copy: Any = list(node) if isinstance(node, list) else dict(node)
    if rest:
        copy[step] = _edited(node[step], rest, value)
    elif value is GONE:
        del copy[step]
    else:
        copy[step] = value
    return copy
