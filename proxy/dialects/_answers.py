"""Decodes answers: a stream of events or one document in, chunks out, progress kept on the way.

Laws: whatever an upstream sends, a decoder raises nothing but UpstreamFailed, and does not change bytes it was not told
to change. Figures that cannot be true count as not sent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from proxy.dialects._answer_json import dump, dump_texts, load
from proxy.dialects._names import names
from proxy.dialects._passed_over import AT_ONCE_BYTES, Growing, PassedOver
from proxy.dialects._sse import Event, EventSplitter, written
from proxy.errors import UpstreamFailed
from proxy.exchange import Chunk, Progress, text_bytes

MAX_DOCUMENT_BYTES = 32 << 20
_SAMPLES = 4  # after so many sampled events the envelope is known
_FEW_EVENTS = 4  # until then groups of so few are read: a short answer is counted exactly
_MAX_UNREAD_BYTES = 262_144  # far more than one read brings, and less than an event may have
_MAX_TOKENS = 10**9
_MAX_ERROR_TYPE_CHARS = 64
_MAX_MODEL_CHARS = 128
# Members that hold what the model wrote. `input` holds the arguments of a call, as a string or as an object.
_WRITTEN = names("arguments content input partial_json reasoning reasoning_content refusal text thinking transcript")


class StreamDecoder(ABC):
    """Decodes a stream of server-sent events.

    Most events only carry text on. As many of them as come together become one unread chunk; samples of them tell how
    many of their bytes are text. Events that may hold usage, an error or the end are read one by one.

    With `every`, all events are read, and whole; with `rewrites`, those that are read are read whole, as they may be
    written anew. Else the log-probabilities of an event of more than `at_once` bytes are left out of its chunk's
    document; they are in its bytes.
    """

    # An event with any of these bytes has to be read.
    _TELLING: ClassVar[tuple[bytes, ...]]

    def __init__(self, at_once: int = AT_ONCE_BYTES, *, every: bool, rewrites: bool = False) -> None:
        self.progress = Progress()
        self._every = every
        self._whole = every or rewrites
        self._at_once = at_once
        self._growing: Growing | None = None  # the event that has begun, if it is large
        self._events = EventSplitter()
        self._samples = 0
        self._envelope: int | None = None  # the bytes of an event around its text

    def feed(self, data: bytes) -> list[Chunk]:
        """Return the chunks that are whole now."""
        if self._every:
            return self._split(data)
        end = data.rfind(b"\n\n") + 2 if len(data) <= _MAX_UNREAD_BYTES and self._events.may_pass(data) else 0
        if end < 2:
            return self._split(data)
        whole = self._trimmed(data if end == len(data) else data[:end])
        size = self._unread(whole)
        if size == len(whole) and end == len(data):
            return [Chunk(whole)]
        chunks = [Chunk(whole[:size])] if size else []
        return chunks + self._split(whole[size:] + data[end:])

    def _split(self, data: bytes) -> list[Chunk]:
        """Return the chunks of the events that are whole now, and look at what has come of a large one."""
        events = self._events.feed(data)
        chunks = self._chunks(events)
        if events:
            self._growing = None
        if len(self._events.rest) > self._at_once:
            self._growing = self._growing or Growing(keep=self._whole)
            self._growing.look(self._events.rest)
        return chunks

    def _document(self, raw: bytes, data: bytes) -> dict[str, Any] | None:
        """Return the JSON object in an event's data, None if it holds none."""
        growing, self._growing = self._growing, None  # it belongs to the first event that ends
        if len(data) <= self._at_once:
            return load(data, exact=self._whole)
        return (growing or Growing(keep=self._whole)).read(raw, data)

    def _trimmed(self, events: bytes) -> bytes:
        """Return whole events without what has to be taken out of each of them."""
        return events

    def _unread(self, events: bytes) -> int:
        """Return how many bytes, up to the end of an event, need not be read, after their text is estimated."""
        telling = min([place for mark in self._TELLING if (place := events.find(mark)) >= 0], default=len(events))
        size = events.rfind(b"\n\n", 0, telling) + 2
        if size < 2:
            return 0
        return size if self._counted(events, size) else 0

    def _counted(self, events: bytes, size: int) -> bool:
        """Count the text in events that are not read, up to `size` bytes; return whether that could be told."""
        count = events.count(b"\n\n", 0, size)
        if self._samples < _SAMPLES:
            self._take_sample(events, size)
            if count <= _FEW_EVENTS:
                return False
        if self._envelope is None:
            return False
        self.progress.output_bytes += max(0, size - count * self._envelope)
        return True

    def _take_sample(self, events: bytes, size: int) -> None:
        """Read one event, the last or else one in the middle: the first and the last of a stream often have no text."""
        for end in (size, events.find(b"\n\n", size // 2, size) + 2):
            before = events.rfind(b"\n\n", 0, max(0, end - 2))
            sample = events[before + 2 if before >= 0 else 0 : end]
            document = load(sample[sample.find(b"data: ") + 6 :])
            written = self._written(document) if document is not None else 0
            if written:
                self._samples += 1
                self._envelope = min(len(sample) - written, self._envelope or len(sample))
                return

    def finish(self) -> list[Chunk]:
        """Return what was left unterminated."""
        return self._chunks(self._events.finish())

    @abstractmethod
    def _written(self, document: dict[str, Any]) -> int:
        """Return how many bytes of text an event's document carries."""

    @abstractmethod
    def _chunks(self, events: list[Event]) -> list[Chunk]:
        """Read events into chunks, and what they say into the progress."""


class ObservedStream(StreamDecoder):
    """A stream in which each event that is read becomes a chunk, as it came."""

    def _chunks(self, events: list[Event]) -> list[Chunk]:
        chunks = []
        for raw, name, data in events:
            document = self._document(raw, data)
            if document is not None:
                self._observe(document)
            chunks.append(Chunk(raw, document, name.decode(errors="replace")))
        return chunks

    @abstractmethod
    def _observe(self, document: dict[str, Any]) -> None:
        """Read what an event says into the progress."""


class DocumentDecoder:
    """Decodes an answer that is one JSON document; `observe` reads what it says into the progress.

    With `exact`, all of it is read, and every number so that it can be written again. Else the log-probabilities of a
    document of more than `at_once` bytes are left out of the chunk's document; they are in its bytes.
    """

    def __init__(
        self,
        observe: Callable[[Progress, dict[str, Any]], None],
        max_bytes: int = MAX_DOCUMENT_BYTES,
        at_once: int = AT_ONCE_BYTES,
        *,
        exact: bool,
    ) -> None:
        self.progress = Progress()
        self._observe = observe
        self._left = max_bytes
        self._most_left = max_bytes - at_once
        self._exact = exact
        self._pieces: list[bytes] = []
        self._over: PassedOver | None = None

    def feed(self, data: bytes) -> list[Chunk]:
        """Keep the bytes; the chunk comes at the end."""
        self._left -= len(data)
        if self._left < 0:
            raise UpstreamFailed("The model API sent an answer that is too large.")
        self._pieces.append(data)
        if self._over is not None:
            self._over.feed(data)
        elif self._left < self._most_left:
            self._over = PassedOver(keep=self._exact)
            self._over.feed(b"".join(self._pieces))
        return []

    def finish(self) -> list[Chunk]:
        """Return the document as one chunk. Raises UpstreamFailed if it is no JSON object."""
        raw, over = b"".join(self._pieces), self._over
        self._pieces, self._over = [], None  # the answer may be held after this
        document = load(raw, exact=self._exact) if over is None else over.read(raw)
        if document is None:
            raise UpstreamFailed("The model API sent an answer that is not valid JSON.")
        self._observe(self.progress, document)
        return [Chunk(raw, document)]


def encode(chunk: Chunk, *, streamed: bool) -> bytes:
    """Return a chunk's bytes: as they came, or written anew as an event or a document if it was changed."""
    if chunk.raw is not None:
        return chunk.raw
    if (saying := chunk.saying) is not None:
        head, tail, texts = saying.head, saying.tails[0], dump_texts(saying.texts)
        if len(texts) == saying.tails.count(tail):
            return b"%b%b%b" % (head, (tail + head).join(texts), tail)
        return b"".join([b"%b%b%b" % (head, text, tail) for text, tail in zip(texts, saying.tails, strict=True)])
    if chunk.data is None:
        return b""
    like = chunk.like or b""
    document = dump(chunk.data, like)
    if not streamed:
        return document + like[len(like.rstrip()) :]
    return written(document, chunk.event.encode(), like)


def member(node: object, name: str) -> object:
    """Return an object's member, None if there is none or if the node is no object."""
    return node.get(name) if type(node) is dict else None


def tokens(node: object, name: str) -> int | None:
    """Return a number of tokens, None if it is missing or cannot be true."""
    count = node.get(name) if type(node) is dict else None
    return count if type(count) is int and 0 <= count <= _MAX_TOKENS else None


def thought(usage: object, details: str, output: int) -> int:
    """Return how many tokens of the output were reasoning, 0 if the usage's `details` do not say, at most `output`."""
    named = member(usage, details)
    if named is None:
        return 0
    count = max(tokens(named, "reasoning_tokens") or 0, tokens(named, "thinking_tokens") or 0)
    return min(count, output)


def note_model(progress: Progress, node: object) -> None:
    """Note the model that an answer names."""
    model = node.get("model") if type(node) is dict else None
    if type(model) is str and len(model) <= _MAX_MODEL_CHARS and model.isprintable():
        progress.model = model


def error_type(error: object) -> str:
    """Return the type of an error that an upstream sent inside an answer, never empty."""
    for name in ("type", "code"):
        value = member(error, name)
        if type(value) is str and value.isprintable() and 0 < len(value) <= _MAX_ERROR_TYPE_CHARS:
            return value
    return "error"


def written_bytes(node: object) -> int:
    """Count the UTF-8 bytes that the model wrote, in whatever a delta, a message or a block holds."""
    count = 0
    waiting: list[object] = []
    while True:
        if type(node) is dict:
            for name, value in node.items():
                if type(value) is str:
                    if name in _WRITTEN:
                        count += text_bytes(value)
                elif name == "input":
                    count += _size(value)
                elif value:
                    waiting.append(value)
        elif type(node) is list:
            waiting += node
        if not waiting:
            return count
        node = waiting.pop()


def _size(node: object) -> int:
    count = 0
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if type(node) is dict:
            waiting += node.keys()
            waiting += node.values()
        elif type(node) is list:
            waiting += node
        elif node is not None:
            count += text_bytes(str(node))
    return count
