"""Reads events of a stream that differ from an earlier one in their text alone, and of those only the text.

Most events of an answer differ in a few characters of two hundred. Where actions need no more than the text, reading
and writing each as JSON takes longer than all that they do. So once an event was read that says nothing else, the bytes
on both sides of its text are kept as its frame. What comes in a row with one frame is one chunk.
Laws: an event is read by its frame only if its bytes are those of the frame, with other texts between them; anything
else is read by the inner decoder and ends all frames, so that the first text after it is read whole again. A text gives
the same answer with a frame as without: the frame of what leaves is taken from what really left, and an event has none
if more than its text is counted or anything is learned from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import orjson

from proxy.dialects._answer_json import load
from proxy.dialects.base import ChunkDecoder
from proxy.exchange import Chunk, Progress, Saying, text_bytes
from proxy.wire import PADDING, Kind, Part, Path, Wire, value_at

# Without escapes that may be half a character, and those that we would not write.
_STRING = re.compile(rb'"[^"\\\x00-\x1f]*+(?:\\["\\bfnrt][^"\\\x00-\x1f]*+)*+"')
_STRINGS = re.compile(rb"(?:%b\n)*+" % _STRING.pattern)  # lines, up to the first that is no string
_CLEAR = re.compile(r"[A-Za-z0-9 ,.]{3,64}")  # texts that JSON writes in one way only, and long enough to occur once
_DATA = b"data: "
_MARK = b"\xef\xbb\xbf"  # a byte order mark, which only counts at the beginning of a stream
_BLANK = b"\n\n"  # the line behind an event
_PROBE: Final = "?"  # not matched by `_CLEAR`
_MOST = 8  # frames: choices come in turn
_SEVERAL = 16  # a run this many times as long as a head is worth cutting at once
_TRIES = 16  # after so many frames that were not used no more are kept


class _Frame(NamedTuple):
    """The bytes around a text, and around the padding behind it if there is any, as they come and as they go.

    They were taken from the chunk `of`.
    """

    of: Chunk
    lane: int
    came: tuple[bytes, ...]
    goes: tuple[bytes, ...]


class FramedDecoder:
    """A decoder of one stream for actions that need no more than texts; `encode` is the dialect's."""

    progress: Progress

    def __init__(self, inner: ChunkDecoder, wire: Wire, encode: Callable[[Chunk], bytes]) -> None:
        self.progress = inner.progress
        self._inner = inner
        self._wire = wire
        self._encode = encode
        self._part = b""  # while the inner decoder has part of an event: its last byte
        self._frames: list[_Frame] = []
        self._tries = _TRIES

    def feed(self, data: bytes) -> list[Chunk]:
        """Return the chunks that are whole now."""
        if not self._tries or b"\r" in data:
            self._tries = 0  # from now on it is not known where an event begins
            return self._inner.feed(data)
        chunks: list[Chunk] = []
        at = 0
        while at < len(data):
            framed = None if self._part else self._framed(data, at)
            if framed is not None:
                at, chunk = framed
                chunks.append(chunk)
                continue
            end = self._end(data, at)
            event = data[at:end]
            chunks += self._read(event, whole=end is not None and not self._part)
            self._part = event[-1:] if end is None else b""
            at += len(event)
        return chunks

    def finish(self) -> list[Chunk]:
        """Return what is left."""
        return self._inner.finish()

    def _end(self, data: bytes, at: int) -> int | None:
        """Return where the event that begins or goes on at `at` ends, None if its end is still to come."""
        if self._part == b"\n" and data.startswith(b"\n"):
            return 1  # the blank line began in the last read
        blank = data.find(_BLANK, at)
        return blank + len(_BLANK) if blank >= 0 else None

    def _framed(self, data: bytes, at: int) -> tuple[int, Chunk] | None:
        """Return where the run of events with one frame that begins there ends, and its chunk; None without a frame."""
        for frame in self._frames:
            if not data.startswith(frame.came[0], at):
                continue
            end, tokens, tails = _run(frame, data, at)
            texts = _texts_of(tokens)
            if texts:
                self._tries = _TRIES
                self.progress.output_bytes += text_bytes("".join(texts))
                return end, Chunk(None, saying=Saying(frame.lane, texts, frame.goes[0], tails, frame.of))
        return None

    def _read(self, data: bytes, *, whole: bool) -> list[Chunk]:
        """Read an event, or a part of one, as JSON, and remember the frame of a whole one."""
        known, counted = _known(self.progress), self.progress.output_bytes
        chunks = self._inner.feed(data)
        texts = [self._only_text(chunk) for chunk in chunks]
        news = None in texts or _known(self.progress) != known
        if news or len(self._frames) >= _MOST:
            self._frames.clear()
        if whole and self._tries and len(texts) == 1 and texts[0] is not None:
            self._tries -= 1
            said = texts[0][0]
            if not news and self.progress.output_bytes - counted == text_bytes(said.text):
                came, goes = _around(data, texts[0]), _around(self._encode(chunks[0]), texts[0])
                if came is not None and goes is not None:
                    self._frames.insert(0, _Frame(chunks[0], said.lane, came, goes))
        return chunks

    def _only_text(self, chunk: Chunk) -> list[Part] | None:
        """Return the text of a chunk that says nothing else, with its padding; None for any other chunk."""
        if chunk.data is None:
            return None
        parts = [part for part in self._wire.parts(chunk) if part.kind is not Kind.MODEL]
        if len(parts) != 1 or parts[0].kind is not Kind.TEXT or not parts[0].alone:
            return None
        if type(padding := chunk.data.get(PADDING)) is str:
            parts.append(parts[0]._replace(path=(PADDING,), text=padding))
        return parts


