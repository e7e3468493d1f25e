"""Reads a large document while it comes, piece by piece: vectors, or log-probabilities, a thousandth of which is text.

To read thirty megabytes at once takes a second, for which the event loop would stand still.
Laws: what is cut out is read too, by itself; the document without it is valid JSON if and only if the whole one is, but
for its depth. What is not found costs time only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from secrets import token_urlsafe
from typing import Any, Final

from proxy.dialects._answer_json import load, value

AT_ONCE_BYTES: Final = 262_144  # of a document; a smaller one is read faster in one piece, and soon

_PIECE_BYTES: Final = 32_768  # read together in some four hundred microseconds
_LEAST_BYTES: Final = 1024  # of elements; to cut out fewer takes longer than to read them
_MOST_BYTES: Final = 1 << 18  # of one element that is waited for
_HEAD_BYTES: Final = 256  # of an array's beginning, which may come in two pieces
# The beginning of an array: an `embedding`, a member whose name ends in `logprobs`, or the first member of such an
# object or its second after a null. No text looks like that: quotes in it are escaped.
_ARRAY = re.compile(rb'"(?:(?<=logprobs")|(?<=embedding"))\s*:\s*(?:\{\s*"\w+"\s*:\s*(?:null\s*,\s*"\w+"\s*:\s*)?)?\[')
# What may stand before the document in an event: its name.
_DATA: Final = re.compile(rb"(?:event:[^\r\n]{0,256}\r?\n)?data: ?")
_DEPTH: Final = 6  # of an element; log-probabilities have four levels


def _elements() -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Return patterns of whole elements of an array, each with its comma, and of the last one with the array's end."""
    string = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
    nested = string
    for _ in range(_DEPTH):
        nested = rb'%b|[\[{](?:[^"\[\]{}]++|%b)*+[\]}]' % (string, nested)
    element = rb'(?:[^",\[\]{}]++|%b)*+' % nested
    return re.compile(rb"(?:%b,)*+" % element, re.DOTALL), re.compile(rb"(%b)\]" % element, re.DOTALL)


_WHOLE, _LAST = _elements()


class PassedOver:
    """What is cut out of one document; with `keep`, it is put back as it can be written again."""

    def __init__(self, *, keep: bool) -> None:
        self._keep = keep
        self._kept: list[list[Any]] = []  # the elements of each cut
        self._came: list[bytes] = []  # what came and was not looked at yet
        self._waiting = 0  # how many bytes that is
        self._rest = b""  # the end of what was looked at, to be looked at again
        self._place = 0  # where the rest begins in the document
        self._inside = False  # whether the rest begins between two elements of an array
        self._given_up = False
        self._cuts: list[tuple[int, int]] = []

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the document."""
        if self._given_up:
            return
        self._came.append(data)
        self._waiting += len(data)
        if self._waiting >= _PIECE_BYTES:
            self._look()

    def read(self, document: bytes) -> dict[str, Any] | None:
        """Return the JSON object of the whole document: without what was cut out or, with `keep`, with it."""
        self._look()
        if not self._cuts:
            return load(document, exact=self._keep)
        if not self._keep:
            return load(b"".join(self._pieces(document, [b""] * len(self._cuts))))
        names = [token_urlsafe(16) for _ in self._cuts]  # which the document cannot contain
        named = load(b"".join(self._pieces(document, [b'"%b",' % name.encode() for name in names])), exact=True)
        _put_back(named, dict(zip(names, self._kept, strict=True)))
        return named

    def _pieces(self, document: bytes, instead: list[bytes]) -> Iterator[bytes]:
        end = 0
        for (begin, after), said in zip(self._cuts, instead, strict=True):
            yield document[end:begin]
            yield said
            end = after
        yield document[end:]

    def _look(self) -> None:
        if self._given_up:
            return
        data = b"".join([self._rest, *self._came])
        self._came, self._waiting, at = [], 0, 0
        while True:
            if not self._inside:
                found = _ARRAY.search(data, at)
                if found is None:
                    at = max(at, len(data) - _HEAD_BYTES)
                    break
                at, self._inside = found.end(), True
            if (after := self._passed(data, at)) is None:
                return
            last = _LAST.match(data, after)
            if last is None:
                if len(data) - after > _MOST_BYTES:
                    self._give_up(after)
                    return
                at = after if self._is_behind_cut(after) else at
                break
            if self._is_behind_cut(after) and not last[1].strip():
                self._give_up(after)  # a comma before the end, an error that would be lost
                return
            at, self._inside = last.end(), False
        self._rest = data[at:]
        self._place += at

    def _passed(self, data: bytes, at: int) -> int | None:
        """Read the elements that are whole and cut them out; return where they end, None if they are no JSON."""
        whole = _WHOLE.match(data, at)
        if whole is None or whole.end() == at:
            return at
        end = whole.end()
        if end - at < _LEAST_BYTES and not self._is_behind_cut(at):  # cuts of an array are all at its beginning
            return end
        elements = value(b"[%b0]" % data[at:end], exact=self._keep)  # each has a comma behind it, so one more is added
        if type(elements) is not list:
            self._give_up(at)
            return None
        if self._keep:
            self._kept.append(elements[:-1])
        self._cuts.append((self._place + at, self._place + end))
        return end

    def _give_up(self, at: int) -> None:
        """Leave what comes from here on, and the cut right before it, to whoever reads the document."""
        self._given_up = True
        self._came, self._rest = [], b""
        if self._is_behind_cut(at):
            self._cuts.pop()
            del self._kept[len(self._cuts) :]

    def _is_behind_cut(self, at: int) -> bool:
        return bool(self._cuts) and self._cuts[-1][1] == self._place + at


class Growing:
    """An event of a stream that may be large, read while it comes; `keep` is as in `PassedOver`."""

    def __init__(self, *, keep: bool) -> None:
        self._keep = keep
        self._over = PassedOver(keep=keep)
        self._begin: int | None = None  # where the document begins in the event
        self._looked = 0

    def look(self, event: bytes | bytearray) -> None:
        """Read what has come of the event since the last call."""
        if self._begin is None:
            if (before := _DATA.match(event)) is None:
                return
            self._begin = self._looked = before.end()
        for start in range(self._looked, len(event), AT_ONCE_BYTES):
            self._over.feed(bytes(event[start : start + AT_ONCE_BYTES]))
        self._looked = len(event)

    def read(self, event: bytes, data: bytes) -> dict[str, Any] | None:
        """Return the JSON object in a whole event's data, as `PassedOver` does."""
        self.look(event)
        begin = self._begin
        if begin is None or not event.startswith(data, begin) or event[begin + len(data) :].strip():
            return load(data, exact=self._keep)
        return self._over.read(event[begin:])


def _put_back(document: object, kept: dict[str, list[Any]]) -> None:
    """Put the elements that each name stands for in its place."""
    waiting = [document]
    while waiting:
        node = waiting.pop()
        if type(node) is dict:
            waiting += node.values()
        elif type(node) is list:
            if node and type(node[0]) is str and node[0] in kept:
                names = [kept.pop(item) for item in node if type(item) is str and item in kept]
                waiting += node[len(names) :]
                node[: len(names)] = [item for elements in names for item in elements]
            else:
                waiting += node
