"""Splits a response body into server-sent events, as the HTML standard defines them, without losing a byte.

Laws:
- The raw bytes of all events and of the rest, joined, are the bytes that were fed.
- However the bytes are split over calls, the same events come out.
- The cost is linear in what is fed; no more than one event is kept.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from proxy.errors import UpstreamFailed

# The bytes with the blank line that ends them, the name (empty if there is none), and the data lines joined. A plain
# tuple, as the regular expression below makes it: a named one takes longer to build than to find.
Event: TypeAlias = tuple[bytes, bytes, bytes]

# A generated picture is up to five megabytes, and the event that ends a response repeats all of its pictures.
MAX_EVENT_BYTES = 9 << 20
_BOM = b"\xef\xbb\xbf"
# What every known API sends: one optional name, one line of data, line feeds only.
_USUAL = re.compile(rb"((?:event: ([^\n]*)\n)?data: ([^\n]*)\n\n)")
_END = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
# An event with one line of data, however it is written: what stands before the data, and the lines after it.
_WRITTEN = re.compile(rb"((?:(?!data)[^\r\n]+(?>\r\n|\n|\r))*data: ?)[^\r\n]+((?:(?>\r\n|\n|\r)(?!data)[^\r\n]*)*)")
_NAME = re.compile(rb"(?m)^(event: ?)[^\r\n]*")


def written(document: bytes, name: bytes, like: bytes) -> bytes:
    """Return a document as an event in the form of `like`, so that its form does not tell that it changed."""
    usual = not like or (like.startswith(b"data: ") and like.find(b"\n") == len(like) - 2) or _USUAL.fullmatch(like)
    around = None if usual else _WRITTEN.fullmatch(like)
    if around is None:
        return b"%bdata: %b\n\n" % (b"event: %b\n" % name if name else b"", document)
    before, behind = (_NAME.sub(lambda line: line[1] + name, lines) for lines in around.groups())
    return before + document + behind


def is_unread(raw: bytes | None) -> bool:
    """Tell whether an event from which no document was read may still have one, for a client that reads it."""
    return raw is not None and b"data" in raw and raw.strip().removeprefix(b"data:").strip() != b"[DONE]"


class EventSplitter:
    """Cuts a stream of bytes after each blank line; one object per response.

    A blank line that ends in a carriage return at the end of the bytes may still get a line feed, so its event waits
    for the next byte. No known API ends lines with bare carriage returns.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self.rest = bytearray()  # what has come of the next event
        self._begun = False

    def may_pass(self, data: bytes) -> bool:
        """Tell whether whole events at the start of `data` may pass unsplit: nothing has begun, nothing is unusual."""
        if self.rest or b"\r" in data:
            return False
        if not self._begun:
            self._begun = data.startswith((b"data: ", b"event: "))
        return self._begun

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that are whole now. Raises UpstreamFailed when one is larger than allowed."""
        if self.rest:
            searched = max(0, len(self.rest) - 3)  # a blank line takes up to four bytes
            self.rest += data
            if not _END.search(self.rest, searched):
                self._check_size(len(self.rest))
                return []
            data = bytes(self.rest)
            self.rest.clear()
        events = self._split(data)
        if len(data) > self._max_event_bytes:
            self._check_size(max((len(raw) for raw, _, _ in events), default=0))
        return events

    def finish(self) -> list[Event]:
        """Return what is left as one event, although no blank line ends it: some clients read such an event."""
        rest = bytes(self.rest)
        self.rest.clear()
        return [self._parse(rest)] if rest else []

    def _split(self, data: bytes) -> list[Event]:
        end = data.rfind(b"\n\n") + 2
        if end >= 2 and b"\r" not in data:
            events: list[Event] = _USUAL.findall(data, 0, end)
            if sum([len(raw) for raw, _, _ in events]) == end:  # nothing lies between them
                self._begun = True
                self._keep(data[end:])
                return events
        events = []
        start = 0
        for blank in _END.finditer(data):
            end = blank.end()
            if end == len(data) and data.endswith(b"\r"):
                break
            events.append(self._parse(data[start:end]))
            start = end
        self._keep(data[start:])
        return events

    def _parse(self, raw: bytes) -> Event:
        lines = (raw if self._begun else raw.removeprefix(_BOM)).splitlines()
        self._begun = True
        name = b""
        data = []
        for line in lines:
            field, _, value = line.partition(b":")
            if field == b"data":
                data.append(value.removeprefix(b" "))
            elif field == b"event":
                name = value.removeprefix(b" ")
        return raw, name, b"\n".join(data)

    def _keep(self, rest: bytes) -> None:
        if rest:
            self._check_size(len(rest))
            self.rest += rest

    def _check_size(self, size: int) -> None:
        if size > self._max_event_bytes:
            raise UpstreamFailed("The model API sent an event that is too large.")