def _known(progress: Progress) -> tuple[object, ...]:
    """Return what an event may tell besides its text: what is known of the answer but for its length."""
    return progress.usage, progress.model, len(progress.signatures)


def _around(event: bytes, texts: list[Part]) -> tuple[bytes, ...] | None:
    """Return the bytes around texts, None if it is not clear where the texts are."""
    if event.startswith(_MARK):
        return None
    pieces: list[bytes] = []
    rest = event
    for part in texts:
        if not _CLEAR.fullmatch(part.text):
            return None
        before, token, rest = rest.partition(orjson.dumps(part.text))
        if not token or token in rest:
            return None
        pieces.append(before)
    pieces.append(rest)
    probed = orjson.dumps(_PROBE).join(pieces)
    document = load(probed[probed.find(_DATA) + len(_DATA) :])
    there = document is not None and all(_at(document, part.path) == _PROBE for part in texts)
    return tuple(pieces) if there else None


def _at(document: dict[str, Any], path: Path) -> Any:  # noqa: ANN401 - a part of a JSON document
    return value_at(Chunk(None, document), path)


def _run(frame: _Frame, data: bytes, at: int) -> tuple[int, list[bytes], list[bytes]]:
    """Return where a run of events with a frame that begins at `at` ends, and each one's string and bytes behind it."""
    head, behind, *more = frame.came
    tail = frame.goes[1]
    tokens: list[bytes] = []
    tails: list[bytes] = []
    size = _SEVERAL * len(head)
    several = len(data) - at > size and not more
    while several and (strings := _at_once(head, behind, data, (at, at + size))):
        tokens += strings
        tails += [tail] * len(strings)
        at += len(b"".join(strings)) + len(strings) * (len(head) + len(behind))
        size *= 2  # so that the bytes read in vain stay in proportion to those found
    while data.startswith(head, at):
        text = _STRING.match(data, at + len(head))
        if text is None or not data.startswith(behind, end := text.end()):
            break
        end += len(behind)
        if more:
            padding = _STRING.match(data, end)
            if padding is None or not padding[0].isascii() or not data.startswith(more[0], padding.end()):
                break
            end = padding.end() + len(more[0])
            tail = b"%b%b%b" % (frame.goes[1], padding[0], frame.goes[2])
        tokens.append(text[0])
        tails.append(tail)
        at = end
    return at, tokens, tails


def _at_once(head: bytes, behind: bytes, data: bytes, within: tuple[int, int]) -> list[bytes]:
    """Return the strings of a run of events with one frame that begins there, in few steps; none if it takes more."""
    at, end = within
    if not data.startswith(head, data.find(behind, at, end) + len(behind)):
        return []  # there is only one, or the next has another frame
    before, rest = head.count(b"\n"), behind.partition(b"\n")[0]
    if not rest:
        return []
    lines = data[at:end].split(b"\n")[before : -1 : before + behind.count(b"\n")]  # the last may be incomplete
    start, stop = len(head.rpartition(b"\n")[2]), -len(rest)
    strings = [line[start:stop] for line in lines]
    found = _STRINGS.match(b"\n".join([*strings, b""]))
    if found is None:
        return []
    del strings[found[0].count(b"\n") :]
    # Only a guess so far: lines of other events may stand between.
    return strings if data.startswith((behind + head).join([b"", *strings, b""])[len(behind) : -len(head)], at) else []


def _texts_of(tokens: list[bytes]) -> list[str]:
    """Return the texts of JSON strings; none if the bytes of one are no Unicode."""
    try:
        texts: list[str] = orjson.loads(b"[%b]" % b",".join(tokens))
    except orjson.JSONDecodeError:
        return []
    return texts
