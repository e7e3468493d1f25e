"""What an action may know of a dialect's answers: the parts of a chunk, and how to change one without knowing the API.

Laws: nothing here changes a chunk, an edit returns another; what is not named as a part is never touched, so tool
arguments, refusals and figures pass as they came.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from enum import Enum, StrEnum
from hashlib import blake2b
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from proxy.exchange import Asking, Chunk

Path = tuple[str | int, ...]  # names and places, from a chunk's document down to a value
Seal = Callable[[Mapping[str, Any]], str]  # makes a handle of a block, raises UpstreamFailed for one that is too large
Summarise = Callable[[str], Asking | None]  # says how to ask for a summary of reasoning, None if there is to be none

PADDING: Final = "obfuscation"  # a member of random content, by which OpenAI hides how long a text is
_PADDED_CHARS = 16  # a text and its padding have a multiple of it
SUMMED_BYTES: Final = 65_536  # of reasoning that are kept for a summary, from its beginning


class Kind(StrEnum):
    """What a part is."""

    TEXT = "text"  # prose that the caller reads
    REASONING = "reasoning"  # what the model thought, shown to the caller
    LOGPROBS = "logprobs"
    COPY = "copy"  # the model's text once more, where clients do not look: as text, or as token numbers
    SPOKEN = "spoken"  # the words of an answer that is spoken
    SOUND = "sound"  # the sound of a spoken answer
    VECTOR = "vector"  # what a text was turned into: figures, or bytes in base64
    MODEL = "model"  # the name of the model that answered
    ERROR = "error"  # what an answer says of its failure: words, or an object with a message
    STOP = "stop"  # which of the request's stop sequences has ended an answer
    CALL = "call"  # a tool call begins in a stream: all that the model says before it has come
    END = "end"  # no more text of its lane comes


ALL_LANES: Final = -1  # the lane of an END that is meant for all lanes


class Part(NamedTuple):
    """One part of a chunk.

    Text of one `lane` (an answer's number, or a content block's) reads on from chunk to chunk. `alone` says that the
    chunk carries nothing else, so that it may be left out once its text is empty; `waits`, that it carries nothing that
    may not come later, with the text.
    """

    kind: Kind
    lane: int
    path: Path
    text: str = ""
    alone: bool = False
    waits: bool = False


class Gone(Enum):
    """The edit that takes a member or an item away."""

    GONE = "gone"


GONE: Final = Gone.GONE


class Transform(Protocol):
    """One action at work on one answer; `changed` says whether it has changed anything so far.

    `takes_sayings` says that an event which carries only text may come as a `Saying`. A transform returns what comes of
    each chunk and mutates nothing; what it holds back is bounded, and comes at the latest with the end of its lane.
    """

    changed: bool
    takes_sayings: bool

    def feed(self, chunk: Chunk) -> Iterable[Chunk]:
        """Return what the client gets in place of a chunk, each with the moment before which it may not go."""
        ...

    def end(self) -> Iterable[Chunk]:
        """Return what was held back until the end of the answer."""
        ...


class AsItCame:
    """The transform that leaves an answer alone."""

    changed = False
    takes_sayings = True

    def feed(self, chunk: Chunk) -> Iterable[Chunk]:
        """Return the chunk."""
        return (chunk,)

    def end(self) -> Iterable[Chunk]:
        """Return nothing: nothing was held back."""
        return ()


class Wire(Protocol):
    """One dialect's answers, as a stream of events or as one document.

    `one_answer` says that its lanes are parts of one answer, read one after the other, and not answers side by side.
    """

    streamed: bool
    one_answer: bool

    def parts(self, chunk: Chunk) -> Sequence[Part]:
        """Return the parts of a chunk in the order in which they are read; none of what is no document."""
        ...

    def written(self, chunk: Chunk) -> int:
        """Return how many UTF-8 bytes of a chunk the model wrote: text, reasoning and arguments of tool calls."""
        ...

    def coarse(self, logprobs: Any, most: int | None, decimals: int | None) -> Any:  # noqa: ANN401 - JSON
        """Return the value of a LOGPROBS part with at most `most` alternatives a token and figures of `decimals`.

        None leaves the alternatives, or the figures, as they came.
        """
        ...

    def delta(self, like: Chunk, lane: int, text: str) -> Chunk:
        """Return a new chunk of a stream that carries on a lane's text; `like` is any chunk of that stream."""
        ...

    def without_reasoning(self, seal: Seal, summarise: Summarise | None) -> Transform:
        """Return a transform that replaces what the API marks as reasoning by a handle, where there is a place for one.

        A chunk that had reasoning in words gets a gap for its summary; without `summarise`, or if that returns None,
        none. Events that cannot be read go too, since a client may read them. The transform raises UpstreamFailed for
        an answer with more reasoning than any model thinks.
        """
        ...


