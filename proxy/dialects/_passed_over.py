"""Finds what nobody need read of a large document while it comes: log-probabilities, a few bytes of text in a thousand.

To read all of it at once takes a second for thirty megabytes, for which the event loop would stand still.

Laws: what is passed over is checked, piece by piece; a document without it is valid JSON if and only if the whole one
is, but for its depth. What is not found costs time only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from proxy.dialects._answer_json import is_json

_PIECE_BYTES: Final = 32_768  # what is looked at together takes some four hundred microseconds
_MOST_BYTES: Final = 1 << 18  # for which an element is waited for
_HEAD_BYTES: Final = 256  # what begins an array and may come in two pieces
# An array that is a member `logprobs`, `top_logprobs` and the like, or the first that is one of such an object. No text
# of a document looks like that: quotes in it are escaped.
_ARRAY = re.compile(rb'logprobs"\s*:\s*(?:\{\s*"\w+"\s*:\s*(?:null\s*,\s*"\w+"\s*:\s*)?)?\[')
_DEPTH: Final = 6  # of an element; those of log-probabilities have four


def _elements() -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Return what matches whole elements of an array, each with its comma, and the last one with the array's end."""
    string = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
    nested = string
    for _ in range(_DEPTH):
        nested = rb'%b|[\[{](?:[^"\[\]{}]++|%b)*+[\]}]' % (string, nested)
    element = rb'(?:[^",\[\]{}]++|%b)*+' % nested
    return re.compile(rb"(?:%b,)*+" % element, re.DOTALL), re.compile(rb"(%b)\]" % element, re.DOTALL)


_WHOLE, _LAST = _elements()


class PassedOver:
    """What of one document is passed over."""

    def __init__(self) -> None:
        self._came: list[bytes] = []  # and was not looked at yet
        self._waiting = 0  # the bytes of it
        self._rest = b""  # of what was looked at, what has to be again
        self._place = 0  # of the rest in the document
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

    def without(self, document: bytes) -> bytes:
        """Return the document, which came in whole, without what is passed over."""
        self._look()
        return b"".join(self._kept(document)) if self._cuts else document

    def _kept(self, document: bytes) -> Iterator[bytes]:
        end = 0
        for begin, after in self._cuts:
            yield document[end:begin]
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
                at = after
                break
            if self._is_behind_cut(after) and not last[1].strip():
                self._give_up(after)  # a comma before the end, which would be lost
                return
            at, self._inside = last.end(), False
        self._rest = data[at:]
        self._place += at

    def _passed(self, data: bytes, at: int) -> int | None:
        """Pass over the elements that are whole, and return where they end; None if they are no JSON."""
        whole = _WHOLE.match(data, at)
        if whole is None or whole.end() == at:
            return at
        end = whole.end()
        if not is_json(b"[%b0]" % data[at:end]):
            self._give_up(at)
            return None
        self._cuts.append((self._place + at, self._place + end))
        return end

    def _give_up(self, at: int) -> None:
        """Leave all that comes, and what is right before it, to whoever reads the document."""
        self._given_up = True
        self._came, self._rest = [], b""
        if self._is_behind_cut(at):
            self._cuts.pop()

    def _is_behind_cut(self, at: int) -> bool:
        return bool(self._cuts) and self._cuts[-1][1] == self._place + at
