"""One lane of an answer at work: what a filter makes of its text, event by event as it came.

Laws:
- What is held back goes out later in the events that it came in, so that their number, sizes and order tell nobody that
  it was held back.
- Where a filter changes a text, what comes of it is cut as near as can be where the text was cut.
- What a filter only held back for a while is no change.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final, Generic, Protocol, TypeVar

# Of a text that came in one event and of which the rest is still held back; what is more goes without it.
_MOST_BEGUN_CHARS: Final = 4_096
_MOST_OWED = 4_096  # events, of which those without a text are soon too many: what is held back has fewer characters

EventT = TypeVar("EventT")


class TextFilter(Protocol):
    """Rewrites one lane's text as it comes."""

    @property
    def held(self) -> int:
        """How many characters at the end of what came are held back, in whatever words they go."""
        ...

    def feed(self, text: str) -> str:
        """Return what may go out now; what is held back is bounded."""
        ...

    def pause(self) -> str:
        """Return what was held back and may go, since something else is said before more comes, if it does."""
        ...

    def end(self) -> str:
        """Return what was held back."""
        ...


class Lane(Generic[EventT]):
    """One lane's filter and the events that wait; `changed` says whether anything else has come out than went in.

    What it returns are texts that go out, each with the event that it goes in; None: it needs one of its own.
    """

    __slots__ = ("_begun", "_came", "_feed", "_filter", "_gone", "_owed", "changed")

    def __init__(self, filter_: TextFilter) -> None:
        self.changed = False
        self._filter = filter_
        self._feed = filter_.feed
        self._came = self._gone = 0  # characters
        # The events that wait, each with its text and where that ends, in characters from the lane's beginning.
        self._owed: deque[tuple[int, str, EventT | None]] = deque()
        self._begun = ""  # what goes out in the first of them, so far

    def feed(self, text: str, event: EventT) -> Sequence[tuple[str, EventT | None]]:
        """Return what may go out now that a text came in an event."""
        written = self._feed(text)
        came = self._came = self._came + len(text)
        gone = came - self._filter.held
        owed = self._owed
        if not owed and gone == came and written == text:
            self._gone = gone
            return ((text, event),)
        owed.append((came, text, event))
        end, first, of = owed[0]
        if end == gone and written == first and not self._begun:  # as nearly always in a stream of words
            owed.popleft()
            self._gone = gone
            return ((first, of),)
        return () if gone == self._gone and not written and len(owed) < _MOST_OWED else self._let_out(written, gone)

    def pause(self) -> Sequence[tuple[str, EventT | None]]:
        """Return what was held back and may go, since something else is said before more comes, if it does."""
        written = self._filter.pause()
        return self._let_out(written, self._came - self._filter.held)

    def end(self) -> Sequence[tuple[str, EventT | None]]:
        """Return what was held back."""
        return self._let_out(self._filter.end(), self._came)

    def now(self, event: EventT) -> Sequence[tuple[str, EventT | None]]:
        """Return what may go out now of the text that came last, in an event that cannot wait for the rest of it."""
        owed = self._owed
        if not owed or owed[-1][2] is not event:
            return ()
        end, text, _ = owed.pop()
        owed.append((end, text, None))
        begun = self._begun if len(owed) == 1 else ""
        self._begun = self._begun[len(begun) :]
        return ((begun, event),)

    def _let_out(self, written: str, gone: int) -> Sequence[tuple[str, EventT | None]]:
        owed, began, self._gone = self._owed, self._gone, gone
        source = ""
        ends: list[int] = []
        events: list[EventT | None] = []
        while owed and (owed[0][0] <= gone or len(owed) >= _MOST_OWED):
            end, text, event = owed.popleft()
            source += text[max(0, len(text) - end + began) :]
            ends.append(end - began)
            events.append(event)
        if owed:
            end, text, _ = owed[0]
            source += text[max(0, len(text) - end + began) :]
        source = source[: gone - began]
        if written != source:
            self.changed = True
            ends = list(_cuts(source, written, ends))
        told: list[tuple[str, EventT | None]] = []
        at = 0
        for event, end in zip(events, ends, strict=True):
            told.append((self._begun + written[at:end], event))
            self._begun, at = "", end
        rest = self._begun + written[at:]
        if rest and (not owed or len(rest) > _MOST_BEGUN_CHARS):
            told.append((rest, owed[0][2] if owed else None))
            rest = ""
        self._begun = rest
        return told


def _cuts(source: str, written: str, ends: Sequence[int]) -> Iterator[int]:
    """Yield where a text is to be cut that stands in place of one which was cut there, so that no piece is empty.

    What both begin and end with is cut alike, and what is between them before its first blank.
    """
    if len(ends) == 1 and ends[0] == len(source):
        yield len(written)
        return
    most = min(len(source), len(written))
    same = next((at for at in range(most) if source[at] != written[at]), most)
    alike = next((at for at in range(most - same) if source[-1 - at] != written[-1 - at]), most - same)
    blank = written.find(" ", same, len(written) - alike)
    left = len({*ends} - {0})  # pieces that are not empty
    cut = before = 0
    for end in ends:
        if end > before:
            left -= 1
            if end >= len(source) - alike:
                place = end + len(written) - len(source)
            elif end <= same or blank < 0:
                place = min(end, len(written) - alike)
            else:
                place = blank
            cut = max(cut, min(max(place, cut + 1), len(written) - left))
        before = end
        yield cut