class Retelling(Protocol):
    """Keeps an answer consistent, behind all actions, where its API repeats texts or counts them."""

    def note(self, chunk: Chunk) -> None:
        """Take note of a chunk before any action has seen it."""
        ...

    def put(self, chunk: Chunk) -> Chunk:
        """Return a chunk that is about to leave, with what it repeats as the client was really told it before."""
        ...


def value_at(chunk: Chunk, path: Path) -> Any:  # noqa: ANN401 - a part of a JSON document
    """Return what stands at the path of a part."""
    node: Any = chunk.data
    for step in path:
        node = node[step]
    return node


def edited(chunk: Chunk, edits: Mapping[Path, object]) -> Chunk:
    """Return a chunk with other values at some paths, or without them (`GONE`); it is written anew.

    However many edits there are, each container on their ways is copied once.
    """
    return Chunk(None, rewritten(chunk.data, edits), chunk.event, chunk.not_before, manner(chunk), chunk.gaps)


def manner(chunk: Chunk) -> bytes | None:
    """Return the bytes in whose form a chunk that is made of this one is to be written."""
    return chunk.like if chunk.raw is None else chunk.raw


def rewritten(document: Any, edits: Mapping[Path, object]) -> Any:  # noqa: ANN401 - a JSON document
    """Return a document with other values at some paths, or without them (`GONE`)."""
    if len(edits) == 1:
        ((path, value),) = edits.items()
        if value is not GONE:
            return _with(document, path, value)
    ways: _Ways = {}
    for path, value in edits.items():
        way = ways
        for step in path[:-1]:
            way = way.setdefault(step, ({}, None))[0]
        way[path[-1]] = ({}, _Value(value))
    return _edited(document, ways)


def repadded(padding: str, was: str, now: str) -> str:
    """Return the padding of a text that replaces another, so that the padded length does not tell that it is new.

    The same texts get the same padding, however a stream is cut.
    """
    chars = (len(padding) + len(was) - len(now)) % _PADDED_CHARS
    if chars <= len(padding):
        return padding[:chars]
    digest = blake2b(f"{padding} {now}".encode("utf-8", "replace")).digest()
    return (padding + b64encode(digest, b"aB").decode())[:chars]


def filled(chunk: Chunk, texts: Sequence[str]) -> list[Chunk]:
    """Return what the client gets of a chunk with these texts, which may be empty, in its gaps."""
    chunks = [replace(chunk, gaps=())]
    for gap, text in zip(chunk.gaps, texts, strict=True):
        chunks = [made for each in chunks for made in gap.fill(each, text)]
    return chunks


class _Value(NamedTuple):
    of: object


# The edits as a tree: below each step the ways that go on, or the value that ends there.
_Ways: TypeAlias = "dict[str | int, tuple[_Ways, _Value | None]]"


def _with(document: Any, path: Path, value: object) -> Any:  # noqa: ANN401 - a JSON document
    """Return a document with another value at one path, as most edits are."""
    copy = node = document.copy()
    for step in path[:-1]:
        below = node[step] = node[step].copy()
        node = below
    node[path[-1]] = value
    return copy


def _edited(node: Any, ways: _Ways) -> Any:  # noqa: ANN401 - a part of a JSON document
    copy: Any = list(node) if isinstance(node, list) else dict(node)
    for step, (below, value) in ways.items():
        copy[step] = _edited(node[step], below) if value is None else value.of
    # Removed last, so that the places in a list stay true until all are edited.
    if isinstance(copy, list):
        return [item for item in copy if item is not GONE]
    return {name: value for name, value in copy.items() if value is not GONE}
